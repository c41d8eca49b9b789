"""Figures stay legible on a dark page: nothing light is painted behind their text."""

import pandas as pd

from alexnet_repro import experiments, figures, page


def _curves():
    return figures.training_error(experiments.run_or_load("s31-relu-modern"))


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
