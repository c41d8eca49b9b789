"""§3.1 §3.3 The networks of the CIFAR-10 experiments, as rows. No torch."""

from __future__ import annotations

from alexnet_repro.spec.rows import Layer, Spec, decayed


def nets() -> list[Spec]:
    """The nets of the original's CIFAR-10 configurations, and the one of Fig. 1 (G1)."""
    config = "example-layers/layers-{}.cfg"
    return [
        Spec("18pct", config.format("18pct"), _cifar("18pct"), 32),
        # G1: the net of Fig. 1 is not recorded; 18pct without its normalisation has four layers.
        Spec("18pct-plain", "Fig. 1 (guess G1)", _cifar("18pct-plain"), 32),
        Spec("19pct", config.format("19pct"), _cifar("19pct"), 32),
        Spec("80sec", config.format("80sec"), _cifar("80sec"), 32),
        Spec("conv-local-13pct", config.format("conv-local-13pct"), _conv_local("13pct"), 24),
        Spec("conv-local-11pct", config.format("conv-local-11pct"), _conv_local("11pct"), 24),
        Spec("conv-local-11pct-v2", "layers-cifar10-11pct.cfg", _conv_local("11pct-v2"), 24),
    ]


def _cifar(kind: str) -> tuple[Layer, ...]:
    """The three-convolution nets of example-layers/layers-{18pct,19pct,80sec}.cfg, and G1's."""
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
    if kind == "18pct-plain":  # Fig. 1: nothing tells its decay
        return tuple(rows)
    last = {"18pct": (1.0,), "19pct": (3.0,), "80sec": (0.03, 0.03)}[kind]
    return decayed(rows, 0.004, 0.004, 0.004, *last)


def _mapnorm(name: str) -> Layer:
    return Layer(name, "mapnorm", 0, 3, alpha=5e-5, k=1.0, alpha_over_n=True)


def _conv_local(kind: str) -> tuple[Layer, ...]:
    """layers-conv-local-13pct.cfg, with LRN after each convolution -11pct.cfg, and its successor.

    The second version of 11pct normalises over nine channels, in the first layer after pooling,
    and has twice the kernels in local3, so that LRN is not all that sets it apart from 13pct.
    """
    second = kind == "11pct-v2"

    def norm(name: str) -> list[Layer]:
        size = 9 if second else 5
        row = Layer(name, "lrn", 0, size, alpha=1e-3, k=1.0, alpha_over_n=True)
        return [] if kind == "13pct" else [row]

    pool1 = Layer("pool1", "maxpool", 0, 3, 2)
    rows = (
        Layer("conv1", "conv", 64, 5, padding=2, std=1e-4),
        Layer("relu1", "act"),
        *((pool1, *norm("norm1")) if second else (*norm("norm1"), pool1)),
        Layer("conv2", "conv", 64, 5, padding=2),
        Layer("relu2", "act"),
        *norm("norm2"),
        Layer("pool2", "maxpool", 0, 3, 2),
        Layer("local3", "local", 64 if second else 32, 3, padding=1, std=0.04),
        Layer("relu3", "act"),
        Layer("local4", "local", 32, 3, padding=1, std=0.04),
        Layer("relu4", "act"),
        Layer("fc10", "fc", 10),
    )
    return decayed(rows, 0, 0, 0.004, 0.004, 0.01 if second else 0.004)
