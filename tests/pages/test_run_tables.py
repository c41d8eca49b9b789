"""What the lines and tables about runs say, against the records themselves."""

import math
import re

import numpy as np
import pytest

from alexnet_repro import study
from alexnet_repro.config import RunConfig
from alexnet_repro.pages import run_tables, tables
from alexnet_repro.study import claims, experiments, verdicts


def committed(name):
    experiment = experiments.get(name)
    arms, seeds = experiment.arms, experiment.seeds
    return [experiments.load_run(experiment, a, s) for a in arms for s in seeds]


def plain(html):
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", html.data))


def test_headline_says_paper_ours_and_verdict():
    runs = committed("s34-pooling")
    found = study.verdict(claims.get("c14-top1"), runs)
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
    ("low", "high", "bound", "text"),
    [
        (2.0, 4.0, "", "95 %: 2.00× to 4.00×"),
        (2.0, math.inf, "lower", "95 %: from 2.00×, no upper end"),
        (0.0, 4.0, "upper", "95 %: up to 4.00×, no lower end"),
        (0.0, math.inf, "none", "no end on either side"),
        (2.0, 4.0, "lower", "95 %: 2.00× to 4.00×"),  # the median is a bound, its ends are not
    ],
)
def test_a_bound_has_one_end(low, high, bound, text):
    found = verdicts.Verdict("direction", 3.0, low, high, 3, bound)
    assert text in tables.show_ours(found, "ratio")


def test_the_line_of_origin_names_every_machine(pooling_records):
    for record in pooling_records[:2]:
        record.provenance.update(cpu="Another", versions={"torch": "2.0"})
    pooling_records[5].provenance["accelerator"] = "A GPU"
    text = tables.provenance(pooling_records)
    # 36 seconds each
    assert "0.02 hours of one Another core and 0.03 hours of one A Processor core and" in text
    assert "and 0.01 hours of one A GPU, torch 2.0, 2.14.1." in text
    pooling_records[0].provenance.clear()  # says nothing of itself, and is still counted
    assert "6 runs on cifar10-jpeg, 2026-11-24 to no date, commit 012345678, no commit" in (
        tables.provenance(pooling_records)
    )


def test_a_table_counts_the_runs_that_its_claims_rest_on():
    mixed = [*committed("s4-ablations"), *committed("s34-pooling")]
    alone = tables.measured("c14", committed("s34-pooling")).data
    assert tables.measured("c14", mixed).data == alone
    assert "6 runs on cifar10-jpeg" in alone
    assert "6 runs on cifar10-jpeg" in tables.measured("c23", mixed).data  # of 15
    nothing = tables.measured("c14", committed("s4-ablations")).data
    assert "Nothing was run here." in nothing
    assert "not run" in nothing


def test_the_setting_is_that_of_all_runs():
    runs = [*committed("s34-pooling"), *committed("s31-relu-original")]
    text = run_tables.setting(runs)
    assert "He or Xavier start (D2) or 2012 start, standardised pixels (D2) or raw pixels" in text
    assert "10 or 20 epochs at a rate of 0.01 or 0.003 or 0.03, divided by ten after 8 " in text
    assert "after 8 epochs or never divided; seeds 0, 1, 2." in text
    assert "0.003; seeds" in run_tables.setting([r for r in runs if r.config["lr"] == 0.003])


def test_a_diverged_run_has_no_part_in_a_mean(make_record):
    runs = [
        make_record(seed=s, top1_error=e, errors=(0.9, 0.2), diverged=s == 2)
        for s, e in enumerate((0.3, 0.4, 0.9))
    ]
    text = plain(run_tables.errors(runs))
    assert " 35.00 %" in text
    assert " 2, 1 diverged " in text
    table = plain(run_tables.epochs_table(runs))
    assert "0.9, 0.9, diverged" in table
    assert "median at least 0.9" in table


def test_a_column_of_epochs_says_what_was_cut_off(make_record):
    runs = [make_record(seed=s, errors=(0.9, e)) for s, e in enumerate((0.2, 0.3, 0.3))]
    table = plain(run_tables.epochs_table(runs))
    assert "0.9, &gt; 20, &gt; 20" in table
    assert "median at least 20.0" in table


def test_words_of_the_paper_stand_where_it_prints_no_plain_figure():
    assert tables.show_paper(claims.get("c23")) == "more than 1 point lower"
    assert tables.show_paper(claims.get("c14-top1")) == "−0.40 points"
    assert "more than 1 point lower" in tables.measured("c23").data


def test_a_table_without_runs_says_so():
    assert "Nothing was run here. Original code: its released" in tables.measured("c12").data
    assert "Computed from the networks in spec." in tables.measured("c15").data


def test_runs_on_synthetic_images_are_called_evidence_for_nothing(make_record):
    real = tables.provenance([make_record()])
    assert "evidence for nothing" not in real
    smoke = make_record(config=RunConfig(data="embedded", epochs=20))
    for runs in ([smoke], [make_record(), smoke]):
        assert "Smoke mode" in tables.provenance(runs)
        assert "evidence for nothing" in tables.provenance(runs)
