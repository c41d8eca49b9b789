"""Figures stay legible on a dark page: nothing light is painted behind their text."""

import json
import re

import matplotlib as mpl
import pandas as pd
import pytest

from alexnet_repro import study
from alexnet_repro.pages import component_figures, figures, page, theme
from alexnet_repro.study import records


def _curves():
    return figures.training_error(study.run_or_load("s31-relu-modern"))


def test_legends_have_no_panel_and_the_ground_is_transparent():
    for ax in (_curves(), figures.sweep(page.sweep_table("s31-relu-modern"))):
        assert not ax.get_legend().get_frame_on()
        assert ax.get_facecolor()[3] == 0
        assert ax.get_figure().get_facecolor()[3] == 0


def test_every_run_has_its_curve_and_its_own_colour_and_dash():
    lines = [line for line in _curves().get_lines() if len(line.get_xdata()) > 2]
    looks = [(line.get_color(), line.get_linestyle()) for line in lines]
    assert sorted(looks) == [(theme.BLUE, "-")] * 3 + [(theme.RED, "--")] * 3


def test_a_curve_is_the_top_1_error_of_its_own_run(make_record):
    runs = [make_record(arm="relu", errors=(0.9, 0.5)), make_record(arm="x", errors=(0.8, 0.7))]
    curves = [line for line in figures.training_error(runs).get_lines() if len(line.get_xdata())]
    drawn = [(list(line.get_xdata()), list(line.get_ydata())) for line in curves[:2]]
    assert drawn == [([0, 1], pytest.approx([90, 50])), ([0, 1], pytest.approx([80, 70]))]


def test_a_curve_is_the_runs_own_training_error_in_per_cent(make_record):
    run = make_record(arm="relu", errors=[0.9, 0.5, 0.25])  # its other error is half of that
    drawn = [
        [*zip(li.get_xdata(), li.get_ydata(), strict=True)]
        for li in figures.training_error([run]).get_lines()
    ]
    line, dot = [points for points in drawn if points][:2]  # the legend's lines have none
    assert (line, dot) == ([(0, 90), (1, 50), (2, 25)], [(2, 25)])


def test_embedded_svg_follows_the_page_colour_and_carries_its_numbers():
    table = pd.DataFrame({"x": [1.5]})
    text = page.figure(_curves(), "curves", "Training error against epochs", table, "Caption").data
    assert "#000000" not in text
    assert "currentColor" in text
    assert 'download="curves.csv"' in text


def _rings(ax):
    """Arm -> (rate, per cent) of every ring; whose it is, is what the legend says of its colour."""
    legend = ax.get_legend()
    names = [text.get_text() for text in legend.get_texts()]
    arms = {h.get_color(): name for h, name in zip(legend.get_lines(), names, strict=True)}
    assert len(arms) == len(names)
    found = {}
    for line in ax.get_lines():
        if line.get_markerfacecolor() == "none":
            owner = arms[line.get_markeredgecolor()]
            found.setdefault(owner, []).extend(
                zip(line.get_xdata().tolist(), line.get_ydata().tolist(), strict=True)
            )
    return found


def test_the_ring_is_at_the_rate_that_was_chosen():
    table = pd.DataFrame(
        {
            "arm": ["a", "a", "a", "b", "b", "b"],
            "rate": [0.01, 0.1, 1.0, 0.01, 0.1, 1.0],
            "train_error": [0.5, 0.4, 0.6, 0.7, 0.8, float("nan")],
            "chosen": [False, True, False, True, False, False],
        }
    )
    assert _rings(figures.sweep(table)) == {"a": [(0.1, 40.0)], "b": [(0.01, 70.0)]}


def test_the_rings_of_the_recorded_sweeps_are_at_the_lowest_errors():
    """By the rule of page 3.1, from the records' own JSON; the rate that the counted runs had."""
    for name in ("s31-relu-original", "s31-relu-modern"):
        rings = _rings(figures.sweep(page.sweep_table(name)))
        assert sorted(rings) == ["relu", "tanh"]
        for arm, found in rings.items():
            bodies = [json.loads(p.read_text()) for p in
                      (records.RUNS / f"{name}-sweep").glob(f"{arm}-*.json")]  # fmt: skip
            error, rate = min(
                (b["metrics"]["train_top1_error"], b["config"]["lr"])
                for b in bodies
                if not b["metrics"]["diverged"]
            )
            assert found == [(rate, 100 * error)]
            counted = json.loads((records.RUNS / name / f"{arm}-seed0.json").read_text())
            assert counted["config"]["lr"] == rate


def test_a_dot_marks_where_a_run_crosses_the_target(make_record):
    runs = [make_record(arm="relu", errors=(0.9, 0.3, 0.2)), make_record(arm="tanh")]
    dots = [line for line in figures.training_error(runs).get_lines() if line.get_marker() == "o"]
    assert [(d.get_xdata()[0], d.get_ydata()[0]) for d in dots] == [(1.5, 25.0)]


