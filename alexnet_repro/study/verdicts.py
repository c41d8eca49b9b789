"""From effects to a word, by rule; the rule was fixed before the runs that it judges. No torch.

d = the effect on the paper's side (the logarithm, for ratios), one value a seed; low to high its
95 % interval by Student's t. With runs that were cut off or diverged: of the median, by order
statistics. In this order:

low > 0    *match* where the setting is the paper's full one, a size is printed, the interval holds
           it and lies within half to twice that size (ratios: 1/1.5 to 1.5 times); else *direction*
high < 0   *opposite*
full setting, size printed, high below it: *smaller*
scaled or nothing printed, 90 % interval within 0.5 points of nothing: *negligible* (no ratios)
else       *unclear*, with the seeds that it would take

A scaled effect is never compared with the printed size. Figures that are computed: exact.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from alexnet_repro.study import intervals
from alexnet_repro.study.intervals import median

# Every word, in the order in which tables and legends show them.
MEANING = {
    "match": "no effect is excluded, and the printed size is met within half to twice it",
    "direction": "no effect is excluded, on the paper's side; the size is another question",
    "smaller": "the printed size is excluded: the effect is smaller, if there is one",
    "negligible": "within half a point of no effect",
    "gap only": "the gap is larger, as the paper says, but the test error is not higher",
    "opposite": "no effect is excluded, on the other side",
    "unclear": "the runs at hand cannot tell",
    "not in regime": "the runs lack what the claim presupposes, so they cannot test it",
    "definition": "follows from what the paper lays down; nothing was measured",
    "paper is off": "the exact figure, rounded as printed, is another one",
    "not run": "nobody has run it here; the reason stands beside it",
    "no verdict": "the evidence is not whole; what is missing stands beside it",
}
WORDS = tuple(MEANING)
# Words that answer the claim; the others say why there is no answer.
DECIDED = ("match", "direction", "smaller", "negligible", "gap only", "opposite", "paper is off")
NEGLIGIBLE = 0.005  # half a point, a fraction
RATIO_WIDTH = 1.5  # how far from the printed ratio a match's interval may reach


@dataclass(frozen=True)
class Verdict:
    """A word, what it rests on, and why. Effects are in the claim's unit."""

    word: str
    ours: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    bound: str = ""  # "lower", "upper": ours is only one; "none": not even a bound
    why: str = ""
    level: str = "95 %"  # what the interval is
    agree: int = 0  # seeds whose effect has the sign that the paper expects
    around: tuple[float, float] | None = None  # least and most of ours with one seed left out
    p: float | None = None  # two-sided, of "no effect"
    holm: float | None = None  # that, corrected over the primary rows

    @property
    def measured(self) -> str:
        """Our figure as text, with a sign in front where it is only a bound."""
        if self.ours is None:
            return ""
        return {"lower": ">= ", "upper": "<= "}.get(self.bound, "") + f"{self.ours:.6g}"


def judge(
    values: Sequence[float | tuple[float, float]],
    *,
    paper: float | None,
    sign: int = 0,
    ratio: bool = False,
    scaled: bool = False,
) -> Verdict:
    """The rule at the head of this module, applied to one effect a seed.

    values: numbers, or (least, most) where a run was cut off or diverged. paper: the printed
    effect, in the same unit; with None, or a printed size of nothing, the expected sign decides.
    A value that is not a number, or a ratio below 0, means that there is no verdict.
    """
    ends = [v if isinstance(v, tuple) else (v, v) for v in values]
    n, lowest = len(ends), 0.0 if ratio else -math.inf
    if not ends or not all(lowest <= least <= most for least, most in ends):
        return Verdict("no verdict", n=n, why="a value is missing")
    if ratio:
        ends = [(_log(least), _log(most)) for least, most in ends]
    size = None if paper is None else _log(paper) if ratio else paper
    expected = sign
    if size and math.isfinite(size):
        expected, size = (1 if size > 0 else -1), abs(size)
    else:
        size = None
    if expected == 0:
        return Verdict("no verdict", n=n, why="neither a size nor a sign is expected")

    exact = [least for least, most in ends if least == most and math.isfinite(least)]
    if len(exact) == n:
        found = _by_t(exact)
    else:
        found, exact = _by_order(ends), []
    low, high = found.low, found.high
    inner: tuple[float, float] | None = None
    if low is None or high is None:
        word = "unclear"
    else:
        if expected < 0:
            low, high = -high, -low
        if exact and not low > 0 and not high < 0:
            inner = intervals.t_interval(exact, 0.90)[1:]
        word = decide(low, high, inner, size, scaled=scaled, ratio=ratio)
    agree = sum((least if expected > 0 else -most) > 0 for least, most in ends)
    why = found.why or _why(word, size, scaled, ratio, exact)
    return _in_unit(replace(found, word=word, n=n, agree=agree, why=why), ratio)


