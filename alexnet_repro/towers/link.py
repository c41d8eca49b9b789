"""§3.2 The wire between two columns: halves of maps one way, their gradients the other."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from alexnet_repro.spec.traffic import SCORES


class ColumnGone(RuntimeError):
    """The other column's process did not take part in an exchange."""


class Link:
    """One column's end of the wire; `sent` counts every tensor that went out.

    Rows of sent: step (from 0), layer (the reader), direction, column (the sender), bytes.
    Wants a torch.distributed group of two, rank = column.
    """

    def __init__(self, column: int) -> None:
        self.column, self.step = column, -1
        self.sent: list[dict[str, Any]] = []

    def exchange(self, layer: str, own: Tensor) -> Tensor:
        """Own half, N x C/2 (x H x W) -> both halves, N x C (x H x W), column 0 first.

        Backward, the other column's gradient of the own half is fetched and added. Raises
        ColumnGone naming the layer if the other process is not there.
        """
        return _Exchange.apply(own, self, layer)

    def swap(self, out: Tensor, layer: str, direction: str) -> Tensor:
        """Send a tensor to the other column, return the one of the same shape that it sends."""
        out = out.contiguous()
        received, other = torch.empty_like(out), 1 - self.column
        pair = [dist.P2POp(dist.isend, out, other), dist.P2POp(dist.irecv, received, other)]
        try:
            for work in dist.batch_isend_irecv(pair):
                work.wait()
        except RuntimeError as error:
            raise ColumnGone(
                f"column {self.column}, step {self.step}: no exchange before {layer} ({direction}):"
                f" the process of column {other} is gone or silent: {str(error).splitlines()[0]}"
            ) from error
        self.sent.append(
            {
                "step": self.step, "layer": layer, "direction": direction, "column": self.column,
                "bytes": out.numel() * out.element_size(),
            }
        )  # fmt: skip
        return received


class _Exchange(torch.autograd.Function):
    @staticmethod
    def forward(ctx, own, link, layer):
        ctx.link, ctx.layer = link, layer
        halves = [own, link.swap(own, layer, "forward")]
        return torch.cat(halves if link.column == 0 else halves[::-1], 1)

    @staticmethod
    def backward(ctx, grad):
        halves, link = grad.chunk(2, 1), ctx.link
        own = halves[link.column]
        if ctx.layer == SCORES:  # both columns compute the same loss: this gradient is whole
            return own, None, None
        return own + link.swap(halves[1 - link.column], ctx.layer, "backward"), None, None
