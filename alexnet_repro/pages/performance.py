"""The performance page: tables and frames from the records that `make bench` writes. No torch."""

from __future__ import annotations

import html
import json
import re
import statistics
from pathlib import Path
from typing import Any

import pandas as pd
from IPython.display import HTML

from alexnet_repro.pages.tables import table
from alexnet_repro.study import records

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


def summary(names: list[str], folder: Path | str = FOLDER) -> HTML:
    """How many goals are met, and which are not."""
    rows = [row for name in names for row in load(name, folder)["rows"]]
    missed = [f"{r['row']}, against {r['against']}" for r in rows if r["word"] == "missed"]
    hard = sum(r["word"] == "stretch" for r in rows)
    text = (
        f"{len(rows) - len(missed)} of {len(rows)} goals of the table are met, {hard} of them "
        f"at the harder figure (stretch)."
    )
    items = "".join(f"<li>{html.escape(m)}</li>" for m in missed)
    return HTML(
        f'<p class="result">{text}</p>' + (f"<p>Missed:</p><ul>{items}</ul>" if missed else "")
    )


def ratios(names: list[str], folder: Path | str = FOLDER) -> HTML:
    """Every row of some benchmarks against its goals, with spread, floor and both sides' memory."""
    rows = []
    for name in names:
        for row in load(name, folder)["rows"]:
            low, high = row["quartiles"]
            floor = f"{row['over the floor']:.1f}×" if row["over the floor"] else "–"
            bound = "≤" if row["lower"] else "≥"
            rows.append(
                {
                    "what": f"{html.escape(row['row'])}<br><small>against "
                    f"{html.escape(row['against'])}</small>",
                    "ratio": f"{row['median']:.2f}<br><small>{low:.2f} to {high:.2f}"
                    f"<br>n = {len(row['seconds'])}</small>",
                    "goal": f"{bound} {row['ship']:g}<br><small>stretch {row['stretch']:g}</small>",
                    "result": GLYPHS[row["word"]],
                    "over the floor": floor,
                    "MiB": f"{_mib(row['memory'][0])}<br><small>{_mib(row['memory'][1])}</small>",
                }
            )
    right = ("ratio", "goal", "over the floor", "MiB")
    text = html.escape(machine(names, folder))
    return HTML(
        table(rows, "Side by side: median, quartiles, goals", right=right)
        + f'<p class="provenance">{text}</p>'
    )


def _mib(size: int | None) -> str:
    return "–" if size is None else f"{size / 2**20:,.0f}"


def machine(names: list[str], folder: Path | str = FOLDER) -> str:
    """One line: which commit on which machine made these numbers."""
    said: dict[str, list[str]] = {}
    for name in names:
        o = load(name, folder)["provenance"]
        commit = (o["git"]["commit"] or "none")[:9] + " (tree not clean)" * bool(o["git"]["dirty"])
        text = (
            f"commit {commit}, {o['start_utc'][:10]}, "
            + (f"{o['accelerator']}, " if o.get("accelerator") else "")
            + f"{o['cpu']}, {o['cores']} cores, "
            f"{o['threads']} {'thread' if o['threads'] == 1 else 'threads'}, "
            f"torch {o['versions'].get('torch', '?')}"
        )
        said.setdefault(text, []).append(name)
    if len(said) == 1:
        return f"{next(iter(said))}."
    return "; ".join(f"{', '.join(who)}: {text}" for text, who in said.items()) + "."


def breakdown(
    net: str = "alexnet", precision: str = "fp32", folder: Path | str = FOLDER
) -> pd.DataFrame:
    """Columns part, forward ms, backward ms, floor ms (multiply-adds): a training step by layer."""
    frame = pd.DataFrame(load("breakdown", folder)["rows"])
    frame = frame[(frame["net"] == net) & (frame["precision"] == precision)]
    frame = frame.drop(columns=["net", "precision"]).reset_index(drop=True)
    times = ["forward", "backward", "floor"]
    frame[times] *= 1e3
    frame = frame.rename(columns={name: f"{name}, ms" for name in times})
    return _from(frame, "breakdown", folder)


