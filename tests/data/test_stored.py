"""§2 A prepared set is what it says: every file is compared on opening, and named when wrong."""

import io
import json
import os
import pickle
import time
import zipfile

import numpy as np
import pytest

from alexnet_repro import data
from alexnet_repro.data import prepared, stored
from alexnet_repro.errors import InputError


@pytest.fixture
def made(tmp_path):
    """A prepared set of twelve training and six test images of 3 x 4 x 4 pixels; its folder."""
    folder = tmp_path / "writing"
    folder.mkdir()
    for split, n in (("train", 12), ("test", 6)):
        images = np.random.default_rng(n).integers(0, 256, (n, 3, 4, 4), dtype=np.uint8)
        np.save(folder / f"{split}-images.npy", images)
        np.save(folder / f"{split}-labels.npy", np.arange(n) % 3)
    prepared.finish(folder, tmp_path / "made", ["ant", "bee", "cat"], "by hand", [])
    return tmp_path / "made"


def load(folder, split="train"):
    return data.load("made", split, folder.parent)


def refused(folder, file, text, split="train"):
    """Loading fails in one line that names the file, says `text` and what to do."""
    with pytest.raises(InputError) as caught:
        load(folder, split)
    message = str(caught.value)
    assert message.startswith(str(folder / file))
    assert text in message
    assert message.endswith("; prepare it again with `alexnet-repro data made --force`")
    assert len(message.splitlines()) == 1
    return message


@pytest.mark.parametrize("split", ["train", "test"])
def test_one_changed_pixel_is_found(made, split):
    load(made, split)
    images = np.load(made / f"{split}-images.npy", mmap_mode="r+")
    images[3, 1, 2, 2] ^= 1
    images.flush()
    refused(made, f"{split}-images.npy", "sha256 of images and labels is ", split)


def test_zeroed_images_are_found(made):
    np.save(made / "train-images.npy", np.zeros((12, 3, 4, 4), np.uint8))
    refused(made, "train-images.npy", "sha256 of images and labels is ")


def test_swapped_labels_are_found(made):
    labels = np.load(made / "train-labels.npy")
    np.save(made / "train-labels.npy", labels[::-1])
    refused(made, "train-images.npy", "sha256 of images and labels is ")


def test_a_changed_mean_is_found(made):
    for split in ("train", "test"):  # both are centred with it
        load(made, split)
    mean = np.load(made / "mean.npy")
    mean[0, 0, 0] = np.nextafter(mean[0, 0, 0], np.float32(256))
    np.save(made / "mean.npy", mean)
    for split in ("train", "test"):
        refused(made, "mean.npy", "not the mean of train-images.npy", split)


@pytest.mark.parametrize("std", [73.0, 0, float("nan"), float("inf")])
def test_a_changed_deviation_is_found(made, edit_json, std):
    edit_json(made / "meta.json", lambda meta: meta.update(std=std))
    images = np.load(made / "train-images.npy")
    right = (images - images.mean(0)).std()
    refused(made, "meta.json", f"std is {std}, that of train-images.npy {right:.8}"[:-1])


def test_a_changed_sum_is_found(made, edit_json):
    edit_json(made / "meta.json", lambda meta: meta["splits"]["test"].update(sha256="0" * 64))
    assert len(load(made)) == 12
    refused(made, "test-images.npy", f"meta.json has {'0' * 64}", "test")


def test_a_set_of_another_split_is_found(made, edit_json):
    """Test images in the place of training images, with their own sum: the mean is another."""
    for part in ("images", "labels"):
        (made / f"test-{part}.npy").replace(made / f"train-{part}.npy")
    edit_json(made / "meta.json", lambda meta: meta["splits"].update(train=meta["splits"]["test"]))
    refused(made, "mean.npy", "not the mean of train-images.npy")


