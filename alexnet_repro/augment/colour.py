"""§4.1 Colour noise along the principal components of the RGB values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from alexnet_repro.errors import InputError

ORIGINAL_DIVISOR = 1.1  # the original code divides its lit images by it


@dataclass(frozen=True)
class RGBPCA:
    """§4.1 Colour noise along the principal components of the RGB values of a training set.

    eigenvalues: 3 float64, variances in grey levels squared (pixels in 0..255), rising.
    eigenvectors: 3 x 3 float64, one component a column, over red, green, blue.
    """

    eigenvalues: Tensor
    eigenvectors: Tensor

    @classmethod
    def fit(cls, images: np.ndarray, chunk: int = 500) -> RGBPCA:
        """Components of all pixels of images, N x 3 x H x W uint8, read in chunks.

        The covariance comes from exact integer sums and is divided by the number of pixels, not by
        one less. Raises ValueError for another shape or dtype.
        """
        if images.ndim != 4 or images.shape[1] != 3 or images.dtype != np.uint8:
            raise InputError(
                f"RGBPCA.fit wants N x 3 x H x W uint8 (0..255), got {images.shape} {images.dtype}"
            )
        total, products = np.zeros(3, np.int64), np.zeros((3, 3), np.int64)
        for i in range(0, len(images), chunk):
            pixels = images[i : i + chunk].transpose(1, 0, 2, 3).reshape(3, -1).astype(np.int64)
            total += pixels.sum(1)
            products += pixels @ pixels.T
        n = images.size // 3
        mean = total / n
        values, vectors = np.linalg.eigh(products / n - np.outer(mean, mean))
        return cls(torch.from_numpy(values), torch.from_numpy(vectors))

    def draw(self, n: int, generator: torch.Generator, std: float = 0.1) -> Tensor:
        """§4.1 One alpha for each image, use and component, N(0, std): n x 3 float64."""
        return std * torch.randn(n, 3, generator=generator, dtype=torch.float64)

    def shift(self, alphas: Tensor, *, reading: str = "paper", unit: float = 255.0) -> Tensor:
        """What is added to every pixel of an image: n x 3 (red, green, blue) in grey levels.

        reading "paper": alpha times eigenvalue, as printed, of pixels divided by `unit`. The
        printed formula depends on that unit, which the paper does not give: 255 means pixels in
        0..1, 1 means raw ones, where the shift destroys the image. reading "original": alpha
        times the standard deviation, as the code has it; the same for every unit.
        """
        if reading == "paper":
            scale = self.eigenvalues / unit
        elif reading == "original":
            scale = self.eigenvalues.sqrt()
        else:
            raise InputError(f"reading wants 'paper' or 'original', got {reading!r}")
        return (alphas * scale) @ self.eigenvectors.T

    def apply(
        self, images: Tensor, alphas: Tensor, *, reading: str = "paper", unit: float = 255.0
    ) -> Tensor:
        """Shift float images, n x 3 x H x W in grey levels, by one draw each; same shape and dtype.

        "original" also divides by 1.1, as the code does; it does so after the mean is subtracted,
        so images should be centred there. Raises ValueError for images that are not
        float, and for pixels that all lie in 0..1, where 0..255 is meant.
        """
        if not images.is_floating_point() or images.shape[:2] != (len(alphas), 3):
            raise InputError(
                f"RGBPCA.apply wants {len(alphas)} x 3 x H x W float images in grey levels, "
                f"got {tuple(images.shape)} of {images.dtype}"
            )
        if images.numel() and images.min() >= 0 and images.max() <= 1:
            raise InputError("RGBPCA.apply wants pixels in 0..255, got 0..1; multiply them by 255")
        shift = self.shift(alphas, reading=reading, unit=unit).to(images)[:, :, None, None]
        shifted = images + shift
        return shifted / ORIGINAL_DIVISOR if reading == "original" else shifted
