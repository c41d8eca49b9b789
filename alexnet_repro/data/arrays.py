"""§2 What is computed of arrays of images: their sums, their mean, their deviation."""

from __future__ import annotations

import hashlib

import numpy as np


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
