"""Figures stay legible on a dark page: nothing light is painted behind their text."""

import json

import pandas as pd
import pytest

from alexnet_repro import study
from alexnet_repro.pages import figures, page
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
    assert sorted(looks) == [(figures.BLUE, "-")] * 3 + [(figures.RED, "--")] * 3


def test_embedded_svg_follows_the_page_colour_and_carries_its_numbers():
    table = pd.DataFrame({"x": [1.5]})
    text = page.figure(_curves(), "curves", "Training error against epochs", table, "Caption").data
    assert "#000000" not in text
    assert "currentColor" in text
    assert 'download="curves.csv"' in text


def _rings(ax):
    """(colour, rate, per cent) of every ring, and of the line in its colour."""
    lines = [line for line in ax.get_lines() if line.get_markerfacecolor() != "none"]
    found = {}
    for line in ax.get_lines():
        if line.get_markerfacecolor() == "none":
            colour = line.get_markeredgecolor()
            (owner,) = [o.get_label() for o in lines if o.get_color() == colour]
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


def test_means_are_drawn_over_their_own_arm():
    ax = figures.paired([0.1, 0.3], [0.5, 0.7], ("left", "right"), "error, %")
    bars = [line for line in ax.get_lines() if line.get_color() == figures.RED]
    means = [(sum(b.get_xdata()) / 2, b.get_ydata()[0]) for b in bars]
    assert means == [(pytest.approx(0), pytest.approx(20)), (pytest.approx(1), pytest.approx(60))]
