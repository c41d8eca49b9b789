"""§2 Prepared data sets: uint8 arrays on disk, labels, class names, the mean image. No torch.

A prepared set is a folder <root>/<name>/ with <split>-images.npy (uint8, N x C x H x W, 0..255),
<split>-labels.npy (int64, N) and meta.json (class names, image size, mean, deviation, sha256 of
every array). It is written by `sources.prepare` under another name and renamed when whole.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alexnet_repro import paths
from alexnet_repro.errors import InputError, MissingError

FORMAT = 1


@dataclass(frozen=True)
class MeanImage:
    """§2 The mean over the training split, C x H x W float32 in 0..255."""

    values: np.ndarray

    def central(self, crop: int) -> np.ndarray:
        """The central crop x crop part: the original subtracts it from every crop, wherever cut."""
        side = self.values.shape[-1]
        if not 1 <= crop <= side:
            raise InputError(f"a {crop}-pixel crop does not fit the {side}-pixel mean image")
        start = (side - crop) // 2
        return self.values[:, start : start + crop, start : start + crop]


@dataclass(frozen=True)
class DataSet:
    """One split of a prepared set, its images memory-mapped."""

    name: str
    split: str
    images: np.ndarray  # N x C x H x W uint8, 0..255
    labels: np.ndarray  # N int64
    classes: tuple[str, ...]
    mean: MeanImage
    std: float  # of all centred training pixels, grey levels
    sha256: str  # of the split's arrays

    def __len__(self) -> int:
        return len(self.labels)


def default_root() -> Path:
    """Where prepared sets lie: $ALEXNET_DATA, or where `paths` says."""
    return paths.data_root()


def load(name: str, split: str, root: Path | str | None = None) -> DataSet:
    """Open one split of a prepared set, or generate the embedded one.

    Raises FileNotFoundError with the command that prepares a missing set, ValueError for a split
    that the set does not have or a folder of another format.
    """
    if name == "embedded":
        from alexnet_repro import embedded

        return embedded.generate(split)
    folder = Path(root or default_root()) / name
    meta_path = folder / "meta.json"
    if not meta_path.is_file():
        raise MissingError(
            f"no prepared data set {name!r} in {folder.parent}; "
            f"make it with `alexnet-repro data {name}` (add --source ARCHIVE to use one you have)"
        )
    meta = json.loads(meta_path.read_text())
    if meta.get("format") != FORMAT:
        raise InputError(
            f"{meta_path} has format {meta.get('format')!r}, this library reads {FORMAT}; "
            f"prepare it again with `alexnet-repro data {name} --force`"
        )
    if split not in meta["splits"]:
        raise InputError(
            f"data set {name!r} has no split {split!r}; it has {', '.join(meta['splits'])}"
        )
    return DataSet(
        name,
        split,
        np.load(folder / f"{split}-images.npy", mmap_mode="r", allow_pickle=False),
        np.load(folder / f"{split}-labels.npy", allow_pickle=False),
        tuple(meta["classes"]),
        MeanImage(np.load(folder / "mean.npy", allow_pickle=False)),
        meta["std"],
        meta["splits"][split]["sha256"],
    )


def mean_and_std(images: np.ndarray, chunk: int = 200) -> tuple[np.ndarray, float]:
    """Mean image (C x H x W float32) and the deviation of the centred pixels.

    images: N x C x H x W uint8. One pass in bounded memory; the sums are exact integers.
    """
    total, squares = np.zeros(images.shape[1:], np.int64), 0
    for i in range(0, len(images), chunk):
        part = images[i : i + chunk]
        total += part.sum(0, dtype=np.uint32)
        squares += int(np.square(part, dtype=np.uint16).sum(dtype=np.uint64))
    mean = total / len(images)
    return mean.astype(np.float32), (squares / images.size - float(np.square(mean).mean())) ** 0.5


def array_sha256(*arrays: np.ndarray, chunk: int = 1000) -> str:
    """sha256 over shapes, dtypes and bytes of arrays, read in chunks."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape}{array.dtype.str}".encode())
        for i in range(0, len(array), chunk):
            digest.update(np.ascontiguousarray(array[i : i + chunk]).tobytes())
    return digest.hexdigest()


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
    if target.exists():
        shutil.rmtree(target)
    folder.rename(target)
