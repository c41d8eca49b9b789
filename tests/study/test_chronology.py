"""Rates are chosen and plans committed before any run that counts; one that broke it is named."""

import datetime

import pytest

from alexnet_repro import study
from alexnet_repro.errors import MissingError
from alexnet_repro.study import chronology, experiments, records


@pytest.fixture(scope="module")
def found():
    try:
        return chronology.table()
    except MissingError as error:
        pytest.skip(f"without the history of the repository: {error}")


# What happened on 24 November 2026: tanh's grid had grown by 0.03, which won and was the last of
# its grid, so that by the rule the grid had to grow again. Seed 0 was started with 0.03 at
# 19:05:29; the grid grew by 0.1 in commit c5ebed6 at 19:06:22, and 0.1 ran from 19:07:12 to
# 19:13:01. It lost (59.4 against 50.6 %): the rate stayed what it was. Nothing else is excused.
KNOWN = {("s31-relu-original", "tanh", 0): "19:05:29"}


def test_no_other_run_started_before_its_plan_or_its_sweep(found):
    late = found[found["fault"] != ""]
    assert {
        (r.experiment, r.arm, r.seed): f"{r.start:%H:%M:%S}" for r in late.itertuples()
    } == KNOWN
    [fault] = late["fault"]
    assert fault == (
        "started before its plan was committed; started before 1 of 6 runs of its sweep had ended"
    )
    assert set(late["plan"]) == {"c5ebed66e0f595032d08681f67f570ac3be7420e"}


def test_no_other_run_started_before_its_sweep_by_the_records_alone():
    """Without the history too: what page 3.1 tells, and a second must not come."""
    late = {
        (record.experiment, record.arm, record.seed): [run.arm for run in runs]
        for experiment in study.load_experiments().values()
        if experiment.sweep
        for record in records.load_runs(experiment.name)
        if (runs := chronology.not_ended(experiment, record))
    }
    assert late == {key: ["tanh-lr0.1"] for key in KNOWN}


def test_every_counted_record_is_held_against_both(found):
    counted = [p for p in records.RUNS.glob("s*/*-seed*.json") if "-sweep" not in p.parent.name]
    assert len(found) == len(counted) >= 33
    assert (found["plan"].str.len() == 40).all()
    swept = {e.name for e in study.load_experiments().values() if e.sweep}
    assert set(found.loc[found["swept"].notna(), "experiment"]) == swept & set(found["experiment"])


def test_a_plan_that_was_changed_and_put_back_is_as_old_as_its_return(monkeypatch, tmp_path):
    here = '[e]\nseeds = [0]\npreset.lr = 0.1\narms.a.net = "x"\narms.b.net = "y"\n'
    then = here.replace("0.1", "0.2")
    other = here.replace('"y"', '"z"')  # another arm's plan
    versions = [("4", other), ("3", here), ("2", then), ("1", here)]
    days = [(c, f"2026-01-0{c}T00:00:00+00:00", text) for c, text in versions]
    (tmp_path / "experiments.toml").write_text(here)
    monkeypatch.setattr(chronology.experiments, "FILE", tmp_path / "experiments.toml")
    monkeypatch.setattr(chronology, "_versions", lambda: days)
    assert chronology.plan_commit("e", "a")[0] == "3"
    with pytest.raises(MissingError, match="no commit holds the plan of e, arm b, as it is"):
        chronology.plan_commit("e", "b")


def copy_with(found, name, root, **changes):
    """One counted record, at another time or from another commit, in a folder of its own."""
    experiment = experiments.get(name)
    for sweep in [experiment.sweep_experiment()] if experiment.sweep else []:
        for arm in sweep.arms:
            experiments.load_run(sweep, arm, sweep.seeds[0]).save(root)
    record = experiments.load_run(experiment, next(iter(experiment.arms)), 1)
    record.provenance.update(changes)
    record.save(root)
    [row] = chronology.table(root).itertuples()
    return row


def test_a_run_in_order_is_not_accused(found, tmp_path):
    for i, name in enumerate(("s31-relu-original", "s34-pooling")):
        assert copy_with(found, name, tmp_path / str(i)).fault == ""


def test_a_run_before_its_plan_is_seen(found, tmp_path):
    # s34-pooling took its ten epochs in commit a8a4936, at 18:54:51
    for second, fault in ((51, ""), (50, "started before its plan was committed")):
        start = f"2026-11-24T18:54:{second}+00:00"
        row = copy_with(found, "s34-pooling", tmp_path / str(second), start_utc=start)
        assert row.fault == fault
        assert row.plan.startswith("a8a4936")
        assert row.planned == datetime.datetime(2026, 11, 24, 18, 54, 51, tzinfo=datetime.UTC)


def test_a_run_before_the_end_of_its_sweep_is_seen(found, tmp_path):
    # the last rate of ReLU, 0.01, started at 18:42:38 and took 142.4 s
    for second, fault in ((1, ""), (0, "started before 1 of 4 runs of its sweep had ended")):
        start = f"2026-11-24T18:45:0{second}+00:00"
        root = tmp_path / str(second)
        assert copy_with(found, "s31-relu-original", root, start_utc=start).fault == fault


def test_a_seed_that_the_runs_own_commit_did_not_plan_is_seen(found, tmp_path):
    fault = "its seed is not in the plan of the commit that it ran from"
    # 2ed7ad1 had seed 0 alone for s31-relu-modern; a commit that nobody has planned nothing
    for commit in ("2ed7ad1e66d32c3615648e75d76285538e0a8104", "0" * 40):
        git = {"commit": commit, "dirty": False}
        row = copy_with(found, "s31-relu-modern", tmp_path / commit[:7], git=git)
        assert row.fault == fault
