"""What the pages' sentences take from records and nets: name -> text, for page.glue. No torch.

A number or a judgement that comes from a record is written by one of these functions, never typed
in a page: tests/test_typed_numbers.py changes every record and looks for what stayed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from alexnet_repro import spec, study
from alexnet_repro.pages import page
from alexnet_repro.spec import arithmetic
from alexnet_repro.study import RunRecord, experiments, records

EDGE = 0.05  # as figures draw it: a share of the column's maps that one norm's window can reach


def _points(value: float) -> str:
    return f"{100 * value:.1f}"


def _mean(runs: Sequence[RunRecord], name: str) -> float:
    return float(np.mean([r.metrics[name] for r in runs]))


def early_runs(name: str) -> pd.DataFrame:
    """§3.1 Counted runs that began before every rate of their arm's grid had been tried.

    Columns arm, seed, rate, began, last_rate (the last of the grid that had been tried by then),
    next_rate, next_began. Times in UTC, as in the committed records.
    """
    experiment = experiments.get(name)
    assert experiment.sweep is not None
    sweep = records.load_runs(experiment.sweep_experiment().name)
    rows = []
    for run in records.load_runs(name):
        began = pd.Timestamp(run.provenance["start_utc"])
        starts = {
            r.config["lr"]: pd.Timestamp(r.provenance["start_utc"])
            for r in sweep
            if r.arm in {f"{run.arm}-lr{rate:g}" for rate in experiment.sweep["lr"][run.arm]}
        }
        late = {rate: at for rate, at in starts.items() if at >= began}
        if late:
            first = min(late, key=lambda rate: late[rate])
            tried = [rate for rate in starts if rate not in late]
            rows.append((run.arm, run.seed, run.config["lr"], began,
                         max(tried, default=math.nan), first, late[first]))  # fmt: skip
    names = ["arm", "seed", "rate", "began", "last_rate", "next_rate", "next_began"]
    return pd.DataFrame(rows, columns=names)


def early(name: str) -> str:
    """§3.1 What happened, in sentences: which counted runs began too early, and what it changed."""
    found = early_runs(name)
    if found.empty:
        return "Every counted run began after the last rate of its grid."
    errors = page.sweep_table(name).set_index(["arm", "rate"])
    said = []
    for row in found.itertuples():
        winner = errors.loc[row.arm].query("chosen").index[0]
        ours, other = (_points(errors.loc[(row.arm, r), "train_error"])
                       for r in (row.rate, row.next_rate))  # fmt: skip
        same = (
            f"It did not win ({other} against {ours} % training error): the rate of that run is "
            "the one that the rule chooses from the whole grid, and the run stands."
            if winner == row.rate
            else f"The rule now chooses {winner:g}: the run has another rate than its rule's."
        )
        said.append(
            f"Seed {row.seed} of {row.arm}, at a rate of {row.rate:g}, began at "
            f"{row.began:%H:%M:%S} on {row.began:%Y-%m-%d} (UTC), when no rate beyond "
            f"{row.last_rate:g} had been tried; {row.next_rate:g} was tried from "
            f"{row.next_began:%H:%M:%S} on. {same}"
        )
    return " ".join(said)


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


def reach(found: pd.DataFrame) -> dict[str, str]:
    """§3.2 From which layer on maps of the second column change, and how many at the edge."""
    kernels = spec.get("alexnet").layers[0].out // 2
    edge = found[(found["other"] > 0) & (found["other"] <= EDGE)]
    most = float(edge[edge["net"] == "alexnet"]["other"].max()) if len(edge) else 0.0
    whole = found[found["other"] > EDGE].groupby("net", sort=False)["layer"].first()
    said = [f"{net} from {whole.get(net, 'no layer')} on" for net in dict.fromkeys(found["net"])]
    return {"edge": f"{round(most * kernels)} of its {kernels}", "from": ", ".join(said)}


def two_processes(pair: pd.DataFrame) -> str:
    """§3.2 The largest difference of a gradient or a weight between one process and two."""
    found = pair[pair["what"].str.startswith("largest difference")]["two processes"]
    return f"{found.max():.1g}"


def normalisation(factor: pd.DataFrame) -> dict[str, str]:
    """§3.3 What small activities lose, and where half of the rest has gone, by reading."""
    curves = {name: part for name, part in factor.groupby("reading", sort=False)}
    small = {name: float(part["factor"].iloc[0]) for name, part in curves.items()}
    half = {
        name: part[part["factor"] <= small[name] / 2]["activity"].min()
        for name, part in curves.items()
    }
    return {
        "lost": f"{100 * (1 - small['printed']):.0f} %",
        "lost_caffe": f"{100 * (1 - small['Caffe (k = 1)']):.0f} %",
        "half": f"{half['printed']:.0f}",
        "half_original": f"{half['original']:.0f}",
        "highest": f"{max(small.values()):.2f}",
        "lowest": f"{factor['factor'].min():.2f}",
    }


def order(found: pd.DataFrame, start: float) -> dict[str, str]:
    """§3.3 The ratio of the two orders at responses of deviation `start`, and at the largest."""
    printed = found[found["alpha"] == "printed"]
    there = np.interp(math.log(start), np.log(printed["deviation"]), printed["ratio"])
    return {
        "start": f"{start:.0f}",
        "there": f"{there:.3f}",
        "large": f"{printed['deviation'].max():,.0f}",
        "end": f"{printed['ratio'].iloc[-1]:.2f}",
    }


def first_deviation(pixels: float) -> float:
    """§3.3 Deviation of conv1's first responses to pixels of that deviation, grey levels."""
    net = spec.get("alexnet")
    conv1 = net.layers[0]
    return conv1.std * math.sqrt(conv1.size**2 * net.in_channels) * pixels


