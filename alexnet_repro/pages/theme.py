"""The look of the study's figures: colours, dashes, matplotlib's settings. No torch.

No global style is set: what draws does it within theme(). Colours keep 3:1 contrast on white and
near-black; black is replaced by the page's text colour when page.figure embeds the SVG. seaborn
draws what is statistical, with intervals of study.intervals and never with its own bootstrap: it is
imported where it draws (1.5 s), for not every page has such a figure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLUE, RED, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
BLACK, GREY = "#000000", "#888888"
COLOURS = (BLUE, RED, GREEN, PINK, BLACK, GREY)
DASHES: tuple[Any, ...] = ("", (4, 1.5), (5, 1.5, 1, 1.5), (1, 1.5), "", (4, 1.5))  # seaborn's way
STYLE: Any = {
    "font.size": 11,
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 11,
    "grid.color": GREY,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "svg.fonttype": "none",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}


@contextmanager
def theme(salt: str = "alexnet-repro") -> Iterator[None]:
    """The settings of the study for a while. salt: what an SVG's ids are made from."""
    with mpl.rc_context({**STYLE, "svg.hashsalt": salt}):
        yield


def axes(width: float, height: float) -> Axes:
    """One empty Axes; sizes in inches. To be drawn on within theme()."""
    with theme():
        return Figure(figsize=(width, height), layout="constrained").add_subplot()


def looks(names: Iterable[Any]) -> dict[str, Any]:
    """Names by colour and dash, in their order: what seaborn's lineplot takes."""
    order = list(dict.fromkeys(names))
    if len(order) > len(COLOURS):
        raise ValueError(f"{len(order)} lines in one figure; there are {len(COLOURS)} looks")
    return {
        "hue_order": order,
        "style_order": order,
        "palette": dict(zip(order, COLOURS, strict=False)),
        "dashes": dict(zip(order, DASHES, strict=False)),
    }
