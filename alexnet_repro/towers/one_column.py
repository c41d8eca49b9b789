"""§3.2 One column of a two-column net: half of every layer's kernels, on its own device."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from alexnet_repro.errors import InputError
from alexnet_repro.layers import LocalResponseNorm, PaperDropout
from alexnet_repro.model import PaperNet
from alexnet_repro.spec.traffic import meetings


class Column(nn.Module):
    """One column of a net: its layers under their names, with the half of each parameter's rows.

    number: 0 or 1. Copies the weights, on the net's device; shares its dropout generators.
    Raises ValueError as traffic.meetings, and for inverted dropout.
    """

    def __init__(self, net: PaperNet, number: int) -> None:
        super().__init__()
        self.meetings, self.number = meetings(net.spec), number
        for name, module in net.named_children():
            self.add_module(name, _half(name, module, number))
        self.train(net.training)

    def forward(self, images: Tensor, exchange: Callable[[str, Tensor], Tensor]) -> Tensor:
        """N x 3 x S x S -> N x classes / 2; exchange(layer, own half) returns both halves."""
        x = images
        for name, module in self.named_children():
            if name in self.meetings:
                x = exchange(name, x)
            keep = (
                keep_factors(module, x)[self.number] if isinstance(module, PaperDropout) else None
            )
            x = module(x) if keep is None else x * keep
        return x


def _half(name: str, module: nn.Module, number: int) -> nn.Module:
    if isinstance(module, nn.Dropout):
        raise InputError(f"{name} is inverted dropout; call model.inverted.from_inverted first")
    if isinstance(module, PaperDropout):
        drop = PaperDropout(module.p)
        drop.generator = module.generator
        return drop
    if isinstance(module, LocalResponseNorm):
        norm = copy.deepcopy(module)
        norm.groups //= 2
        return norm
    if not isinstance(module, (nn.Conv2d, nn.Linear)):
        return copy.deepcopy(module)
    # a grouped convolution's weight has the inputs of one group, which are this column's
    out, inputs = module.weight.shape[0] // 2, module.weight.shape[1]
    half: nn.Conv2d | nn.Linear
    with torch.device("meta"):  # no memory, no random numbers: the weights follow
        if isinstance(module, nn.Conv2d):
            constants: Any = (module.kernel_size, module.stride, module.padding)
            half = type(module)(inputs, out, *constants)
        else:
            half = nn.Linear(inputs, out)
    for key, whole in module.named_parameters():
        setattr(half, key, nn.Parameter(whole.detach().chunk(2)[number].clone()))
    return half


def keep_factors(drop: PaperDropout, half: Tensor) -> tuple[Tensor, ...]:
    """Factors of both columns' halves (masks in training), drawn as the whole net draws them."""
    n, c, *rest = half.shape
    return drop(half.new_ones(n, 2 * c, *rest)).chunk(2, 1)
