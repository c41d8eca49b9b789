"""Figures of the paper that follow by arithmetic, against the printed ones. No torch.

One rule for all of them: the exact figure, rounded to the last digit that the paper prints
("60 million": to millions, "650,000": to ones), is the printed one, *match*, or *paper is off*.
A printed bound is not rounded.
"""

from __future__ import annotations

import decimal
import math
import re

from alexnet_repro.errors import InputError
from alexnet_repro.study.verdicts import Verdict

_FIGURE = re.compile(r"(?P<digits>\d[\d,]*(?:\.\d+)?)(?: (?P<word>thousand|million|billion))?\b")
_WORD = {None: 0, "thousand": 3, "million": 6, "billion": 9}


def printed_figure(text: str) -> tuple[float, float]:
    """The figure of a printed text and the unit of its last digit: "60 million" -> 60e6, 1e6.

    Every printed digit counts, zeros too. ValueError where the text holds no figure, or two.
    """
    found = list(_FIGURE.finditer(text))
    if len(found) != 1:
        raise InputError(f"wanted a text with one figure such as '60 million', got {text!r}")
    digits, power = decimal.Decimal(found[0]["digits"].replace(",", "")), _WORD[found[0]["word"]]
    exponent = digits.as_tuple().exponent
    assert isinstance(exponent, int)
    return float(digits.scaleb(power)), float(decimal.Decimal(1).scaleb(exponent + power))


def judge_exact(ours: float, printed: str) -> Verdict:
    """An exact figure against the printed one, after rounding it to the last printed digit."""
    paper, unit = printed_figure(printed)
    steps = decimal.Decimal(repr(ours)) / decimal.Decimal(repr(unit))
    rounded = float(steps.quantize(decimal.Decimal(1), decimal.ROUND_HALF_UP)) * unit
    good = math.isclose(rounded, paper, rel_tol=1e-12)
    why = f"exact {ours:,.10g}, rounded as printed {rounded:,.10g}"
    return Verdict("match" if good else "paper is off", ours, ours, ours, 0, "", why, "")


def judge_at_most(ours: float, paper: float) -> Verdict:
    """An exact figure against a printed upper bound."""
    good = ours <= paper
    why = f"the exact figure is {'within' if good else 'above'} the printed bound"
    return Verdict("match" if good else "paper is off", ours, ours, ours, 0, "", why, "")
