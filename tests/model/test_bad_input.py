"""Images of the wrong shape, dtype or range are refused in words; equal generators, equal draws."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from alexnet_repro import augment, model, spec
from alexnet_repro.layers import PaperDropout
from alexnet_repro.model import paper_net


@pytest.fixture(scope="module")
def net():
    return model.build("mini-alexnet", init="modern", generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("images", "text"),
    [
        (torch.zeros(2, 24, 24, 3), r"mini-alexnet wants float images N x 3 x S x S, S = 24; "
         r"got \(2, 24, 24, 3\) of torch.float32"),
        (torch.zeros(3, 24, 24), r"got \(3, 24, 24\)"),
        (torch.zeros(2, 3, 24, 24, dtype=torch.uint8), r"of torch.uint8"),
        (torch.zeros(2, 3, 32, 32), r"same sizes; got \(2, 3, 32, 32\)"),
        (torch.zeros(2, 3, 24, 23), r"same sizes; got \(2, 3, 24, 23\)"),
        (torch.zeros(2, 3, 2, 2), r"same sizes; got \(2, 3, 2, 2\)"),
        (torch.linspace(0.1, 0.9, 3456).reshape(2, 3, 24, 24),
         r"wants pixels in 0..255 minus their mean .*all in 0\.\S* to "
         r"(0\.\S*|1): multiply by 255"),
    ],
)  # fmt: skip
def test_images_that_a_net_cannot_mean(net, images, text):
    for ask in (net.train(), lambda x: model.activations(net.train(), x)):
        with pytest.raises(ValueError, match=text):
            ask(images)


@pytest.mark.parametrize("shape", [(32, 32, 3), (2, 32, 32, 3), (3, 32, 32)])
def test_crops_refuse_other_layouts(shape):
    images = torch.zeros(shape, dtype=torch.uint8)
    draws = augment.draw_crops(2, 32, 24, torch.Generator().manual_seed(0))
    text = rf"wants images N x C x H x W .* got \({', '.join(map(str, shape))}\) of torch.uint8"
    with pytest.raises(ValueError, match=f"ten_crop {text}"):
        augment.ten_crop(images, 24)
    with pytest.raises(ValueError, match=f"apply_crops {text}"):
        augment.apply_crops(images, draws, 24)


@torch.inference_mode()
def test_227_pixels_run_as_224_do():
    rows = [replace(r, out=r.out // 8) if r.out else r for r in spec.get("alexnet").layers]
    small = replace(spec.get("alexnet"), layers=tuple(rows))
    net = model.build(small, generator=torch.Generator().manual_seed(0)).eval()
    for side in (224, 227):
        found = model.activations(net, torch.randn(1, 3, side, side), ["conv1", "pool5", "fc8"])
        shapes = [tuple(v.shape[1:]) for v in found.values()]
        assert shapes == [(12, 55, 55), (32, 6, 6), (125,)]


def test_what_is_taken(net):
    x = torch.rand(2, 3, 24, 24)
    for images in (255 * x, 255 * x - 120, x - 0.5, torch.zeros_like(x), x[:0]):
        assert net.train()(images).shape == (len(images), 10)
    assert net.eval()(x).shape == (2, 10)  # a dummy input, as exporters use


def test_224_and_227_fit_the_full_net_and_nothing_between_fails_late():
    sides = {
        side: paper_net._fits(paper_net.specs.get("alexnet"), side)
        for side in (63, 223, 224, 227, 256)
    }
    assert sides == {63: False, 223: True, 224: True, 227: True, 256: False}


def test_draws_are_equal_for_equal_generators_on_one_and_two_threads():
    pca = augment.RGBPCA.fit(np.arange(60000, dtype=np.uint8).reshape(-1, 3, 10, 10))
    found = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 1):
            torch.set_num_threads(threads)
            generator = torch.Generator().manual_seed(7)
            drop = PaperDropout()
            drop.generator = generator
            made = model.build("mini-alexnet", init="original", generator=generator)
            draws = augment.draw_crops(500, 256, 224, generator)
            found.append(
                [
                    *made.state_dict().values(),
                    draws.top, draws.left, draws.flip,
                    pca.draw(500, generator),
                    drop(torch.ones(300, 300)),
                    pca.eigenvalues, pca.eigenvectors,
                ]
            )  # fmt: skip
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))
