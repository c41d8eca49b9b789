"""§3.2 §3.5 The networks as data, and what follows from them by arithmetic. No torch.

A `Spec` is a tuple of `Layer` rows in the order in which they run. `trace` walks the rows and
gives each layer's output shape, weights, biases, neurons, multiply-adds, receptive field and step.
Constants of initialisation stand beside each weight layer: `std` is the one that the original
configuration ran, `bias` the one that both the paper and the configuration give.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

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


def _alexnet(reading: str = "paper", widths=(96, 256, 384, 384, 256), groups: int = 2, z: int = 3):
    """Rows of the paper's net; the original's order, per-column LRN and extra norm on request."""
    original = reading == "original"
    norm: dict[str, Any] = {
        "size": 5,
        "alpha_over_n": original,
        "groups": groups if original else 1,
    }
    c1, c2, c3, c4, c5 = widths
    conv1 = Layer("conv1", "conv", c1, 11, 4)
    pool1, act1 = Layer("pool1", "maxpool", 0, z, 2, ceil=z == 3), Layer("relu1", "act")
    first = [conv1, Layer("norm1", "lrn", **norm), pool1, act1]
    if not original:
        first = [conv1, act1, Layer("norm1", "lrn", **norm), pool1]
    extra = [Layer("mapnorm2", "mapnorm", 0, 5, alpha=1e-3, k=1.0, alpha_over_n=True)]
    pool5, act5 = Layer("pool5", "maxpool", 0, z, 2, ceil=z == 3), Layer("relu5", "act")
    return (
        *first,
        Layer("conv2", "conv", c2, 5, padding=2, groups=groups, bias=1.0),
        Layer("relu2", "act"),
        Layer("norm2", "lrn", **norm),
        *(extra if original else []),
        Layer("pool2", "maxpool", 0, z, 2, ceil=z == 3),
        Layer("conv3", "conv", c3, 3, padding=1, std=0.03),
        Layer("relu3", "act"),
        Layer("conv4", "conv", c4, 3, padding=1, groups=groups, std=0.03, bias=1.0),
        Layer("relu4", "act"),
        Layer("conv5", "conv", c5, 3, padding=1, groups=groups, std=0.03, bias=1.0),
        *((pool5, act5) if original else (act5, pool5)),
        *_hidden("6", 4096),
        *_hidden("7", 4096),
        Layer("fc8", "fc", 1000),
    )


def _hidden(number: str, units: int) -> tuple[Layer, ...]:
    """§4.2 A fully connected hidden layer with dropout on its output."""
    return (
        Layer("fc" + number, "fc", units, bias=1.0),
        Layer("relu" + number, "act"),
        Layer("drop" + number, "dropout"),
    )


def _six_conv() -> tuple[Layer, ...]:
    """§6 A sixth convolution over the last pooling layer; it sees both columns."""
    rows = list(_alexnet())
    at = [r.name for r in rows].index("fc6")
    conv6 = Layer("conv6", "conv", 256, 3, padding=1, std=0.03, bias=1.0)
    return (*rows[:at], conv6, Layer("relu6c", "act"), *rows[at:])


def _without_norm() -> tuple[Layer, ...]:
    """§3.3 The net without any normalisation layer."""
    return tuple(r for r in _alexnet() if r.kind not in ("lrn", "mapnorm"))


def _cifar(kind: str) -> tuple[Layer, ...]:
    """The three-convolution nets of example-layers/layers-{18pct,19pct,80sec}.cfg."""
    norm = kind == "18pct"
    rows = [
        Layer("conv1", "conv", 32, 5, padding=2, std=1e-4),
        Layer("relu1", "act"),
        Layer("pool1", "maxpool", 0, 3, 2),
        *([_mapnorm("norm1")] if norm else []),
        Layer("conv2", "conv", 32, 5, padding=2),
        Layer("relu2", "act"),
        Layer("pool2", "avgpool", 0, 3, 2),
        *([_mapnorm("norm2")] if norm else []),
        Layer("conv3", "conv", 64, 5, padding=2),
        Layer("relu3", "act"),
        Layer("pool3", "avgpool", 0, 3, 2),
    ]
    if kind == "80sec":
        rows += [Layer("fc4", "fc", 64, std=0.1), Layer("relu4", "act")]
        rows += [Layer("fc10", "fc", 10, std=0.1)]
    else:
        rows += [Layer("fc10", "fc", 10)]
    return tuple(rows)


def _mapnorm(name: str) -> Layer:
    return Layer(name, "mapnorm", 0, 3, alpha=5e-5, k=1.0, alpha_over_n=True)


def _conv_local(lrn: bool) -> tuple[Layer, ...]:
    """layers-conv-local-13pct.cfg; with LRN after each convolution, -11pct.cfg (first version)."""

    def norm(name: str) -> list[Layer]:
        row = Layer(name, "lrn", 0, 5, alpha=1e-3, k=1.0, alpha_over_n=True)
        return [row] if lrn else []

    return (
        Layer("conv1", "conv", 64, 5, padding=2, std=1e-4),
        Layer("relu1", "act"),
        *norm("norm1"),
        Layer("pool1", "maxpool", 0, 3, 2),
        Layer("conv2", "conv", 64, 5, padding=2),
        Layer("relu2", "act"),
        *norm("norm2"),
        Layer("pool2", "maxpool", 0, 3, 2),
        Layer("local3", "local", 32, 3, padding=1, std=0.04),
        Layer("relu3", "act"),
        Layer("local4", "local", 32, 3, padding=1, std=0.04),
        Layer("relu4", "act"),
        Layer("fc10", "fc", 10),
    )


def _mini(z: int) -> tuple[Layer, ...]:
    """D1: the paper's order of layers for 24x24 crops, a quarter or less of its widths.

    conv1 is 5x5 with stride 1 and the input is not shrunk by four; everything after it keeps the
    paper's kernel sizes, groups, normalisation, pooling and dropout. 24-12-6-3 under z = 3 (sizes
    rounded up) and z = 2 alike, so that the two pooling arms differ in nothing else (§3.4).
    """
    rows = []
    for r in _alexnet(widths=(24, 48, 64, 64, 48), z=z):
        if r.name == "conv1":
            r = replace(r, size=5, stride=1, padding=2)
        if r.name in ("fc6", "fc7"):
            r = replace(r, out=256)
        if r.name == "fc8":
            r = replace(r, out=10)
        rows.append(r)
    return tuple(rows)


def _networks() -> dict[str, Spec]:
    config = "example-layers/layers-{}.cfg"
    nets = [
        Spec("alexnet", "§3.5", _alexnet(), columns=2),
        Spec("alexnet-original", "layers-145.cfg", _alexnet("original"), columns=2),
        Spec(
            "alexnet-one-gpu",
            "§3.2 footnote, layers-145-half.cfg",
            _alexnet(widths=(48, 128, 192, 192, 256), groups=1),
        ),
        Spec("alexnet-nonoverlap", "§3.4, layers-147.cfg", _alexnet(z=2), columns=2),
        Spec("alexnet-no-norm", "§3.3 ablation, layers-148.cfg", _without_norm(), columns=2),
        Spec("alexnet-ungrouped", "§3.5 without the two columns", _alexnet(groups=1)),
        Spec("alexnet-six-conv", "§6, layers-146.cfg", _six_conv(), columns=2),
        Spec("18pct", config.format("18pct"), _cifar("18pct"), 32, 10),
        # G1: the net of Fig. 1 is not recorded; 18pct without its normalisation has four layers.
        Spec("18pct-plain", "Fig. 1 (guess G1)", _cifar("19pct"), 32, 10),
        Spec("19pct", config.format("19pct"), _cifar("19pct"), 32, 10),
        Spec("80sec", config.format("80sec"), _cifar("80sec"), 32, 10),
        Spec("conv-local-13pct", config.format("conv-local-13pct"), _conv_local(False), 24, 10),
        Spec("conv-local-11pct", config.format("conv-local-11pct"), _conv_local(True), 24, 10),
        Spec("mini-alexnet", "scaled from §3.5 (D1)", _mini(3), 24, 10, 2, scaled=True),
        Spec("mini-alexnet-nonoverlap", "scaled from §3.4 (D1)", _mini(2), 24, 10, 2, scaled=True),
    ]
    return {s.name: s for s in nets}


NETWORKS: dict[str, Spec] = _networks()


def get(name: str) -> Spec:
    """The spec of that name; ValueError listing the names if there is none."""
    if name not in NETWORKS:
        raise ValueError(f"no net called {name!r}; nets: {', '.join(NETWORKS)}")
    return NETWORKS[name]


def out_size(layer: Layer, side: int) -> int:
    """Side of a convolution's or pooling's output, pixels.

    Convolutions round up as in the original code (224 -> 55): the last window runs past the right
    and bottom edge and reads zeros. Pooling rounds up where `ceil` says so.
    """
    span = side + 2 * layer.padding - layer.size
    if span < 0:
        raise ValueError(
            f"{layer.name}: a {layer.size}-pixel window does not fit {side} pixels "
            f"with padding {layer.padding}"
        )
    return 1 + (-(-span // layer.stride) if layer.ceil else span // layer.stride)


def trace(spec: Spec, input_size: int | None = None) -> pd.DataFrame:
    """§3.5 What follows from a spec by arithmetic, one row a layer.

    input_size: side of the square input, pixels; default the spec's own.
    Returns columns layer, kind, shape (channels, height, width), weights, biases, neurons (units
    of weight layers, else 0), macs (multiply-adds of one image), receptive_field and step (pixels
    of the input). Raises ValueError where a window does not fit or groups do not divide.
    """
    import pandas as pd

    c, side = spec.in_channels, input_size or spec.input_size
    field, step = 1, 1
    flat = False
    rows = []
    for layer in spec.layers:
        weights = biases = macs = 0
        if layer.kind in ("conv", "local"):
            if c % layer.groups or layer.out % layer.groups:
                raise ValueError(
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