def test_means_are_drawn_over_their_own_arm_with_the_interval_of_the_difference():
    left, right = pd.Series([0.1, 0.3, 0.2], [0, 1, 2]), pd.Series([0.5, 0.7, 0.75], [7, 8, 9])
    ax = figures.paired(left, right, ("left", "right"), "error, %")
    lines = [line for line in ax.get_lines() if len(line.get_xdata())]
    [means] = [line for line in lines if line.get_color() == theme.RED]
    assert list(means.get_xdata()) == [0, 1]
    assert list(means.get_ydata()) == [pytest.approx(20), pytest.approx(65)]
    seeds = [list(line.get_ydata()) for line in lines if line.get_color() == theme.BLUE]
    assert sorted(seeds) == [pytest.approx(p) for p in ([10, 50], [20, 75], [30, 70])]
    # differences 40, 40 and 55: mean 45, deviation 8.660, t of two degrees 4.303
    assert ax.get_title() == "difference +45.00, 95 % [+23.49, +66.51]"
    [whisker] = ax.collections[0].get_segments()
    assert whisker[:, 0].tolist() == [1, 1]
    assert whisker[:, 1] == pytest.approx([20 + 23.486, 20 + 66.514], abs=1e-3)


def test_one_pair_has_no_interval():
    ax = figures.paired([0.3], [0.2], ("left", "right"), "error, %")
    assert (ax.get_title(), len(ax.collections)) == ("", 0)


def _figures(make_record):
    """Every kind of figure that seaborn draws, from a few numbers."""
    table = pd.DataFrame({"x": [1, 2, 1, 2], "y": [1, 2, 2, 1], "of": ["a", "a", "b", "b"]})
    masks = pd.DataFrame({"kind": ["training"] * 5 + ["test"], "value": [1, 2, 2, 3, 4, 2.5]})
    swept = {
        "arm": ["a", "a"],
        "rate": [0.1, 1],
        "train_error": [0.5, 0.4],
        "chosen": [False, True],
    }
    runs = [make_record(arm="relu", seed=s, errors=(0.9, 0.3, 0.2)) for s in (0, 1)]
    return {
        "curves": figures.training_error(runs),
        "sweep": figures.sweep(pd.DataFrame(swept)),
        "paired": figures.paired([0.3, 0.4], [0.2, 0.25], ("left", "right"), "error, %"),
        "lines": component_figures.lines(table, "x", "y", "of", ("x", "y"), mark=(1.5, "here")),
        "histogram": component_figures.histogram(masks, ["test"], "value"),
        "bars": component_figures.bars(table[:2], "of", ["x", "y"], "value"),
    }


def _svg(ax, name):
    return page.figure(ax, name, "alt", pd.DataFrame({"x": [1]}), "Caption").data


def test_a_figure_is_the_same_to_the_letter_every_time(make_record):
    once, again = _figures(make_record), _figures(make_record)
    for name, ax in once.items():
        assert _svg(ax, name) == _svg(again[name], name), name


def _contrast(one, other):
    """WCAG 2: of two colours, from 1 to 21."""
    light = []
    for colour in (one, other):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        light.append(0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2] + 0.05)
    return max(light) / min(light)


def test_every_colour_that_is_drawn_can_be_seen_on_a_light_and_a_dark_page(make_record):
    assert _contrast("#000000", "#ffffff") == pytest.approx(21)
    for name, ax in _figures(make_record).items():
        text = _svg(ax, name)
        drawn = set(re.findall(r"(?:fill|stroke): (#[0-9a-f]{6})", text))
        assert drawn, name
        for colour in drawn | set(theme.COLOURS) - {theme.BLACK}:  # black follows the page
            assert min(_contrast(colour, ground) for ground in ("#ffffff", "#121212")) >= 3, name
        assert "currentColor" in text


def test_drawing_sets_no_global_style(make_record):
    before = dict(mpl.rcParams)
    for name, ax in _figures(make_record).items():
        _svg(ax, name)
    assert dict(mpl.rcParams) == before


def test_bars_stand_in_the_order_of_the_table_with_their_values():
    table = pd.DataFrame({"net": ["b", "a", "a"], "top": [3.0, 1.0, 2.0], "low": [0.5, 0, 4.0]})
    ax = component_figures.bars(table, "net", ["top", "low"], "error, %", show="{:.1f}")
    assert [[b.get_width() for b in c] for c in ax.containers] == [[3, 1, 2], [0.5, 0, 4]]
    assert [t.get_text() for t in ax.texts] == ["3.0", "1.0", "2.0", "0.5", "0.0", "4.0"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["b", "a", "a"]
    assert ax.yaxis_inverted()


def test_lines_have_as_many_looks_as_there_are_and_no_more():
    assert len({*zip(theme.COLOURS, map(str, theme.DASHES), strict=True)}) == 6
    with pytest.raises(ValueError, match="7 lines in one figure; there are 6 looks"):
        theme.looks("abcdefg")
