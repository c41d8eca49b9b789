"""What the book's pages call for parameters and figures (tables: tables.py). No torch."""

from __future__ import annotations

import base64
import html
import io
import re
import types
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alexnet_repro.errors import InputError, nearest
from alexnet_repro.pages import tables, theme
from alexnet_repro.study import RunRecord, experiments, records, verdicts

PARAMETERS = ("mode", "seeds", "epochs", "device", "data_root", "out_dir")
_IPYTHON = {"In", "Out", "exit", "quit", "open", "get_ipython"}


def parameters(page_globals: dict[str, Any]) -> dict[str, Any]:
    """The page's parameters, to be passed to run_or_load; a name that is none of them raises.

    papermill adds a misspelt parameter with a warning and runs on with the default. Here it is an
    error. Call it first, while the notebook has defined nothing else.
    """
    given = {
        k: v
        for k, v in page_globals.items()
        if not k.startswith("_")
        and k not in _IPYTHON
        and not isinstance(v, (types.ModuleType, types.FunctionType, type))
    }
    for name in given:
        if name not in PARAMETERS:
            raise InputError(f"no parameter {name!r}; {nearest(name, PARAMETERS)}")
    missing = [name for name in PARAMETERS if name not in given]
    if missing:
        raise InputError(f"the parameters cell lacks {', '.join(missing)}")
    if given["mode"] not in experiments.MODES:
        raise InputError(f"mode wants one of {', '.join(experiments.MODES)}, got {given['mode']!r}")
    return given


def glue(values: Mapping[str, str]) -> None:
    """Make texts known to the page, whose prose then has them as {glue:text}`name`."""
    from myst_nb import glue

    for name, text in values.items():
        glue(name, text, display=False)


def legend() -> HTML:
    """Every word that a verdict can have, as it is shown, and what it means."""
    rows = [
        {"verdict": tables.badge(word), "meaning": html.escape(meaning)}
        for word, meaning in verdicts.MEANING.items()
    ]
    return HTML(tables.table(rows, "The words of a verdict"))


def figure(ax: Axes, name: str, alt: str, data: pd.DataFrame, caption: str) -> HTML:
    """A figure as inline SVG that follows the page's theme, with caption and its numbers as csv."""
    buffer = io.StringIO()
    with theme.theme(name):
        ax.get_figure(root=True).savefig(  # type: ignore[union-attr]
            buffer, format="svg", transparent=True, metadata={"Date": None}
        )
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace("#000000", "currentColor")
    ids = set(re.findall(r'id="([^"]+)"', svg))
    for i in sorted(ids, key=len, reverse=True):  # two figures of a page must not share ids
        svg = re.sub(rf'(id="|href="#|url\(#){re.escape(i)}(?=["\)])', rf"\g<1>{name}-{i}", svg)
    width = re.search(r'width="([\d.]+)pt"', svg)
    assert width is not None
    attributes = f'role="img" aria-label="{html.escape(alt, quote=True)}" '
    # on a phone a wide figure scrolls sideways before its text gets too small to read
    size = f"max-width:{width[1]}pt;min-width:{float(width[1]) / 2:.0f}pt"
    svg = svg.replace("<svg ", f'<svg {attributes}style="{size}" ', 1)
    csv = base64.b64encode(data.to_csv(index=False).encode()).decode()
    link = f'<a download="{name}.csv" href="data:text/csv;base64,{csv}">numbers (csv)</a>'
    return HTML(
        f'<figure class="plot" id="fig-{name}">{svg}'
        f"<figcaption>{caption} {_origin(data)}{link}</figcaption></figure>"
    )


def _origin(data: pd.DataFrame) -> str:
    """Where a demonstration's numbers come from, if they are one's (components.table)."""
    text = data.attrs.get("origin", "")
    return f'<span class="origin">{html.escape(text)}</span> ' if text else ""


def photographs(images: np.ndarray, titles: Sequence[str], alt: str, caption: str) -> HTML:
    """A row of images as one PNG on white. images: N x C x H x W uint8."""
    columns = min(5, len(images))
    height = -(-len(images) // columns)
    with mpl.rc_context({"font.size": 9}):
        grid = Figure(figsize=(1.5 * columns, 1.75 * height), layout="constrained", facecolor="w")
        for i, (image, title) in enumerate(zip(images, titles, strict=True)):
            ax = grid.add_subplot(height, columns, i + 1)
            ax.imshow(image.transpose(1, 2, 0), interpolation="nearest")
            ax.set_title(title)
            ax.set(xticks=[], yticks=[])  # the frame stays: an image may be white
        buffer = io.BytesIO()
        grid.savefig(buffer, format="png", dpi=144, metadata={"Software": None})
    png = base64.b64encode(buffer.getvalue()).decode()
    return HTML(
        f'<figure class="photo"><img alt="{html.escape(alt, quote=True)}" width="{150 * columns}" '
        f'src="data:image/png;base64,{png}"><figcaption>{caption}</figcaption></figure>'
    )


def curves(runs: Sequence[RunRecord]) -> pd.DataFrame:
    """All curves of some runs in one frame, with experiment, arm and seed in front."""
    parts = [r.curve.assign(experiment=r.experiment, arm=r.arm, seed=r.seed) for r in runs]
    frame = pd.concat(parts, ignore_index=True)
    return frame[["experiment", "arm", "seed", *records.CURVE]]


def sweep_table(name: str) -> pd.DataFrame:
    """The recorded sweep of an experiment: arm, rate, train_error (nan: diverged), chosen."""
    experiment = experiments.get(name)
    sweep = experiment.sweep_experiment()
    rows = []
    assert experiment.sweep is not None
    for arm, rates in experiment.sweep["lr"].items():
        best = experiments.chosen_rate(experiment, arm)
        for rate in rates:
            metrics = experiments.load_run(sweep, f"{arm}-lr{rate:g}", sweep.seeds[0]).metrics
            error = float("nan") if metrics["diverged"] else metrics["train_top1_error"]
            rows.append({"arm": arm, "rate": rate, "train_error": error, "chosen": rate == best})
    return pd.DataFrame(rows)


def final_errors(runs: Sequence[RunRecord]) -> pd.DataFrame:
    """Final errors of each run, fractions: centre crop, ten crops, training."""
    names = ["train_top1_error", "top1_error", "top5_error"]
    names += ["ten_crop_top1_error", "ten_crop_top5_error"]
    rows = [{"arm": r.arm, "seed": r.seed, **{n: r.metrics[n] for n in names}} for r in runs]
    return pd.DataFrame(rows)
