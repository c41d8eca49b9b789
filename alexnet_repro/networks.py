"""§3.2 §3.5 The networks of the paper, of its ablations and of its CIFAR-10 experiments, as rows.

No torch.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from alexnet_repro.errors import InputError
from alexnet_repro.rows import Layer, Spec


def _alexnet(reading: str = "paper", widths=(96, 256, 384, 384, 256), groups: int = 2, z: int = 3):
    """Rows of the paper's net.

    reading "original": its order, its LRN (per column, alpha / n) and its extra norm;
    "per-column": as printed, but no normalisation reaches across the two columns.
    """
    original = reading == "original"
    columns = groups if reading in ("original", "per-column") else 1
    norm: dict[str, Any] = {"size": 5, "alpha_over_n": original, "groups": columns}
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


def _leave_out(rows: tuple[Layer, ...], *kinds: str) -> tuple[Layer, ...]:
    """The same net without its layers of some kinds."""
    return tuple(r for r in rows if r.kind not in kinds)


def _without_conv(number: int) -> tuple[Layer, ...]:
    """§7 The net without one convolution, its nonlinearity and its normalisation.

    G3: the paper does not say what became of the rest. Here all pooling stays, so that the maps
    keep their sizes; without conv1, conv2 takes over its stride of 4 and reads all three colours;
    without conv3, conv4 reads both columns in its place.
    """
    gone = {f"{kind}{number}" for kind in ("conv", "relu", "norm")}
    changes: dict[int, dict[str, Any]] = {1: {"stride": 4, "groups": 1}, 3: {"groups": 1}}
    rows = [r for r in _alexnet() if r.name not in gone]
    heir = f"conv{number + 1}"
    return tuple(replace(r, **changes.get(number, {})) if r.name == heir else r for r in rows)


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
        Spec(
            "alexnet-no-norm", "§3.3 ablation, layers-148.cfg", _leave_out(_alexnet(), "lrn"),
            columns=2,
        ),
        Spec("alexnet-per-column", "§3.5, LRN within a column", _alexnet("per-column"), columns=2),
        *(
            Spec(f"alexnet-without-conv{i}", "§7 (guess G3)", _without_conv(i), columns=2)
            for i in range(1, 6)
        ),
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
        Spec(
            "mini-alexnet-no-dropout", "scaled from §4.2 (D1)", _leave_out(_mini(3), "dropout"),
            24, 10, 2, scaled=True,
        ),
    ]  # fmt: skip
    return {s.name: s for s in nets}


NETWORKS: dict[str, Spec] = _networks()


def get(name: str) -> Spec:
    """The spec of that name; ValueError listing the names if there is none."""
    if name not in NETWORKS:
        raise InputError(f"no net called {name!r}; nets: {', '.join(NETWORKS)}")
    return NETWORKS[name]
