"""What runs say: the result in a line, errors of each arm, how they were trained. No torch."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from typing import Any

from IPython.display import HTML

from alexnet_repro import study
from alexnet_repro.pages.tables import badge, show_ours, show_paper, show_value, table
from alexnet_repro.study import RunRecord, claims, effects, intervals

STARTS = {
    "modern": "He or Xavier start (D2)", "original": "2012 start", "paper": "printed start",
}  # fmt: skip
UNANSWERED = ("no verdict", "not in regime")  # words that say nothing without what is missing
PIXELS = {"standardised": "standardised pixels (D2)", "centred": "raw pixels minus their mean"}


def headline(claim_id: str, runs: Sequence[RunRecord]) -> HTML:
    """One line at the head of a page: the paper's figure, ours, the verdict."""
    claim = claims.get(claim_id)
    found = study.verdict(claim, runs)
    scaled = ", scaled" if claim.setting == "scaled" else ""
    ours = show_ours(found, claim.unit).replace("<br><small>", " (").replace("</small>", ")")
    paper = show_paper(claim)
    printed = f" Paper: {paper}." if paper != "–" else ""
    missing = f": {html.escape(found.why)}" if found.word in UNANSWERED else ""
    return HTML(
        f'<p class="result">{html.escape(claim.statement)}.{printed} '
        f"Here{scaled}: {ours}. {badge(found)}{missing}</p>"
    )


def setting(runs: Sequence[RunRecord]) -> str:
    """How the runs were trained and how errors are taken, from all their configurations."""
    drops = [
        f"divided by ten after {_list(d)} epochs" if d else "never divided"
        for d in _distinct(runs, "lr_drops")
    ]
    divided = "" if drops == ["never divided"] else f", {' or '.join(drops)}"
    seeds = _list(sorted({r.seed for r in runs}))
    starts = " or ".join(STARTS[v] for v in _distinct(runs, "init"))
    pixels = " or ".join(PIXELS[v] for v in _distinct(runs, "pixels"))
    epochs = " or ".join(map(str, _distinct(runs, "epochs")))
    rates = " or ".join(f"{v:g}" for v in _distinct(runs, "lr"))
    return (
        f"{' and '.join(_distinct(runs, 'net'))}, {starts}, {pixels}; {epochs} epochs at a rate "
        f"of {rates}{divided}; seeds {seeds}. Training error: all training images. Both "
        f"errors: weights fixed, centre crop, no dropout."
    )


def _distinct(runs: Sequence[RunRecord], key: str) -> list[Any]:
    """The values of a configuration key, each once, in order of first use."""
    found: list[Any] = []
    for run in runs:
        if run.config[key] not in found:
            found.append(run.config[key])
    return found


def _list(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))


def errors(runs: Sequence[RunRecord]) -> HTML:
    """Training error, test error and their gap of each arm: mean and 95 % interval over seeds.

    Runs that diverged are counted apart; they have no part in the means.
    """
    kinds: dict[str, Callable[[RunRecord], float]] = {
        "training error": lambda r: r.metrics["train_top1_error"],
        "test error": lambda r: r.metrics["top1_error"],
        "gap": lambda r: r.metrics["top1_error"] - r.metrics["train_top1_error"],
    }
    rows = []
    for arm in dict.fromkeys(r.arm for r in runs):
        every = [r for r in runs if r.arm == arm]
        same = [r for r in every if not r.metrics["diverged"]]
        row = {"arm": arm, **dict.fromkeys(kinds, "–")}
        for name, value in kinds.items() if same else ():
            mean, low, high = intervals.t_interval([value(r) for r in same])
            unit = "difference" if name == "gap" else "error"
            row[name] = show_value(mean, unit)
            if len(same) > 1:
                ends = (show_value(v, unit).removesuffix(" points") for v in (low, high))
                row[name] += f"<br><small>{' to '.join(ends)}</small>"
        lost = len(every) - len(same)
        rows.append({**row, "n": f"{len(same)}{f', {lost} diverged' if lost else ''}"})
    text = table(rows, "Top-1 errors of each arm (95 % intervals)", right=(*kinds, "n"))
    return HTML(text + f'<p class="provenance">{html.escape(setting(runs))}</p>')


def epochs_table(runs: Sequence[RunRecord]) -> HTML:
    """Fig. 1: epochs to 25 % training error of every run, and the mean of each arm."""
    rows = []
    for experiment, arm in dict.fromkeys((r.experiment, r.arm) for r in runs):
        same = [r for r in runs if (r.experiment, r.arm) == (experiment, arm)]
        found = [effects.epochs_to(r) for r in same]
        each = ", ".join(
            f"{e:.1f}" if whole else f"&gt; {e:.0f}" if math.isfinite(e) else "diverged"
            for e, whole in found
        )
        if all(whole for _, whole in found):
            mean, low, high = intervals.t_interval([e for e, _ in found])
            spread = f"{mean:.1f}"
            if len(found) > 1:
                spread += f" ({low:.1f} to {high:.1f})"
        else:
            middle = intervals.median([e for e, _ in found])
            spread = f"median at least {middle:.1f}" if math.isfinite(middle) else "diverged"
        rows.append(
            {
                "experiment": experiment,
                "arm": arm,
                "learning rate": " or ".join(f"{v:g}" for v in _distinct(same, "lr")),
                "epochs, each seed": each,
                "mean (95 % interval)": spread,
                "n": str(len(found)),
            }
        )
    return HTML(table(rows, "Epochs to 25 % training error", right=("n",)))
