"""§2 From image files to prepared arrays: layouts, labels, rescaling, and what is refused."""

import json
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from image_files import CLASSES, coded, encode, noise, rescaled, solid, write

from alexnet_repro import data
from alexnet_repro.data import decoding
from alexnet_repro.errors import PackageError


@pytest.mark.parametrize("kind", ["folder", "zip", "tar.xz"])
@pytest.mark.parametrize("outer", ["", "./", "outer/", "test/"])
def test_labels_follow_their_files_after_the_shuffle(prepare, kind, outer):
    found = prepare({outer + name: content for name, content in coded().items()}, kind)
    for split, n, blue in (("train", 4, 0), ("test", 2, 255)):
        images, labels = found[split].images, found[split].labels
        assert images.shape == (3 * n, 3, 32, 32)
        assert found[split].classes == CLASSES
        assert images[:, 0].min((1, 2)).tolist() == (100 * labels).tolist()
        pairs = zip(labels.tolist(), images[:, 1, 0, 0].tolist(), strict=True)
        assert sorted(pairs) == [(c, i) for c in range(3) for i in range(n)]
        assert (images[:, 2] == blue).all()
    order = found["train"].labels.tolist()
    assert order != sorted(order)


def test_the_arrays_do_not_depend_on_how_the_files_are_stored(prepare):
    backwards = dict(reversed(coded().items()))
    stored = [(coded(), "folder"), (coded(), "zip"), (coded(), "tar.xz"), (backwards, "zip")]
    hashes = [prepare(*s, force=True)["train"].sha256 for s in stored]
    assert hashes[1:3] == hashes[:1] * 2
    assert hashes[3] == hashes[0]


TINY = {
    f"train/{name}/images/{name}_{i}.JPEG": solid(250 * c, 0, 0, 64, form="JPEG")
    for c, name in enumerate(("n2", "n1"))
    for i in range(2)
} | {
    "val/images/val_0.JPEG": solid(0, 0, 0, 64, form="JPEG"),
    "val/images/val_1.JPEG": solid(250, 0, 0, 64, form="JPEG"),
    "val/val_annotations.txt": b"val_0.JPEG\tn2\t0\t0\t9\t9\nval_1.JPEG\tn1\t0\t0\t9\t9\n",
    "wnids.txt": b"n2\nn3\nn1\n",
    "words.txt": b"n1\tdog\n",
}  # fmt: skip


@pytest.mark.parametrize("more", [{}, {"test/images/test_0.JPEG": noise(64, 64, form="JPEG")}])
def test_tiny_imagenet(prepare, more):
    found = prepare({f"tiny/{k}": v for k, v in (TINY | more).items()})  # test/ has no labels
    assert found["train"].classes == ("n2", "n1")  # in the order of wnids.txt
    assert {s: len(f) for s, f in found.items()} == {"train": 4, "val": 2}
    for split in found.values():
        bright = split.images[:, 0].mean((1, 2)) > 100
        assert bright.tolist() == split.labels.astype(bool).tolist()


@pytest.mark.parametrize(("stored", "side"), [(32, 32), (64, 64), (40, 256)])
def test_classes_alone_are_one_split_of_32_64_or_256_pixels(prepare, stored, side):
    files = {f"pets/{n}/1.png": solid(100 * c, 0, 0, stored) for c, n in enumerate(CLASSES)}
    [(split, found)] = prepare(files).items()
    assert (split, found.images.shape) == ("train", (3, 3, side, side))
    assert found.images[:, 0, 0, 0].tolist() == (100 * found.labels).tolist()
    assert prepare(files, side=8, force=True)["train"].images.shape == (3, 3, 8, 8)


