"""What the component figures draw, from small tables by hand."""

import numpy as np
import pandas as pd
from matplotlib.colors import to_hex

from alexnet_repro.pages import component_figures, figures


def test_what_the_other_column_sees_is_filled_and_an_edge_is_marked():
    shares = {"conv2": 0.0, "conv3": 1.0, "relu3": 1.0, "conv4": 0.04}
    rows = [("alexnet", layer, share) for layer, share in shares.items()]
    ax = component_figures.reach(pd.DataFrame(rows, columns=["net", "layer", "other"]))
    assert [t.get_text() for t in ax.get_xticklabels()] == ["conv2", "conv3", "conv4"]
    large = [line for line in ax.get_lines() if line.get_markersize() == 17]
    looks = [(line.get_xdata()[0], line.get_markerfacecolor()) for line in large]
    assert looks == [(0, "none"), (1, figures.BLUE), (2, "none")]
    [edge] = [line for line in ax.get_lines() if line.get_markersize() == 8]
    assert (edge.get_xdata()[0], edge.get_markerfacecolor()) == (2, figures.RED)


def test_crops_lie_where_they_were_cut():
    rows = [("each image", 3, 20, False), ("each image", 1, 30, True), ("32 images", 7, 9, False)]
    ax = component_figures.places(pd.DataFrame(rows, columns=["draws", "top", "left", "flip"]))
    drawn = {
        (x, y, line.get_marker())
        for line in ax.get_lines()
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    }
    assert drawn == {(20, 3, "o"), (30, 1, "<"), (9, 7, "o")}
    assert ax.get_ylim() == (33, -1)  # the top edge is at the top
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("left edge, pixels", "top edge, pixels")


def test_a_shift_is_added_and_stays_in_the_range_of_pixels():
    image = np.full((3, 2, 2), 250, np.uint8)
    image[2] = 4
    moved = component_figures.lit(image, np.array([[10, -3, -10], [0, 0.6, 0]]))
    assert moved.dtype == np.uint8
    assert moved[:, :, 0, 0].tolist() == [[255, 247, 0], [250, 251, 4]]


def test_lines_and_marks():
    table = pd.DataFrame({"x": [1, 10, 1, 10], "y": [1, 2, 3, 4], "who": ["a", "a", "b", "b"]})
    ax = component_figures.lines(
        table, "x", "y", "who", ("this", "that"), log="x", mark=(5, "here")
    )
    one, two, at = [line for line in ax.get_lines() if len(line.get_xdata())]  # not the legend's
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]
    assert (list(one.get_ydata()), list(two.get_ydata())) == ([1, 2], [3, 4])
    assert at.get_xdata()[0] == 5
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "linear")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("this", "that")


def test_masks_are_counted_and_what_is_done_at_test_is_a_line():
    kinds = ["training"] * 4 + ["test", "test without the factor"]
    table = pd.DataFrame({"kind": kinds, "value": [1.0, 1.0, 2.0, 3.0, 1.75, 3.5]})
    ax = component_figures.histogram(table, kinds[4:], "input")
    assert sum(bar.get_height() for bar in ax.patches) == 4
    assert [line.get_xdata()[0] for line in ax.get_lines()] == [1.75, 3.5]
    assert "training, 4 masks" in [t.get_text() for t in ax.get_legend().get_texts()]


def test_each_bar_has_its_columns_colour_and_its_number():
    table = pd.DataFrame({"what": ["p", "q"], "one": [0.25, 0.5], "two": [1.0, 2.0]})
    ax = component_figures.bars(table, "what", ["one", "two"], "share")
    found = [
        (bar.get_width(), to_hex(bar.get_facecolor()).upper())
        for bar in ax.patches
        if bar.get_width()
    ]
    assert found == [
        (0.25, figures.BLUE), (0.5, figures.BLUE), (1.0, figures.RED), (2.0, figures.RED),
    ]  # fmt: skip
    assert [t.get_text() for t in ax.texts] == ["0.25", "0.50", "1.00", "2.00"]
