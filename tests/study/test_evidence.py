"""Only whole evidence is judged: each way in which it is not, wherever a verdict is shown."""

import copy
import dataclasses
import json
import re

import pytest

from alexnet_repro import study
from alexnet_repro.data import sets
from alexnet_repro.pages import run_tables, tables
from alexnet_repro.study import claims, experiments

COMMIT = "0123456789" * 4


def records_of(make_record, name, metrics, config=None):
    """Every run that an experiment plans; metrics(arm, seed) gives what each measured."""
    experiment = experiments.get(name)
    return [
        make_record(name, arm, s, config=(config or experiment.config)(arm), **metrics(arm, s))
        for arm in experiment.arms
        for s in experiment.seeds
    ]


def shown(name, runs):
    """The word and the reason of a claim, checked to be the same in all that pages show."""
    found = study.verdict(claims.get(name), runs)
    line = re.sub(r"\s+", " ", re.sub("<[^>]+>", "", run_tables.headline(name, runs).data))
    cell = re.sub("<[^>]+>", " ", tables.measured(name, runs).data)
    assert f" {found.word}" in line
    assert f" {found.word} " in cell
    if found.word in ("no verdict", "not in regime"):
        assert line.replace("&#x27;", "'").endswith(f"{found.word}: {found.why}")
    return found


def test_whole_evidence_is_judged(pooling_records):
    assert shown("c14-top1", pooling_records).word == "direction"
    # of its own experiment and arms alone, whatever else is in the list
    for strange in ({"experiment": "s4-ablations"}, {"arm": "other"}):
        extra = dataclasses.replace(pooling_records[0], **strange, seed=7)
        found = shown("c14-top1", [extra, *pooling_records, extra])
        assert (found.word, found.n) == ("direction", 3)


def without(seeds):
    return lambda runs: [r for r in runs if r.seed not in seeds]


def one(change, which=0):
    def edit(runs):
        change(runs[which])
        return runs

    return edit


def put(where, key, value):
    return lambda r: getattr(r, where).__setitem__(key, value)


def git(commit, dirty):
    return one(put("provenance", "git", {"commit": commit, "dirty": dirty}))


KNOWN = {
    "train": "c408cfd7f8a29b797cc670166c945b62297c35ffbacdd080e81f2e7850d28611",
    "test": "e895b8e85e3b17146ad90af45c196010154bad54b450f4ffa861e3feba39904a",
}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (without([2]), "2 of 3 seeds"),
        (without([1]), "2 of 3 seeds"),
        (without([1, 2]), "1 of 3 seeds"),
        (lambda runs: runs[:5], "2 of 3 seeds"),  # one arm's last seed is missing
        (lambda runs: runs[:3], "0 of 3 seeds"),
        (lambda runs: [*runs, runs[0]], "overlap has a seed twice"),
        (
            lambda runs: [*runs, dataclasses.replace(runs[0], seed=3)],
            "overlap seed 3 is not in the plan",
        ),
        (one(put("config", "epochs", 1)), "overlap seed 0 has epochs 1, the plan 10"),
        (one(put("config", "epochs", 1), -1), "non-overlap seed 2 has epochs 1, the plan 10"),
        (one(put("config", "lr", 0.02)), "overlap seed 0 has lr 0.02, the plan 0.01"),
        (one(put("config", "colour", 1)), "overlap seed 0: unknown configuration key 'colour'"),
        (one(put("config", "data", "embedded")), "synthetic images earn none"),
        (one(put("config", "data", "embedded"), -1), "synthetic images earn none"),
        (one(put("config", "data", "mine")), "the data set 'mine' is none that the study names"),
        (one(put("metrics", "top1_error", float("nan"))), "overlap seed 0 has no top1_error"),
        (one(put("metrics", "top1_error", None), -1), "non-overlap seed 2 has no top1_error"),
        (one(lambda r: r.metrics.pop("top1_error")), "overlap seed 0 has no top1_error"),
        (one(lambda r: r.metrics.pop("diverged")), "overlap seed 0 does not say whether it div"),
        (one(put("metrics", "test_images", 10)), "overlap seed 0 has 10 scored images, the set"),
        (one(lambda r: r.metrics.pop("test_images")), "a record lacks what every run has"),
        (one(put("metrics", "train_images", 600)), "overlap seed 0 has 600 training images, the"),
        (one(put("provenance", "data_sha256", {})), "overlap seed 0 does not say which images"),
        (
            one(put("provenance", "data_sha256", {**KNOWN, "test": "0" * 64})),
            "overlap seed 0 used other images than cifar10-jpeg has",
        ),
        (one(lambda r: r.provenance.clear(), -1), "non-overlap seed 2 does not say which images"),
        (git("", False), "overlap seed 0 does not say from which commit it comes"),
        (git("0123abc", False), "overlap seed 0 does not say from which commit it comes"),
        (git(COMMIT, True), "overlap seed 0 comes from files that differ from their commit"),
        (git(COMMIT, None), "overlap seed 0 comes from files that differ from their commit"),
        (one(put("provenance", "git", None)), "overlap seed 0 does not say from which commit"),
        (one(put("provenance", "start_utc", "")), "overlap seed 0 does not say when it started"),
        (one(lambda r: r.provenance.pop("start_utc")), "overlap seed 0 does not say when it st"),
    ],
)
def test_anything_else_earns_no_verdict_and_says_why(pooling_records, change, why):
    runs = change(copy.deepcopy(pooling_records))
    found = shown("c14-top1", runs)
    assert found.word == "no verdict"
    assert found.why.startswith(why)
    assert (found.p, found.holm) == (None, None)


