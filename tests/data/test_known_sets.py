"""§2 The sets that the study names are whole, whoever brings them; the split that is scored."""

import json
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from image_files import coded, solid, write

from alexnet_repro import cli, data, training
from alexnet_repro.config import RunConfig
from alexnet_repro.data import prepared, sets, sources
from alexnet_repro.errors import InputError

KNOWN = {
    "toy": sets.KnownSet(3, {"train": 12, "test": 6}),
    "summed": sets.KnownSet(3, {"train": 12, "test": 6}, {"train": "?", "test": "?"}),
    "larger": sets.KnownSet(4, {"train": 13, "test": 6}),
}


# as their sources have them: images of each split, classes
COUNTS = {
    "cifar10-jpeg": ({"train": 50_000, "test": 10_000}, 10),
    "cifar10": ({"train": 50_000, "test": 10_000}, 10),
    "cifar10-matched": ({"train": 20_000, "val": 10_000, "test": 30_000}, 10),
    "tiny-20": ({"train": 8_000, "test": 3_000}, 20),
    "tiny-imagenet-100": ({"train": 50_000, "val": 5_000}, 100),
    "tiny-imagenet-200": ({"train": 100_000, "val": 10_000}, 200),
    "ilsvrc-2010": ({"train": 1_261_406, "val": 50_000, "test": 150_000}, 1000),
    "ilsvrc-2012": ({"train": 1_281_167, "val": 50_000}, 1000),
}


def test_the_sets_of_the_study_typed_again():
    assert {n: (known.images, known.classes) for n, known in sets.KNOWN.items()} == COUNTS


@pytest.fixture
def archive(tmp_path, monkeypatch):
    source = write(tmp_path / "source.zip", coded(), "zip")
    data.prepare(source, tmp_path / "out" / "nobodys")
    meta = json.loads((tmp_path / "out" / "nobodys" / "meta.json").read_text())
    sums = {split: entry["sha256"] for split, entry in meta["splits"].items()}
    right = sets.KnownSet(3, {"train": 12, "test": 6}, sums)
    monkeypatch.setattr(sets, "KNOWN", {**KNOWN, "right": right})
    return source


@pytest.mark.parametrize("name", ["toy", "right", "mine"])
def test_a_whole_set_is_taken(archive, tmp_path, name):
    data.prepare(archive, tmp_path / "out" / name)
    assert len(data.load(name, "test", tmp_path / "out")) == 6


@pytest.mark.parametrize(
    ("name", "files", "text"),
    [
        ("larger", {}, r"whole larger: classes: 4 wanted, got 3; images: \{'train': 13, 'test': 6"),
        ("summed", {}, r"whole summed: sha256 of train: \? wanted, got \w{64}; sha256 of test: "),
        ("right", {"train/ant/0.png": solid(0, 0, 1)}, r"sha256 of train: \w{64} wanted, got"),
        ("toy", {"train/ant/9.png": solid(0, 9, 0)}, r"images: .*12.* wanted, got .*13"),
        ("toy", {f"val/{c}/0.png": solid(0, 0, 0) for c in ("ant", "bee", "cat")},
         "images: .* wanted, got .*'val': 3"),
    ],
)  # fmt: skip
def test_a_set_that_is_not_whole_is_refused_and_loses_nothing(archive, tmp_path, name, files, text):
    other = write(tmp_path / "other.zip", {**coded(), **files}, "zip")
    with pytest.raises(InputError, match=f"this is not the .*{text}.*; give the whole source, or"):
        data.prepare(other, tmp_path / "out" / name)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["nobodys"]
    if name in ("right", "toy"):  # nor does --force
        data.prepare(archive, tmp_path / "out" / name)
        with pytest.raises(InputError, match="this is not the whole"):
            data.prepare(other, tmp_path / "out" / name, force=True)
        assert len(data.load(name, "train", tmp_path / "out")) == 12


def test_skipped_files_are_missing_from_a_known_set(archive, tmp_path):
    other = write(tmp_path / "other.zip", {**coded(), "train/ant/0.png": b"bad"}, "zip")
    with pytest.raises(InputError, match=r"whole toy: images: .*12.* wanted, got .*11"):
        data.prepare(other, tmp_path / "out" / "toy", skip_bad=True)


@pytest.mark.parametrize(
    ("splits", "wanted"),
    [(["train", "test"], "test"), (["train", "val"], "val"), (["train", "val", "test"], "test")],
)
def test_the_scored_split(tmp_path, splits, wanted):
    files = {f"{s}/{c}/{i}.png": solid(i, 0, 0) for s in splits for c in "ab" for i in range(2)}
    data.prepare(write(tmp_path / "in.zip", files, "zip"), tmp_path / "out" / "made")
    assert prepared.scored_split("made", tmp_path / "out") == wanted


