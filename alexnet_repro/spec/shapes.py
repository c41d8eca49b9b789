"""§3.2 §3.5 What follows from a network by arithmetic, layer by layer. No torch.

rows.py says what a row is, networks.py has the nets; `trace` walks the rows and gives each
layer's output shape, weights, biases, neurons, multiply-adds, receptive field and step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alexnet_repro.errors import InputError
from alexnet_repro.spec.networks import NETWORKS, get
from alexnet_repro.spec.rows import WEIGHT_KINDS, Layer, Spec

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["NETWORKS", "WEIGHT_KINDS", "Layer", "Spec", "get", "out_size", "trace"]


def out_size(layer: Layer, side: int) -> int:
    """Side of a convolution's or pooling's output, pixels.

    Convolutions round up as in the original code (224 -> 55): the last window runs past the right
    and bottom edge and reads zeros. Pooling rounds up where `ceil` says so.
    """
    span = side + 2 * layer.padding - layer.size
    if span < 0:
        raise InputError(
            f"{layer.name}: a {layer.size}-pixel window does not fit {side} pixels "
            f"with padding {layer.padding}"
        )
    return 1 + (-(-span // layer.stride) if layer.ceil else span // layer.stride)


def trace(spec: Spec, input_size: int | None = None) -> pd.DataFrame:
    """§3.5 What follows from a spec by arithmetic, one row a layer.

    input_size: side of the square input, pixels; default the spec's own.
    Returns columns layer, kind, shape (channels, height, width), weights, biases, neurons (units
    of weight layers, else 0), macs (multiply-adds of one image), receptive_field and step (pixels
    of the input). Raises ValueError where a window does not fit, groups do not divide, or a layer
    that wants maps follows a fully connected one.
    """
    import pandas as pd

    c, side = spec.in_channels, input_size or spec.input_size
    field, step = 1, 1
    flat = False
    rows = []
    for layer in spec.layers:
        weights = biases = macs = 0
        if flat and layer.kind not in ("fc", "act", "dropout"):
            raise InputError(
                f"{spec.name}: {layer.name} ({layer.kind}) wants maps, but follows a fully "
                f"connected layer"
            )
        if layer.kind == "lrn" and c % layer.groups:
            raise InputError(
                f"{spec.name}: {layer.name} normalises {c} channels in {layer.groups} groups, "
                f"which do not divide them"
            )
        if layer.kind in ("conv", "local"):
            if c % layer.groups or layer.out % layer.groups:
                raise InputError(
                    f"{spec.name}: {layer.name} splits {c} -> {layer.out} channels into "
                    f"{layer.groups} groups, which do not divide them"
                )
            side = out_size(layer, side)
            kernel = layer.size**2 * (c // layer.groups)
            macs = kernel * layer.out * side * side
            weights = macs if layer.kind == "local" else kernel * layer.out
            biases = layer.out * side * side if layer.kind == "local" else layer.out
            c = layer.out
        elif layer.kind == "fc":
            inputs = c if flat else c * side * side
            weights = macs = inputs * layer.out
            biases, c, flat = layer.out, layer.out, True
            field, side = (spec.input_size if input_size is None else input_size), 1
        elif layer.kind in ("maxpool", "avgpool"):
            side = out_size(layer, side)
        if layer.kind in ("conv", "local", "maxpool", "avgpool"):
            field, step = field + (layer.size - 1) * step, step * layer.stride
        neurons = c * side * side if layer.kind in WEIGHT_KINDS else 0
        shape = (c,) if flat else (c, side, side)
        rows.append((layer.name, layer.kind, shape, weights, biases, neurons, macs, field, step))
    names = "layer kind shape weights biases neurons macs receptive_field step".split()
    return pd.DataFrame(rows, columns=names)