def test_the_numbers_are_shown_beside_no_verdict(pooling_records):
    found = shown("c14-top1", without([2])(pooling_records))
    assert found.n == 2
    # -0.003 and -0.004; t at 97.5 % for two: 12.706
    half = 12.706 * 0.0005
    wanted = pytest.approx((-0.0035, -0.0035 - half, -0.0035 + half), abs=1e-6)
    assert (found.ours, found.low, found.high) == wanted
    assert "−0.35 points" in tables.measured("c14-top1", without([2])(pooling_records)).data


def test_a_choice_of_seeds_changes_no_word():
    """On the committed records: the paper's side or nothing, by the choice of two of three."""
    runs = claims.committed_runs(claims.get("c14-top1"))
    for seeds in ([0, 1], [0, 2], [1, 2], [0]):
        found = shown("c14-top1", [r for r in runs if r.seed in seeds])
        assert (found.word, found.why) == ("no verdict", f"{len(seeds)} of 3 seeds")


def test_seeds_of_one_experiment_have_seen_the_same_images(make_record):
    """Also where the sums of a set are not known: they must agree with each other."""
    from alexnet_repro.study.evidence import lacks

    runs = records_of(
        make_record, "s6-ilsvrc-2012",
        lambda arm, s: {
            "ten_crop_top1_error": 0.4, "top1_error": 0.4,
            "train_images": 1_281_167, "test_images": 50_000,
        },
    )  # fmt: skip
    claim = claims.get("c12-top1")
    assert lacks(claim, runs) == ""
    runs[4].provenance["data_sha256"] = {"train": "1", "test": "2"}
    assert lacks(claim, runs) == "no-norm seed 1 used other images than the runs before it"
    runs[4].metrics["test_images"] = 10_000
    assert lacks(claim, runs) == "no-norm seed 1 has 10,000 scored images, the set 50,000"


def test_images_held_out_for_validation_are_counted(pooling_records, monkeypatch):
    pooling = experiments.get("s34-pooling")
    held_out = {"validation_images": 5_000, "plateau_patience": 2}
    plan = dataclasses.replace(pooling, preset={**pooling.preset, **held_out})
    monkeypatch.setattr(experiments, "get", lambda name: plan)
    for record in pooling_records:
        record.config.update(held_out)
        record.metrics["train_images"] = 45_000
    assert study.verdict(claims.get("c14-top1"), pooling_records).word == "direction"
    pooling_records[0].metrics["train_images"] = 50_000
    why = study.verdict(claims.get("c14-top1"), pooling_records).why
    assert why == "overlap seed 0 has 55,000 training images, the set 50,000"