def test_files_are_read_once_a_process_while_they_stay_the_same(made, monkeypatch):
    calls = []
    for name in ("array_sha256", "mean_and_std"):
        real = getattr(stored, name)
        monkeypatch.setattr(stored, name, lambda *a, f=real, n=name: calls.append(n) or f(*a))
    monkeypatch.setattr(stored, "SETTLED", -60.0)  # the files count as old
    load(made)
    load(made)
    assert calls == ["array_sha256", "mean_and_std"]
    load(made, "test")
    assert calls == ["array_sha256", "mean_and_std", "array_sha256"]
    images = np.load(made / "train-images.npy")
    stamp = os.stat(made / "train-images.npy").st_mtime_ns
    time.sleep(0.05)  # a tick
    np.save(made / "train-images.npy", images ^ 1)
    os.utime(made / "train-images.npy", ns=(stamp, stamp))  # the same size and time
    refused(made, "train-images.npy", "sha256 of images and labels is ")


def test_what_has_just_been_written_is_compared_again(made, monkeypatch):
    """Two writes within one tick of the file system's clock leave the same stamp."""
    assert stored.SETTLED >= 1  # second; FAT counts two
    monkeypatch.setattr(stored, "SETTLED", 600.0)  # however slow this machine is
    load(made)
    assert not [key for key in stored._verified if str(made) in key]


class Trap:
    """An object whose unpickling would leave a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def npy(array, **header):
    """An .npy file's bytes, its head changed."""
    file = io.BytesIO()
    head = np.lib.format.header_data_from_array_1_0(array) | header
    np.lib.format.write_array_header_1_0(file, head)
    return file.getvalue() + array.tobytes()


def zipped(array):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.npy", npy(array))
    return file.getvalue()


LABELS, IMAGES = np.arange(12) % 3, np.zeros((12, 3, 4, 4), np.uint8)
ARRAYS = [
    ("train-images.npy", None, "is missing"),
    ("train-labels.npy", None, "is missing"),
    ("mean.npy", None, "is missing"),
    ("train-images.npy", b"", "no readable array"),
    ("train-images.npy", npy(IMAGES)[:60], "no readable array"),
    ("train-images.npy", npy(IMAGES)[:-1], "no readable array"),
    ("train-labels.npy", npy(LABELS)[:-8], "no readable array"),
    ("train-labels.npy", b"0 1 2\n" * 12, "no readable array"),
    ("train-labels.npy", zipped(LABELS), "no readable array"),
    ("train-labels.npy", npy(LABELS, shape=(2**45,)), "no readable array"),  # terabytes
    ("train-labels.npy", npy(LABELS).replace(b"(12,)", b"(12,("), "no readable array"),
    ("train-images.npy", npy(IMAGES.astype(np.float32)), "wanted 12 x 3 x ? x ? uint8 in C order, "
     "got 12 x 3 x 4 x 4 float32"),
    ("train-images.npy", npy(IMAGES[:11]), "wanted 12 x 3 x ? x ? uint8 in C order, got 11 x 3"),
    ("train-images.npy", npy(IMAGES.reshape(12, 48)), "got 12 x 48 uint8"),
    ("train-images.npy", npy(IMAGES.reshape(12, 4, 4, 3)), "got 12 x 4 x 4 x 3 uint8"),
    ("train-images.npy", npy(IMAGES, fortran_order=True), "in C order"),
    ("train-labels.npy", npy(LABELS.astype(np.int32)), "wanted 12 int64 in C order, got 12 int32"),
    ("train-labels.npy", npy(LABELS.astype(">i8")), "wanted 12 int64 in C order, got 12 >i8"),
    ("train-labels.npy", npy(LABELS[:11]), "wanted 12 int64 in C order, got 11 int64"),
    ("train-labels.npy", npy(LABELS.reshape(12, 1)), "got 12 x 1 int64"),
    ("train-labels.npy", npy(LABELS + 1), "labels 1 to 3 of 3 classes"),
    ("train-labels.npy", npy(LABELS - 1), "labels -1 to 1 of 3 classes"),
    ("mean.npy", npy(np.zeros((3, 4, 4))), "wanted 3 x 4 x 4 float32 in C order, got 3 x 4 x 4 f"),
    ("mean.npy", npy(np.zeros((4, 4), np.float32)), "got 4 x 4 float32"),
    ("mean.npy", npy(np.full((3, 4, 4), np.nan, np.float32)), "not the mean"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "content", "text"), ARRAYS, ids=range(len(ARRAYS)))