def test_a_set_without_a_scored_split(tmp_path):
    source = write(tmp_path / "in.zip", {"a/1.png": solid(1, 1, 1)}, "zip")
    data.prepare(source, tmp_path / "out" / "made")
    with pytest.raises(InputError, match="'made' has no split test or val; it has train"):
        prepared.scored_split("made", tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="no prepared data set 'other'"):
        prepared.scored_split("other", tmp_path / "out")
    assert prepared.scored_split("embedded") == "test"


@pytest.mark.parametrize("split", ["val", "test"])
def test_training_scores_that_split_and_names_it(tmp_path, split):
    files = {
        f"{s}/{c}/{i}.png": solid(80 * k, 40 * i, 0)
        for s, n in (("train", 4), (split, 3))
        for k, c in enumerate("ab")
        for i in range(n)
    }
    data.prepare(write(tmp_path / "in.zip", files, "zip"), tmp_path / "out" / "made")
    config = RunConfig(data="made", net="18pct-plain", init="modern", batch=8, epochs=1)
    result = training.train(config, 0, data_root=tmp_path / "out", quiet=True)
    assert result.metrics["test_images"] == 6
    made = {s: data.load("made", s, tmp_path / "out").sha256 for s in ("train", split)}
    assert result.data_sha256 == made


def cifar10(monkeypatch, fails=None):
    """A stand-in for torchvision and its CIFAR10; the calls that it got."""
    calls = []

    class CIFAR10:
        classes = ("cat", "dog")

        def __init__(self, root, *, train, download):
            calls.append((root, train, download))
            if fails:
                raise fails
            n = 8 if train else 4  # image i: red i, green its row, blue its column
            red, row, column = np.meshgrid(range(n), range(32), range(32), indexing="ij")
            self.data = np.stack([red + 100 * (not train), row, column], 3).astype(np.uint8)
            self.targets = [i % 2 for i in range(n)]

    datasets = ModuleType("torchvision.datasets")
    datasets.CIFAR10 = CIFAR10
    monkeypatch.setitem(sys.modules, "torchvision", SimpleNamespace(datasets=datasets))
    monkeypatch.setitem(sys.modules, "torchvision.datasets", datasets)
    return calls


def test_cifar10_by_torchvision(tmp_path, monkeypatch, capsys):
    calls = cifar10(monkeypatch)
    monkeypatch.setattr(sets, "KNOWN", {"cifar10": sets.KnownSet(2, {"train": 8, "test": 4})})
    assert cli.main(["data", "cifar10", "--root", str(tmp_path)]) == 0
    assert f"{tmp_path}/cifar10: " in capsys.readouterr().out
    assert calls == [(str(tmp_path / "downloads"), t, True) for t in (True, False)]
    for split, n, first in (("train", 8, 0), ("test", 4, 100)):
        found = data.load("cifar10", split, tmp_path)
        assert found.images.shape == (n, 3, 32, 32)
        assert found.classes == ("cat", "dog")
        red = found.images[:, 0, 0, 0] - first
        assert sorted(red.tolist()) == list(range(n))
        assert red.tolist() != list(range(n))  # shuffled, with their labels
        assert found.labels.tolist() == (red % 2).tolist()
        assert (found.images[:, 1] == np.arange(32)[:, None]).all()  # rows are rows
        assert (found.images[:, 2] == np.arange(32)).all()
    assert (
        json.loads((tmp_path / "cifar10/meta.json").read_text())["source"] == "torchvision CIFAR10"
    )
    with pytest.raises(FileExistsError, match="cifar10 exists already; add --force"):
        sources.from_torchvision(tmp_path / "cifar10", tmp_path / "downloads")
    sources.from_torchvision(tmp_path / "cifar10", tmp_path / "downloads", force=True)
    assert [p.name for p in tmp_path.iterdir()] == ["cifar10"]


def test_part_of_cifar10_by_torchvision_is_refused(tmp_path, monkeypatch):
    cifar10(monkeypatch)  # 8 images
    with pytest.raises(InputError, match="this is not the whole cifar10: classes: 10 wanted"):
        sources.from_torchvision(tmp_path / "cifar10", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_download_that_fails_is_one_line(tmp_path, monkeypatch, capsys):
    cifar10(monkeypatch, fails=RuntimeError("no network\nat all"))
    assert cli.main(["data", "cifar10", "--root", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert "torchvision could not download CIFAR-10 ('no network\\nat all'); give an" in error
    assert len(error.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_without_torchvision_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.delitem(sys.modules, "torchvision.datasets", raising=False)
    assert cli.main(["data", "cifar10", "--root", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "the download of CIFAR-10 needs torchvision" in error
    assert "pip install 'alexnet-repro[train]', or give an archive of images with --source" in error
    assert len(error.splitlines()) == 1
    assert not list(tmp_path.iterdir())