def shares(
    net: str = "alexnet", precision: str = "fp32", folder: Path | str = FOLDER
) -> pd.DataFrame:
    """Columns kind, ms, per cent of the step, floor ms: its layers by what they do."""
    kinds = {
        "conv": "convolutions", "norm": "normalisations", "pool": "pooling", "relu": "ReLU",
        "fc": "fully connected", "drop": "dropout", "update": "update", "input": "input",
    }  # fmt: skip
    frame = breakdown(net, precision, folder)
    kind = frame["part"].str.extract(f"^({'|'.join(kinds)})", expand=False).map(kinds)
    total = frame.assign(kind=kind.fillna("rest"), ms=frame["forward, ms"] + frame["backward, ms"])
    found = total.groupby("kind", sort=False)[["ms", "floor, ms"]].sum()
    found = found.sort_values("ms", ascending=False).reset_index()
    found.insert(2, "% of the step", 100 * found["ms"] / found["ms"].sum())
    found["floor, ms"] = found["floor, ms"].where(found["floor, ms"] > 0)
    return _from(found, "breakdown", folder)


def _from(frame: pd.DataFrame, name: str, folder: Path | str) -> pd.DataFrame:
    """The frame with its origin, which figures and tables print."""
    frame.attrs["origin"] = f"Measured: {machine([name], folder)}"
    return frame


def epoch_bound(folder: Path | str = FOLDER) -> pd.DataFrame:
    """What the goal of an epoch of 18pct leaves for what is not torch's on both sides, in ms.

    Columns goal, allows, torch's own layers, left, the rest; for 128 images, equal settings.
    """
    rows = []
    for row in load("epoch", folder)["rows"]:
        found = re.fullmatch(r"epoch of (\d+) images, (fp32|bf16)", row["row"])
        if not found:
            continue
        batches, precision = int(found[1]) / 128, found[2]
        stock = statistics.median(pair[1] for pair in row["seconds"])
        goal = 1e3 * stock / batches / row["ship"]
        kinds = shares("18pct", precision, folder).set_index("kind")["ms"]
        own = float(kinds[["convolutions", "pooling", "ReLU", "fully connected"]].sum())
        rows.append({
            "goal": f"{precision}, {row['ship']}×", "allows": goal, "torch's own layers": own,
            "left": goal - own, "norms, update, input, loss": float(kinds.sum()) - own,
        })  # fmt: skip
    return _from(pd.DataFrame(rows), "epoch", folder)


def changes(folder: Path | str = FOLDER) -> pd.DataFrame:
    """What an epoch takes with one change taken back, over what it takes; one row a change."""
    rows = load("changes", folder)["rows"]
    frame = pd.DataFrame({
        "change": [f"{r['change']} ({r['instead']})" for r in rows],
        "net": [r["net"] for r in rows],
        "ratio": [f"{r['median']:.2f} ({r['quartiles'][0]:.2f} to {r['quartiles'][1]:.2f})"
                  for r in rows],
    })  # fmt: skip
    wide = frame.pivot(index="change", columns="net", values="ratio")
    wide = wide.loc[list(dict.fromkeys(frame["change"])), list(dict.fromkeys(frame["net"]))]
    wide = wide.reset_index().rename_axis(columns=None)
    wide["n"] = len(rows[0]["seconds"])
    return _from(wide.rename(columns={"change": "with (in place of it)"}), "changes", folder)


def growth(folder: Path | str = FOLDER) -> pd.DataFrame:
    """Columns what, x, ms, MiB (peak of the process): how cost and memory grow."""
    frame = pd.DataFrame(load("growth", folder)["rows"])
    frame["ms"], frame["MiB"] = 1e3 * frame["seconds"], frame["memory"] / 2**20
    return _from(frame, "growth", folder)


def input_share(folder: Path | str = FOLDER) -> pd.DataFrame:
    """Input alone, and its share of an epoch's time."""
    rows = [
        {
            "net": row["net"],
            "threads": row["threads"],
            "images/s, input alone": f"{row['images a second alone']:,.0f}",
            "of an epoch, %": f"{100 * row['share of an epoch']:.1f} "
            f"({100 * row['quartiles'][0]:.1f} to {100 * row['quartiles'][1]:.1f})",
            "n": len(row["shares"]),
        }
        for row in load("input", folder)["rows"]
    ]
    return _from(pd.DataFrame(rows), "input", folder)


def report(folder: Path | str = FOLDER) -> pd.DataFrame:
    """Seconds to build this book, cold and after a change, against the goals."""
    rows = []
    for row in load("report", folder)["rows"]:
        took = sorted(row["seconds"])
        median = statistics.median(took)
        word = "missed" if median > row["ship"] else "ship"
        rows.append(
            {
                "build": row["what"],
                "seconds": f"{median:.1f} ({took[0]:.1f} to {took[-1]:.1f})",
                "n": len(took),
                "goal": f"≤ {row['ship']} (stretch {row['stretch']})",
                "result": GLYPHS["stretch" if median <= row["stretch"] else word],
            }
        )
    return _from(pd.DataFrame(rows), "report", folder)
