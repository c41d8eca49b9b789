"""§2 From a folder, zip or tar of image files to a prepared set, one class at a time or all failed.

The layouts are those of `listing`. Images of another size are rescaled so that the shorter side is
`side` and the central square is cut out, as §2 says.
"""

from __future__ import annotations

import io
import math
import shutil
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from alexnet_repro.data import archives, placing, prepared
from alexnet_repro.data.archives import shown
from alexnet_repro.data.decoding import MAX_PIXELS, SKIP, decoded_ahead
from alexnet_repro.data.listing import Listing, listing
from alexnet_repro.errors import InputError, MissingError, PackageError

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
    cannot be read or are refused, and list them in meta.json. force: replace the prepared set that
    is at out; nothing else is ever replaced. Raises FileNotFoundError, FileExistsError, ValueError
    naming the file, also for a damaged archive and where a set that `sets` knows by the name of
    out is not whole. What was at out stays unless all went well.
    """
    source, out = Path(source), Path(out)
    if not source.exists():
        raise MissingError(f"no such source: {shown(source)}")
    if side is not None and not 1 <= side <= math.isqrt(MAX_PIXELS):
        raise InputError(f"side wants 1 to {math.isqrt(MAX_PIXELS)} pixels, got {side}")
    placing.check(out, force, source)
    try:
        listed = listing(archives.members(source))
    except InputError as error:
        text = str(error)  # of a file in the source, or of the source itself
        raise InputError(text if shown(source) in text else f"{shown(source)}: {text}") from error
    side = side or _common_side(source, listed)
    need = 3 * side * side * len(listed.label)
    with placing.workplace(out, force) as folder:
        free = shutil.disk_usage(out.parent).free
        if need > free:
            raise OSError(
                f"preparing {shown(source)} needs {need:,} bytes in {out.parent}, {free:,} are free"
            )
        skipped = _write_arrays(source, listed, folder, side, skip_bad, convert)
        prepared.finish(folder, out, listed.classes, source.name, skipped)
    return out


def from_torchvision(out: Path | str, download_root: Path | str, *, force: bool = False) -> Path:
    """CIFAR-10 by torchvision's own download and loader, as a prepared set at out."""
    try:
        from torchvision.datasets import CIFAR10
    except ImportError as error:
        raise PackageError(
            f"the download of CIFAR-10 needs torchvision ({error}): "
            f"pip install 'alexnet-repro[train]', or give an archive of images with --source"
        ) from error

    out = Path(out)
    placing.check(out, force)
    with placing.workplace(out, force) as folder:
        classes: list[str] = []
        for split in ("train", "test"):
            try:
                loaded = CIFAR10(str(download_root), train=split == "train", download=True)
            except Exception as error:
                raise OSError(
                    f"torchvision could not download CIFAR-10 ({shown(error)}); "
                    f"give an archive of images with --source"
                ) from error
            order = np.random.default_rng(SHUFFLE_SEED).permutation(len(loaded.data))
            np.save(folder / f"{split}-images.npy", loaded.data.transpose(0, 3, 1, 2)[order])
            np.save(folder / f"{split}-labels.npy", np.array(loaded.targets, np.int64)[order])
            classes = list(loaded.classes)
        prepared.finish(folder, out, classes, "torchvision CIFAR10", [])
    return out


def _common_side(source: Path, listed: Listing) -> int:
    """32 or 64 where the first image has that size, else 256 (§2)."""
    for name, read in archives.members(source):
        if name in listed.label:
            try:
                size = Image.open(io.BytesIO(read()), formats=("JPEG", "PNG")).size
            except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
                continue
            return size[0] if size[0] == size[1] and size[0] in (32, 64) else 256
    return 256


def _write_arrays(
    source: Path, listed: Listing, folder: Path, side: int, skip_bad: bool, convert: bool
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
        images[split] = placing.create(folder / f"{split}-images.npy", (n, 3, side, side))
        labels[split] = np.full(n, -1, np.int64)
    skipped = []
    members = archives.members(source, whole=True)
    files = (member for member in members if member[0] in listed.label)
    with tqdm(total=len(listed.label), unit="img", desc=source.name) as bar:
        for name, decoded in decoded_ahead(files, side, convert=convert):
            split, label = listed.label[name]
            at = place.pop(name, None)
            if at is None:
                raise _changed(source, name)
            try:
                images[split][at] = decoded.result()
                labels[split][at] = label
            except InputError as error:
                if not skip_bad or isinstance(error, PackageError):  # no fault of the file
                    raise
                skipped.append(str(error).removesuffix(SKIP))
            bar.update()
    if place:
        raise _changed(source, min(place))
    for split in images:
        good = labels[split] >= 0
        empty = set(range(len(listed.classes))) - set(labels[split].tolist())
        if empty:
            raise InputError(
                f"empty class: no readable image of {listed.classes[min(empty)]!r} in {split}"
            )
        if not good.all():
            placing.keep_rows(folder / f"{split}-images.npy", np.flatnonzero(good))
        np.save(folder / f"{split}-labels.npy", labels[split][good])
    return skipped


def _changed(source: Path, name: str) -> InputError:
    return InputError(
        f"{shown(source)} changed while it was read: {shown(name)}; run the same command again"
    )
