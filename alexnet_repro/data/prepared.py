"""§2 Prepared data sets: uint8 arrays on disk, labels, class names, the mean image. No torch.

A prepared set is a folder <root>/<name>/ with <split>-images.npy (uint8, N x C x H x W, 0..255) and
<split>-labels.npy (int64, N) for each split (train; val and test where the source has them),
mean.npy (float32, C x H x W: of the training images) and meta.json (format, name of the source,
class names, deviation of the centred training pixels, images and sha256 of each split, skipped
files). It is written by `data.prepare` under another name and renamed when whole.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from alexnet_repro import paths
from alexnet_repro.data import placing, sets, stored, views
from alexnet_repro.data.archives import shown
from alexnet_repro.data.arrays import array_sha256, mean_and_std
from alexnet_repro.data.dataset import DataSet, MeanImage
from alexnet_repro.data.stored import FORMAT
from alexnet_repro.errors import InputError, MissingError


def default_root() -> Path:
    """Where prepared sets lie: $ALEXNET_DATA, or where `paths` says."""
    return paths.data_root()


def load(name: str, split: str, root: Path | str | None = None) -> DataSet:
    """Open one split of a prepared set, every byte of it verified, or of a view of one (views).

    The embedded set is generated. Raises FileNotFoundError with the command that prepares a missing
    set, ValueError for a split that the set does not have, for a folder of another format and for
    files that are not those that were prepared.
    """
    if name == "embedded":
        from alexnet_repro.data import embedded

        return embedded.generate(split)
    if name in views.VIEWS:
        return views.cut(name, split, _open(views.VIEWS[name].of, root))
    found = _open(name, root)
    images, labels, digest = found.split(split)
    mean, std = found.mean_and_std()
    return DataSet(name, split, images, labels, found.classes, MeanImage(mean), std, digest)


def scored_split(name: str, root: Path | str | None = None) -> str:
    """The held-out split that the study scores: "test", or "val" where no test labels are public.

    (§2: ILSVRC-2012 and Tiny ImageNet have none.)
    """
    if name == "embedded" or name in views.VIEWS:
        return "test"
    splits = _open(name, root).meta["splits"]
    for split in ("test", "val"):
        if split in splits:
            return split
    raise InputError(f"data set {name!r} has no split test or val; it has {', '.join(splits)}")


def _open(name: str, root: Path | str | None) -> stored.Prepared:
    folder = Path(root or default_root()) / placing.plain(name)
    placing.recover(folder)
    if not (folder / "meta.json").is_file():
        raise MissingError(
            f"no prepared data set {name!r} in {shown(folder.parent)}; "
            f"make it with `alexnet-repro data {name}` (add --source ARCHIVE to use one you have)"
        )
    return stored.Prepared(folder)


def finish(folder: Path, target: Path, classes: list[str], source: str, skipped: list[str]) -> None:
    """Add mean, checksums and meta.json to arrays written in folder, then rename it to target."""
    splits: dict[str, dict[str, int | str]] = {}
    sums = {}
    with ThreadPoolExecutor() as pool:  # numpy and hashlib free the GIL
        for path in sorted(folder.glob("*-images.npy")):
            split = path.name.removesuffix("-images.npy")
            images = np.load(path, mmap_mode="r", allow_pickle=False)
            labels = np.load(folder / f"{split}-labels.npy", allow_pickle=False)
            sums[split] = pool.submit(array_sha256, images, labels)
            splits[split] = {"images": len(labels)}
            if split == "train":
                statistics = pool.submit(mean_and_std, images)
        mean, std = statistics.result()
    for split, digest in sums.items():
        splits[split]["sha256"] = digest.result()
    _check_known(target.name, classes, splits)
    np.save(folder / "mean.npy", mean)
    meta = {
        "format": FORMAT,
        "source": source,
        "classes": classes,
        "std": std,
        "splits": splits,
        "skipped": skipped,
    }
    (folder / "meta.json").write_text(json.dumps(meta, indent=1) + "\n")
    placing.replace(folder, target)


def _check_known(name: str, classes: list[str], splits: dict[str, dict[str, int | str]]) -> None:
    """Raise unless a set under a name of `sets.KNOWN` holds what that set holds."""
    if name in views.VIEWS:
        raise InputError(
            f"{name} is cut from {views.VIEWS[name].of} when it is opened; prepare that, "
            f"or take another name"
        )
    if name not in sets.KNOWN:
        return
    known = sets.KNOWN[name]
    images = {split: entry["images"] for split, entry in splits.items()}
    wrong = [
        f"{what} {wanted} wanted, got {got}"
        for what, wanted, got in (
            ("classes:", known.classes, len(classes)),
            ("images:", known.images, images),
            *(
                (f"sha256 of {split}:", digest, splits[split]["sha256"])
                for split, digest in known.sha256.items()
                if split in splits
            ),
        )
        if wanted != got
    ]
    if wrong:
        raise InputError(
            f"this is not the whole {name}: {'; '.join(wrong)}; "
            f"give the whole source, or prepare it under another name"
        )
