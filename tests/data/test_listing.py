"""§2 Splits and classes from the names of files; a layout with two meanings is refused."""

import pytest
from image_files import CLASSES, coded, solid

from alexnet_repro.data import listing
from alexnet_repro.errors import InputError


def found(names, **notes):
    """The splits and classes of files with these names; notes: the content of other files."""
    files = [(name, lambda: b"") for name in names]
    files += [(f"{k}.txt", lambda v=v: v) for k, v in notes.items()]
    listed = listing.listing(files)
    return {n: (split, listed.classes[c]) for n, (split, c) in listed.label.items()}


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Val"])
def test_val_and_test_are_two_splits(prepare, val):
    files = coded() | {f"{val}/{n}/5.png": solid(100 * c, 5, 7) for c, n in enumerate(CLASSES)}
    splits = prepare(files)
    assert {name: len(split) for name, split in splits.items()} == {
        "train": 12,
        "val": 3,
        "test": 6,
    }
    assert (splits["val"].images[:, 2] == 7).all()
    assert (splits["test"].images[:, 2] == 255).all()
    assert (splits["train"].images[:, 2] == 0).all()


SPLITS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip


@pytest.mark.parametrize("folder", SPLITS)
def test_names_of_splits(folder):
    names = {f"{folder}/ant/1.jpg": (SPLITS[folder], "ant")} | {"train/ant/0.jpg": ("train", "ant")}
    if folder == "training":
        del names["train/ant/0.jpg"]
    assert found(names) == names


@pytest.mark.parametrize("outer", ["", "a/", "a/b/", "test/", "images/"])
def test_one_outer_folder_and_class_names(outer):
    assert found([f"{outer}train/ant/1.jpg", f"{outer}val/ant/1.PNG"]) == {
        f"{outer}train/ant/1.jpg": ("train", "ant"), f"{outer}val/ant/1.PNG": ("val", "ant"),
    }  # fmt: skip
    if outer != "test/":  # which is a split
        names = [f"{outer}ant/1.jpeg", f"{outer}bee/images/1.jpg"]
        assert list(found(names).values()) == [("train", "ant"), ("train", "bee")]


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["cat/sub/x.jpg", "cat/1.jpg"], "cat/1.jpg and cat/sub/x.jpg do not lie in the same kind"),
        (["cat/sub/x.jpg", "dog/sub/x.jpg"], "no folders inside a class"),
        (["train/cat/sub/x.jpg"], "train/cat/sub/x.jpg: a folder inside the class 'cat'; wanted"),
        (["train/cat/1.jpg", "dog/1.jpg"], "dog/1.jpg and train/cat/1.jpg do not lie in the same"),
        (["train/cat/1.jpg", "dev/cat/1.jpg"], "dev/cat/1.jpg and train/cat/1.jpg do not lie"),
        (["cat/1.jpg", "test/cat/1.jpg"], "do not lie in the same kind of folder"),
        (["a/train/cat/1.jpg", "b/test/cat/1.jpg"], "do not lie in the same kind of folder"),
        (["a/train/cat/1.jpg", "train/cat/1.jpg"], "do not lie in the same kind of folder"),
        (["train/cat/1.jpg", "val/cat/1.jpg", "valid/cat/1.jpg"],
         "valid/cat/1.jpg: the folders 'val' and 'valid' would both be split val"),
        (["train/cat/1.jpg", "Train/cat/1.jpg"], "the folders 'train' and 'Train' would both be"),
        (["train/cat/test/1.jpg"], "train/cat/test/1.jpg: no class folder"),
        (["1.jpg"], "1.jpg: no class folder; wanted <split>/<class>/<file>"),
        (["cat/1.jpg", "cat/1.jpg"], "the source holds cat/1.jpg twice"),
    ],
)  # fmt: skip
def test_a_layout_with_two_meanings_is_refused(names, text):
    with pytest.raises(InputError, match=text):
        found(names)


def test_what_macos_adds_is_no_image():
    names = ["train/cat/1.jpg", "__MACOSX/train/cat/._1.jpg", "train/cat/._1.jpg"]
    assert found(names) == {"train/cat/1.jpg": ("train", "cat")}


TINY = [
    "train/n1/images/a.JPEG",
    "train/n2/images/b.JPEG",
    "val/images/c.JPEG",
    "val/images/d.JPEG",
]


@pytest.mark.parametrize(
    "notes", [b"c.JPEG\tn1\t0\t0\nd.JPEG\tn2\n", b"\nc.JPEG\tn1\n\n  \nd.JPEG\tn2\r\n\n"]
)
def test_annotations_with_and_without_blank_lines(notes):
    assert found(TINY, val_annotations=notes) == {
        TINY[0]: ("train", "n1"), TINY[1]: ("train", "n2"), TINY[2]: ("val", "n1"),
        TINY[3]: ("val", "n2"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("notes", "text"),
    [
        (b"c.JPEG n1\nd.JPEG n2\n", "val_annotations.txt, line 1: wanted a new file name, a tab"),
        (b"c.JPEG\tn1\nc.JPEG\tn2\n", r"line 2: .* got 'c.JPEG\\tn2'"),
        (b"c.JPEG\tn1\nd.JPEG\tn3\n", "empty class: split val has no image of 'n2'"),
        (b"c.JPEG\tn1\n", "val/images/d.JPEG: no class folder"),
        (b"c.JPEG\tn1\nd.JPEG\tn2\ne.JPEG\tn2\n", "names 'e.JPEG', which is not there"),
        (b"\xff\xfe", r"val_annotations.txt: not UTF-8 text"),
    ],
)
def test_wrong_annotations_are_named(notes, text):
    with pytest.raises(InputError, match=text):
        found(TINY, val_annotations=notes)


def test_two_files_of_annotations_are_refused():
    files = [(f"{where}/val_annotations.txt", lambda: b"") for where in ("a", "b")]
    with pytest.raises(InputError, match=r"two files val_annotations.txt, the other b/val_annot"):
        listing.listing([("cat/1.jpg", bytes), *files])


def test_the_order_of_wnids_and_what_it_leaves_out():
    names = [f"{name}/1.jpg" for name in ("n1", "n2", "n3")]
    files = [(name, bytes) for name in names]
    listed = listing.listing([*files, ("wnids.txt", lambda: b"n3\nn9\nn1\nn3\nn2\n")])
    assert listed.classes == ["n3", "n1", "n2"]
    with pytest.raises(InputError, match=r"wnids.txt does not name the class 'n2'"):
        listing.listing([*files, ("wnids.txt", lambda: b"n3\nn1\n")])
