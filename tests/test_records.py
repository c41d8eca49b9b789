"""Records: whole or not there, validated when read, and honest about where they come from."""

import dataclasses
import json
import math
import os
import re
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from alexnet_repro import records
from alexnet_repro.records import RecordError, RunRecord


def test_save_and_load(make_record, tmp_path):
    record = make_record("e", "arm", 3, errors=(0.9, 1 / 3), top1_error=0.25, loss=None)
    path = record.save(tmp_path)
    assert path == tmp_path / "e" / "arm-seed3.json"
    assert sorted(p.name for p in path.parent.iterdir()) == ["arm-seed3.csv", "arm-seed3.json"]
    found = RunRecord.load(path)
    pd.testing.assert_frame_equal(found.curve, record.curve, check_exact=True)
    for name in ("experiment", "arm", "seed", "config", "metrics", "provenance"):
        assert getattr(found, name) == getattr(record, name)


def test_the_files_are_plain_json_and_csv(make_record, tmp_path):
    path = make_record("e", "arm", 3, errors=(0.9, 0.5)).save(tmp_path)
    body = json.loads(path.read_text())
    keys = "schema experiment arm seed config metrics provenance curve_sha256"
    assert list(body) == keys.split()
    assert body["schema"] == 1
    lines = path.with_suffix(".csv").read_text().splitlines()
    assert lines[0] == "step,epoch,split,loss,top1_error,top5_error,lr"
    assert lines[1] == "0,0,train,2.0,0.9,0.45,0.01"


def test_load_runs_sorts_by_arm_and_seed(make_record, tmp_path):
    for arm, seed in [("b", 0), ("a", 10), ("a", 2)]:
        make_record("e", arm, seed).save(tmp_path)
    found = [(r.arm, r.seed) for r in records.load_runs("e", tmp_path)]
    assert found == [("a", 2), ("a", 10), ("b", 0)]
    assert records.load_runs("nothing", tmp_path) == []


@pytest.fixture
def killed(monkeypatch):
    """Make the n-th renaming of a file the last thing that the process does."""

    def after(n):
        real, done = os.replace, []

        def replace(*arguments):
            done.append(1)
            if len(done) > n:
                raise KeyboardInterrupt
            real(*arguments)

        monkeypatch.setattr(os, "replace", replace)

    return after


@pytest.mark.parametrize("renamed", [0, 1])
def test_killed_while_saving_leaves_no_record(make_record, tmp_path, killed, renamed):
    killed(renamed)
    with pytest.raises(KeyboardInterrupt):
        make_record("e", "a", 0).save(tmp_path)
    assert not records.record_path("e", "a", 0, tmp_path).exists()
    assert records.load_runs("e", tmp_path) == []


def test_killed_between_csv_and_json_of_a_second_save_is_noticed(make_record, tmp_path, killed):
    path = make_record("e", "a", 0, errors=(0.9, 0.5)).save(tmp_path)
    killed(1)
    with pytest.raises(KeyboardInterrupt):
        make_record("e", "a", 0, errors=(0.9, 0.4)).save(tmp_path)
    with pytest.raises(RecordError, match="its curve file is not the one written with it; run it"):
        RunRecord.load(path)


def test_a_tampered_curve_is_refused(make_record, tmp_path):
    path = make_record("e", "a", 0, errors=(0.9, 0.5)).save(tmp_path)
    csv = path.with_suffix(".csv")
    csv.write_text(csv.read_text().replace("0.5,", "0.4,", 1))
    with pytest.raises(RecordError, match=r"a-seed0.json: its curve file is not the one written"):
        RunRecord.load(path)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda b: b.update(schema=2), "schema 2, this library reads schema 1; delete the record"),
        (lambda b: b.pop("schema"), "schema None, this library reads schema 1"),
        (lambda b: b.pop("metrics"), "lacks 'metrics'; run it again"),
        (lambda b: b.update(seed="0"), "record e/a: seed wants an integer >= 0, got '0'"),
        (lambda b: b.update(seed=True), "seed wants an integer >= 0, got True"),
        (lambda b: b["metrics"].update(top1_error=25), r"wants a fraction in \[0, 1\], got 25"),
        (lambda b: b["metrics"].update(top1_error=None), "top1_error wants a fraction"),
        (lambda b: b.update(seed=1), "a-seed0.json: holds e/a seed 1; a record's name must say"),
        (lambda b: b.update(arm="b"), "holds e/b seed 0"),
        (lambda b: b.update(experiment="f"), "holds f/a seed 0"),
    ],
)  # fmt: skip
def test_a_wrong_json_is_refused(make_record, tmp_path, edit_json, change, text):
    path = make_record("e", "a", 0, top1_error=0.2).save(tmp_path)
    edit_json(path, change)
    with pytest.raises(RecordError, match=text):
        RunRecord.load(path)


