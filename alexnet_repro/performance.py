"""The performance page: tables and frames from the records that `make bench` writes. No torch."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

import pandas as pd
from IPython.display import HTML

from alexnet_repro import records
from alexnet_repro.tables import table

FOLDER = records.RUNS / "benchmarks"
GLYPHS = {"stretch": "✓✓ stretch", "ship": "✓ ship", "missed": "✕ missed"}


def load(name: str, folder: Path | str = FOLDER) -> dict[str, Any]:
    """One benchmark's record; RecordError with the command where it is missing or damaged."""
    path = Path(folder) / f"{name}.json"
    try:
        body = json.loads(path.read_text())
        return {"rows": body["rows"], "provenance": body["provenance"]}
    except (OSError, ValueError, KeyError) as error:
        raise records.RecordError(
            f"no readable record {path}; make it with `make bench`"
        ) from error


def ratios(names: list[str], folder: Path | str = FOLDER) -> HTML:
    """Every row of some benchmarks against its goals, with spread, floor and peak memory."""
    rows = []
    for name in names:
        body = load(name, folder)
        peak = body["provenance"]["peak_memory_bytes"] / 2**30
        for row in body["rows"]:
            ours = sorted(pair[0] for pair in row["seconds"])[len(row["seconds"]) // 2]
            low, high = row["quartiles"]
            floor = f"{ours / row['floor']:.1f}×" if row["floor"] else "–"
            bound = "≤" if row["lower"] else "≥"
            rows.append(
                {
                    "what": f"{html.escape(row['row'])}<br><small>against "
                    f"{html.escape(row['against'])}</small>",
                    "ratio": f"{row['median']:.2f}<br><small>{low:.2f} to {high:.2f}, "
                    f"n = {len(row['seconds'])}</small>",
                    "goal": f"{bound} {row['ship']:g}<br><small>stretch {row['stretch']:g}</small>",
                    "result": GLYPHS[row["word"]],
                    "over the floor": floor,
                    "peak memory": f"{peak:.1f} GiB",
                }
            )
    right = ("ratio", "goal", "over the floor", "peak memory")
    return HTML(table(rows, "Side by side: median, quartiles, goals", right=right) + machine(names))


def machine(names: list[str], folder: Path | str = FOLDER) -> str:
    """One line: which commit on which machine made these numbers."""
    origins = [load(name, folder)["provenance"] for name in names]
    said = set()
    for o in origins:
        commit = (o["git"]["commit"] or "none")[:9] + " (tree not clean)" * bool(o["git"]["dirty"])
        said.add(
            f"commit {commit}, {o['start_utc'][:10]}, {o['cpu']}, {o['cores']} cores, "
            f"{o['threads']} threads, torch {o['versions'].get('torch', '?')}"
        )
    return f'<p class="provenance">{html.escape("; ".join(sorted(said)))}.</p>'


def breakdown(folder: Path | str = FOLDER) -> pd.DataFrame:
    """Columns part, forward ms, backward ms: our step, layer by layer, stock LRN left out."""
    frame = _breakdown(folder)
    return frame[~frame["part"].str.contains("torch.nn")].reset_index(drop=True)


def norms(folder: Path | str = FOLDER) -> pd.DataFrame:
    """The LRN layers of the step, ours and torch.nn's, in the same columns."""
    frame = _breakdown(folder)
    return frame[frame["part"].str.startswith("norm")].reset_index(drop=True)


def _breakdown(folder: Path | str) -> pd.DataFrame:
    frame = pd.DataFrame(load("breakdown", folder)["rows"])
    frame["forward"], frame["backward"] = 1e3 * frame["forward"], 1e3 * frame["backward"]
    return frame.rename(columns={"forward": "forward, ms", "backward": "backward, ms"})


def growth(folder: Path | str = FOLDER) -> pd.DataFrame:
    """Columns what, x, ms: how the cost of LRN and of a training step grows."""
    frame = pd.DataFrame(load("growth", folder)["rows"])
    frame["ms"] = 1e3 * frame["seconds"]
    return frame
