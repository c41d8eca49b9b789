"""What the performance page's sentences take from the benchmark records: name -> text. No torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from alexnet_repro.pages import performance
from alexnet_repro.pages.performance import FOLDER


def sentences(folder: Path | str = FOLDER) -> dict[str, str]:
    """Every number that the page's prose gives."""
    return {**_norms(folder), **_step(folder), **_epoch(folder), **_growth(folder)}


def _norms(folder: Path | str) -> dict[str, str]:
    rows = performance.load("lrn", folder)["rows"]
    torch = [r for r in rows if r["against"].startswith("torch.nn")]
    kinds = {k: [r["median"] for r in torch if r["row"].endswith(k)]
             for k in ("eager", "compiled", "native")}  # fmt: skip
    spread = {k: f"{min(v):.1f} to {max(v):.1f}" for k, v in kinds.items()}
    norms = [
        r for r in performance.load("train_step", folder)["rows"] if "norms in C++" in r["row"]
    ]
    earn = {True: [], False: []}  # type: dict[bool, list[str]]
    for row in norms:
        net = row["row"].removeprefix("train step of ").split(",")[0]
        earn[row["median"] >= row["ship"]].append(f"{net} ({row['median']:.2f})")
    return {
        "lrn_all": f"{min(min(v) for v in kinds.values()):.1f} to "
        f"{max(max(v) for v in kinds.values()):.1f}",
        "lrn_compiled": spread["compiled"],
        "lrn_native": spread["native"],
        "norms_goal": f"{norms[0]['ship']:g}",
        "norms_earn": ", ".join(earn[True]) or "none of them",
        "norms_not": ", ".join(earn[False]) or "none of them",
    }


def _step(folder: Path | str) -> dict[str, str]:
    """The full net's parts over their floors; the step compiled."""
    kinds = performance.shares(folder=folder).set_index("kind")
    over = kinds["ms"] / kinds["floor, ms"]
    compiled = next(r for r in performance.load("train_step", folder)["rows"]
                    if r["against"] == "the same step, eager")  # fmt: skip
    found = {
        "conv_floor": f"{over['convolutions']:.2f}",
        "fc_floor": f"{over['fully connected']:.2f}",
        "compiled_step": f"{compiled['median']:.2f}",
    }
    small = {p: performance.shares("18pct", p, folder).set_index("kind")["ms"]
             for p in ("fp32", "bf16")}  # fmt: skip
    for name, kind in (("pool", "pooling"), ("norm", "normalisations")):
        found[name] = (
            f"{small['fp32'][kind]:.1f} ms in 32-bit numbers and {small['bf16'][kind]:.1f}"
        )
    return found


def _epoch(folder: Path | str) -> dict[str, str]:
    """What an epoch's goal leaves, and what an epoch takes with one change taken back."""
    bound = performance.epoch_bound(folder)
    of_goal = 100 * bound["torch's own layers"] / bound["allows"]
    changes = {(r["change"], r["net"]): f"{r['median']:.2f}"
               for r in performance.load("changes", folder)["rows"]}  # fmt: skip
    return {
        "of_goal": " and ".join(
            f"{v:.0f} % ({g})" for v, g in zip(of_goal, bound["goal"], strict=True)
        ),
        "update_small": changes["update in one pass", "18pct"],
        "update_full": changes["update in one pass", "alexnet"],
        "bf16_small": changes["bf16", "18pct"],
        "bf16_full": changes["bf16", "alexnet"],
    }


def _growth(folder: Path | str) -> dict[str, str]:
    """The power of the size that LRN's time grows with, over the upper half of each line."""
    frame = performance.growth(folder)
    found = {"least": f"{frame['MiB'].min():,.0f}"}
    for name in ("batch", "channels", "side"):
        line = frame[frame["what"].str.startswith(f"LRN, {name} ")].sort_values("x")
        upper = line.iloc[len(line) // 2 :]
        power = np.polyfit(np.log(upper["x"]), np.log(upper["ms"]), 1)[0]
        found[f"power_{name}"] = f"{power:.1f}"
    return found