def test_a_wrong_array_is_named(made, file, content, text):
    load(made)
    (made / file).unlink()
    if content is not None:
        (made / file).write_bytes(content)
    refused(made, file, text)


@pytest.mark.parametrize("file", ["train-images.npy", "train-labels.npy", "mean.npy"])
def test_a_pickle_is_never_opened(made, file):
    trap = Trap(made.parent / "sprung")
    for content in (pickle.dumps(trap), npy(np.zeros(12), descr="|O")):
        (made / file).write_bytes(content)
        refused(made, file, "no readable array")
    np.save(made / file, np.array([trap], object), allow_pickle=True)
    refused(made, file, "no readable array")
    assert not trap.path.exists()


def test_test_images_of_another_size_are_named(made, edit_json):
    images, labels = np.zeros((6, 3, 5, 5), np.uint8), np.arange(6) % 3
    np.save(made / "test-images.npy", images)
    digest = prepared.array_sha256(images, labels)
    edit_json(made / "meta.json", lambda meta: meta["splits"]["test"].update(sha256=digest))
    refused(made, "test-images.npy", "shape (6, 3, 5, 5), training images (12, 3, 4, 4)", "test")


META = [
    (b"", "no JSON"),
    (b'{"format": 1, ', "no JSON"),
    (b"\xff\xfe{}", "no JSON"),
    (b"[" * 100_000, "no JSON"),
    (b"[]", "no JSON object"),
    (b"1", "no JSON object"),
    (b"{}", "has format None, this library reads 1"),
    ({"classes": None}, '"classes" is not a list of names'),
    ({"classes": []}, '"classes" is not a list of names'),
    ({"classes": ["ant", "bee", 3]}, '"classes" is not a list of names'),
    ({"classes": "abc"}, '"classes" is not a list of names'),
    ({"classes": ["ant", "bee", "bee"]}, '"classes" has a name twice'),
    ({"std": None}, '"std" is not a number'),
    ({"std": "73"}, '"std" is not a number'),
    ({"std": True}, '"std" is not a number'),
    ({"splits": None}, '"splits" has no "train"'),
    ({"splits": {}}, '"splits" has no "train"'),
    ({"splits": ["train"]}, '"splits" has no "train"'),
    ({"splits": {"train": {}}}, 'split \'train\' has no "images" and "sha256"'),
    ({"splits": {"train": {"images": "12", "sha256": ""}}}, "split 'train' has no"),
    ({"splits": {"train": {"images": 12, "sha256": 5}}}, "split 'train' has no"),
]


@pytest.mark.parametrize(("change", "text"), META, ids=range(len(META)))
def test_a_wrong_meta_json_is_named(made, edit_json, change, text):
    if isinstance(change, bytes):
        (made / "meta.json").write_bytes(change)
    else:
        edit_json(made / "meta.json", lambda meta: meta.update(change))
    for split in ("train", "test"):
        refused(made, "meta.json", text, split)


@pytest.mark.parametrize("key", ["format", "classes", "std", "splits"])
def test_a_missing_key_of_meta_json_is_named(made, edit_json, key):
    edit_json(made / "meta.json", lambda meta: meta.pop(key))
    refused(made, "meta.json", key)


def test_a_set_with_another_name_for_a_split_cannot_leave_its_folder(made, edit_json):
    def rename(meta):
        meta["splits"]["../x"] = meta["splits"]["test"]

    edit_json(made / "meta.json", rename)
    refused(made, "meta.json", "split '../x' has no", "../x")


def test_the_files_that_meta_json_says_are_there(made):
    """The docstring of `data` names exactly the fields that are written."""
    meta = json.loads((made / "meta.json").read_text())
    assert set(meta) == {"format", "source", "classes", "std", "splits", "skipped"}
    assert {key for entry in meta["splits"].values() for key in entry} == {"images", "sha256"}
    text = " ".join(prepared.__doc__.split())
    assert (
        "meta.json (format, name of the source, class names, deviation of the centred training "
        "pixels, images and sha256 of each split, skipped files)" in text
    )
