"""Figures of the component pages: each draws one Axes from a demonstration's table. No torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.container import BarContainer

from alexnet_repro.pages.theme import BLUE, COLOURS, GREY, PINK, RED, axes, looks, theme


def lines(
    table: pd.DataFrame,
    x: str,
    y: str,
    by: str,
    labels: tuple[str, str],
    *,
    log: str = "",
    mark: tuple[float, str] | None = None,
    size: tuple[float, float] = (6.4, 3.6),
) -> Axes:
    """One line a value of column `by`, in order of appearance.

    labels: of the two axes. log: "x", "y" or "xy". mark: a place on the x axis and its name.
    """
    import seaborn

    ax = axes(*size)
    with theme():
        seaborn.lineplot(
            table, x=x, y=y, hue=by, style=by, estimator=None, sort=False, lw=1.8, ax=ax,
            **looks(table[by]),
        )  # fmt: skip
        if mark:
            ax.axvline(mark[0], color=GREY, lw=1)
            ax.annotate(
                mark[1], (mark[0], 0.04), xycoords=("data", "axes fraction"), fontsize=9,
                xytext=(-4, 0), textcoords="offset points", va="bottom", ha="right",
            )  # fmt: skip
        ax.set(xlabel=labels[0], ylabel=labels[1])
        for name in log:
            ax.set(**{f"{name}scale": "log"})
        above: dict = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 2}
        ax.legend(**(above if table[by].nunique() > 4 else {}))
    return ax


def reach(table: pd.DataFrame) -> Axes:
    """§3.2 Share of the second column that a change in the first column's conv1 reaches."""
    nets = list(dict.fromkeys(table["net"]))
    layers = [x for x in dict.fromkeys(table["layer"]) if not x.startswith(("relu", "drop", "map"))]
    ax = axes(7.6, 3.0)
    for i, net in enumerate(nets):
        found = table[table["net"] == net].set_index("layer")["other"]
        for j, layer in enumerate(layers):
            share = found[layer]
            ax.plot(j, -i, "s", ms=17, mec=GREY, mew=0.8, mfc=BLUE if share > 0.05 else "none")
            if 0 < share <= 0.05:
                ax.plot(j, -i, "s", ms=8, mec=RED, mfc=RED)
    ax.set_xticks(range(len(layers)), layers, rotation=45, ha="right", rotation_mode="anchor")
    ax.set_yticks([-i for i in range(len(nets))], nets)
    ax.set(xlim=(-0.6, len(layers) - 0.4), ylim=(-len(nets) + 0.4, 0.6))
    ax.grid(visible=False)
    ax.tick_params(length=0)
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(False)
    return ax


def histogram(table: pd.DataFrame, marks: Sequence[str], label: str) -> Axes:
    """Column "value" of the rows of kind "training" as bars, other kinds as named lines."""
    import seaborn

    ax = axes(6.4, 3.2)
    values = table[table["kind"] == "training"]["value"]
    with theme():
        seaborn.histplot(
            values, bins=30, color=BLUE, alpha=1, lw=0, label=f"training, {len(values)} masks",
            ax=ax,
        )  # fmt: skip
        for name, (colour, dash) in zip(marks, [(RED, "-"), (PINK, "--")], strict=False):
            value = table[table["kind"] == name]["value"].iloc[0]
            ax.axvline(value, color=colour, ls=dash, lw=2.2, label=name)
        ax.set(xlabel=label, ylabel="masks")
        handles, _ = ax.get_legend_handles_labels()
        ax.legend(handles=[*handles[len(marks) :], *handles[: len(marks)]])
    return ax


def places(table: pd.DataFrame) -> Axes:
    """§4.1 Where crops are cut: one mark an image, mirrored ones as triangles."""
    ax = axes(4.6, 4.4)
    for (name, part), colour, size in zip(
        table.groupby("draws", sort=False), (BLUE, RED), (5, 11), strict=True
    ):
        for flip, mark in ((False, "o"), (True, "<")):
            rows = part[part["flip"] == flip]
            label = f"one draw for {name}" if not flip else f"{name}, mirrored"
            ax.plot(
                rows["left"], rows["top"], mark, ms=size, ls="", mfc="none" if size > 5 else colour,
                mec=colour, mew=1.8 if size > 5 else 0.5, label=label,
            )  # fmt: skip
    ax.set(xlabel="left edge, pixels", ylabel="top edge, pixels", xlim=(-1, 33), ylim=(33, -1))
    ax.set_aspect("equal")
    ax.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def bars(
    table: pd.DataFrame, name: str, values: Sequence[str], label: str, *,
    size: tuple[float, float] = (6.4, 3.2), show: str = "{:.2f}",
) -> Axes:  # fmt: skip
    """Grouped horizontal bars: one group a row, one bar a column of values, each labelled."""
    import seaborn

    long = table[list(values)].reset_index(drop=True)  # by place: two rows may have one name
    long = long.rename_axis("place").reset_index().melt("place", var_name="of", value_name="value")
    ax = axes(*size)
    with theme():
        seaborn.barplot(
            long, x="value", y="place", hue="of", orient="h", errorbar=None, saturation=1, gap=0.1,
            palette=dict(zip(values, COLOURS, strict=False)), legend=len(values) > 1, ax=ax,
        )  # fmt: skip
        for drawn in ax.containers:
            assert isinstance(drawn, BarContainer)
            ax.bar_label(drawn, fmt=show, padding=3, fontsize=9)
        ax.set_yticks(range(len(table)), table[name])
        ax.set(xlabel=label, ylabel="")
        ax.margins(x=0.12)
        ax.grid(axis="y", visible=False)
        if len(values) > 1:
            ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def lit(image: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """§4.1 An image, 3 x H x W uint8, with each of n shifts (n x 3, grey levels) added: n uint8."""
    moved = image[None].astype(np.float64) + shifts[:, :, None, None]
    return np.clip(moved, 0, 255).round().astype(np.uint8)
