"""§3.5 A network as data: a `Spec` is a tuple of `Layer` rows in the order in which they run.

No torch. Constants of initialisation stand beside each weight layer: `std` is the one that the
original configuration ran, `bias` the one that both the paper and the configuration give.
"""

from __future__ import annotations

from dataclasses import dataclass

WEIGHT_KINDS = ("conv", "local", "fc")


@dataclass(frozen=True)
class Layer:
    """One row: what it is called in the paper, what it does, and its constants."""

    name: str
    kind: str  # conv, local, fc, act, lrn, mapnorm, maxpool, avgpool, dropout
    out: int = 0  # kernels or units
    size: int = 1  # side of the kernel or pooling window, or channels in the LRN window
    stride: int = 1
    padding: int = 0  # zeros on each side, pixels
    groups: int = 1  # columns that do not see each other
    std: float = 0.01  # standard deviation of the initial weights
    bias: float = 0.0  # initial bias
    ceil: bool = True  # round sizes up, as the original code does
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 2.0
    alpha_over_n: bool = False  # the original divides alpha by the window size
    inverted: bool = False  # dropout as torch and Caffe have it: rescaled in training, not at test


@dataclass(frozen=True)
class Spec:
    """A network: its layers, the input it wants, and where it comes from."""

    name: str
    source: str  # section of the paper or file of the original source
    layers: tuple[Layer, ...]
    input_size: int = 224  # pixels
    num_classes: int = 1000
    columns: int = 1  # GPUs of the paper
    scaled: bool = False  # smaller than the paper's net, same shape
    nonlinearity: str = "relu"
    in_channels: int = 3
