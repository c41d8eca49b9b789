"""§2 What the names of image files say: the split and the class of each.

Layouts: <split>/<class>/<file> (CIFAR-10 as JPEG, ImageNet-like), train/<wnid>/images/<file> with
val/val_annotations.txt (Tiny ImageNet), and <class>/<file> (a single split, called train). One
outer folder of all is allowed, a folder inside a class is not: nobody could say which of the two
names the class.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from alexnet_repro.data.archives import ENDINGS, Named, shown
from alexnet_repro.errors import InputError

SPLITS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
NOTES = ("val_annotations.txt", "wnids.txt")
WANTED = "wanted <split>/<class>/<file>"


@dataclass(frozen=True)
class Listing:
    """The image files of a source."""

    label: dict[str, tuple[str, int]]  # name -> split, class index
    classes: list[str]


def listing(named: Iterable[Named]) -> Listing:
    """Split and class of each named image file; what macOS adds to a zip is passed over.

    Raises ValueError when the names say no such thing, or a class has no image in a split.
    """
    files: dict[str, None] = {}
    notes: dict[str, str] = {}
    for name, read in named:
        path = PurePosixPath(name)
        if "__MACOSX" in path.parts or path.name.startswith("._"):
            continue
        if name.lower().endswith(ENDINGS):
            if name in files:
                raise InputError(f"the source holds {shown(name)} twice")
            files[name] = None
        elif path.name in NOTES:
            if path.name in notes:
                raise InputError(f"the source holds two files {path.name}, the other {shown(name)}")
            try:
                notes[path.name] = read().decode()
            except UnicodeDecodeError as error:
                raise InputError(f"{shown(name)}: not UTF-8 text ({error})") from error
    if not files:
        raise InputError(f"the source holds no image files ({', '.join(ENDINGS)})")
    annotated = _annotations(notes.get("val_annotations.txt", ""))
    if annotated:  # Tiny ImageNet's own test images carry no labels
        files = {n: None for n in files if not re.search(r"(^|/)test/images/[^/]*$", n)}
        missing = annotated.keys() - {PurePosixPath(n).name for n in files}
        if missing:
            raise InputError(f"val_annotations.txt names {min(missing)!r}, which is not there")
    places = _places(files, annotated)
    found = {split for split, _ in places.values()}
    if "train" not in found:
        raise InputError(f"missing split: no training images, only {', '.join(sorted(found))}")
    train = {c for split, c in places.values() if split == "train"}
    ordered = dict.fromkeys(c for c in notes.get("wnids.txt", "").split() if c in train)
    if ordered and len(ordered) < len(train):
        raise InputError(f"wnids.txt does not name the class {min(train - ordered.keys())!r}")
    classes = list(ordered) or sorted(train)
    for split in sorted(found):
        lacking = sorted(train - {c for s, c in places.values() if s == split})
        if lacking:
            raise InputError(f"empty class: split {split} has no image of {lacking[0]!r}")
    number = {c: i for i, c in enumerate(classes)}
    for name, (_, label) in places.items():
        if label not in number:
            raise InputError(f"{shown(name)}: class {label!r} has no training images")
    return Listing({n: (split, number[label]) for n, (split, label) in places.items()}, classes)


def _annotations(text: str) -> dict[str, str]:
    """File name -> class, from the lines of val_annotations.txt."""
    found: dict[str, str] = {}
    for i, line in enumerate(text.splitlines(), 1):
        fields = line.split("\t")
        if not line.strip():
            continue
        if len(fields) < 2 or fields[0] in found:
            raise InputError(
                f"val_annotations.txt, line {i}: wanted a new file name, a tab, a class; "
                f"got {line!r}"
            )
        found[fields[0]] = fields[1]
    return found


def _places(files: Iterable[str], annotated: dict[str, str]) -> dict[str, tuple[str, str]]:
    """(split, class) of each file from its path."""
    places: dict[str, tuple[str, str]] = {}
    folders: dict[str, str] = {}
    outer = None
    for name in files:
        before, folder, label = _parts(name, annotated)
        split = SPLITS[folder.lower()] if folder else "train"
        places[name] = split, label
        if outer is None:
            outer, first = before, name
            mixed = bool(folder)
        if before != outer or bool(folder) != mixed:
            raise InputError(
                f"{shown(name)} and {shown(first)} do not lie in the same kind of folder; {WANTED} "
                f"or <class>/<file> for all, and no folders inside a class"
            )
        if folders.setdefault(split, folder) != folder:
            raise InputError(
                f"{shown(name)}: the folders {folders[split]!r} and {folder!r} would both be split "
                f"{split}; prepare from one of them"
            )
    return places


def _parts(name: str, annotated: dict[str, str]) -> tuple[tuple[str, ...], str, str]:
    """(outer folders, split folder or "", class) of a file from its path."""
    path = PurePosixPath(name)
    parts = tuple(p for p in path.parts[:-1] if p != "images")
    at = max((i for i, p in enumerate(parts) if p.lower() in SPLITS), default=-1)
    inside = parts[at + 1 :]
    if at >= 0 and not inside and path.name in annotated:
        inside = (annotated[path.name],)
    if not inside:
        raise InputError(f"{shown(name)}: no class folder; {WANTED}")
    if at < 0:
        return parts[:-1], "", parts[-1]
    if len(inside) > 1:
        raise InputError(f"{shown(name)}: a folder inside the class {inside[0]!r}; {WANTED}")
    return parts[:at], parts[at], inside[0]
