"""Helpers that several test files share."""

import dataclasses
import functools
import json
import os
import subprocess
import sys
import types

import pandas as pd
import pytest

from alexnet_repro import native
from alexnet_repro.config import RunConfig
from alexnet_repro.data import sets
from alexnet_repro.study import RunRecord, experiments
from alexnet_repro.study.records import CURVE, code_digest, content_sum


def provenance():
    """Where a record says that it comes from: this code, and no machine in particular."""
    return {
        "git": {"commit": "0123456789" * 4, "dirty": False},
        "code_sha256": code_digest(),
        "start_utc": "2026-11-24T20:00:00+00:00",
        "wall_seconds": 36.0,
        "cpu": "A Processor",
        "versions": {"python": "3.11.7", "torch": "2.14.1"},
        "data_sha256": dict(sets.KNOWN["cifar10-jpeg"].sha256),
    }


@pytest.fixture
def make_record():
    """A function that makes a record: a training error for each epoch, metrics by keyword."""

    def make(experiment="toy", arm="a", seed=0, *, errors=(0.9, 0.5), config=None, **metrics):
        config = config or RunConfig(data="cifar10-jpeg", epochs=20)
        rows = [(10 * i, i, "train", 2.0, e, e / 2, 0.01) for i, e in enumerate(errors)]
        rows.append((*rows[-1][:2], "test", 2.0, 0.1, 0.0, 0.0))  # never a training error
        counts = {"epochs": len(errors) - 1, "train_images": 50_000, "test_images": 10_000}
        scores = {"train_top1_error": errors[-1], "top1_error": 0.1}
        metrics = {"diverged": False, **scores, **counts, **metrics}
        curve = pd.DataFrame(rows, columns=CURVE)
        return RunRecord(experiment, arm, seed, config.to_dict(), metrics, provenance(), curve)

    return make


@pytest.fixture
def pooling_records(make_record):
    """The six records of s34-pooling, with errors from which effects are easy by hand."""
    pooling = experiments.get("s34-pooling")
    found = []
    for arm in pooling.arms:
        for seed in (0, 1, 2):
            more = 0 if arm == "overlap" else 0.003 + seed / 1000  # by 3, 4 and 5 thousandths
            record = make_record(
                pooling.name, arm, seed, config=pooling.config(arm), errors=[0.100],
                top1_error=0.300 + seed / 100 + more, top5_error=0.050,
                ten_crop_top1_error=0.290 + seed / 100, ten_crop_top5_error=0.045,
            )  # fmt: skip
            found.append(record)
    return found


@pytest.fixture
def pooling(tmp_path, monkeypatch, pooling_records):
    """s34-pooling with six records in tmp_path, which is where "load" looks for them."""
    for record in pooling_records:
        record.save(tmp_path)
    load_run = functools.partial(experiments.load_run, root=tmp_path)
    monkeypatch.setattr(experiments, "load_run", load_run)
    return experiments.get("s34-pooling")


@pytest.fixture
def trained(monkeypatch, make_record):
    """A training function that trains nothing; the list of what it was called with."""
    calls = []

    def train(config, seed, *, checkpoint, data_root, quiet):
        calls.append((config, seed))
        made = make_record()
        found = {**made.provenance, "data_sha256": {"train": "0"}}
        curve = made.curve.to_dict("records")
        return types.SimpleNamespace(metrics=made.metrics, curve=curve, provenance=found)

    monkeypatch.setitem(
        sys.modules, "alexnet_repro.training.loop", types.SimpleNamespace(train=train)
    )
    return calls


@pytest.fixture
def prepare(tmp_path):
    """A function that prepares the set "made" from files in a folder, zip or tar.xz."""
    from image_files import write

    from alexnet_repro import data

    def run(files, kind="zip", **options):
        made = tmp_path / "out" / "made"
        source = write(tmp_path / f"source.{kind}", files, kind)
        assert data.prepare(source, made, **options) == made
        splits = json.loads((made / "meta.json").read_text())["splits"]
        return {split: data.load("made", split, made.parent) for split in splits}

    return run


@pytest.fixture
def edit_json():
    """A function that changes a JSON file in place through a function of its content.

    A record's sum is made anew, for what the library says of a whole record with such content.
    """

    def edit(path, change):
        body = json.loads(path.read_text())
        change(body)
        if "record_sha256" in body:
            body["record_sha256"] = content_sum(body)
        path.write_text(json.dumps(body))

    return edit


@pytest.fixture(scope="session")
def compiler(tmp_path_factory):
    """Skips what needs a C++ compiler where there is none that takes native.FLAGS.

    Asked with a program of its own: a kernel that does not compile is red, not skipped.
    """
    source = tmp_path_factory.mktemp("compiler") / "empty.cpp"
    source.write_text("#include <cmath>\n#include <omp.h>\nint none() { return 0; }\n")
    name = os.environ.get("CXX", "g++")
    command = [name, *native.FLAGS, str(source), "-o", str(source.with_suffix(".so"))]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"needs a C++ compiler with OpenMP ({error})")
    return name


@pytest.fixture
def path(request):
    """A path of the norms (indirect); skips those that are compiled where nothing compiles."""
    if request.param in ("native", "compiled"):
        request.getfixturevalue("compiler")
    return request.param


@pytest.fixture(scope="session")
def imported_by():
    """A function that runs code in a fresh interpreter and returns what it has imported then."""

    def run(code):
        command = [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"]
        return set(subprocess.check_output(command, text=True).split())

    return run


@pytest.fixture
def few_images(monkeypatch):
    """The embedded set cut to 200 training and 50 test images."""
    from alexnet_repro.data import embedded

    full = {split: embedded.generate(split) for split in ("train", "test")}
    counts = {"train": 200, "test": 50}

    def generate(split):
        whole, n = full[split], counts[split]
        return dataclasses.replace(whole, images=whole.images[:n], labels=whole.labels[:n])

    monkeypatch.setattr(embedded, "generate", generate)
