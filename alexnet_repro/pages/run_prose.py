"""What the pages' sentences take from runs: name -> text, for page.glue (see prose). No torch."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from alexnet_repro.pages import page
from alexnet_repro.spec import arithmetic
from alexnet_repro.study import RunRecord, chronology, experiments, records
from alexnet_repro.study.experiments import Experiment


def _points(value: float) -> str:
    return f"{100 * value:.1f}"


def _mean(runs: Sequence[RunRecord], name: str) -> float:
    return float(np.mean([r.metrics[name] for r in runs]))


def early(name: str) -> str:
    """§3.1 What happened, in sentences: which counted runs began too early, and what it changed.

    Too early is what study.chronology says it is; times in UTC, as in the committed records.
    """
    experiment = experiments.get(name)
    said = []
    for run in records.load_runs(name):
        late = chronology.not_ended(experiment, run)
        if late:
            said.append(_too_early(experiment, run, late))
    return " ".join(said) or "Every counted run began after the last rate of its grid."


def _too_early(experiment: Experiment, run: RunRecord, late: Sequence[RunRecord]) -> str:
    assert experiment.sweep is not None
    errors = page.sweep_table(experiment.name).set_index(["arm", "rate"]).loc[run.arm]
    winner = errors.query("chosen").index[0]
    rate, next_rate = run.config["lr"], late[0].config["lr"]
    missing = {other.config["lr"] for other in late}
    tried = [r for r in experiment.sweep["lr"][run.arm] if r not in missing]
    ours, other = (_points(errors.loc[r, "train_error"]) for r in (rate, next_rate))
    same = (
        f"It did not win ({other} against {ours} % training error): the rate of that run is "
        "the one that the rule chooses from the whole grid, and the run stands."
        if winner == rate
        else f"The rule now chooses {winner:g}: the run has another rate than its rule's."
    )
    began, then = (pd.Timestamp(r.provenance["start_utc"]) for r in (run, late[0]))
    return (
        f"Seed {run.seed} of {run.arm}, at a rate of {rate:g}, began at {began:%H:%M:%S} on "
        f"{began:%Y-%m-%d} (UTC), when no run at a rate beyond {max(tried, default=math.nan):g} "
        f"had ended; {next_rate:g} ran from {then:%H:%M:%S} on. {same}"
    )


def relu(original: Sequence[RunRecord], modern: Sequence[RunRecord]) -> dict[str, str]:
    """§3.1 The net, the cost of an epoch, how tanh went on after the epochs that the sweep saw."""
    tanh = [r for r in original if r.arm == "tanh"]
    seen = (experiments.get("s31-relu-original").sweep or {})["epochs"]
    curves = [r.curve[r.curve["split"] == "train"].set_index("epoch")["top1_error"] for r in tanh]
    later = [curve[curve.index >= min(seen, curve.index.max())] for curve in curves]
    steps = np.concatenate([np.diff(curve) for curve in later])
    cost = [r.provenance["wall_seconds"] / r.metrics["epochs"] for r in [*original, *modern]
            if not r.provenance.get("resumed")]  # fmt: skip
    return {
        "parameters": f"{arithmetic.parameters('18pct-plain'):,}",
        "seeds": str(len({r.seed for r in original})),
        "seconds": f"{min(cost):.0f} to {max(cost):.0f} s" if cost else "a time not recorded",
        "rate": f"{tanh[0].config['lr']:g}",
        "seen": str(seen),
        "after": _points(float(np.mean([curve.iloc[0] for curve in later]))),
        "end": _points(float(np.mean([curve.iloc[-1] for curve in later]))),
        "epochs": f"{max(curve.index.max() for curve in curves):g}",
        "rises": f"{int((steps > 0).sum())} of {len(steps)}",
        "early": early("s31-relu-original"),
        "early_modern": early("s31-relu-modern"),
    }


def fit(runs: Sequence[RunRecord], arm: str) -> dict[str, str]:
    """§3.4 §4.2 How far an arm's net fits: epochs, training and test error, seeds."""
    same = [r for r in runs if r.arm == arm]
    return {
        "epochs": str(same[0].config["epochs"]),
        "seeds": str(len(same)),
        "training": _points(_mean(same, "train_top1_error")),
        "test": _points(_mean(same, "top1_error")),
    }