def pooling(shifts: pd.DataFrame) -> str:
    """§3.4 How much maps change when the image moves by a pixel, by kind of pooling, rising."""
    one = shifts[shifts["shift"] == 1].sort_values("change")
    return ", ".join(f"{row.change:.2f} ({row.pooling})" for row in one.itertuples())


def architecture() -> dict[str, str]:
    """§3.5 Neurons with the right figure and with the printed one; convolutions above 1 %."""
    stated, printed = 650_000, 253_440  # the abstract; §3.5
    right = arithmetic.compute("neurons", "alexnet") - stated
    wrong = right - arithmetic.compute("neurons conv1", "alexnet") + printed
    above = [name for name, share in arithmetic.conv_shares("alexnet").items() if share > 0.01]
    return {
        "right": f"{abs(right):,.0f} {'more' if right > 0 else 'fewer'}",
        "wrong": f"{abs(wrong):,.0f} {'more' if wrong > 0 else 'fewer'}",
        "above": " and ".join(above) or "none",
    }


def averages(views: pd.DataFrame) -> dict[str, str]:
    """§4.1 The class that each kind of average names."""
    names = views.set_index("what").astype(float).idxmax(axis=1).str.removeprefix("class ")
    return {"outputs": names["mean of the outputs"], "scores": names["softmax of the mean score"]}


def crops(places: pd.DataFrame) -> dict[str, str]:
    """§4.1 How many distinct crops a batch has, by how they are drawn."""
    found = places.groupby("draws")[["top", "left", "flip"]].apply(
        lambda p: len(p.drop_duplicates())
    )
    return {"each": str(found["each image"]), "shared": str(found["32 images"])}


def colour(shifts: pd.DataFrame) -> dict[str, str]:
    """§4.1 Mean length of a shift in grey levels by reading, and over the original's."""
    printed, original, raw = shifts.groupby("reading", sort=False)["length"].mean()
    return {
        "printed": f"{printed:.0f}",
        "original": f"{original:.0f}",
        "raw": f"{raw:,.0f}",
        "less": f"{printed / original:.2f}",
        "more": f"{raw / original:.0f}",
        "draws": str(shifts.groupby("reading").size().max()),
    }


def dropout(sums: pd.DataFrame) -> dict[str, str]:
    """§4.2 The value at test over the mean under masks, with and without the factor."""
    means = sums.groupby("kind")["value"].mean() / sums[sums["kind"] == "training"]["value"].mean()
    return {"with": f"{means['test']:.2f}", "without": f"{means['test without the factor']:.2f}"}


def initialisation(found: pd.DataFrame) -> dict[str, str]:
    """§5 What is left of the image behind conv5 and fc6, and the recipe that leaves most."""
    shares = found.pivot(index="recipe", columns="layer", values="share")
    modern = shares.loc["paper, standardised pixels"]
    return {
        "conv5": f"{modern['conv5']:.1g}",
        "fc6": f"{modern['fc6']:.1g}",
        "best": str(shares["fc6"].idxmax()),
        "recipes": str(len(shares)),
    }


def ledger() -> dict[str, str]:
    """How many claims the ledger has."""
    return {"claims": str(len({claim.claim_id[:3] for claim in study.load_claims()}))}
