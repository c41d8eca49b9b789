"""§2 One split of a data set, and the mean image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alexnet_repro.errors import InputError


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
