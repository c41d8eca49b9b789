"""Sentences that come from records, against tables small enough to work them out by hand."""

import json
from pathlib import Path

import pandas as pd
import pytest

from alexnet_repro import spec, study
from alexnet_repro.demos import components
from alexnet_repro.pages import page, prose, run_prose
from alexnet_repro.spec import arithmetic
from alexnet_repro.study import claims, experiments, records

SWEEP = {"a": [0.01, 0.1], "b": [0.01, 0.1]}
BOOK = Path(__file__).resolve().parents[2] / "book"


@pytest.fixture
def swept(make_record, monkeypatch):
    """An experiment with a sweep; the function takes the times of its runs, the winner is 0.01."""

    def make(starts):
        toy = experiments.Experiment(
            "toy", "3.1-relu", "", "", (0,), {}, {"a": {}, "b": {}},
            sweep={"lr": SWEEP, "seed": 100, "epochs": 2},
        )  # fmt: skip
        runs = {"toy": [], "toy-sweep": []}
        for (arm, rate), start in starts.items():
            kind, name = ("toy", arm) if rate is None else ("toy-sweep", f"{arm}-lr{rate:g}")
            run = make_record(kind, name, 0 if rate is None else 100, train_top1_error=rate or 0.3)
            run.config["lr"] = rate or 0.01
            run.provenance["start_utc"] = f"2026-01-02T{start}+00:00"
            runs[kind].append(run)
        monkeypatch.setattr(experiments, "get", lambda name: toy)
        monkeypatch.setattr(records, "load_runs", lambda name: runs[name])
        by_arm = {run.arm: run for run in runs["toy-sweep"]}
        monkeypatch.setattr(experiments, "load_run", lambda e, arm, *_: by_arm[arm])
        return run_prose.early("toy")

    return make


TIMES = {("a", 0.01): "10:00:00", ("a", 0.1): "10:05:00", ("b", 0.01): "10:10:00",
         ("b", 0.1): "10:20:00", ("a", None): "10:06:00", ("b", None): "10:30:00"}  # fmt: skip


def test_runs_that_began_after_their_own_arms_rates_are_in_order(swept):
    assert swept(TIMES) == "Every counted run began after the last rate of its grid."


def test_a_run_that_began_before_the_last_rate_is_named_with_both_times(swept):
    text = swept({**TIMES, ("b", None): "10:19:59"})
    assert "Seed 0 of b, at a rate of 0.01, began at 10:19:59 on 2026-01-02" in text
    assert "0.1 ran from 10:20:00 on. It did not win (10.0 against 1.0 %" in text
    assert "Seed 0 of a" not in text


def test_a_rate_that_was_still_running_was_not_tried_yet(swept):
    """A run of the sweep takes 36 seconds."""
    for second, late in ((35, True), (36, False)):
        text = swept({**TIMES, ("b", None): f"10:20:{second}"})
        assert ("when no run at a rate beyond 0.01 had ended; 0.1 ran from" in text) is late


def test_what_page_3_1_tells_of_the_one_run_that_began_too_early():
    text = run_prose.early("s31-relu-original")
    assert text.startswith(
        "Seed 0 of tanh, at a rate of 0.03, began at 19:05:29 on 2026-11-24 (UTC), when no run at "
        "a rate beyond 0.03 had ended; 0.1 ran from 19:07:12 on. It did not win ("
    )
    assert text.count("Seed ") == 1


def test_how_tanh_went_on_after_the_epochs_that_the_sweep_saw(make_record):
    errors = (0.9, 0.8, 0.6, 0.5, 0.55, 0.4)  # before training, then epochs 1 to 5
    runs = [make_record("s31-relu-original", "tanh", s, errors=errors, epochs=5) for s in (0, 1)]
    for run in runs:
        run.provenance["wall_seconds"] = 400.0 + 100 * run.seed
    said = run_prose.relu(runs, [])
    assert (said["seen"], said["after"], said["end"], said["epochs"]) == ("2", "60.0", "40.0", "5")
    assert said["rises"] == "2 of 6"
    assert said["seconds"] == "80 to 100 s"
    # 5x5 kernels: 3 -> 32 -> 32 -> 64, 4x4 places of 64 maps to ten classes
    weights = 25 * (3 * 32 + 32 * 32 + 32 * 64) + 16 * 64 * 10
    assert said["parameters"] == f"{weights + 32 + 32 + 64 + 10:,}"


def test_fit_is_the_mean_of_the_arms_runs(make_record):
    runs = [make_record(arm=arm, seed=s, train_top1_error=0.2 + s / 10, top1_error=0.5)
            for arm in "ab" for s in (0, 1)]  # fmt: skip
    said = run_prose.fit(runs, "b")
    assert said == {"epochs": "20", "seeds": "2", "training": "25.0", "test": "50.0"}


def test_what_normalisation_leaves():
    factors = {"printed": [0.6, 0.5, 0.3, 0.1], "original": [0.6, 0.6, 0.5, 0.2],
               "Caffe (k = 1)": [1.0, 0.9, 0.6, 0.3]}  # fmt: skip
    rows = [(a, name, f) for name, values in factors.items()
            for a, f in zip((1.0, 10.0, 100.0, 1000.0), values, strict=True)]  # fmt: skip
    said = prose.normalisation(pd.DataFrame(rows, columns=["activity", "reading", "factor"]))
    assert (said["lost"], said["lost_caffe"]) == ("40 %", "0 %")
    assert (said["half"], said["half_original"]) == ("100", "1000")
    assert (said["highest"], said["lowest"]) == ("1.00", "0.10")


