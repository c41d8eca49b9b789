"""What the lines and tables about runs say, against the records themselves."""

import re

import numpy as np
import pytest

from alexnet_repro import claims, experiments, run_tables, tables, verdicts


def committed(name):
    experiment = experiments.get(name)
    arms, seeds = experiment.arms, experiment.seeds
    return [experiments.load_run(experiment, a, s) for a in arms for s in seeds]


def plain(html):
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", html.data))


def test_headline_says_paper_ours_and_verdict():
    runs = committed("s34-pooling")
    found = claims.verdict(claims.get("c14-top1"), runs)
    text = plain(run_tables.headline("c14-top1", runs))
    assert text.strip().startswith(
        "Overlapping pooling lowers the top-1 error by 0.4 points. Paper:"
    )
    assert f"Here, scaled: −{abs(100 * found.ours):.2f} points" in text
    assert text.strip().endswith(found.word)
    assert "Paper:" not in plain(run_tables.headline("c14-overfit", runs))  # it prints no figure


def test_errors_are_means_over_the_seeds():
    runs = [r for r in committed("s4-ablations") if r.arm in ("baseline", "no-dropout")]
    text = plain(run_tables.errors(runs))
    for arm in ("baseline", "no-dropout"):
        same = [r.metrics for r in runs if r.arm == arm]
        train = np.mean([m["train_top1_error"] for m in same])
        test = np.mean([m["top1_error"] for m in same])
        assert f"{arm} {100 * train:.2f} %" in text
        assert f" {100 * test:.2f} %" in text
        assert f" {100 * (test - train):+.2f} points" in text.replace("−", "-")
    assert "mini-alexnet and mini-alexnet-no-dropout, He or Xavier start (D2), " in text
    assert "standardised pixels (D2); 10 epochs at a rate of 0.01, divided by ten after 8" in text
    assert "seeds 0, 1, 2" in text


@pytest.mark.parametrize(
    ("bound", "text"),
    [
        ("", "95 %: 2.00× to 4.00×"), ("lower", "95 %: from 2.00×, no upper end"),
        ("upper", "95 %: up to 4.00×, no lower end"), ("none", "no interval"),
    ],
)  # fmt: skip
def test_a_bound_has_one_end(bound, text):
    found = verdicts.Verdict("direction", 3.0, 2.0, 4.0, 3, bound)
    assert text in tables.show_ours(found, "ratio")


def test_words_of_the_paper_stand_where_it_prints_no_plain_figure():
    assert tables.show_paper(claims.get("c23")) == "more than 1 point lower"
    assert tables.show_paper(claims.get("c14-top1")) == "−0.40 points"
    assert "more than 1 point lower" in tables.measured("c23").data


def test_a_table_without_runs_says_so():
    assert "Nothing was run here. Original code: its released" in tables.measured("c12").data
    assert "Computed from the networks in spec.py." in tables.measured("c15").data
