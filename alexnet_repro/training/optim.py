"""§5 The printed update rule, and the learning rate divided by ten on a plateau."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn
from torch.optim.sgd import sgd

from alexnet_repro.errors import InputError


class PaperSGD(torch.optim.Optimizer):
    """§5 v <- momentum v - weight_decay lr w - lr g;  w <- w + v.

    The learning rate is inside the velocity: after a drop the old velocity keeps its size, where
    torch.optim.SGD shrinks it at once. At a constant rate the two agree.
    """

    def __init__(
        self, params: Iterable[Any], lr: float, momentum: float = 0.9, weight_decay: float = 5e-4
    ) -> None:
        if lr < 0 or momentum < 0 or weight_decay < 0:
            raise InputError(
                f"PaperSGD wants lr, momentum and weight_decay >= 0, got {lr}, {momentum}, "
                f"{weight_decay}"
            )
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient. Takes no closure."""
        if closure is not None:
            raise InputError("PaperSGD.step takes no closure")
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if not params:
                continue
            grads = [p.grad for p in params]
            for p in params:
                if "velocity" not in self.state[p]:
                    self.state[p]["velocity"] = torch.zeros_like(p)
            velocities = [self.state[p]["velocity"] for p in params]
            _update(params, grads, velocities, group)


def _update(params: list, grads: list, velocities: list, group: dict[str, Any]) -> None:
    """In one pass over memory, by torch's own rule: v <- momentum v + (1 - dampening) (g +
    weight_decay w); w <- w - lr v. With a dampening of 1 + lr and a rate of -1 it is the printed
    one. Without momentum torch's has no v.
    """
    lr, momentum = group["lr"], group["momentum"]
    rate, dampening = (-1.0, 1.0 + lr) if momentum else (lr, 0.0)
    fused = params[0].device.type in ("cpu", "cuda")
    sgd(
        params, grads, velocities, has_sparse_grad=False, foreach=not fused, fused=fused,
        weight_decay=group["weight_decay"], momentum=momentum, lr=rate, dampening=dampening,
        nesterov=False, maximize=False,
    )  # fmt: skip


def parameter_groups(
    net: nn.Module,
    lr: float,
    weight_decay: float | Mapping[str, float],
    bias_lr_factor: float = 2.0,
    *,
    by_layer: bool = False,
) -> list[dict]:
    """Two groups: weights, and biases at bias_lr_factor times the rate and without decay.

    The original code trains biases so (epsB = 0.02 beside epsW = 0.01, no decay); the paper is
    silent on both. A bias is a parameter whose name ends in "bias". by_layer: two such groups for
    each layer, so that set_rate can slow or freeze one. Each group bears "layer" ("" for all) and
    "factor", its rate over that of the weights. weight_decay: of all layers, or by layer's name,
    such as net.spec.decays(), which makes groups by layer. Raises ValueError for a name too many or
    too few.
    """
    apart = by_layer or isinstance(weight_decay, Mapping)
    groups: dict[tuple[str, bool], list[nn.Parameter]] = {}
    for name, parameter in net.named_parameters():
        layer = name.rpartition(".")[0] if apart else ""
        groups.setdefault((layer, name.endswith("bias")), []).append(parameter)
    layers = [layer for layer, bias in groups if not bias]
    decays = (
        weight_decay if isinstance(weight_decay, Mapping) else dict.fromkeys(layers, weight_decay)
    )
    if set(decays) != set(layers):
        raise InputError(
            f"weight_decay wants a number for each of {', '.join(layers)}, got {', '.join(decays)}"
        )
    found = []
    for (layer, bias), parameters in sorted(groups.items(), key=lambda kv: kv[0][1]):
        factor, decay = (bias_lr_factor, 0.0) if bias else (1.0, decays[layer])
        found.append(
            {
                "params": parameters, "lr": lr * factor, "weight_decay": decay, "layer": layer,
                "factor": factor,
            }
        )  # fmt: skip
    return found


def set_rate(optimizer: torch.optim.Optimizer, lr: float, layer: str | None = None) -> None:
    """§5 Set the rate of the weights, and of the biases by their factor; of one layer or of all.

    Rate 0 freezes a layer as the original did with conv1 at the end: its velocity still dies away
    over some updates. Wants groups of parameter_groups; ValueError for a layer that has no group.
    """
    groups = [g for g in optimizer.param_groups if layer is None or g.get("layer") == layer]
    if not groups:
        known = ", ".join(dict.fromkeys(str(g.get("layer")) for g in optimizer.param_groups))
        raise InputError(
            f"no group of layer {layer!r}; there are {known or 'none'} "
            f"(make them with parameter_groups(..., by_layer=True))"
        )
    for group in groups:
        group["lr"] = lr * group["factor"]


class Plateau:
    """§5 Says when the rate is to be divided by ten: the validation error has stopped improving.

    The paper decided this by hand, three times. Here: when `patience` epochs in a row have not
    improved on the best error by more than min_improvement (a fraction), at most `drops` times.
    The count starts anew after a drop. It sets no rate: `dropped` counts, and whoever owns the rate
    divides by 10**dropped. Raises ValueError for drops < 0 or patience < 1, and for an error
    outside [0, 1].
    """

    def __init__(self, *, drops: int, patience: int, min_improvement: float) -> None:
        if drops < 0 or patience < 1 or min_improvement < 0:
            raise InputError(
                f"{type(self).__name__} wants drops >= 0, patience >= 1 and min_improvement >= 0, "
                f"got {drops}, {patience}, {min_improvement}"
            )
        self.drops, self.patience, self.min_improvement = drops, patience, min_improvement
        self.best, self.waited, self.dropped = float("inf"), 0, 0

    def step(self, error: float) -> bool:
        """Call after each epoch with the validation error, a fraction; True for a drop."""
        if not 0 <= error <= 1:
            raise InputError(f"{type(self).__name__} wants an error in [0, 1], got {error!r}")
        if error < self.best - self.min_improvement:
            self.best, self.waited = error, 0
            return False
        self.waited += 1
        if self.waited < self.patience or self.dropped == self.drops:
            return False
        self.dropped, self.waited = self.dropped + 1, 0
        return True

    def state_dict(self) -> dict[str, float | int]:
        """What a resumed run needs; the learning rates are in the optimiser's own state."""
        return {"best": self.best, "waited": self.waited, "dropped": self.dropped}

    def load_state_dict(self, state: dict[str, float | int]) -> None:
        """Go on from state_dict()."""
        self.best = float(state["best"])
        self.waited, self.dropped = int(state["waited"]), int(state["dropped"])


class DivideByTenOnPlateau(Plateau):
    """§5 Divide every learning rate by ten when the validation error stops improving.

    For a loop in which nothing else sets the rates of the optimiser (loop.py has fixed drops too,
    and takes Plateau). Arguments, errors and state as Plateau.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        *,
        drops: int = 3,
        patience: int,
        min_improvement: float,
    ) -> None:
        super().__init__(drops=drops, patience=patience, min_improvement=min_improvement)
        self.optimizer = optimizer

    def step(self, error: float) -> bool:
        """Call after each epoch with the validation error, a fraction; True if the rate dropped."""
        dropped = super().step(error)
        if dropped:
            for group in self.optimizer.param_groups:
                group["lr"] /= 10
        return dropped