def decide(
    low: float,
    high: float,
    inner: tuple[float, float] | None,
    size: float | None,
    *,
    scaled: bool,
    ratio: bool,
) -> str:
    """The word for an interval of d. inner: the 90 % interval; size: the printed one, above 0."""
    compared = None if scaled else size
    if low > 0:
        if compared is None or not low <= compared <= high:
            return "direction"
        near = math.log(RATIO_WIDTH)
        least, most = (compared - near, compared + near) if ratio else (compared / 2, compared * 2)
        return "match" if least <= low and high <= most else "direction"
    if high < 0:
        return "opposite"
    if compared is not None:
        return "smaller" if high < compared else "unclear"
    if inner and not ratio and max(map(abs, inner)) <= NEGLIGIBLE:
        return "negligible"
    return "unclear"


def with_error(gap: Verdict, error: Verdict, sign: int) -> Verdict:
    """Rule of the overfitting rows: a larger gap is the claim only with a higher error.

    gap, error: verdicts on the gap and on the error of the same runs, judged with the same sign.
    """
    if gap.ours is None or gap.ours * sign <= 0:
        return gap
    right = error.ours is not None and error.ours * sign > 0
    p = max(_or_one(gap.p), _or_one(error.p) if right else 1.0)
    if gap.word not in ("match", "direction") or error.word in ("match", "direction"):
        return replace(gap, p=p)
    shown = "–" if error.ours is None else f"{100 * error.ours:+.2f} points"
    why = f"the test error moves by {shown}: {error.word}".replace("-", "−")
    return replace(gap, word="gap only", p=p, why=why)


def _or_one(p: float | None) -> float:
    return 1.0 if p is None else p


def _log(value: float) -> float:
    return math.log(value) if value > 0 else -math.inf


def _by_t(x: Sequence[float]) -> Verdict:
    mean, low, high = intervals.t_interval(x)
    n = len(x)
    if n < 2:
        return Verdict("", mean, low, high, p=1.0, why="one seed has no interval")
    around = (n * mean - max(x)) / (n - 1), (n * mean - min(x)) / (n - 1)
    return Verdict("", mean, low, high, around=around, p=intervals.t_p_value(x))


def _by_order(ends: Sequence[tuple[float, float]]) -> Verdict:
    """Median and its interval where some values are only bounded."""
    n, interval = len(ends), intervals.order_interval(ends)
    ours: float | None
    least, most = median([e[0] for e in ends]), median([e[1] for e in ends])
    if least == most:
        ours, bound = least, ""
    elif math.isfinite(least):
        ours, bound = least, "lower"
    elif math.isfinite(most):
        ours, bound = most, "upper"
    else:
        ours, bound = None, "none"
    around = None
    if n > 2:
        rest = [[e for j, e in enumerate(ends) if j != i] for i in range(n)]
        around = (
            min(median([e[0] for e in part]) for part in rest),
            max(median([e[1] for e in part]) for part in rest),
        )
    p = intervals.sign_p_value(ends)
    if interval is None:
        best = intervals.coverage(n, 1) if n > 1 else 0
        enough = next(m for m in range(2, 99) if intervals.order_rank(m))
        why = (
            f"cut off or diverged runs leave order statistics; those of {n} seeds cover "
            f"{100 * best:.0f} % at most, {enough} seeds would do"
        )
        return Verdict("", ours, bound=bound, around=around, p=p, why=why, level="")
    k = intervals.order_rank(n)
    level = f"{100 * intervals.coverage(n, k):.1f} %, median"
    return Verdict("", ours, *interval, bound=bound, around=around, p=p, level=level)


def _why(word: str, size: float | None, scaled: bool, ratio: bool, exact: Sequence[float]) -> str:
    none = "1: no effect" if ratio else "0: no effect"
    if word == "match":
        return "the interval excludes no effect and holds the printed size, within half to twice it"
    if word == "direction":
        rest = "scaled: not compared with the printed size" if scaled else "not the printed size"
        return f"the interval excludes no effect; {'no size is printed' if not size else rest}"
    if word == "opposite":
        return "the interval excludes no effect, on the other side"
    if word == "smaller":
        return f"the interval includes {none}, and excludes the printed size"
    if word == "negligible":
        return "the 90 % interval lies within 0.5 points of no effect"
    width = math.log(RATIO_WIDTH) if ratio else NEGLIGIBLE
    if size and not scaled:
        width = min(width, size / 2)
    seeds = intervals.seeds_needed(exact, width) if exact else None
    if seeds is None or seeds <= len(exact):
        return f"the interval includes {none}"
    shown = f"a factor of {math.exp(width):.2g}" if ratio else f"{100 * width:.2g} points"
    return (
        f"the interval includes {none}; {seeds} seeds would bring it to {shown} each way "
        f"(by the upper 80 % bound of the deviation)"
    )


def _in_unit(found: Verdict, ratio: bool) -> Verdict:
    """Logarithms back to ratios."""
    if not ratio:
        return found

    def back(x: float | None) -> float | None:
        return None if x is None else math.exp(x)  # exp(-inf) is 0, exp(inf) is inf

    around = found.around and (math.exp(found.around[0]), math.exp(found.around[1]))
    return replace(
        found, ours=back(found.ours), low=back(found.low), high=back(found.high), around=around
    )
