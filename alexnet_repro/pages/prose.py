"""What the pages' sentences take from demonstrations and nets: name -> text, for page.glue.

A number or a judgement that comes from a record is written by one of these functions, never typed
in a page: tests/pages/test_typed_numbers.py changes every record and looks for what stayed. What
runs say is in run_prose. No torch.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from alexnet_repro import spec, study
from alexnet_repro.spec import arithmetic

EDGE = 0.05  # as figures draw it: a share of the column's maps that one norm's window can reach


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
