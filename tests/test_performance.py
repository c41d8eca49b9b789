"""The performance page says what the benchmark records say."""

import json
import re

import pytest

from alexnet_repro import performance, records

NAMES = ["lrn", "train_step", "epoch", "augment", "jpeg", "ten_crop", "start_up", "seeds"]


@pytest.mark.parametrize("name", [*NAMES, "breakdown", "growth", "input", "report"])
def test_records_are_from_a_clean_commit(name):
    git = performance.load(name)["provenance"]["git"]
    assert re.fullmatch(r"[0-9a-f]{40}", git["commit"])
    assert git["dirty"] is False


@pytest.mark.parametrize("name", NAMES)
def test_medians_and_words_follow_from_the_pairs(name):
    for row in performance.load(name)["rows"]:
        assert len(row["seconds"]) >= 7
        ratios = sorted(stock / ours for ours, stock in row["seconds"])
        assert row["median"] == pytest.approx(ratios[len(ratios) // 2])
        better = (lambda a, b: a <= b) if row["lower"] else (lambda a, b: a >= b)
        word = "missed"
        if better(row["median"], row["ship"]):
            word = "stretch" if better(row["median"], row["stretch"]) else "ship"
        assert row["word"] == word


def test_table_shows_every_row_and_the_machine():
    text = performance.ratios(NAMES).data
    rows = sum(len(performance.load(n)["rows"]) for n in NAMES)
    assert text.count("<tr>") == rows + 1
    assert "2 cores" in text
    for word, glyph in performance.GLYPHS.items():  # misses are printed as plainly as the rest
        with_it = [r for n in NAMES for r in performance.load(n)["rows"] if r["word"] == word]
        assert text.count(glyph) == len(with_it)


def test_summary_counts_and_names_the_misses():
    rows = [r for n in NAMES for r in performance.load(n)["rows"]]
    missed = [r for r in rows if r["word"] == "missed"]
    text = performance.summary(NAMES).data
    assert f"{len(rows) - len(missed)} of {len(rows)} goals of the table are met" in text
    assert text.count("<li>") == len(missed)


def test_shares_add_up_and_name_their_machine():
    shares, parts = performance.shares(), performance.breakdown()
    assert shares["% of the step"].sum() == pytest.approx(100)
    step = parts[parts["part"] != "input"]
    assert shares["ms"].sum() == pytest.approx(step.iloc[:, 1:3].to_numpy().sum())
    convolutions = parts[parts["part"].str.startswith("conv")].iloc[:, 1:3].to_numpy().sum()
    assert shares.set_index("kind").loc["convolutions", "ms"] == pytest.approx(convolutions)
    for frame in (shares, parts, performance.growth(), performance.hidden(), performance.report()):
        assert "2 cores" in frame.attrs["origin"]


def test_breakdown_in_milliseconds():
    parts = performance.breakdown().set_index("part")
    raw = json.loads((performance.FOLDER / "breakdown.json").read_text())["rows"]
    assert parts.loc["conv1", "forward, ms"] == pytest.approx(1e3 * raw[0]["forward"])
    assert {"conv1", "norm1", "fc8", "update", "input"} <= set(parts.index)
    assert "norm2" in set(performance.breakdown("18pct")["part"])


def test_a_missing_record_names_the_command(tmp_path):
    with pytest.raises(records.RecordError, match="make it with `make bench`"):
        performance.load("lrn", tmp_path)
