"""Records: whole or not there, validated when read, and honest about where they come from."""

import dataclasses
import hashlib
import json
import math
import os
import re
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from alexnet_repro import origin, study
from alexnet_repro.study import RunRecord, records
from alexnet_repro.study.records import RecordError


def test_save_and_load(make_record, tmp_path):
    metrics = {"top1_error": 0.25, "loss": None, "diverged": True}
    record = make_record("e", "arm", 3, errors=(0.9, 1 / 3), **metrics)
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
    keys = "schema experiment arm seed config metrics provenance curve_sha256 record_sha256"
    assert list(body) == keys.split()
    assert body["schema"] == 2
    lines = path.with_suffix(".csv").read_text().splitlines()
    assert lines[0] == "step,epoch,split,loss,top1_error,top5_error,lr"
    assert lines[1] == "0,0,train,2.0,0.9,0.45,0.01"


def test_load_runs_sorts_by_arm_and_seed(make_record, tmp_path):
    for arm, seed in [("b", 0), ("a", 10), ("a", 2)]:
        make_record("e", arm, seed).save(tmp_path)
    found = [(r.arm, r.seed) for r in study.load_runs("e", tmp_path)]
    assert found == [("a", 2), ("a", 10), ("b", 0)]
    assert study.load_runs("nothing", tmp_path) == []


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
    assert study.load_runs("e", tmp_path) == []


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


def metrics(**values):
    return lambda body: body["metrics"].update(values)


def provenance(**values):
    return lambda body: body["provenance"].update(values)


EDITS = {
    "metric": metrics(top1_error=0.1),
    "the last digit": metrics(top1_error=0.2000000000000001),
    "test_images": metrics(test_images=10),
    "diverged": metrics(diverged=True),
    "a count as a float": metrics(test_images=10_000.0),
    "provenance": lambda body: body["provenance"].clear(),
    "commit": provenance(git={"commit": "f" * 40, "dirty": False}),
    "configuration": lambda body: body["config"].update(lr=0.02),
    "sum of the curve": lambda body: body.update(curve_sha256="0" * 64),
    "own sum": lambda body: body.update(record_sha256="0" * 64),
}


@pytest.mark.parametrize("change", EDITS.values(), ids=EDITS)
def test_an_edited_record_is_refused(make_record, tmp_path, change):
    path = make_record("e", "a", 0, top1_error=0.2).save(tmp_path)
    body = json.loads(path.read_text())
    change(body)
    path.write_text(json.dumps(body))
    with pytest.raises(RecordError, match=r"a-seed0.json: damaged, its content is not what"):
        RunRecord.load(path)


def test_the_sum_is_over_one_way_to_write_the_content(make_record, tmp_path):
    body = {"b": None, "record_sha256": "any", "a": [1, 2.5, {"d": True, "c": "é"}]}
    text = '{"a":[1,2.5,{"c":"\\u00e9","d":true}],"b":null}'
    assert records.content_sum(body) == hashlib.sha256(text.encode()).hexdigest()
    path = make_record("e", "a", 0).save(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()), indent=7, sort_keys=True))
    assert RunRecord.load(path).seed == 0  # how it is written does not matter


