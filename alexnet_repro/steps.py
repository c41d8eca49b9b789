"""§5 The loss of a batch as plain calls or as one compiled program."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

log = logging.getLogger(__name__)
Loss = Callable[[Tensor, Tensor], Tensor]


def loss_of(net: nn.Module, kind: str = "eager") -> Loss:
    """Images N x 3 x S x S and labels N -> cross-entropy, a mean in nats, ready for backward().

    kind: "eager", or "compiled": torch.compile of forward and backward pass, on a GPU as CUDA
    graphs. Dropout whose masks come from a generator of its own, as in training, cuts the program
    into pieces. Where the compiler fails, one line of log, and eager.
    """

    def eager(images: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(net(images), labels)

    if kind == "eager":
        return eager
    on_gpu = next(net.parameters()).is_cuda
    program = torch.compile(eager, mode="reduce-overhead" if on_gpu else "default")
    broken: list[bool] = []

    def compiled(images: Tensor, labels: Tensor) -> Tensor:
        if not broken:
            try:
                torch.compiler.cudagraph_mark_step_begin()
                return program(images, labels)
            except (RuntimeError, ImportError, OSError) as error:
                broken.append(True)
                reason = str(error).strip().splitlines() or [type(error).__name__]
                log.warning("step: torch.compile failed, going on without it (%s)", reason[0])
        return eager(images, labels)

    return compiled
