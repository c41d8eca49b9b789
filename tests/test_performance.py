"""The performance page says what the benchmark records say."""

import json
import re

import pytest

from alexnet_repro import performance, records

NAMES = ["lrn", "train_step", "epoch", "augment", "jpeg", "ten_crop", "start_up"]


@pytest.mark.parametrize("name", [*NAMES, "breakdown", "growth"])
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
    assert "missed" in text  # misses are printed as plainly as the rest


def test_breakdown_in_milliseconds():
    parts = performance.breakdown().set_index("part")
    raw = json.loads((performance.FOLDER / "breakdown.json").read_text())["rows"]
    assert parts.loc["conv1", "forward, ms"] == pytest.approx(1e3 * raw[0]["forward"])
    assert not any("torch.nn" in p for p in parts.index)
    assert {"norm1", "norm1, torch.nn"} <= set(performance.norms()["part"])


def test_a_missing_record_names_the_command(tmp_path):
    with pytest.raises(records.RecordError, match="make it with `make bench`"):
        performance.load("lrn", tmp_path)