HEX = "0123456789" * 4
WRONG = [
    (lambda b: b.update(schema=1), "schema 1, this library reads schema 2; delete the record"),
    (lambda b: b.pop("schema"), "schema None, this library reads schema 2"),
    (lambda b: b.pop("metrics"), "lacks metrics, has nothing too much; run it again"),
    (lambda b: b.update(verdict="match"), "lacks nothing, has verdict too much; run it again"),
    (lambda b: b.update(seed="0"), "stale record .*: seed wants an integer >= 0, got '0'"),
    (lambda b: b.update(seed=True), "seed wants an integer >= 0, got True"),
    (lambda b: b.update(seed=1), "a-seed0.json: holds e/a seed 1; a record's name must say"),
    (lambda b: b.update(arm="b"), "holds e/b seed 0"),
    (lambda b: b.update(arm="../b"), "arm wants a plain word, got '../b'"),
    (lambda b: b.update(experiment="f"), "holds f/a seed 0"),
    (lambda b: b.update(experiment=None), "experiment wants a plain word, got None"),
    (lambda b: b.update(config=[]), r"config wants a table of names and values, got \[\]"),
    (lambda b: b["config"].update(gone=1), "unknown configuration key 'gone'"),
    (lambda b: b["config"].update(lr="fast"), "'lr' wants float, got 'fast'"),
    (lambda b: b.update(metrics=3), "metrics wants a table of names and values, got 3"),
    (metrics(top1_error=25), r"top1_error wants a fraction in \[0, 1\], got 25"),
    (metrics(top1_error=None), "top1_error wants a fraction"),
    (metrics(top1_error=True), "top1_error wants a fraction"),
    (metrics(top1_error="0.2"), "top1_error wants a fraction"),
    (metrics(loss=None), "loss wants a finite number, got None"),  # it did not diverge
    (metrics(loss=[1]), r"loss wants a finite number, got \[1\]"),
    (metrics(diverged="no"), "diverged wants true or false, got 'no'"),
    (metrics(test_images=1.5), "test_images wants an integer >= 0, got 1.5"),
    (metrics(epochs=-1), "epochs wants an integer >= 0, got -1"),
    (lambda b: b["metrics"].pop("diverged"), "metrics lack 'diverged'"),
    (lambda b: b["metrics"].pop("test_images"), "metrics lack 'test_images'"),
    (lambda b: b.update(provenance={}), "provenance wants git with commit and dirty, got None"),
    (lambda b: b.update(provenance=None), "provenance wants a table of names and values"),
    (provenance(git={"commit": "7c94462", "dirty": False}), "a commit of 40 hexadecimal digits"),
    (provenance(git={"commit": HEX, "dirty": "no"}), "dirty true or false, got 'no'"),
    (provenance(start_utc="yesterday"), "start_utc, a time with its zone, got 'yesterday'"),
    (provenance(start_utc="2026-01-02T03:04:05"), "start_utc, a time with its zone"),
    (provenance(start_utc=7), "start_utc, a time with its zone, got 7"),
    (provenance(versions={}), "provenance wants versions, names and texts, got {}"),
    (provenance(data_sha256={"train": None}), "provenance wants data_sha256, names and texts"),
    (provenance(data_sha256="0"), "provenance wants data_sha256, names and texts, got '0'"),
]


@pytest.mark.parametrize(("change", "text"), WRONG)
def test_a_wrong_json_is_refused(make_record, tmp_path, edit_json, change, text):
    path = make_record("e", "a", 0, top1_error=0.2).save(tmp_path)
    edit_json(path, change)  # with the right sum: what the library itself cannot have written
    with pytest.raises(RecordError, match=text) as caught:
        RunRecord.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "column"),
    [
        ("1,train", "one,train", "epoch"),
        ("10,1,train", "-10,1,train", "step"),
        ("0.45,", "1.45,", "top5_error"),
        ("2.0,", ",", "loss"),
        ("0.01\n", "inf\n", "lr"),
        ("train", "", "split"),
    ],
)
def test_a_wrong_curve_is_refused(make_record, tmp_path, edit_json, old, new, column):
    path = make_record("e", "a", 0, errors=(0.9, 0.5)).save(tmp_path)
    csv = path.with_suffix(".csv")
    csv.write_text(csv.read_text().replace(old, new, 1))
    total = hashlib.sha256(csv.read_bytes()).hexdigest()
    edit_json(path, lambda body: body.update(curve_sha256=total))
    with pytest.raises(RecordError, match=f"a-seed0.json: the column {column} of its curve holds"):
        RunRecord.load(path)


def test_a_diverged_run_may_lack_its_losses(make_record, tmp_path):
    curve = make_record().curve.assign(loss=math.nan)
    record = make_record("e", "a", 0, diverged=True, loss=None, train_loss=None)
    path = dataclasses.replace(record, curve=curve).save(tmp_path)
    assert RunRecord.load(path).curve["loss"].isna().all()
    with pytest.raises(RecordError, match="record e/a: loss wants a finite number, got None"):
        make_record("e", "a", 1, loss=None).save(tmp_path)


NOT_JSON = {
    "nothing": b"",
    "a part": b"{",
    "a list": b"[1]",
    "a number": b"7",
    "nested": b"[" * 100_000,
    "nested objects": b'{"a":' * 100_000,
    "NaN": b'{"schema": NaN}',
    "infinite": b'{"schema": 2, "metrics": {"loss": 1e999}}',
    "a huge integer": b'{"schema": ' + b"9" * 400 + b"}",
    "a huger integer": b'{"schema": ' + b"9" * 5000 + b"}",
    "a name twice": b'{"schema": 2, "schema": 2}',
    "no UTF-8": b'{"arm": "\xff"}',
    "five megabytes": b" " * 5_000_000,
}


