"""Records of other code: not given out as this code's, and nothing of them is lost."""

import logging

import pytest

from alexnet_repro import origin, study
from alexnet_repro.study import experiments, records, run_or_load
from alexnet_repro.study.records import RecordError

NAME = "s34-pooling"


@pytest.fixture
def record(trained, tmp_path):
    """One record in the scratch folder, as a short training leaves it."""
    run_or_load(NAME, "train", seeds=[0], arms=["overlap"], out_dir=tmp_path, epochs=2)
    trained.clear()
    return records.record_path(NAME, "overlap", 0, tmp_path / "train")


def again(folder):
    return run_or_load(NAME, "train", seeds=[0], arms=["overlap"], out_dir=folder, epochs=2)


def test_a_record_of_this_code_is_given_out(record, trained, tmp_path):
    found = again(tmp_path)[0]
    assert found.provenance["code_sha256"] == origin.folder_digest(origin.PACKAGE)
    assert trained == []


@pytest.mark.parametrize("code", ["0" * 64, None])
def test_a_record_of_other_code_is_refused_and_stays(record, trained, tmp_path, edit_json, code):
    def other(body):
        body["provenance"]["code_sha256"] = code
        if code is None:  # older than the sum
            body["provenance"].pop("code_sha256")

    edit_json(record, other)
    before = record.read_bytes()
    text = (
        r"overlap-seed0.json was trained under other code \(012345678\); "
        r"delete it to train again, or check that code out"
    )
    with pytest.raises(RecordError, match=text):
        again(tmp_path)
    assert record.read_bytes() == before
    assert trained == []
    record.unlink()
    again(tmp_path)
    assert len(trained) == 1


def test_the_command_line_leaves_it_and_says_so(record, trained, edit_json, caplog, tmp_path):
    edit_json(record, lambda body: body["provenance"].update(code_sha256="0" * 64))
    experiment = experiments.get(NAME)
    config = experiment.config("overlap").replace(epochs=2)
    with caplog.at_level(logging.WARNING):
        found = experiments.compute(experiment, "overlap", 0, config, tmp_path / "train")
    assert found.provenance["code_sha256"] == "0" * 64
    assert trained == []
    assert [r.getMessage() for r in caplog.records] == [
        f"{record} was trained under other code (012345678); it stays as it is"
    ]


def test_provenance_and_curve_are_those_of_the_training(few_images, tmp_path):
    found = run_or_load(NAME, "smoke", arms=["overlap"], epochs=1, out_dir=tmp_path, quiet=True)[0]
    saved = list(tmp_path.rglob("overlap-seed0.json"))
    assert len(saved) == 1
    assert study.RunRecord.load(saved[0]).provenance == found.provenance
    told = {"git", "code_sha256", "start_utc", "versions", "data_sha256", "wall_seconds", "paths"}
    assert told <= set(found.provenance)
    assert found.provenance["resumed"] == []
    assert not list(tmp_path.rglob("*.pt"))  # the checkpoint of a finished run goes
