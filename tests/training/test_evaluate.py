"""§6 Errors against a stable numpy sort and hand-made nets; the view; every image counted."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import nn

from alexnet_repro import augment
from alexnet_repro.augment import View
from alexnet_repro.data import DataSet, MeanImage
from alexnet_repro.training import evaluate, ten_crop_probabilities, topk_error
from alexnet_repro.training.scoring import wrong_at_k


def dataset(images, labels, classes=3, mean=None, std=1.0):
    images = np.asarray(images, np.uint8)
    mean = np.zeros(images.shape[1:], np.float32) if mean is None else mean
    names = tuple("abcdefgh"[:classes])
    labels = np.asarray(labels, np.int64)
    return DataSet("toy", "test", images, labels, names, MeanImage(mean), std, "")


class Lookup(nn.Module):
    """Scores of an image are those listed under the value of its brightest pixel."""

    def __init__(self, scores):
        super().__init__()
        self.scores = torch.as_tensor(scores, dtype=torch.float32)

    def forward(self, x):
        return self.scores[x.amax((1, 2, 3)).long()]


@given(
    scores=hnp.arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 7)),
                      elements=st.sampled_from([-1.0, 0.0, 0.5, 2.0])),
    data=st.data(),
)  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_wrong_at_k_equals_a_stable_sort(scores, data):
    n, c = scores.shape
    labels = np.array(data.draw(st.lists(st.integers(0, c - 1), min_size=n, max_size=n)))
    k = data.draw(st.integers(1, c))
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]  # on a tie the lower index first
    want = [label not in row for label, row in zip(labels, best, strict=True)]
    assert wrong_at_k(torch.tensor(scores), torch.tensor(labels), k).tolist() == want
    assert topk_error(torch.tensor(scores), torch.tensor(labels), k) == np.mean(want)


def test_ties_and_scores_that_are_not_finite():
    scores = torch.tensor([[1.0, 1, 0], [1, 1, 0], [1, float("nan"), 0], [float("inf"), 0, 0]])
    labels = torch.tensor([0, 1, 0, 0])
    assert wrong_at_k(scores, labels, 1).tolist() == [False, True, True, True]
    assert wrong_at_k(scores, labels, 3).tolist() == [False, False, True, True]
    assert topk_error(scores, labels, 1) == 0.75


@pytest.mark.parametrize(("shape", "k"), [((2, 3), 0), ((2, 3), 4), ((1, 3), 1)])
def test_errors_of_topk_say_what_was_given(shape, k):
    with pytest.raises(ValueError, match=rf"got \({shape[0]}, 3\), \(2,\), k={k}"):
        wrong_at_k(torch.zeros(shape), torch.tensor([0, 1]), k)


def test_evaluate_counts_the_images_of_a_partial_batch():
    scores = [[2.0, 0, 0, 0, 0, 0], [0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0]]
    kinds, labels = [0, 1, 2, 0, 1, 2, 0], [0, 0, 5, 1, 5, 0, 5]
    images = np.broadcast_to(np.array(kinds)[:, None, None, None], (7, 3, 4, 4))
    data = dataset(images, labels, 6)
    rows = np.array(scores)[kinds]
    logs = rows - np.log(np.exp(rows).sum(1, keepdims=True))
    want = {
        "loss": -logs[range(7), labels].mean(),
        "top1_error": 4 / 7,  # images 0, 4 and 5 are right
        "top5_error": 3 / 7,  # 1, 2 and, by its tie, 6 are past the fifth place
        "images": 7,
    }
    view = View.of(data, 0, False)
    for batch in (1, 3, 7, 500):
        assert evaluate(Lookup(scores), data, view, batch=batch) == pytest.approx(want)
    ten = evaluate(Lookup(scores), data, View.of(data, 2, False), views=10, batch=30)
    few = dict.fromkeys(("views2_top1_error", "views5_top1_error"), 4 / 7)
    assert ten == pytest.approx({**want, **few})  # flat images: all ten views are the same
    first = evaluate(Lookup(scores), data, view, limit=3, batch=2)
    assert (first["images"], first["top1_error"]) == (3, 2 / 3)
    assert first["loss"] == pytest.approx(-logs[range(3), labels[:3]].mean())


def test_evaluate_scores_in_evaluation_mode_and_gives_the_mode_back():
    class Spy(Lookup):
        def forward(self, x):
            modes.append((self.training, torch.is_inference_mode_enabled()))
            return super().forward(x)

    data, modes = dataset(np.zeros((2, 1, 2, 2)), [0, 0]), []
    net = Spy([[0.0, 0, 0]])
    for training in (True, False):
        net.train(training)
        evaluate(net, data, View.of(data, 0, False))
        assert net.training is training
    assert modes == [(False, True)] * 2


def test_evaluate_refuses_other_views_and_missing_images():
    data = dataset(np.zeros((2, 1, 2, 2)), [0, 0])
    view = View.of(data, 0, False)
    with pytest.raises(ValueError, match=r"1 or 10 views, got 5"):
        evaluate(Lookup([[0.0, 0, 0]]), data, view, views=5)
    with pytest.raises(AssertionError, match=r"scored 2 images of 3"):
        evaluate(Lookup([[0.0, 0, 0]]), data, view, limit=3)


def test_ten_crops_average_probabilities_not_scores():
    image = np.zeros((1, 1, 4, 4))
    image[..., 0, 0] = 1  # only the top left crop and its mirror have it
    data = dataset(image, [1], 2)
    view, net = View.of(data, 2, False), Lookup([[0.0, 1.0], [20.0, 0.0]])
    sure, unsure = np.array([1, np.exp(-20)]), np.array([1, np.e])
    want = 0.2 * sure / sure.sum() + 0.8 * unsure / unsure.sum()
    images = torch.from_numpy(data.images)
    found = ten_crop_probabilities(net, images, view)
    np.testing.assert_allclose(found.numpy(), want[None], rtol=1e-6)
    assert found.argmax() == 1
    crops = augment.ten_crop(images, 2).flatten(0, 1)
    assert net(view(crops)).mean(0).argmax() == 0  # the mean score says the other class
    ten = evaluate(net, data, view, views=10)
    assert ten["top1_error"] == 0
    assert ten["loss"] == pytest.approx(-np.log(want[1]))


def test_ten_crops_of_a_very_sure_net_are_not_all_wrong():
    """A probability that underflows to 0 is a finite score: the label's own is 1."""
    data = dataset(np.zeros((1, 1, 4, 4)), [0])
    net = Lookup([[200.0, 0, 0]])
    one = evaluate(net, data, View.of(data, 2, False))
    ten = evaluate(net, data, View.of(data, 2, False), views=10)
    assert one["top1_error"] == 0
    assert ten["top1_error"] == 0


