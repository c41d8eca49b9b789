"""§4.1 The one-pass batch against the three steps that it replaces; the next batch ahead."""

import threading
import time

import numpy as np
import pytest
import torch

from alexnet_repro import augment, native
from alexnet_repro.augment import RGBPCA, cropping, on_cpu, on_device

PCA = RGBPCA(torch.tensor([400.0, 1400.0, 14800.0]).double(), torch.eye(3).double()[:, [2, 0, 1]])


@pytest.fixture(params=["C++", "numpy"], autouse=True)
def by(request, monkeypatch):
    if request.param == "numpy":
        monkeypatch.setattr(native, "library", lambda name: None)
    else:
        request.getfixturevalue("compiler")
        assert native.library("augment/batches")
        monkeypatch.setattr(on_cpu, "_in_numpy", lambda *_: pytest.fail("not in C++"))


@pytest.mark.parametrize(
    ("n", "side", "crop"), [(7, 32, 24), (5, 256, 224), (3, 9, 9), (300, 40, 32)]
)
@pytest.mark.parametrize("reading", [None, "paper", "original"])
@pytest.mark.parametrize("scale", [1.0, 63.7])
def test_equals_the_three_steps_bit_for_bit(n, side, crop, reading, scale):
    generator = torch.Generator().manual_seed(n)
    images = torch.randint(0, 256, (n, 3, side, side), dtype=torch.uint8, generator=generator)
    draws = augment.draw_crops(n, side, crop, generator)
    mean = 100 + 30 * torch.rand(3, crop, crop, generator=generator)
    wanted = augment.apply_crops(images, draws, crop).float() - mean
    shift, divisors = None, () if scale == 1 else (scale,)
    if reading:
        alphas = PCA.draw(n, generator)
        wanted = PCA.apply(wanted, alphas, reading=reading)
        shift = PCA.shift(alphas, reading=reading).float()
        divisors = ((1.1,) if reading == "original" else ()) + divisors
    wanted = wanted / scale
    usual = torch.get_num_threads()
    for threads in (1, 3):
        torch.set_num_threads(threads)
        found = on_cpu.batch(images, draws, crop, mean, shift=shift, divisors=divisors)
        assert torch.equal(found, wanted)
        assert found.is_contiguous()
    torch.set_num_threads(usual)


def test_views_and_other_dtypes_are_taken():
    images = torch.randint(0, 256, (6, 8, 8, 3), dtype=torch.uint8).permute(0, 3, 1, 2)[::2]
    draws = augment.draw_crops(3, 8, 5, torch.Generator().manual_seed(0))
    mean = torch.rand(3, 10, 10).double()[:, ::2, ::2]
    shift = torch.rand(3, 3).double().t()
    found = on_cpu.batch(images, draws, 5, mean, shift=shift)
    wanted = augment.apply_crops(images, draws, 5).float() - mean.float()
    assert torch.equal(found, wanted + shift.float()[:, :, None, None])


@pytest.mark.parametrize(
    ("mean", "shift"), [((3, 1, 1), (2, 3)), ((1, 3, 5, 5), (2, 3)), ((3, 5, 5), (3,))]
)
def test_a_mean_or_a_shift_of_another_shape_is_refused(mean, shift):
    draws = augment.draw_crops(2, 8, 5, torch.Generator().manual_seed(0))
    images = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"a mean of \(3, 5, 5\), or one for each of 2 images"):
        on_cpu.batch(images, draws, 5, torch.zeros(mean), shift=torch.zeros(shift))


def test_an_empty_batch_is_one():
    draws = augment.draw_crops(0, 8, 5, torch.Generator().manual_seed(0))
    images = torch.zeros(0, 3, 8, 8, dtype=torch.uint8)
    assert on_cpu.batch(images, draws, 5, torch.zeros(3, 5, 5)).shape == (0, 3, 5, 5)


def test_a_mean_for_each_image():
    images = torch.arange(4 * 3 * 8 * 8).reshape(4, 3, 8, 8).to(torch.uint8)
    draws = augment.draw_crops(4, 8, 5, torch.Generator().manual_seed(0))
    means = cropping.matching_mean(torch.rand(3, 8, 8), draws, 5)
    found = on_cpu.batch(images, draws, 5, means)
    assert torch.equal(found, augment.apply_crops(images, draws, 5).float() - means)


def test_the_source_is_left_as_it_was():
    source = np.arange(2 * 3 * 6 * 6, dtype=np.uint8).reshape(2, 3, 6, 6)
    kept = source.copy()
    draws = augment.Draws(*(torch.tensor(x) for x in ([0, 1], [1, 0], [True, True])))
    on_cpu.batch(torch.from_numpy(source), draws, 5, torch.zeros(3, 5, 5))
    assert (source == kept).all()


@pytest.mark.parametrize(
    ("images", "crop", "text"),
    [
        (torch.zeros(2, 3, 8, 8), 5, r"uint8 on the CPU \(0..255\), got \(2, 3, 8, 8\) of torch.f"),
        (torch.zeros(3, 3, 8, 8, dtype=torch.uint8), 5, "2 draws, 5-pixel crops for 3 of 8x8"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), 9, "2 draws, 9-pixel crops for 2 of 8x8"),
    ],
)
def test_errors_say_what_was_given(images, crop, text):
    draws = augment.draw_crops(2, 8, 5, torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match=text):
        on_cpu.batch(images, draws, crop, torch.zeros(3, crop, crop))


@pytest.mark.parametrize(("name", "place"), [("top", 4), ("left", -1)])
def test_places_outside_the_image_are_refused(name, place):
    draws = augment.draw_crops(2, 8, 5, torch.Generator().manual_seed(0))
    getattr(draws, name)[1] = place
    images = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    wanted = rf"5-pixel crops of 8x8 have {name} in 0..3, got -?\d to"
    with pytest.raises(ValueError, match=wanted):
        on_cpu.batch(images, draws, 5, torch.zeros(3, 5, 5))
    with pytest.raises(ValueError, match=wanted):
        on_device.batch(images, torch.arange(2), draws, 5, torch.zeros(3, 5, 5))


def test_ahead_keeps_the_order_and_makes_the_next_item_meanwhile():
    threads = []

    def make(i):
        threads.append((i, threading.current_thread() is threading.main_thread()))
        return i

    found = []
    for item in on_cpu.ahead(map(make, range(5))):
        found.append(item)
        time.sleep(0.02)
        if item < 4:
            assert (item + 1, False) in threads  # the next one is there already
    assert found == list(range(5))
    assert list(on_cpu.ahead([])) == []


@pytest.mark.parametrize(("device", "meanwhile"), [("cpu", False), ("cuda", True)])
def test_batches_are_made_meanwhile_for_a_gpu_and_in_turn_for_a_cpu(device, meanwhile):
    made = []
    for item in on_cpu.supply(map(lambda i: made.append(i) or i, range(3)), torch.device(device)):
        time.sleep(0.02)
        assert len(made) == min(3, item + 1 + meanwhile)


def test_ahead_passes_an_error_on():
    def items():
        yield 1
        raise KeyError("broken")

    made = on_cpu.ahead(items())
    assert next(made) == 1
    with pytest.raises(KeyError, match="broken"):
        next(made)
