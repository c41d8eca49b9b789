"""§6 Several nets as one: the mean of their probabilities, or a weighted mean.

The paper averages. The original's script could search a coefficient for each net on the validation
set, in steps of 0.05; no log says which of the two made Table 2.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from alexnet_repro.errors import InputError
from alexnet_repro.training.scoring import topk_error


def average(probabilities: Tensor, weights: Sequence[float] | None = None) -> Tensor:
    """§6 M x N x C probabilities of M nets -> N x C, their mean or weighted mean.

    weights: M numbers >= 0, not all 0; they are divided by their sum. Raises ValueError for
    another shape, for rows that do not sum to 1 (scores before the softmax) and for such weights.
    """
    if probabilities.dim() != 3 or not probabilities.is_floating_point():
        raise InputError(
            f"average wants M x N x C float probabilities, got {tuple(probabilities.shape)} of "
            f"{probabilities.dtype}"
        )
    sums = probabilities.sum(2)
    if (probabilities < 0).any() or not torch.allclose(sums, torch.ones_like(sums), atol=1e-3):
        raise InputError(
            "average wants probabilities (rows >= 0 that sum to 1), "
            f"got sums from {sums.min():.3g} to {sums.max():.3g}; take the softmax first"
        )
    if weights is None:
        return probabilities.mean(0)
    w = torch.as_tensor(weights, dtype=probabilities.dtype, device=probabilities.device)
    if w.shape != probabilities.shape[:1] or (w < 0).any() or w.sum() <= 0:
        raise InputError(
            f"average wants {len(probabilities)} weights >= 0, not all 0, got {list(weights)}"
        )
    return torch.einsum("m,mnc->nc", w / w.sum(), probabilities)


def search_weights(
    probabilities: Tensor, labels: Tensor, *, k: int = 5, step: float = 0.05
) -> list[float]:
    """Weights that lower the top-k error, found net by net as the original's script could.

    Starts from equal weights; each net's weight in turn takes the best multiple of step in 0..1
    (the smaller on a tie, none that would make all 0), until a round changes nothing. Choose on
    validation images and report on others.
    """
    grid = [round(i * step, 10) for i in range(round(1 / step) + 1)]
    weights = [1.0] * len(probabilities)
    best = topk_error(average(probabilities, weights), labels, k)
    changed = True
    while changed:
        changed = False
        for m in range(len(weights)):
            for value in grid:
                trial = [*weights[:m], value, *weights[m + 1 :]]
                if sum(trial) == 0:
                    continue
                error = topk_error(average(probabilities, trial), labels, k)
                if error < best:
                    weights, best, changed = trial, error, True
    return weights