def test_a_renamed_record_is_refused(make_record, tmp_path):
    path = make_record("e", "a", 0).save(tmp_path)
    for ending in (".json", ".csv"):
        path.with_suffix(ending).rename(path.with_name(f"b-seed0{ending}"))
    with pytest.raises(RecordError, match=r"b-seed0.json: holds e/a seed 0; a record's name must"):
        records.load_runs("e", tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[1]"])
def test_what_is_no_record_is_refused(make_record, tmp_path, text):
    path = make_record("e", "a", 0).save(tmp_path)
    path.write_text(text)
    with pytest.raises(RecordError, match=re.escape(str(path))):
        RunRecord.load(path)
    path.unlink()
    with pytest.raises(RecordError, match=r"not a readable record .*No such file"):
        RunRecord.load(path)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"seed": 1.0}, r"record e/a: seed wants an integer >= 0, got 1\.0"),
        ({"seed": -1}, "seed wants an integer >= 0, got -1"),
        ({"metrics": {"top1_error": 1.5}}, r"top1_error wants a fraction in \[0, 1\], got 1\.5"),
        ({"metrics": {"ten_crop_top5_error": math.nan}}, "ten_crop_top5_error wants a fraction"),
        ({"curve": pd.DataFrame({"step": [0]})}, "its curve lacks the columns epoch, split, loss"),
    ],
)
def test_a_wrong_record_is_not_saved(make_record, tmp_path, changes, text):
    record = dataclasses.replace(make_record("e", "a", 0), **changes)
    with pytest.raises(RecordError, match=text):
        record.save(tmp_path)
    assert not list(tmp_path.rglob("*.*"))


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A git repository with one committed file, in place of the package's."""

    def git(*arguments):
        who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", "-C", tmp_path, *who, *arguments], check=True, capture_output=True)

    monkeypatch.setattr(records, "PACKAGE", tmp_path / "package")
    git("init")
    (tmp_path / "code.py").write_text("1")
    git("add", ".")
    git("commit", "-m", "first")
    return tmp_path


def test_git_state(repository):
    state = records.git_state()
    assert re.fullmatch("[0-9a-f]{40}", state["commit"])
    assert state["dirty"] is False
    (repository / "runs").mkdir()
    (repository / "runs" / "new.json").write_text("{}")
    assert records.git_state() == state
    (repository / "code.py").write_text("2")
    assert records.git_state() == {"commit": state["commit"], "dirty": True}


def test_a_new_file_makes_the_tree_dirty_an_ignored_one_does_not(repository):
    (repository / ".git/info/exclude").write_text("ignored.txt\n")
    (repository / "ignored.txt").write_text("ignored")
    assert records.git_state()["dirty"] is False
    (repository / "new.py").write_text("not tracked")
    assert records.git_state()["dirty"] is True


def test_without_git_the_state_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "PACKAGE", tmp_path / "package")
    assert records.git_state() == {"commit": None, "dirty": None}


def test_provenance_names_machine_versions_and_command(monkeypatch):
    monkeypatch.setattr("sys.argv", ["/somewhere/alexnet-repro", "run", "x", "--arm", "a"])
    found = records.provenance("cpu", 1)
    assert found["command"] == "alexnet-repro run x --arm a"
    assert (found["device"], found["threads"]) == ("cpu", 1)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", found["start_utc"])
    assert set(found["versions"]) >= {"python", "numpy"}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_peak_memory_is_in_bytes():
    line = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert records.peak_memory_bytes() == pytest.approx(1024 * int(line[1]), rel=0.1)