def _drawn(pooling_records, monkeypatch, split, scored):
    pooling = experiments.get("s34-pooling")
    drawn = {"data": "cifar10-matched", "train_images": 10_000, "scored_split": split}
    plan = dataclasses.replace(pooling, preset={**pooling.preset, **drawn})
    monkeypatch.setattr(experiments, "get", lambda name: plan)
    sums = sets.KNOWN["cifar10-matched"].sha256
    for record in pooling_records:
        record.config.update(drawn)
        record.metrics.update(train_images=10_000, test_images=scored)
        record.provenance["data_sha256"] = {s: sums[s] for s in ("train", split)}


def test_held_out_images_earn_no_verdict(pooling_records, monkeypatch):
    """Pilots and sweeps are scored on them, so that what they chose is not judged by them."""
    _drawn(pooling_records, monkeypatch, "val", 10_000)
    found = study.verdict(claims.get("c14-top1"), pooling_records)
    assert found.word == "no verdict"
    assert "scored on held-out images, which count for no verdict" in found.why


def test_a_subset_is_as_large_as_the_plan_has_it(pooling_records, monkeypatch):
    scored = 30_000
    _drawn(pooling_records, monkeypatch, "test", scored)
    assert study.verdict(claims.get("c14-top1"), pooling_records).word == "direction"
    pooling_records[0].metrics["test_images"] = 40_000 - scored
    why = study.verdict(claims.get("c14-top1"), pooling_records).why
    assert f"has {40_000 - scored:,} scored images, the set {scored:,}" in why
    pooling_records[0].metrics.update(train_images=20_000, test_images=scored)
    why = study.verdict(claims.get("c14-top1"), pooling_records).why
    assert why == "overlap seed 0 has 20,000 training images, the set 10,000"


def test_the_scored_split_is_test_or_else_val():
    # ILSVRC-2010 has a public test set; that of 2012 was never released
    scored = {name: sets.scored(known) for name, known in sets.KNOWN.items()}
    assert (scored["ilsvrc-2010"], scored["ilsvrc-2012"]) == (150_000, 50_000)
    assert scored["cifar10-jpeg"] == 10_000


def test_an_arm_that_no_row_asks_for_is_held_to_the_same_images(make_record):
    runs = records_of(make_record, "s4-ablations", ablation)
    assert shown("c23", runs).word == "direction"
    [stray] = [r for r in runs if r.arm == "no-decay" and r.seed == 1]
    stray.provenance["data_sha256"] = {"train": "1", "test": "2"}
    assert shown("c23", runs).why == "no-decay seed 1 used other images than cifar10-jpeg has"


def ablation(arm, seed):
    """Errors of s4-ablations: crops help the test error, dropout only narrows the gap."""
    test = {"no-crops": 0.36, "no-dropout": 0.30, "colour-noise": 0.32}.get(arm, 0.33)
    train = {"no-crops": 0.30, "no-dropout": 0.20}.get(arm, 0.31)
    more = {"baseline": 0, "colour-noise": 1, "no-crops": 3, "no-dropout": 2}.get(arm, 1)
    return {"top1_error": test + more * seed / 5000, "train_top1_error": train}


def test_overfitting_rows_want_the_higher_error_too(make_record):
    runs = records_of(make_record, "s4-ablations", ablation)
    # gap: 0.06 against 0.02, error 0.36 against 0.33
    assert shown("c21-overfit", runs).word == "direction"
    # gap 0.10 against 0.02, but error 0.30 against 0.33
    found = shown("c25-overfit", runs)
    assert found.word == "gap only"
    assert re.fullmatch(r"the test error moves by −2\.\d\d points: opposite", found.why)


