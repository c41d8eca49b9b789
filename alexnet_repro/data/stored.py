"""§2 The files of a prepared set, read and verified: nothing in them is believed. No torch.

The sums that meta.json holds are compared with the arrays, the mean and the deviation are computed
again, once a process for each state of the files (0.2 s for CIFAR-10; the speed of sha256 and of
the disk for larger sets). A file that is written while it is read may pass; the next opening sees
it. Whoever can rewrite files and meta.json alike is found by the sums of `sets`, in the records.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from alexnet_repro.data.archives import shown
from alexnet_repro.data.arrays import array_sha256, mean_and_std
from alexnet_repro.errors import InputError, MissingError

FORMAT = 1
SETTLED = 2.0  # seconds after its last change that a file's stamp can be told from the next one's
_verified: set[tuple] = set()  # what was compared, with the identities of its files


class Prepared:
    """A prepared set's folder: meta.json, and arrays that are what it says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.again = f"prepare it again with `alexnet-repro data {folder.name} --force`"
        self.meta = self._meta()
        self.classes = tuple(self.meta["classes"])

    def split(self, split: str) -> tuple[np.ndarray, np.ndarray, str]:
        """Images (N x C x H x W uint8, mapped), labels (N int64) and sha256 of a split."""
        splits = self.meta["splits"]
        if split not in splits:
            raise InputError(
                f"data set {self.folder.name!r} has no split {split!r}; it has {', '.join(splits)}"
            )
        images = self._images(split)
        path = self.folder / f"{split}-labels.npy"
        labels = np.array(self._array(path, np.int64, (len(images),)))
        if len(labels) and not 0 <= labels.min() <= labels.max() < len(self.classes):
            raise self._wrong(
                path, f"labels {labels.min()} to {labels.max()} of {len(self.classes)} classes"
            )
        digest = splits[split]["sha256"]

        def compare() -> None:
            found = array_sha256(images, labels)
            if found != digest:
                raise self._wrong(
                    self.folder / f"{split}-images.npy",
                    f"sha256 of images and labels is {found}, meta.json has {digest}",
                )

        self._once(compare, (split, digest), (f"{split}-images.npy", f"{split}-labels.npy"))
        return images, labels, digest

    def mean_and_std(self) -> tuple[np.ndarray, float]:
        """The mean image (C x H x W float32) and the deviation of the training split."""
        images = self._images("train")
        mean = np.array(self._array(self.folder / "mean.npy", np.float32, images.shape[1:]))
        std = self.meta["std"]

        def compare() -> None:
            wanted, deviation = mean_and_std(images)
            if not np.array_equal(mean, wanted):
                raise self._wrong(self.folder / "mean.npy", "not the mean of train-images.npy")
            if not math.isclose(std, deviation, rel_tol=1e-9):
                raise self._wrong(
                    self.folder / "meta.json",
                    f"std is {std}, that of train-images.npy {deviation}",
                )

        self._once(compare, ("mean", std), ("mean.npy", "train-images.npy"))
        return mean, std

    def _meta(self) -> dict[str, Any]:
        path = self.folder / "meta.json"
        try:
            meta = json.loads(path.read_text())
        except (ValueError, RecursionError) as error:
            raise self._wrong(path, f"no JSON ({error})") from error
        if not isinstance(meta, dict):
            raise self._wrong(path, "no JSON object")
        if meta.get("format") != FORMAT:
            raise InputError(
                f"{shown(path)} has format {meta.get('format')!r}, this library reads {FORMAT}; "
                f"{self.again}"
            )
        classes, splits, std = (meta.get(key) for key in ("classes", "splits", "std"))
        if not (isinstance(classes, list) and classes and all(isinstance(c, str) for c in classes)):
            raise self._wrong(path, '"classes" is not a list of names')
        if len(set(classes)) < len(classes):
            raise self._wrong(path, '"classes" has a name twice')
        if type(std) not in (int, float):
            raise self._wrong(path, '"std" is not a number')
        if not (isinstance(splits, dict) and "train" in splits):
            raise self._wrong(path, '"splits" has no "train"')
        for split, entry in splits.items():
            if not (
                split.isalnum()
                and isinstance(entry, dict)
                and type(entry.get("images")) is int
                and isinstance(entry.get("sha256"), str)
            ):
                raise self._wrong(path, f'split {split!r} has no "images" and "sha256"')
        return meta

    def _images(self, split: str) -> np.ndarray:
        path = self.folder / f"{split}-images.npy"
        n = self.meta["splits"][split]["images"]
        images = self._array(path, np.uint8, (n, 3, None, None))
        if split != "train":  # all splits have the size of the first
            train = self._images("train")
            if images.shape[1:] != train.shape[1:]:
                raise self._wrong(path, f"shape {images.shape}, training images {train.shape}")
        return images

    def _array(self, path: Path, dtype: type, shape: tuple[int | None, ...]) -> np.ndarray:
        """The array of an .npy file, mapped; never a pickle.

        shape: None where any length is right. Raises InputError for another dtype, shape or order,
        MissingError where there is no such file.
        """
        try:
            array = np.lib.format.open_memmap(path, mode="r")
        except FileNotFoundError as error:
            raise MissingError(f"{shown(path)} is missing; {self.again}") from error
        except OSError:
            raise
        except Exception as error:  # numpy's parser lets many kinds out for a broken header
            raise self._wrong(path, f"no readable array ({error})") from error
        fits = len(array.shape) == len(shape) and all(
            wanted in (None, got) for wanted, got in zip(shape, array.shape, strict=True)
        )
        if array.dtype != dtype or not fits or not array.flags.c_contiguous:
            wanted = " x ".join("?" if n is None else str(n) for n in shape)
            got = " x ".join(map(str, array.shape))
            raise self._wrong(
                path, f"wanted {wanted} {np.dtype(dtype)} in C order, got {got} {array.dtype}"
            )
        return array

    def _once(self, compare: Callable[[], None], what: tuple, names: tuple[str, ...]) -> None:
        """Compare, unless these very files have been compared with that before."""
        stats = [os.stat(self.folder / name) for name in names]
        state = tuple((s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for s in stats)
        key = (*what, str(self.folder.resolve()), state)
        if key not in _verified:
            start = time.time()
            compare()
            if all(max(s.st_mtime, s.st_ctime) < start - SETTLED for s in stats):
                _verified.add(key)

    def _wrong(self, path: Path, what: str) -> InputError:
        return InputError(f"{shown(path)}: {' '.join(what.split())}; {self.again}")