@pytest.mark.parametrize("views", [1, 10])
def test_a_diverged_net_is_wrong_everywhere(views):
    data = dataset(np.zeros((3, 1, 4, 4)), [0, 0, 0])
    net = Lookup([[float("nan"), 0, 0]])
    found = evaluate(net, data, View.of(data, 2, False), views=views)
    assert (found["top1_error"], found["images"]) == (1.0, 3)
    assert np.isnan(found["loss"])


def test_view_subtracts_the_central_mean_from_every_crop():
    mean = np.arange(3 * 6 * 6, dtype=np.float32).reshape(3, 6, 6) / 4
    data = dataset(np.zeros((1, 3, 6, 6)), [0], mean=mean, std=8.0)
    crops = torch.randint(256, (2, 3, 3, 3), generator=torch.Generator().manual_seed(0))
    crops = crops.to(torch.uint8)
    want = np.empty((2, 3, 3, 3))
    for n, c, i, j in np.ndindex(want.shape):
        want[n, c, i, j] = int(crops[n, c, i, j]) - mean[c, i + 1, j + 1]  # a rest of 3: 1 and 2
    found = View.of(data, 3, False)(crops)
    assert found.dtype == torch.float32
    assert found.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_array_equal(found.numpy(), want)
    np.testing.assert_array_equal(View.of(data, 3, True)(crops).numpy(), want / 8)
    whole = torch.zeros(1, 3, 6, 6, dtype=torch.uint8)
    np.testing.assert_array_equal(View.of(data, 0, False)(whole)[0].numpy(), -mean)


def test_view_errors_say_what_was_given():
    data = dataset(np.zeros((1, 3, 6, 6)), [0])
    view = View.of(data, 3, False)
    with pytest.raises(ValueError, match=r"wanted uint8 crops of 3 pixels.*of torch.float32"):
        view(torch.zeros(1, 3, 3, 3))
    with pytest.raises(ValueError, match=r"wanted uint8.*got \(1, 3, 6, 6\) of torch.uint8"):
        view(torch.zeros(1, 3, 6, 6, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"a 7-pixel crop does not fit the 6-pixel mean image"):
        View.of(data, 7, False)
