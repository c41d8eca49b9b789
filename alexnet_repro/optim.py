"""§5 The printed update rule."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn


class PaperSGD(torch.optim.Optimizer):
    """§5 v <- momentum v - weight_decay lr w - lr g;  w <- w + v.

    The learning rate is inside the velocity: after a drop the old velocity keeps its size, where
    torch.optim.SGD shrinks it at once. At a constant rate the two agree.
    """

    def __init__(
        self, params: Iterable[Any], lr: float, momentum: float = 0.9, weight_decay: float = 5e-4
    ) -> None:
        if lr < 0 or momentum < 0 or weight_decay < 0:
            raise ValueError(
                f"PaperSGD wants lr, momentum and weight_decay >= 0, got {lr}, {momentum}, "
                f"{weight_decay}"
            )
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient. Takes no closure."""
        if closure is not None:
            raise ValueError("PaperSGD.step takes no closure")
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if not params:
                continue
            grads = [p.grad for p in params]
            for p in params:
                if "velocity" not in self.state[p]:
                    self.state[p]["velocity"] = torch.zeros_like(p)
            velocities = [self.state[p]["velocity"] for p in params]
            torch._foreach_mul_(velocities, group["momentum"])
            torch._foreach_add_(velocities, params, alpha=-group["weight_decay"] * group["lr"])
            torch._foreach_add_(velocities, grads, alpha=-group["lr"])
            torch._foreach_add_(params, velocities)


def parameter_groups(
    net: nn.Module, lr: float, weight_decay: float, bias_lr_factor: float = 2.0
) -> list[dict]:
    """Two groups: weights, and biases at bias_lr_factor times the rate and without decay.

    The original code trains biases so (epsB = 0.02 beside epsW = 0.01, no decay); the paper is
    silent on both. A bias is a parameter whose name ends in "bias".
    """
    named = list(net.named_parameters())
    weights = [p for name, p in named if not name.endswith("bias")]
    biases = [p for name, p in named if name.endswith("bias")]
    return [
        {"params": weights, "lr": lr, "weight_decay": weight_decay},
        {"params": biases, "lr": lr * bias_lr_factor, "weight_decay": 0.0},
    ]
