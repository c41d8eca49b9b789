"""§5 The loss of a batch as plain calls or as one compiled program, and what its products are."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexnet_repro import routes
from alexnet_repro.layers import PaperDropout
from alexnet_repro.model.paper_net import evaluating

log = logging.getLogger(__name__)
Loss = Callable[[Tensor, Tensor], Tensor]


def set_tf32(on: bool) -> None:
    """Products of 32-bit numbers on CUDA devices: TF32 (10 bits), or 32 bits, for all that follows.

    torch's own default has TF32 in convolutions. (The older of torch's two switches: its compiler
    refuses to work after the newer one.)
    """
    torch.backends.cuda.matmul.allow_tf32 = on
    torch.backends.cudnn.allow_tf32 = on


def loss_of(net: nn.Module, kind: str = "eager") -> Loss:
    """Images N x 3 x S x S and labels N -> cross-entropy, a mean in nats, ready for backward().

    kind: "eager", or "compiled": torch.compile of forward and backward pass as one program, on a
    GPU as CUDA graphs. The masks of PaperDropout are drawn before it, from the same generators in
    the same order. Where the compiler fails, one line of log, and eager.
    """
    drops = [module for module in net.modules() if isinstance(module, PaperDropout)]

    def eager(images: Tensor, labels: Tensor, masks: Sequence[Tensor | None] = ()) -> Tensor:
        for drop, mask in zip(drops, masks, strict=False):
            drop.mask = mask
        try:
            return F.cross_entropy(net(images), labels)
        finally:
            for drop in drops:
                drop.mask = None

    def called(images: Tensor, labels: Tensor) -> Tensor:
        routes.note("step", "eager")
        return eager(images, labels)

    if kind == "eager":
        return called
    on_gpu = next(net.parameters()).is_cuda
    program = torch.compile(eager, mode="reduce-overhead" if on_gpu else "default")
    broken: list[bool] = []
    shapes: list[torch.Size] = []

    def compiled(images: Tensor, labels: Tensor) -> Tensor:
        """The mean loss of n x 3 x S x S images and n labels; masks are drawn outside of it."""
        masks = []
        if net.training and drops:
            shapes[:] = shapes or _shapes(net, drops, images[:1])
            n, device = len(images), images.device
            masks = [d.draw((n, *shape), device) for d, shape in zip(drops, shapes, strict=True)]
        if not broken:
            try:
                torch.compiler.cudagraph_mark_step_begin()
                loss = program(images, labels, masks)
                routes.note("step", "compiled")
                return loss
            except (RuntimeError, ImportError, OSError) as error:
                broken.append(True)
                reason = str(error).strip().splitlines() or [type(error).__name__]
                log.warning("step: torch.compile failed, going on without it (%s)", reason[0])
        routes.note("step", "eager (compile failed)")
        return eager(images, labels, masks)

    return compiled


@torch.no_grad()
def _shapes(net: nn.Module, drops: list[PaperDropout], image: Tensor) -> list[torch.Size]:
    """What one image's input to each dropout looks like, in the order of drops."""
    found: dict[nn.Module, torch.Size] = {}
    hooks = [
        drop.register_forward_pre_hook(
            lambda module, args: found.update({module: args[0].shape[1:]})
        )
        for drop in drops
    ]
    try:
        with evaluating(net):  # where nothing is drawn
            net(image)
    finally:
        for hook in hooks:
            hook.remove()
    return [found[drop] for drop in drops]
