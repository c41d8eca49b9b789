"""What `make bench` measured on an accelerator, as a table, or that it did not. No torch."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import pandas as pd
from IPython.display import HTML

from alexnet_repro.pages import performance
from alexnet_repro.pages.tables import numbers

EPOCHS, IMAGES = 90, 1_281_167  # §5; the training images of ILSVRC-2012
NONE = (
    "No accelerator was at hand when these records were made. The paths for one (images held on "
    "the device, a compiled step with CUDA graphs, compiled LRN, TF32) are tested on the CPU, and "
    "nothing on this page was measured on one: there are no images a second of it, and the hours "
    "of ninety epochs of ILSVRC are not predicted. On a machine with a CUDA device, "
    "<code>python benchmarks/accelerator.py</code> fills this section."
)


def frame(folder: Path | str = performance.FOLDER) -> pd.DataFrame:
    """One row a case: images a second, share of both limits, hours of ILSVRC for the full nets.

    A share is the time that the multiply-adds, or the bytes, cannot go below, over the time taken;
    the larger one bounds a step where it is more than half.
    """
    found = pd.DataFrame([_row(row) for row in performance.load("accelerator", folder)["rows"]])
    found.attrs["origin"] = f"Measured: {performance.machine(['accelerator'], folder)}"
    return found


def _row(row: dict[str, Any]) -> dict[str, Any]:
    took = statistics.median(row["seconds"])
    speed = row["images"] / took
    low, _, high = statistics.quantiles([row["images"] / s for s in row["seconds"]], n=4)
    found = {
        "what": row["what"],
        "precision": row["precision"],
        "how": row["kind"],
        "batch": row["batch"],
        "images/s": f"{speed:,.0f} ({low:,.0f} to {high:,.0f})",
        "n": len(row["seconds"]),
    }
    if "floors" in row:
        limits = {name: floor / took for name, floor in row["floors"].items()}
        found["compute limit, %"] = f"{100 * limits['compute']:.0f}"
        found["memory limit, %"] = f"{100 * limits['memory']:.0f}"
        nearer = max(limits, key=lambda name: limits[name])
        found["bound by"] = nearer if limits[nearer] > 0.5 else "launches and the rest"
        found["hours"] = f"{EPOCHS * IMAGES / speed / 3600:.1f}"
    return found


def norm_cost(folder: Path | str = performance.FOLDER) -> pd.DataFrame:
    """What share of the full net's step its norms are: the step with them against that without."""
    rows = performance.load("accelerator", folder)["rows"]
    bare = {_case(r): r for r in rows if r["what"] == "alexnet-no-norm"}
    found = []
    for row in rows:
        if row["what"] == "alexnet" and _case(row) in bare:
            ours, none = (statistics.median(r["seconds"]) for r in (row, bare[_case(row)]))
            found.append({
                "precision": row["precision"], "how": row["kind"], "batch": row["batch"],
                "norms, % of the step": f"{100 * (1 - none / ours):.1f}",
            })  # fmt: skip
    return pd.DataFrame(found)


def _case(row: dict[str, Any]) -> tuple:
    return row["precision"], row["kind"], row["batch"]


def section(folder: Path | str = performance.FOLDER) -> HTML:
    """Both tables, or the sentence that says that nothing was measured."""
    if not (Path(folder) / "accelerator.json").exists():
        return HTML(f"<p>{NONE}</p>")
    speeds = numbers(frame(folder), f"Training on an accelerator; hours: {EPOCHS} epochs of ILSVRC")
    return HTML(speeds.data + numbers(norm_cost(folder), "What the norms cost there").data)
