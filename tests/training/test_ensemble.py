"""§6 Mean and weighted mean of probabilities, by hand and by a full search of the grid."""

import itertools

import pytest
import torch

from alexnet_repro.training import topk_error
from alexnet_repro.training.ensemble import average, search_weights

ONE = torch.tensor([[[0.6, 0.3, 0.1]], [[0.1, 0.5, 0.4]]])


def test_mean_by_hand():
    torch.testing.assert_close(average(ONE), torch.tensor([[0.35, 0.40, 0.25]]))


def test_weighted_mean_by_hand():
    wanted = torch.tensor([[(0.6 * 3 + 0.1) / 4, (0.9 + 0.5) / 4, (0.3 + 0.4) / 4]])
    torch.testing.assert_close(average(ONE, [3, 1]), wanted)
    torch.testing.assert_close(average(ONE, [0.75, 0.25]), wanted)


def test_mean_of_probabilities_is_not_the_mean_of_scores():
    scores = torch.tensor([[[4.0, 0.0, 3.0]], [[0.0, 1.5, 1.5]]])
    by_probability = average(scores.softmax(2)).argmax(1)
    assert by_probability.item() == 0
    assert scores.mean(0).argmax(1).item() == 2


@pytest.mark.parametrize(
    ("probabilities", "weights", "text"),
    [
        (ONE[0], None, r"wants M x N x C float probabilities, got \(1, 3\)"),
        (ONE * 5, None, r"rows >= 0 that sum to 1.*sums from 5 to 5.*softmax"),
        (ONE - 1, None, "rows >= 0"),
        (ONE, [1.0], "wants 2 weights >= 0, not all 0, got"),
        (ONE, [1.0, -1.0], "wants 2 weights"),
        (ONE, [0.0, 0.0], "wants 2 weights"),
    ],
)
def test_wrong_input(probabilities, weights, text):
    with pytest.raises(ValueError, match=text):
        average(probabilities, weights)


def test_search_is_never_worse_than_the_mean_and_near_the_best_of_the_grid():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 8, (300,), generator=generator)
    right = torch.nn.functional.one_hot(labels, 8).float()
    nets = torch.stack(
        [
            (signal * right + torch.randn(300, 8, generator=generator)).softmax(1)
            for signal in (1.5, 1.0, 0.1)
        ]
    )
    found = search_weights(nets, labels, k=2, step=0.25)
    error = topk_error(average(nets, found), labels, 2)
    assert error <= topk_error(average(nets), labels, 2)
    grid = [w for w in itertools.product([0, 0.25, 0.5, 0.75, 1], repeat=3) if sum(w)]
    best = min(topk_error(average(nets, w), labels, 2) for w in grid)
    assert best <= error <= best + 0.01
    assert found[2] < max(found)  # the net that knows nothing does not lead
