"""§5 The first weights and biases of a net."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn

from alexnet_repro.errors import InputError
from alexnet_repro.spec import regime, rows

if TYPE_CHECKING:
    from alexnet_repro.model.paper_net import PaperNet


@torch.no_grad()
def initialise(
    net: PaperNet,
    reading: str,
    generator: torch.Generator | None = None,
    *,
    scale: str = "printed",
    bias_factor: float = 1.0,
) -> None:
    """§5 Draw all weights anew, in layer order.

    reading: "paper", N(0, 0.01) everywhere and the printed biases; "original", each
    configuration's own deviations (0.03 in conv3-5 of the ImageNet net, 1e-4 in conv1 of the CIFAR
    nets); "modern" (D2), He for ReLU and Xavier otherwise, biases 0. scale: "printed", or
    "fan-in", those deviations times regime.growth, so that a narrower net starts as the paper's
    does; bias_factor: times the printed biases. Neither means anything to "modern". Raises
    ValueError for other words and, under "fan-in", for a layer that the paper's net does not have.
    """
    if scale not in ("printed", "fan-in"):
        raise InputError(f"init_scale wants printed or fan-in, got {scale!r}")
    if reading == "modern" and (scale, bias_factor) != ("printed", 1):
        raise InputError(
            f"init 'modern' has deviations and biases of its own; it wants init_scale 'printed' "
            f"and init_bias 1, got {scale!r} and {bias_factor:g}"
        )
    factors = regime.growth(net.spec) if scale == "fan-in" else {}
    for layer in net.spec.layers:
        if layer.kind not in rows.WEIGHT_KINDS:
            continue
        module = net.get_submodule(layer.name)
        weight, bias = module.weight, module.bias
        if not isinstance(weight, nn.Parameter) or not isinstance(bias, nn.Parameter):
            raise TypeError(f"{layer.name} has no weight and bias to initialise")
        local = layer.kind == "local"
        fan_in = weight.shape[2] if local else weight[0].numel()
        fan_out = weight.shape[int(local)] * layer.size**2 // layer.groups
        if reading == "modern":
            relu = net.nonlinearity == "relu"
            std = math.sqrt(2 / fan_in) if relu else math.sqrt(2 / (fan_in + fan_out))
        elif reading in ("paper", "original"):
            std = layer.std if reading == "original" else 0.01
            std *= factors.get(layer.name, 1.0)
        else:
            raise InputError(f"init wants paper, original or modern, got {reading!r}")
        weight.normal_(0.0, std, generator=generator)
        bias.fill_(0.0 if reading == "modern" else bias_factor * layer.bias)