def test_the_two_orders_between_the_recorded_levels():
    rows = [(1.0, "printed", 1.0), (100.0, "printed", 0.8), (1.0, "original", 0.3)]
    said = prose.order(pd.DataFrame(rows, columns=["deviation", "alpha", "ratio"]), 10.0)
    assert said == {"start": "10", "there": "0.900", "large": "100", "end": "0.80"}
    assert prose.first_deviation(70) == pytest.approx(0.01 * 363**0.5 * 70)


def test_where_the_other_column_changes():
    rows = [("alexnet", "conv1", 0.0), ("alexnet", "norm1", 3 / 48), ("alexnet", "conv2", 1.0)]
    rows[1] = ("alexnet", "norm1", 1 / 48)
    found = pd.DataFrame([*rows, ("none", "conv1", 0.0)], columns=["net", "layer", "other"])
    said = prose.reach(found)
    assert said == {"edge": "1 of its 48", "from": "alexnet from conv2 on, none from no layer on"}


def test_small_sentences_by_hand():
    pair = pd.DataFrame({"what": ["loss", "largest difference of a", "largest difference of b"],
                         "two processes": [7.0, 2e-15, 4e-16]})  # fmt: skip
    assert prose.two_processes(pair) == "2e-15"
    moved = pd.DataFrame({"pooling": ["x", "y", "x"], "shift": [1, 1, 2], "change": [0.5, 0.25, 9]})
    assert prose.pooling(moved) == "0.25 (y), 0.50 (x)"
    what = ["mean of the outputs", "softmax of the mean score"]
    views = pd.DataFrame(
        {"what": what, "class A": [0.2, 0.5], "class B": [0.8, 0], "class C": [0, 0.6]}
    )
    assert prose.averages(views) == {"outputs": "B", "scores": "C"}
    drawn = pd.DataFrame({"draws": ["each image"] * 2 + ["32 images"] * 2, "top": [1, 1, 2, 2],
                          "left": [1, 2, 3, 3], "flip": [True, True, False, False]})  # fmt: skip
    assert prose.crops(drawn) == {"each": "2", "shared": "1"}
    shift = pd.DataFrame({"reading": ["p", "p", "o", "r"], "length": [1.0, 3.0, 8.0, 800.0]})
    said = prose.colour(shift)
    assert (said["less"], said["more"], said["draws"]) == ("0.25", "100", "2")
    sums = pd.DataFrame({"kind": ["training", "training", "test", "test without the factor"],
                         "value": [1.0, 3.0, 3.0, 5.0]})  # fmt: skip
    assert prose.dropout(sums) == {"with": "1.50", "without": "2.50"}


def test_neurons_by_hand():
    """55 x 55 x 96 and the rest of Fig. 2, against the abstract and against 253,440."""
    rest = 27 * 27 * 256 + 13 * 13 * (384 + 384 + 256) + 4096 + 4096 + 1000
    said = prose.architecture()
    assert said["right"] == f"{55 * 55 * 96 + rest - 650_000:,} more"
    assert said["wrong"] == f"{650_000 - 253_440 - rest:,} fewer"
    assert said["above"] == "conv3 and conv4"


def test_share_of_the_image_by_hand():
    rows = [(recipe, layer, share) for recipe, shares in
            {"paper, standardised pixels": (0.02, 0.003), "other": (0.5, 0.4)}.items()
            for layer, share in zip(("conv5", "fc6"), shares, strict=True)]  # fmt: skip
    said = prose.initialisation(pd.DataFrame(rows, columns=["recipe", "layer", "share"]))
    assert said == {"conv5": "0.02", "fc6": "0.003", "best": "other", "recipes": "2"}
    assert set(components.table("initialisation")["recipe"]) >= {"paper, standardised pixels"}


def test_what_is_computed_from_the_nets_is_not_typed_either():
    """Parameters of each net, and how far the printed figures are off."""
    exact = [c for c in study.load_claims() if c.compare == "exact"]
    computed = {f"{arithmetic.parameters(net):,}" for net in spec.NETWORKS}
    computed |= {f"{abs(arithmetic.compute(c.metric, c.arm) - c.paper_value):,.0f}" for c in exact}
    computed = {number for number in computed if len(number) >= 5}
    for path in BOOK.glob("*.ipynb"):
        for cell in json.loads(path.read_text())["cells"]:
            text = "".join(cell["source"])
            assert not [number for number in computed if number in text], path.name


def test_glued_texts_reach_the_page_as_they_are(monkeypatch):
    import IPython.display
    import myst_nb.ext.glue as module

    sent = []
    monkeypatch.setattr(module, "ipy_display", lambda data, **more: sent.append((data, more)))
    page.glue({"a": "4 of 5 — %"})
    (data, more), name = sent[0], "application/papermill.record/text/plain"
    assert data[name] == repr("4 of 5 — %")
    assert more["metadata"]["scrapbook"]["name"] == "a"
    assert IPython.display.HTML  # what pages show is not touched


def test_the_legend_has_every_word():
    from alexnet_repro.study import verdicts

    text = page.legend().data
    for word, meaning in verdicts.MEANING.items():
        assert f"{word}</span>" in text
        assert meaning.split("'")[0].split("<")[0] in text


def test_the_ledger_counts_its_claims():
    ids = [line.split(",")[0] for line in claims.FILE.read_text().splitlines()[1:]]
    assert prose.ledger() == {"claims": str(len({i[:3] for i in ids}))}