def test_diverged_runs_are_an_outcome_and_their_rate_is_told(make_record):
    def metrics(arm, seed):
        return {**ablation(arm, seed), "diverged": arm == "no-crops" and seed == 1}

    runs = records_of(make_record, "s4-ablations", metrics)
    found = shown("c21-overfit", runs)
    assert found.word == "unclear"  # three seeds have no order interval
    assert found.why.endswith("; 1 of 6 runs diverged")
    # the other arms' rows do not hear of it
    assert "diverged" not in shown("c23", runs).why


@pytest.mark.parametrize(
    ("condition", "word", "why"),
    [
        ("baseline: top1_error <= 0.5", "direction", None),
        ("baseline: top1_error >= 0.5", "not in regime", "baseline: top1_error is 0.33, wanted"),
        # the mean over the seeds is exactly 0.31: "at least" and "at most" hold it
        ("baseline: train_top1_error >= 0.31", "direction", None),
        ("baseline: train_top1_error <= 0.31", "direction", None),
        (
            "no-dropout: top1_error - train_top1_error >= 0.15",
            "not in regime",
            "no-dropout: top1_error - train_top1_error is 0.1004, wanted >= 0.15",
        ),
        ("baseline: top1_error <= 0.5; no-crops: top1_error <= 0.1", "not in regime", "no-crops: "),
        ("baseline: epochs_to_25 <= 60", "not in regime", "baseline: epochs_to_25 is nan, wanted"),
        ("baseline: bite_norm1 >= 0.1", "no verdict", "baseline seed 0 has no bite_norm1"),
    ],
)
def test_preconditions(make_record, condition, word, why):
    runs = records_of(make_record, "s4-ablations", ablation)
    claim = dataclasses.replace(claims.get("c21-overfit"), precondition=condition)
    found = study.verdict(claim, runs)
    assert found.word == word
    if why:
        assert found.why.startswith(why)
        assert found.p is None
    # the arm of a precondition is needed too
    arm = condition.split(":")[0]
    part = [r for r in runs if not (r.arm == arm and r.seed == 0)]
    assert study.verdict(claim, part).why == "2 of 3 seeds"


def test_the_board_says_no_verdict_of_part_of_the_seeds(pooling_records, tmp_path):
    for record in pooling_records[1:]:
        record.save(tmp_path)
    board = study.scoreboard(tmp_path).set_index("claim")
    row = board.loc["c14-top1"]
    assert (row["verdict"], row["why"], row["n"]) == ("no verdict", "2 of 3 seeds", 2)
    assert board.loc["c02-gain-top1", "why"] == "2 of 3 seeds"


def test_an_edited_configuration_is_no_verdict_on_the_board(pooling_records, tmp_path):
    pooling_records[2].config["epochs"] = 1
    for record in pooling_records:
        record.save(tmp_path)
    row = study.scoreboard(tmp_path).set_index("claim").loc["c14-top1"]
    assert row["verdict"] == "no verdict"
    assert row["why"] == "overlap seed 2 has epochs 1, the plan 10"


def test_a_swept_arm_is_held_to_the_rate_that_the_sweep_chose():
    runs = claims.committed_runs(claims.get("c08-modern"))
    assert shown("c08-modern", runs).word == "smaller"
    for run in runs:
        if run.arm == "tanh":
            run.config["lr"] = 0.1
    assert shown("c08-modern", runs).why == "tanh seed 0 has lr 0.1, the plan 0.03"


def test_a_cell_that_says_full_moves_nothing(pooling_records):
    claim = dataclasses.replace(claims.get("c14-top1"), setting="full")
    sharp = copy.deepcopy(pooling_records)
    for r in sharp:  # -0.0039, -0.004, -0.0041: a match, if the nets were the paper's
        r.metrics["top1_error"] = 0.3 + (r.arm != "overlap") * (0.0039 + r.seed / 10_000)
    assert study.verdict(claim, sharp).word == "direction"


def test_what_was_committed_is_whole():
    trained = [(c, v) for c, v in claims.judged() if v.n]
    assert len(trained) == 11
    assert not [(c.claim_id, v.why) for c, v in trained if v.word == "no verdict"]
    json.dumps([v.why for _, v in trained])  # plain text
