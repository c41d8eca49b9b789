"""§2 From a folder, zip or tar of image files to a prepared set, one class at a time or all failed.

Layouts: <split>/<class>/<file> (CIFAR-10 as JPEG, ImageNet-like), train/<wnid>/images/<file> with
val/val_annotations.txt (Tiny ImageNet), and <class>/<file> (a single split, called train). An
outer folder is allowed. Images of another size are rescaled so that the shorter side is `side` and
the central square is cut out, as §2 says.
"""

from __future__ import annotations

import io
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image
from tqdm import tqdm

from alexnet_repro import archives, data
from alexnet_repro.decoding import SKIP, decoded_ahead
from alexnet_repro.errors import ExistsError, InputError, MissingError

ENDINGS = (".jpg", ".jpeg", ".png")
SPLITS = {"train": "train", "training": "train", "val": "test", "valid": "test", "test": "test"}
SHUFFLE_SEED = 2012


def prepare(
    source: Path | str,
    out: Path | str,
    *,
    side: int | None = None,
    skip_bad: bool = False,
    convert: bool = False,
    force: bool = False,
) -> Path:
    """Read every image of source into a prepared set at the folder out; return out.

    side: side of the square images, pixels; default 32 or 64 where the first file has that size,
    else 256. Images of each split are shuffled once, from a fixed seed. convert: turn grey, CMYK,
    palette and alpha images into RGB, which are refused otherwise. skip_bad: leave out files that
    cannot be read or are refused, and list them in meta.json. Raises FileNotFoundError,
    FileExistsError (unless force), ValueError naming the file. Nothing is left at out unless all
    went well.
    """
    source, out = Path(source), Path(out)
    if not source.exists():
        raise MissingError(f"no such source: {source}")
    if out.exists() and not force:
        raise ExistsError(f"{out} exists already; add --force to prepare it again")
    try:
        listed = _Listing(archives.members(source))
        side = side or _common_side(source, listed)
        need = 3 * side * side * len(listed.label)
        out.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(out.parent).free
        if need > free:
            raise OSError(
                f"preparing {source} needs {need:,} bytes in {out.parent}, {free:,} are free"
            )
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as temporary:
            folder = Path(temporary) / out.name
            folder.mkdir()
            skipped = _write_arrays(source, listed, folder, side, skip_bad, convert)
            data.finish(folder, out, listed.classes, source.name, skipped)
    except archives.DAMAGED as error:
        raise InputError(f"{source} is damaged: {error}") from error
    return out


def from_torchvision(out: Path | str, download_root: Path | str, *, force: bool = False) -> Path:
    """CIFAR-10 by torchvision's own download and loader, as a prepared set at out."""
    from torchvision.datasets import CIFAR10

    out = Path(out)
    if out.exists() and not force:
        raise ExistsError(f"{out} exists already; add --force to prepare it again")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as temporary:
        folder = Path(temporary) / out.name
        folder.mkdir()
        classes: list[str] = []
        for split in ("train", "test"):
            try:
                loaded = CIFAR10(str(download_root), train=split == "train", download=True)
            except Exception as error:
                raise OSError(
                    f"torchvision could not download CIFAR-10 ({error}); "
                    f"give an archive of images with --source"
                ) from error
            order = np.random.default_rng(SHUFFLE_SEED).permutation(len(loaded.data))
            np.save(folder / f"{split}-images.npy", loaded.data.transpose(0, 3, 1, 2)[order])
            np.save(folder / f"{split}-labels.npy", np.array(loaded.targets, np.int64)[order])
            classes = list(loaded.classes)
        data.finish(folder, out, classes, "torchvision CIFAR10", [])
    return out


