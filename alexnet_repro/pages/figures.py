"""The study's figures: each function draws one Axes from records or specs and returns it. No torch.

Those of runs are here, with the two that are drawn from the rows of a net.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, Polygon, Rectangle
from matplotlib.ticker import MaxNLocator

from alexnet_repro import spec
from alexnet_repro.pages.theme import BLACK, BLUE, GREEN, GREY, RED, axes, looks, theme
from alexnet_repro.spec import arithmetic
from alexnet_repro.spec.rows import WEIGHT_KINDS
from alexnet_repro.study import RunRecord, effects, intervals

NAMES = {"relu": "ReLU"}  # arms as the paper writes them; the others as they are called


def training_error(runs: Sequence[RunRecord], target: float = 0.25, title: str = "") -> Axes:
    """Fig. 1: training error in per cent against epochs, one curve a run, arms by colour and dash.

    As in the paper ReLU is solid and tanh dashed; a dot marks where a run crosses the target.
    """
    import seaborn

    parts = [run.curve[run.curve["split"] == "train"].assign(arm=NAMES.get(run.arm, run.arm),
                                                             run=i)
             for i, run in enumerate(runs)]  # fmt: skip
    curves = pd.concat(parts, ignore_index=True)
    curves["error"] = 100 * curves["top1_error"]
    arms = looks(curves["arm"])
    ax = axes(6.4, 4.0)
    with theme():
        seaborn.lineplot(
            curves, x="epoch", y="error", hue="arm", style="arm", units="run", estimator=None,
            sort=False, lw=1.6, ax=ax, **arms,
        )  # fmt: skip
        for run in runs:
            epochs, reached = effects.epochs_to(run, target)
            if reached:
                colour = arms["palette"][NAMES.get(run.arm, run.arm)]
                ax.plot(epochs, 100 * target, "o", color=colour, ms=5)
        ax.axhline(100 * target, color=BLACK, lw=1, ls=(0, (1, 2)))
        ax.annotate(
            f"{100 * target:.0f} %", (1, 100 * target), xycoords=("axes fraction", "data"),
            ha="left", va="center", xytext=(3, 0), textcoords="offset points",
        )  # fmt: skip
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set(xlabel="epochs", ylabel="training error, %", title=title)
        ax.set(xlim=(0, curves["epoch"].max()), ylim=(0, 100))
        ax.legend(loc="upper right", title="one curve a seed")
    return ax


def sweep(found: pd.DataFrame, title: str = "") -> Axes:
    """Training error in per cent against learning rate, one line an arm; the chosen rate ringed.

    found: columns arm, rate, train_error (fraction; nan where it diverged), chosen (bool).
    """
    import seaborn

    arms = looks(found["arm"])
    shown = found.assign(error=100 * found["train_error"])
    ax = axes(6.4, 3.2)
    with theme():
        seaborn.lineplot(
            shown, x="rate", y="error", hue="arm", style="arm", estimator=None, markeredgewidth=0,
            markers=dict.fromkeys(arms["hue_order"], "o"), ms=7, lw=1.6, ax=ax, **arms,
        )  # fmt: skip
        for best in shown[shown["chosen"]].itertuples():
            colour = arms["palette"][best.arm]
            ax.plot(best.rate, best.error, "o", ms=13, mfc="none", mec=colour)
        ax.set(xscale="log", xlabel="learning rate", ylabel="training error, %", title=title)
        ax.set(ylim=(0, 100))
        ax.legend(title="ring: chosen", loc="lower left")
    return ax


def paired(
    left: Sequence[float], right: Sequence[float], labels: tuple[str, str], ylabel: str
) -> Axes:
    """One line a seed from the left arm's value to the right arm's, and both means.

    left, right: fractions in order of seed; shown in per cent. From two seeds on, the whisker at
    the right mean is the 95 % interval of the paired difference, by Student's t.
    """
    import seaborn

    pairs = {labels[0]: list(left), labels[1]: list(right)}  # seed with seed, whatever the index
    seeds = pd.DataFrame(pairs, dtype=float).mul(100)
    shown = seeds.rename_axis("seed").reset_index().melt("seed", var_name="arm", value_name="error")
    mean, low, high = intervals.t_interval((seeds[labels[1]] - seeds[labels[0]]).tolist())
    ax = axes(4.6, 3.8)
    with theme():
        seaborn.lineplot(
            shown, x="arm", y="error", units="seed", estimator=None, color=BLUE, marker="o",
            markeredgewidth=0, lw=1.4, ms=6, sort=False, ax=ax,
        )  # fmt: skip
        seaborn.pointplot(
            shown, x="arm", y="error", errorbar=None, color=RED, marker="_", markersize=26,
            markeredgewidth=3, linestyle="none", ax=ax,
        )  # fmt: skip
        if len(seeds) > 1:
            at = seeds[labels[0]].mean()
            ax.vlines(1, at + low, at + high, color=RED, lw=1.6)
            ax.set_title(f"difference {_signed(mean)}, 95 % [{_signed(low)}, {_signed(high)}]")
        ax.set(xlim=(-0.4, 1.4), xlabel="", ylabel=ylabel)
        ax.grid(axis="x", visible=False)
    return ax


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def parameter_shares(net: str = "alexnet") -> Axes:
    """§1: each layer's share of the parameters in per cent, with the paper's 1 % line."""
    table = spec.trace(spec.get(net))
    table = table[table["weights"] > 0]
    share = 100 * (table["weights"] + table["biases"]) / arithmetic.parameters(net)
    ax = axes(6.4, 3.2)
    conv = (table["kind"] == "conv").to_numpy()
    named = [f"{n}\n{v:.2f}" for n, v in zip(table["layer"], share, strict=True)]
    ax.bar(named, share, color=np.where(conv, BLUE, GREEN), width=0.6)
    ax.axhline(1, color=RED, lw=1.2, ls="--")
    ax.annotate("1 %", (0.01, 1), xycoords=("axes fraction", "data"), ha="left", va="bottom")
    ax.set(yscale="log", ylim=(0.03, 200), ylabel="share of parameters, %")
    ax.grid(axis="x", visible=False)
    return ax


def two_columns(net: str = "alexnet") -> Axes:
    """Fig. 2: the two-column net drawn from its spec; which layer reads which column, as lines.

    Boxes are as tall as the map's side and as deep as the column's channels, on a square-root
    scale, so that 3 and 2048 fit one picture.
    """
    chosen = spec.get(net)
    table = spec.trace(chosen).set_index("layer")
    rows = [r for r in chosen.layers if r.kind in WEIGHT_KINDS]
    ax = axes(9.6, 4.6)
    ax.set_axis_off()
    x, before = 0.0, None
    lanes = {0: 2.3, 1: -2.3}
    _box(ax, x, 0.0, 0.35, 2 * np.sqrt(chosen.input_size / 60), GREY)
    ax.text(x, -2.35, f"input\n{chosen.input_size}²×{chosen.in_channels}", ha="center", va="top")
    for row in rows:
        shape = table.loc[row.name, "shape"]
        side = shape[1] if len(shape) == 3 else 1
        channels = shape[0] // 2 if row.name != rows[-1].name else shape[0]
        height = 2 * np.sqrt(max(side, 3) / 60)
        width = 0.1 + np.sqrt(channels) / 60
        step = 1.55
        x += step
        last = row is rows[-1]
        own = row.kind == "conv" and row.groups == 2
        places = [0.0] if last else list(lanes.values())
        sources = [0.0] if before is None else list(lanes.values())
        for y in places:
            for source in sources:
                if own and before is not None and source != y:
                    continue
                cross = last or (source != y and before is not None)
                arrow = FancyArrowPatch(
                    (x - step + 0.3, source), (x - width / 2 - 0.05, y), arrowstyle="-|>",
                    mutation_scale=8, lw=1.2, color=RED if cross else GREY,
                    ls="--" if cross else "-",
                )  # fmt: skip
                ax.add_patch(arrow)
            _box(ax, x, y, width, height, BLUE if row.kind == "conv" else GREEN)
        label = f"{side}²×{channels}" if side > 1 else f"{channels:,}"
        kernel = f"\n{row.size}×{row.size}" if row.kind == "conv" else ""
        for y in places:
            # outside the columns, where no line crosses
            edge, va = (height / 2 + 0.3, "bottom") if y > 0 else (-height / 2 - 0.2, "top")
            ax.text(x, y + edge, label, ha="center", va=va, fontsize=9.5)
        ax.text(x, 4.6, f"{row.name}{kernel}", ha="center", va="bottom", fontsize=10)
        before = row
    for name, y in (("GPU 1", 3.4), ("GPU 2", -3.6)):
        ax.text(0.6, y, name, ha="center", va="center", fontsize=10)
    ax.text(
        x / 2, -4.5, "dashed: reads the other column too (conv3 and the fully connected layers)",
        ha="center", va="top", color=RED,
    )  # fmt: skip
    ax.set(xlim=(-0.6, x + 0.7), ylim=(-5.1, 5.6))
    return ax


def _box(ax: Axes, x: float, y: float, width: float, height: float, colour: str) -> None:
    """A slab seen from the front and slightly from above."""
    front = Rectangle((x - width / 2, y - height / 2), width, height, fc=colour, ec="none")
    ax.add_patch(front)
    d = 0.14
    top, right = y + height / 2, x + width / 2
    lid = [(x - width / 2, top), (x - width / 2 + d, top + d), (right + d, top + d), (right, top)]
    wall = [
        (right, top),
        (right + d, top + d),
        (right + d, top + d - height),
        (right, top - height),
    ]
    for corners in (lid, wall):
        ax.add_patch(Polygon(corners, fc=colour, ec="none", alpha=0.55))
