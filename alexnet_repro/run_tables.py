"""What runs say: the result in a line, errors of each arm, how they were trained. No torch."""

from __future__ import annotations

import html
import itertools
from collections.abc import Callable, Sequence

from IPython.display import HTML

from alexnet_repro import claims, verdicts
from alexnet_repro.records import RunRecord
from alexnet_repro.tables import badge, show_ours, show_paper, show_value, table

STARTS = {
    "modern": "He or Xavier start (D2)", "original": "2012 start", "paper": "printed start",
}  # fmt: skip
PIXELS = {"standardised": "standardised pixels (D2)", "centred": "raw pixels minus their mean"}


def headline(claim_id: str, runs: Sequence[RunRecord]) -> HTML:
    """One line at the head of a page: the paper's figure, ours, the verdict."""
    claim = claims.get(claim_id)
    found = claims.verdict(claim, [r for r in runs if r.experiment == claim.experiment])
    scaled = ", scaled" if claim.setting == "scaled" else ""
    ours = show_ours(found, claim.unit).replace("<br><small>", " (").replace("</small>", ")")
    paper = show_paper(claim)
    printed = f" Paper: {paper}." if paper != "–" else ""
    return HTML(
        f'<p class="result">{html.escape(claim.statement)}.{printed} '
        f"Here{scaled}: {ours}. {badge(found)}</p>"
    )


def setting(runs: Sequence[RunRecord]) -> str:
    """How runs of one preset were trained and how errors are taken, from their configurations."""
    c = runs[0].config
    nets = " and ".join(dict.fromkeys(r.config["net"] for r in runs))
    drops = f", divided by ten after {_list(c['lr_drops'])} epochs" if c["lr_drops"] else ""
    seeds = _list(sorted({r.seed for r in runs}))
    return (
        f"{nets}, {STARTS[c['init']]}, {PIXELS[c['pixels']]}; {c['epochs']} epochs at a rate "
        f"of {c['lr']:g}{drops}; seeds {seeds}. Training error: all training images. Both errors: "
        f"weights fixed, centre crop, no dropout."
    )


def _list(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))


def errors(runs: Sequence[RunRecord]) -> HTML:
    """Training error, test error and their gap of each arm: mean and 95 % interval over seeds."""
    kinds: dict[str, Callable[[RunRecord], float]] = {
        "training error": lambda r: r.metrics["train_top1_error"],
        "test error": lambda r: r.metrics["top1_error"],
        "gap": lambda r: r.metrics["top1_error"] - r.metrics["train_top1_error"],
    }
    rows = []
    for arm in dict.fromkeys(r.arm for r in runs):
        same = [r for r in runs if r.arm == arm]
        row = {"arm": arm}
        for name, value in kinds.items():
            mean, low, high = verdicts.t_interval([value(r) for r in same])
            unit = "difference" if name == "gap" else "error"
            row[name] = show_value(mean, unit)
            if len(same) > 1:
                ends = (show_value(v, unit).removesuffix(" points") for v in (low, high))
                row[name] += f"<br><small>{' to '.join(ends)}</small>"
        rows.append({**row, "n": str(len(same))})
    text = table(rows, "Top-1 errors of each arm (95 % intervals)", right=(*kinds, "n"))
    return HTML(text + f'<p class="provenance">{html.escape(setting(runs))}</p>')


def epochs_table(runs: Sequence[RunRecord]) -> HTML:
    """Fig. 1: epochs to 25 % training error of every run, and the mean of each arm."""
    rows = []
    for (experiment, arm), group in itertools.groupby(runs, lambda r: (r.experiment, r.arm)):
        same = list(group)
        found = [verdicts.epochs_to(r) for r in same]
        each = ", ".join(f"{e:.1f}" if whole else f"&gt; {e:.0f}" for e, whole in found)
        mean, low, high = verdicts.t_interval([e for e, _ in found])
        spread = f"{mean:.1f}"
        if len(found) > 1:
            spread += f" ({low:.1f} to {high:.1f})"
        if not all(whole for _, whole in found):
            spread = f"at least {mean:.1f}"
        rows.append(
            {
                "experiment": experiment,
                "arm": arm,
                "learning rate": f"{same[0].config['lr']:g}",
                "epochs, each seed": each,
                "mean (95 % interval)": spread,
                "n": str(len(found)),
            }
        )
    return HTML(table(rows, "Epochs to 25 % training error", right=("n",)))
