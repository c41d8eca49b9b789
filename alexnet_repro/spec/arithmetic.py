"""Figures of the paper that follow from its networks and constants by computation. No torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import pandas as pd

from alexnet_repro.errors import InputError
from alexnet_repro.spec import networks, shapes

IMAGE, CROP, LABELS = 256, 224, 1000  # §2, §4.1, pixels; §4, classes


@cache
def _trace(net: str) -> pd.DataFrame:
    return shapes.trace(networks.get(net))


def _column(net: str, column: str, layer: str | None) -> int:
    table = _trace(net)
    if layer is not None:
        table = table[table["layer"] == layer]
        if table.empty:
            raise InputError(f"{net} has no layer {layer!r}")
    return int(table[column].sum())


def parameters(net: str, layer: str | None = None) -> int:
    """Weights and biases, of one layer or of all."""
    return _column(net, "weights", layer) + _column(net, "biases", layer)


def conv_shares(net: str) -> dict[str, float]:
    """Each convolution's share of all parameters."""
    convs = [row.name for row in networks.get(net).layers if row.kind == "conv"]
    return {name: parameters(net, name) / parameters(net) for name in convs}


METRICS: dict[str, Callable[..., float]] = {
    "parameters": parameters,
    "weights": lambda net, layer=None: _column(net, "weights", layer),
    "neurons": lambda net, layer=None: _column(net, "neurons", layer),
    "weight_layers": lambda net: int((_trace(net)["weights"] > 0).sum()),
    "inputs": lambda net: networks.get(net).in_channels * networks.get(net).input_size ** 2,
    "largest_conv_share": lambda net: max(conv_shares(net).values()),
    "bits_per_label": lambda net: math.log2(LABELS),
    # positions of a crop along one side: 0 .. 32, both ends included
    "crops_and_reflections": lambda net: (IMAGE - CROP + 1) ** 2 * 2,
    "test_patches": lambda net: (4 + 1) * 2,
}


def compute(metric: str, net: str) -> float:
    """A metric such as "parameters" or "neurons conv1" of the named net."""
    name, *layer = metric.split()
    if name not in METRICS:
        raise InputError(f"no computed metric {name!r}; there are {', '.join(METRICS)}")
    return METRICS[name](net, *layer)