class _Listing:
    """What the file names say: a (split, class index) for each image file."""

    def __init__(self, named: Iterable[tuple[str, Callable[[], bytes]]]) -> None:
        self.label: dict[str, tuple[str, int]] = {}
        files, notes = [], {}
        for name, read in named:
            if name.lower().endswith(ENDINGS):
                files.append(name)
            elif PurePosixPath(name).name in ("val_annotations.txt", "wnids.txt"):
                notes[PurePosixPath(name).name] = read().decode()
        if not files:
            raise InputError(f"the source holds no image files ({', '.join(ENDINGS)})")
        annotated = {
            line.split("\t")[0]: line.split("\t")[1]
            for line in notes.get("val_annotations.txt", "").splitlines()
        }
        if annotated:  # Tiny ImageNet's own test images carry no labels
            files = [n for n in files if not re.search(r"(^|/)test/images/[^/]*$", n)]
        places = {name: _place(name, annotated) for name in files}
        found = {split for split, _ in places.values()}
        if "train" not in found:
            raise InputError(f"missing split: no training images, only {', '.join(sorted(found))}")
        train = {c for split, c in places.values() if split == "train"}
        self.classes = [c for c in notes.get("wnids.txt", "").split() if c in train] or sorted(
            train
        )
        for split in found:
            missing = sorted(train - {c for s, c in places.values() if s == split})
            if missing:
                raise InputError(f"empty class: split {split} has no image of {missing[0]!r}")
        number = {c: i for i, c in enumerate(self.classes)}
        for name, (split, label) in places.items():
            if label not in number:
                raise InputError(f"{name}: class {label!r} has no training images")
            self.label[name] = (split, number[label])


def _place(name: str, annotated: dict[str, str]) -> tuple[str, str]:
    """(split, class) of a file from its path."""
    parts = [p for p in PurePosixPath(name).parts[:-1] if p != "images"]
    at = [i for i, p in enumerate(parts) if p.lower() in SPLITS]
    if at and at[-1] == len(parts) - 1 and PurePosixPath(name).name in annotated:
        return SPLITS[parts[at[-1]].lower()], annotated[PurePosixPath(name).name]
    if not parts or (at and at[-1] == len(parts) - 1):
        raise InputError(f"{name}: no class folder; wanted <split>/<class>/<file>")
    return (SPLITS[parts[at[-1]].lower()] if at else "train"), parts[-1]


def _common_side(source: Path, listed: _Listing) -> int:
    """32 or 64 where the first image has that size, else 256 (§2)."""
    for name, read in archives.members(source):
        if name in listed.label:
            try:
                size = Image.open(io.BytesIO(read())).size
            except OSError:
                continue
            return size[0] if size[0] == size[1] and size[0] in (32, 64) else 256
    return 256


def _keep(path: Path, array: np.ndarray, kept: np.ndarray, chunk: int = 1000) -> None:
    """Replace the array at path by its kept rows, in bounded memory."""
    smaller = path.with_suffix(".kept")
    shape = (len(kept), *array.shape[1:])
    out = np.lib.format.open_memmap(smaller, "w+", array.dtype, shape)
    for i in range(0, len(kept), chunk):
        out[i : i + chunk] = array[kept[i : i + chunk]]
    out.flush()
    smaller.replace(path)


def _write_arrays(
    source: Path, listed: _Listing, folder: Path, side: int, skip_bad: bool, convert: bool
) -> list[str]:
    """Decode every listed image into the memory-mapped arrays of its split; return the skipped."""
    place: dict[str, int] = {}
    images, labels = {}, {}
    for split in {s for s, _ in listed.label.values()}:
        names = sorted(name for name, (s, _) in listed.label.items() if s == split)
        n = len(names)
        # shuffled from the sorted names: a folder and its archive in any order make the same set
        order = np.random.default_rng(SHUFFLE_SEED).permutation(n).tolist()
        place |= dict(zip(names, order, strict=True))
        images[split] = np.lib.format.open_memmap(
            folder / f"{split}-images.npy", "w+", np.uint8, (n, 3, side, side)
        )
        labels[split] = np.full(n, -1, np.int64)
    skipped = []
    files = (member for member in archives.members(source) if member[0] in listed.label)
    with tqdm(total=len(listed.label), unit="img", desc=source.name) as bar:
        for name, decoded in decoded_ahead(files, side, convert=convert):
            split, label = listed.label[name]
            at = place[name]
            try:
                images[split][at] = decoded.result()
                labels[split][at] = label
            except ValueError as error:
                if not skip_bad:
                    raise
                skipped.append(str(error).removesuffix(SKIP))
            bar.update()
    for split, array in images.items():
        good = labels[split] >= 0
        empty = set(range(len(listed.classes))) - set(labels[split].tolist())
        if empty:
            raise InputError(
                f"empty class: no readable image of {listed.classes[min(empty)]!r} in {split}"
            )
        if not good.all():
            _keep(folder / f"{split}-images.npy", array, np.flatnonzero(good))
        np.save(folder / f"{split}-labels.npy", labels[split][good])
    return skipped