@pytest.mark.parametrize(
    ("h", "w", "new_h", "new_w", "top", "left"),
    [  # side 8; the other side in proportion, rounded; half of what is over is cut, rounded down
        (16, 24, 8, 12, 0, 2), (24, 16, 12, 8, 2, 0), (13, 21, 8, 13, 0, 2), (21, 13, 13, 8, 2, 0),
        (8, 11, 8, 11, 0, 1), (11, 8, 11, 8, 1, 0), (5, 6, 8, 10, 0, 1), (19, 19, 8, 8, 0, 0),
    ],
)  # fmt: skip
def test_rescale_and_centre_crop_by_slow_loops(h, w, new_h, new_w, top, left):
    assert (new_h, new_w) == (round(h * 8 / min(h, w)), round(w * 8 / min(h, w)))
    # no overshoot is clipped, so that it does not matter which direction comes first
    pixels = np.random.default_rng(h).integers(64, 192, (h, w, 3))
    want = rescaled(pixels, new_h, new_w)[top : top + 8, left : left + 8]
    found = decoding.decode(encode(pixels), "x.png", 8)
    assert found.dtype == np.uint8
    assert np.abs(found - want.transpose(2, 0, 1)).max() < 2  # rounded after either direction


@pytest.mark.parametrize(("h", "w"), [(375, 500), (500, 375), (13, 21), (5, 6), (257, 256)])
def test_rescaled_pixels_are_those_of_torchvision(h, w):
    from torchvision.transforms.v2 import InterpolationMode, functional

    pixels = np.random.default_rng(h).integers(0, 256, (h, w, 3), dtype=np.uint8)
    size = [round(n * 64 / min(h, w)) for n in (h, w)]
    image = torch.from_numpy(pixels).permute(2, 0, 1)
    theirs = functional.resize(image, size, interpolation=InterpolationMode.BICUBIC)
    top, left = ((n - 64) // 2 for n in size)
    found = decoding.decode(encode(pixels), "x.png", 64)
    difference = found.astype(int) - theirs[:, top : top + 64, left : left + 64].numpy()
    vectors = "AVX" in torch.backends.cpu.get_cpu_capability()  # else torchvision rounds floats
    assert np.abs(difference).max() <= (0 if vectors else 1)


def test_without_torch_only_images_of_the_size_are_prepared(prepare, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    files = {f"train/{n}/1.png": solid(100 * c, 0, 0, 32) for c, n in enumerate(CLASSES)}
    assert prepare(files, side=32)["train"].images.shape == (3, 3, 32, 32)
    pixels = np.random.default_rng(0).integers(0, 256, (32, 41, 3), dtype=np.uint8)
    found = decoding.decode(encode(pixels), "x.png", 32)
    assert np.array_equal(found, pixels[:, 4:36].transpose(2, 0, 1))  # only cut
    for skip_bad in (False, True):  # not a file's fault: none is left out for it
        with pytest.raises(PackageError, match=r"32 x 32 .* to 8 x 8 by torch, .*repro\[train\]"):
            prepare(files, side=8, force=True, skip_bad=skip_bad)
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_a_large_jpeg_is_rescaled_like_its_pixels():
    y, x = np.mgrid[:144, :200]
    pixels = np.stack([x, y, 200 - x], 2)
    want = rescaled(pixels, 16, 22)[:, 3:19]
    found = decoding.decode(encode(pixels, "JPEG"), "x.jpg", 16)
    assert np.abs(found - want.transpose(2, 0, 1)).max() < 6


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK"])
def test_convert_makes_rgb_of_other_modes(mode):
    content = solid(102, 102, 102, mode=mode, form="JPEG" if mode == "CMYK" else "PNG")
    found = decoding.decode(content, "x.png", 32, convert=True)
    assert found.shape == (3, 32, 32)
    assert np.abs(found.astype(int) - 102).max() <= 2


BAD = {
    "garbage": (b"not an image", "not a JPEG or PNG file"),
    "empty": (b"", "not a JPEG or PNG file"),
    "truncated": (noise(32, 32, form="JPEG")[:-300], "truncated"),
    "cmyk": (noise(32, 32, form="JPEG", mode="CMYK"), "colour mode CMYK, wanted RGB"),
    "palette": (noise(32, 32, mode="P"), "colour mode P, wanted RGB"),
    "alpha": (noise(32, 32, mode="RGBA"), "colour mode RGBA, wanted RGB"),
    "grey": (noise(32, 32, mode="L"), "colour mode L, wanted RGB; add --convert to convert such"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_named_or_skipped(prepare, tmp_path, name):
    content, text = BAD[name]
    files = {**coded(), f"train/bee/{name}.jpg": content}
    with pytest.raises(ValueError, match=f"^train/bee/{name}.jpg: .*{text}.*; add --skip-bad to"):
        prepare(files)
    assert not list((tmp_path / "out").iterdir())  # nothing is left behind
    found = prepare(files, skip_bad=True)["train"]
    assert found.images[:, 0, 0, 0].tolist() == (100 * found.labels).tolist()
    assert len(found) == len(found.images) == 12
    [told] = json.loads((tmp_path / "out" / "made" / "meta.json").read_text())["skipped"]
    assert told.startswith(f"train/bee/{name}.jpg: ")
    assert text in told
    assert "--skip-bad" not in told


@pytest.mark.parametrize("kind", ["zip", "tar.xz"])
@pytest.mark.parametrize("name", ["../ant/1.png", "/ant/1.png", "train/../../ant/1.png"])
def test_a_path_that_leaves_the_archive_is_refused(prepare, tmp_path, kind, name):
    with pytest.raises(ValueError, match=f"member '{name}' leaves the archive; refused"):
        prepare({**coded(), name: solid(1, 1, 1)}, kind)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("files", "text"),
    [
        (coded(without="test/bee"), "empty class: split test has no image of 'bee'"),
        (coded(without="train/bee"), "test/bee/0.png: class 'bee' has no training images"),
        (coded(without="train/"), "missing split: no training images, only test"),
        ({"words.txt": b"x"}, r"the source holds no image files \(.jpg, .jpeg, .png\)"),
        ({"train/1.png": b""}, "train/1.png: no class folder; wanted <split>/<class>/<file>"),
    ],
)
def test_wrong_layouts(prepare, tmp_path, files, text):
    with pytest.raises(ValueError, match=rf"^{tmp_path}/source.zip: .*{text}"):
        prepare(files)
    assert not (tmp_path / "out").exists()


def test_a_class_without_readable_images_is_empty_too(prepare, tmp_path):
    files = coded(without="test/bee") | {"test/bee/0.png": b"bad"}
    with pytest.raises(ValueError, match="empty class: no readable image of 'bee' in test"):
        prepare(files, skip_bad=True)
    assert not list((tmp_path / "out").iterdir())


def test_an_existing_target_stays_unless_forced(prepare, tmp_path):
    first = prepare(coded())["train"].sha256
    with pytest.raises(FileExistsError, match="made exists already; add --force to prepare it"):
        prepare(coded())
    with pytest.raises(ValueError, match="add --skip-bad"):
        prepare({**coded(), "train/bee/9.png": b"bad"}, force=True)
    assert data.load("made", "train", tmp_path / "out").sha256 == first
    assert len(prepare({**coded(), "train/bee/9.png": solid(1, 1, 1)}, force=True)["train"]) == 13
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["made"]


def test_no_space_left(prepare, tmp_path, monkeypatch):
    free = 18 * 3 * 32 * 32 - 1  # a byte short of what the 18 images need
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    with pytest.raises(OSError, match=r"needs 55,296 bytes in .*, 55,295 are free"):
        prepare(coded())
    assert not list((tmp_path / "out").iterdir())


def test_what_is_no_source(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no such source: .*nothing.zip"):
        data.prepare(tmp_path / "nothing.zip", tmp_path / "made")
    (tmp_path / "text.zip").write_text("text")
    with pytest.raises(ValueError, match=r"text.zip is neither a folder nor a zip nor a tar"):
        data.prepare(tmp_path / "text.zip", tmp_path / "made")


@pytest.mark.parametrize("kind", ["zip", "tar.xz"])
def test_a_damaged_archive_is_named(tmp_path, kind):
    path = write(tmp_path / f"source.{kind}", coded(), kind)
    whole = bytearray(path.read_bytes())
    if kind == "zip":
        whole[100] ^= 255  # inside the first image: its checksum fails
    else:
        del whole[len(whole) * 7 // 10 :]  # a download that was broken off
    path.write_bytes(whole)
    with pytest.raises(ValueError, match=rf"source\.{kind}"):
        data.prepare(path, tmp_path / "out" / "made")
