"""From paired runs to a verdict, by rule. No torch.

match: the 95 % interval of the paired effect excludes "no effect" and holds the paper's value.
direction: it excludes "no effect" on the paper's side. unclear: it includes "no effect".
opposite: it excludes "no effect" on the other side. One seed is always unclear. A scaled row and a
lower or upper bound are at best direction. Arithmetic rows: match within one unit of the last
printed digit, else paper is off. Runs on synthetic data get no verdict.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from alexnet_repro.errors import InputError
from alexnet_repro.records import RunRecord

WORDS = ("match", "direction", "unclear", "opposite", "paper is off", "not run", "no verdict")


@dataclass(frozen=True)
class Verdict:
    """A word, what it rests on, and why. Effects are in the claim's unit."""

    word: str
    ours: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    bound: str = ""  # "lower" or "upper" where an arm never got there
    why: str = ""


def t_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and 95 % interval by Student's t; the interval of one value is infinite."""
    from scipy import stats

    x = np.asarray(values, float)
    mean = float(x.mean())
    if len(x) < 2:
        return mean, -math.inf, math.inf
    half = float(stats.t.ppf(0.975, len(x) - 1) * x.std(ddof=1) / math.sqrt(len(x)))
    return mean, mean - half, mean + half


def epochs_to(record: RunRecord, target: float = 0.25) -> tuple[float, bool]:
    """Epochs until the training error is at most target, and whether it got there.

    Linear between the two epochs around the crossing. Where it never got there: the number of
    epochs that the configuration allowed, and False.
    """
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


def metric(record: RunRecord, name: str) -> tuple[float, bool]:
    """A claim's metric of one run, and whether it is the value itself rather than a bound.

    name: a metric of the record, "a - b" of two of them, or epochs_to_25. ValueError otherwise.
    """
    if name == "epochs_to_25":
        return epochs_to(record)
    parts = name.split(" - ")
    for part in parts:
        if part not in record.metrics:
            raise InputError(
                f"{record.experiment}/{record.arm} has no metric {part!r}; "
                f"it has {', '.join(record.metrics)}"
            )
    return record.metrics[parts[0]] - sum(record.metrics[p] for p in parts[1:]), True


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
) -> tuple[list[float], str]:
    """The effect of each seed, and "", "lower", "upper" or "none" (not even a bound).

    compare: "difference" arm - versus, "ratio" arm / versus, "within" one arm's own metric.
    """
    if compare == "within":
        return [metric(r, name)[0] for r in arm], ""
    pairs = [(metric(a, name), metric(b, name)) for a, b in paired(arm, versus)]
    combine: Callable[[float, float], float] = {
        "difference": lambda a, b: a - b,
        "ratio": lambda a, b: a / b,
    }[compare]
    values = [combine(a, b) for (a, _), (b, _) in pairs]
    short_arm = any(not whole for (_, whole), _ in pairs)
    short_versus = any(not whole for _, (_, whole) in pairs)
    bound = {(0, 0): "", (1, 0): "lower", (0, 1): "upper", (1, 1): "none"}
    return values, bound[int(short_arm), int(short_versus)]


def judge(
    values: Sequence[float],
    *,
    paper: float | None,
    sign: int = 0,
    ratio: bool = False,
    scaled: bool = False,
    bound: str = "",
    synthetic: bool = False,
) -> Verdict:
    """The rule at the head of this module, applied to one effect per seed.

    paper: the printed effect, in the same unit, or None with the expected sign (-1 or 1) of the
    effect. ratio: effects are ratios, "no effect" is 1, the interval is that of the logarithm.
    """
    x = np.log(values) if ratio else np.asarray(values, float)
    mean, low, high = t_interval(x.tolist())
    shown = [math.exp(v) if ratio and math.isfinite(v) else v for v in (mean, low, high)]
    if ratio and len(x) < 2:
        shown[1:] = [0.0, math.inf]
    target = None if paper is None else (math.log(paper) if ratio else paper)
    expected = sign if target is None else int(np.sign(target))

    def verdict(word: str, why: str) -> Verdict:
        return Verdict(word, shown[0], shown[1], shown[2], len(x), bound, why)

    if synthetic:
        return verdict("no verdict", "synthetic data earn none")
    if len(x) < 2:
        return verdict("unclear", "one seed has no interval")
    if bound == "none":
        return verdict("unclear", "neither arm got there in every run")
    if low <= 0 <= high:
        return verdict("unclear", f"the interval includes {int(ratio)}: no effect")
    if (bound == "lower" and mean < 0) or (bound == "upper" and mean > 0):
        return verdict("unclear", f"the {bound} bound leaves both sides open")
    if np.sign(mean) != expected:
        return verdict("opposite", "the interval excludes no effect, on the other side")
    if scaled:
        return verdict("direction", "scaled: at best direction")
    if bound:
        return verdict("direction", f"a {bound} bound: at best direction")
    if target is not None and low <= target <= high:
        return verdict("match", "the interval excludes no effect and holds the paper's value")
    return verdict("direction", "the interval excludes no effect but not at the paper's size")


def judge_arithmetic(ours: float, paper: float, precision: float, *, at_most: bool) -> Verdict:
    """An exact figure against the printed one: within one unit of its last digit, or at most it."""
    if at_most:
        good = ours <= paper
        why = f"the exact figure is {'within' if good else 'above'} the printed bound"
    else:
        good = abs(ours - paper) < precision
        within = "within" if good else "not within"
        why = f"exact {ours:,.10g}, {within} {precision:,.10g} of the printed figure"
    return Verdict("match" if good else "paper is off", ours, ours, ours, 0, "", why)
