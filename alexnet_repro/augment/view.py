"""§2 §4.1 How stored images become what a net sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from alexnet_repro.augment import cropping
from alexnet_repro.data import DataSet
from alexnet_repro.errors import InputError


@dataclass(frozen=True)
class View:
    """How uint8 images become what the net sees: mean subtracted, scaled, on a device."""

    whole: Tensor  # C x H x W: the mean image, grey levels
    scale: float  # divides the centred pixels; 1 keeps them as they are
    crop: int
    device: torch.device
    matching: bool = False  # subtract the part of the mean at the crop's place, not the centre

    @classmethod
    def of(
        cls,
        data: DataSet,
        crop: int,
        standardised: bool,
        device: str = "cpu",
        *,
        mean_part: str = "central",
    ) -> View:
        """The view that a run's configuration asks for; crop 0 means the whole image."""
        crop = crop or data.images.shape[-1]
        data.mean.central(crop)  # raises ValueError where the crop does not fit
        whole = torch.from_numpy(np.ascontiguousarray(data.mean.values)).to(device)
        scale = data.std if standardised else 1.0
        return cls(whole, scale, crop, torch.device(device), mean_part == "matching")

    @property
    def mean(self) -> Tensor:
        """The central part of the mean image, C x crop x crop."""
        return cropping.center_crop(self.whole, self.crop)

    def __call__(self, crops: Tensor, mean: Tensor | None = None) -> Tensor:
        """... x C x crop x crop uint8 (0..255) -> the same shape in float32, channels last.

        mean: what to subtract in place of the central part.
        """
        if crops.dtype != torch.uint8 or crops.shape[-2:] != (self.crop, self.crop):
            raise InputError(
                f"wanted uint8 crops of {self.crop} pixels (0..255), "
                f"got {tuple(crops.shape)} of {crops.dtype}"
            )
        x = crops.to(self.device).float() - (self.mean if mean is None else mean)
        x = x / self.scale
        return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x