@pytest.mark.parametrize("content", NOT_JSON.values(), ids=NOT_JSON)
def test_what_is_no_record_is_refused(make_record, tmp_path, content):
    path = make_record("e", "a", 0).save(tmp_path)
    path.write_bytes(content)
    with pytest.raises(RecordError, match=f"^{re.escape(str(path))}: not a readable record"):
        RunRecord.load(path)
    path.unlink()
    with pytest.raises(RecordError, match=r"not a readable record .*No such file"):
        RunRecord.load(path)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"seed": 1.0}, r"record e/a: seed wants an integer >= 0, got 1\.0"),
        ({"arm": "../a"}, r"record e/\.\./a: arm wants a plain word"),
        ({"seed": -1}, "seed wants an integer >= 0, got -1"),
        ({"metrics": {"top1_error": 1.5}}, "metrics lack 'diverged'"),
        ({"provenance": {"git": None}}, "provenance wants git with commit and dirty"),
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

    monkeypatch.setattr(origin, "PACKAGE", tmp_path / "package")
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
    monkeypatch.setattr(origin, "PACKAGE", tmp_path / "package")
    assert records.git_state() == {"commit": None, "dirty": None}


def test_a_wrong_metric_is_not_saved(make_record, tmp_path):
    with pytest.raises(RecordError, match=r"top1_error wants a fraction in \[0, 1\], got 1\.5"):
        make_record("e", "a", 0, top1_error=1.5).save(tmp_path)
    with pytest.raises(RecordError, match="ten_crop_top5_error wants a fraction"):
        make_record("e", "a", 0, ten_crop_top5_error=math.nan).save(tmp_path)
    assert not list(tmp_path.rglob("*.*"))


@pytest.fixture
def package(tmp_path):
    """A folder with a file in a folder, as the package will have them."""
    folder = tmp_path / "package"
    (folder / "study").mkdir(parents=True)
    (folder / "a.py").write_text("1")
    (folder / "study" / "b.py").write_text("2")
    return folder


CHANGES = {
    "a content": lambda f: (f / "a.py").write_text("3"),
    "a content in a folder": lambda f: (f / "study" / "b.py").write_text("3"),
    "a name": lambda f: (f / "a.py").rename(f / "c.py"),
    "a place": lambda f: (f / "study" / "b.py").rename(f / "b.py"),
    "a new file": lambda f: (f / "study" / "new.py").write_text(""),
    "a new file that is no Python": lambda f: (f / "study" / "c.cpp").write_text(""),
    "a file less": lambda f: (f / "study" / "b.py").unlink(),
    "name and content": lambda f: (f / "a.py").rename(f / "a.py1").write_text(""),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_the_digest_of_the_code_changes_with(package, change):
    before = origin.folder_digest(package)
    change(package)
    assert origin.folder_digest(package) != before


def test_the_digest_of_the_code_does_not_change_with_what_python_leaves(package):
    before = origin.folder_digest(package)
    assert re.fullmatch("[0-9a-f]{64}", before)
    for folder in (package / "__pycache__", package / "study" / "__pycache__"):
        folder.mkdir()
        (folder / "a.cpython-311.pyc").write_bytes(b"compiled")
    (package / ".a.py.swp").write_text("an editor's")
    assert origin.folder_digest(package) == before


def test_the_digest_of_a_process_is_that_of_the_code_which_it_began_with(package, monkeypatch):
    monkeypatch.setattr(origin, "PACKAGE", package)
    before = records.code_digest()
    (package / "a.py").write_text("edited while this runs")
    assert records.code_digest() == before != origin.folder_digest(package)


def test_provenance_names_machine_versions_and_command(monkeypatch):
    monkeypatch.setattr("sys.argv", ["/somewhere/alexnet-repro", "run", "x", "--arm", "a"])
    found = records.provenance("cpu", 1)
    assert found["code_sha256"] == origin.folder_digest(origin.PACKAGE)
    assert found["command"] == "alexnet-repro run x --arm a"
    assert (found["device"], found["threads"]) == ("cpu", 1)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", found["start_utc"])
    assert set(found["versions"]) >= {"python", "numpy"}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_peak_memory_is_in_bytes():
    line = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert records.peak_memory_bytes() == pytest.approx(1024 * int(line[1]), rel=0.1)
