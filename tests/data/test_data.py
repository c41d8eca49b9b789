"""§2 Prepared data sets and the embedded one."""

import hashlib
import json
import pickle

import numpy as np
import pytest

from alexnet_repro import data
from alexnet_repro.data import embedded, prepared


class Trap:
    """An object whose unpickling would leave a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.fixture
def tiny(tmp_path):
    """A prepared set of five training and two test images of 2 x 2 pixels; its folder."""
    folder = tmp_path / "writing"
    folder.mkdir()
    for split, n in (("train", 5), ("test", 2)):
        images = np.arange(n * 12, dtype=np.uint8).reshape(n, 3, 2, 2)
        np.save(folder / f"{split}-images.npy", images)
        np.save(folder / f"{split}-labels.npy", np.arange(n) % 2)
    prepared.finish(folder, tmp_path / "tiny", ["cat", "dog"], "by hand", ["bad.png: why"])
    assert not folder.exists()
    return tmp_path / "tiny"


def test_finish_and_load(tiny, tmp_path, monkeypatch):
    found = data.load("tiny", "train", tmp_path)
    assert (len(found), found.classes, found.split) == (5, ("cat", "dog"), "train")
    assert found.images.dtype == np.uint8
    assert found.labels.tolist() == [0, 1, 0, 1, 0]
    # pixel p of image i holds 12 i + p: mean 24 + p, squared deviations 24^2, 12^2, 0, 12^2, 24^2
    assert found.mean.values.ravel().tolist() == [24 + p for p in range(12)]
    assert found.std == pytest.approx((2 * (24**2 + 12**2) / 5) ** 0.5)
    test = data.load("tiny", "test", tmp_path)
    assert test.mean.values.tolist() == found.mean.values.tolist()  # of the training split
    assert test.sha256 != found.sha256
    assert json.loads((tiny / "meta.json").read_text())["skipped"] == ["bad.png: why"]
    monkeypatch.setenv("ALEXNET_DATA", str(tmp_path))
    assert data.load("tiny", "test").images.tolist() == test.images.tolist()


def test_load_errors_name_the_command(tiny, tmp_path):
    command = "`alexnet-repro data cifar10`"
    with pytest.raises(FileNotFoundError, match=f"no prepared .* 'cifar10' in .* with {command}"):
        data.load("cifar10", "train", tmp_path)
    with pytest.raises(ValueError, match="'tiny' has no split 'val'; it has test, train"):
        data.load("tiny", "val", tmp_path)
    meta = json.loads((tiny / "meta.json").read_text())
    (tiny / "meta.json").write_text(json.dumps(meta | {"format": 0}))
    command = "prepare it again with `alexnet-repro data tiny --force`"
    with pytest.raises(ValueError, match=f"has format 0, this library reads 1; {command}"):
        data.load("tiny", "train", tmp_path)


@pytest.mark.parametrize("name", ["train-images", "train-labels", "mean"])
def test_a_pickled_array_is_refused(tiny, tmp_path, name):
    trap = Trap(tmp_path / "sprung")
    np.save(tiny / f"{name}.npy", np.array([trap], object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"allow_pickle=False|Python objects in dtype"):
        data.load("tiny", "train", tmp_path)
    assert not trap.path.exists()
    pickle.loads(pickle.dumps(trap)).close()
    assert trap.path.exists()  # the trap works


def test_central_part_of_the_mean_image_by_hand():
    mean = data.MeanImage(np.arange(25, dtype=np.float32).reshape(1, 5, 5))
    assert mean.central(3).tolist() == [[[6, 7, 8], [11, 12, 13], [16, 17, 18]]]
    assert mean.central(1).tolist() == [[[12]]]
    assert mean.central(5).tolist() == mean.values.tolist()
    whole = data.MeanImage(np.arange(256 * 256).reshape(1, 256, 256))
    assert whole.central(224)[0, 0, 0] == 16 * 256 + 16  # §4.1: 16 pixels on each side
    for crop in (0, 6):
        with pytest.raises(ValueError, match=f"a {crop}-pixel crop does not fit the 5-pixel mean"):
            mean.central(crop)


def test_mean_and_std_against_numpy():
    images = np.random.default_rng(0).integers(0, 256, (17, 3, 4, 5), dtype=np.uint8)
    mean, std = prepared.mean_and_std(images, chunk=5)
    assert mean.dtype == np.float32
    np.testing.assert_allclose(mean, images.mean(0), rtol=1e-6)
    assert std == pytest.approx((images - images.mean(0)).std())
    white = np.full((600, 1, 1, 1), 255, np.uint8)  # sums that overflow uint8 and uint16
    assert prepared.mean_and_std(white)[0].item() == 255


def test_array_sha256():
    images = np.zeros((4, 1, 2, 2), np.uint8)
    found = prepared.array_sha256(images)
    assert found == hashlib.sha256(b"(4, 1, 2, 2)|u1" + bytes(16)).hexdigest()
    assert found == prepared.array_sha256(images, chunk=3)
    changed = images.copy()
    changed[3, 0, 1, 1] = 1
    others = [changed, images.reshape(4, 2, 2), images.view(np.int8)]
    assert len({found, *map(prepared.array_sha256, others)}) == 4
    assert prepared.array_sha256(images, changed) != prepared.array_sha256(changed, images)


def test_embedded_arrays_are_balanced_uint8_and_the_same_at_every_draw():
    for split, n in (("train", 2000), ("test", 500)):
        found = embedded.generate(split)
        assert found.images.shape == (n, 3, 32, 32)
        assert (found.images.dtype, found.labels.dtype) == (np.uint8, np.int64)
        assert np.bincount(found.labels).tolist() == [n // 10] * 10
        assert len(found.classes) == 10
        np.testing.assert_allclose(found.mean.values, embedded.generate("train").images.mean(0))
    images, labels = embedded._draw.__wrapped__("test")  # not from the cache
    assert np.array_equal(images, found.images)
    assert np.array_equal(labels, found.labels)
    assert prepared.array_sha256(images, labels) == found.sha256


def test_embedded_train_and_test_share_no_image():
    train, test = (embedded.generate(s).images for s in ("train", "test"))
    assert len({i.tobytes() for i in train} | {i.tobytes() for i in test}) == 2500


def test_embedded_by_name_and_its_splits():
    assert data.load("embedded", "test") is embedded.generate("test")
    with pytest.raises(ValueError, match="has no split 'val'; it has train, test"):
        data.load("embedded", "val")
