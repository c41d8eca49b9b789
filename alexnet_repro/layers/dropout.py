"""§4.2 Dropout as printed: a 0/1 mask in training, outputs times 1 - p at test."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from alexnet_repro.errors import InputError


class PaperDropout(nn.Module):
    """§4.2 Dropout as printed: a 0/1 mask in training, outputs times 1 - p in evaluation.

    torch.nn.Dropout is the inverted form: same expectation, weights on another scale. `generator`
    (set by the training loop) draws the masks where it lives, by default torch's global one on the
    CPU: the device of the input decides nothing. A `mask` that is set is taken in place of a draw.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise InputError(f"PaperDropout wants 0 <= p < 1, got {p}")
        self.p = p
        self.generator: torch.Generator | None = None
        self.mask: Tensor | None = None

    def draw(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """A mask of that shape, bool: True is kept."""
        source = "cpu" if self.generator is None else self.generator.device
        return (torch.rand(shape, generator=self.generator, device=source) >= self.p).to(device)

    def forward(self, x: Tensor) -> Tensor:
        """Any float tensor -> the same shape and dtype."""
        if not self.training:
            return x * (1 - self.p)
        return x * (self.draw(x.shape, x.device) if self.mask is None else self.mask)
