"""From runs to one effect a seed, as the least and the most that it can be. No torch.

Both ends are equal where the value is exact. A run that never got to a training error took at least
the epochs that it had; a run that diverged has the worst error there is, and never gets anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from alexnet_repro.errors import InputError
from alexnet_repro.study.records import RunRecord

Ends = tuple[float, float]
ANYTHING: Ends = (-math.inf, math.inf)


def epochs_to(record: RunRecord, target: float = 0.25) -> tuple[float, bool]:
    """Epochs until the training error is at most target, and whether it got there.

    Linear between the two epochs around the crossing. Where it never got there: the number of
    epochs that the configuration allowed, and False; where it diverged: infinity, and False.
    """
    if record.metrics.get("diverged"):
        return math.inf, False
    curve = record.curve[record.curve["split"] == "train"]
    epochs, errors = curve["epoch"].to_numpy(float), curve["top1_error"].to_numpy(float)
    below = np.flatnonzero(errors <= target)
    if not len(below):
        return float(record.config["epochs"]), False
    i = int(below[0])
    if i == 0:
        return float(epochs[0]), True
    share = (errors[i - 1] - target) / (errors[i - 1] - errors[i])
    return float(epochs[i - 1] + share * (epochs[i] - epochs[i - 1])), True


def metric(record: RunRecord, name: str) -> Ends:
    """A claim's metric of one run, least and most.

    name: a metric of the record, "a - b" of two of them, or epochs_to_25. ValueError otherwise.
    """
    if name == "epochs_to_25":
        epochs, reached = epochs_to(record)
        return epochs, epochs if reached else math.inf
    parts = name.split(" - ")
    for part in parts:
        if not isinstance(record.metrics.get(part), (int, float)):
            raise InputError(
                f"{record.experiment}/{record.arm} has no metric {part!r}; "
                f"it has {', '.join(record.metrics)}"
            )
    if record.metrics.get("diverged"):
        return (math.inf, math.inf) if len(parts) == 1 else ANYTHING
    value = record.metrics[parts[0]] - sum(record.metrics[p] for p in parts[1:])
    return value, value


def metric_or_nan(record: RunRecord, name: str) -> Ends:
    """The same, with nan for a metric that the record does not have."""
    try:
        return metric(record, name)
    except InputError:
        return math.nan, math.nan


def paired(
    arm: Sequence[RunRecord], versus: Sequence[RunRecord]
) -> list[tuple[RunRecord, RunRecord]]:
    """Runs of two arms matched by seed; ValueError when a seed is on one side only."""
    a, b = ({r.seed: r for r in side} for side in (arm, versus))
    if set(a) != set(b):
        raise InputError(f"unpaired seeds: {sorted(a)} against {sorted(b)}")
    return [(a[seed], b[seed]) for seed in sorted(a)]


def effect(
    compare: str, name: str, arm: Sequence[RunRecord], versus: Sequence[RunRecord]
) -> list[Ends]:
    """The effect of each seed, least and most.

    compare: "difference" arm - versus, "ratio" arm / versus, "within" one arm's own metric.
    """
    if compare == "within":
        return [metric(r, name) for r in arm]
    combine = {"difference": _difference, "ratio": _ratio}[compare]
    return [combine(metric(a, name), metric(b, name)) for a, b in paired(arm, versus)]


def _difference(a: Ends, b: Ends) -> Ends:
    if math.isinf(a[0]) and math.isinf(b[0]):  # both are the worst there is
        return ANYTHING
    return a[0] - b[1], a[1] - b[0]


def _ratio(a: Ends, b: Ends) -> Ends:
    """Ends of a quotient of two positive values; nan where a value is not positive."""
    if not (a[0] > 0 and b[0] > 0):
        return math.nan, math.nan
    if math.isinf(a[1]) and math.isinf(b[1]):  # neither got there
        return 0.0, math.inf
    return a[0] / b[1], a[1] / b[0]
