"""§3.4 §3.5 Overlapping pooling, convolutions whose sizes round up, locally connected layers."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexnet_repro.errors import InputError


class OverlappingMaxPool(nn.MaxPool2d):
    """§3.4 Max over z x z windows, s pixels apart; sizes round up: 55-27-13-6 and 32-16-8-4."""

    def __init__(self, z: int = 3, s: int = 2, *, ceil_mode: bool = True) -> None:
        super().__init__(z, s, ceil_mode=ceil_mode)


class CeilConv2d(nn.Conv2d):
    """§3.5 Convolution whose output size rounds up: 224 gives 55 with 11x11 windows, stride 4.

    Where the last window runs past the right or bottom edge it reads zeros, as the original code
    does. Symmetric padding of 2 gives 55 too, but shifts every window.
    """

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W -> N x out x ceil-sized H x ceil-sized W."""
        (k, _), (s, _), p = self.kernel_size, self.stride, int(self.padding[0])
        if min(x.shape[2:]) + 2 * p < k:
            raise InputError(
                f"a {k}-pixel window does not fit input {tuple(x.shape)} with padding {p}"
            )
        bottom, right = (-(n + 2 * p - k) % s for n in x.shape[2:])
        if bottom or right:
            x = F.pad(x, (0, right, 0, bottom))
        return super().forward(x)


class LocallyConnected2d(nn.Module):
    """Convolution without shared weights, as in conv-local-13pct: own kernel and bias per place.

    N x C x H x W -> N x out x H' x W'. weight: H'W' x out x C size^2.
    """

    def __init__(self, c: int, out: int, size: int, padding: int, out_side: int) -> None:
        super().__init__()
        self.size, self.padding, self.out, self.out_side = size, padding, out, out_side
        self.weight = nn.Parameter(torch.empty(out_side**2, out, c * size**2))
        self.bias = nn.Parameter(torch.zeros(out, out_side, out_side))

    def forward(self, x: Tensor) -> Tensor:
        """Raises ValueError where the input has not the size that the weights were made for."""
        patches = F.unfold(x, self.size, padding=self.padding)  # N, C size^2, H'W'
        if patches.shape[2] != self.out_side**2:
            raise InputError(
                f"this locally connected layer makes {self.out_side}x{self.out_side} outputs; "
                f"input {tuple(x.shape)} would make {patches.shape[2]} in all"
            )
        y = torch.einsum("nkl,lok->nol", patches, self.weight)
        return y.unflatten(2, (self.out_side, self.out_side)) + self.bias
