"""§3.2 §3.5 The networks of the paper and of its ablations, as rows.

No torch. Those of its CIFAR-10 experiments are in cifar_networks.py.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from alexnet_repro.errors import InputError
from alexnet_repro.spec import cifar_networks
from alexnet_repro.spec.rows import Layer, Spec, decayed

DECAY = 5e-4  # §5, of every layer, as in the original configurations


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
    rows = (
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
    return decayed(rows, *[DECAY] * 8)


def _changed(rows: tuple[Layer, ...], **changes: dict[str, Any]) -> tuple[Layer, ...]:
    """The rows with constants of some, by name, replaced."""
    return tuple(replace(r, **changes.get(r.name, {})) for r in rows)


def _nonoverlap_original() -> tuple[Layer, ...]:
    """§3.4 layers-147.cfg: pools of 2 round up to 28, so conv2 pads 1 and conv5 none.

    55-28-26-13-13-13-11-6, where the paper speaks of "equivalent dimensions".
    """
    pool: dict[str, Any] = {"size": 2, "ceil": True}
    return _changed(
        _alexnet("original", z=2), pool1=pool, pool2=pool, pool5=pool,
        conv2={"padding": 1}, conv5={"padding": 0},
    )  # fmt: skip


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
    conv6 = Layer("conv6", "conv", 256, 3, padding=1, std=0.03, bias=1.0, decay=DECAY)
    return (*rows[:at], conv6, Layer("relu6c", "act"), *rows[at:])


def _leave_out(rows: tuple[Layer, ...], *kinds: str) -> tuple[Layer, ...]:
    """The same net without its layers of some kinds."""
    return tuple(r for r in rows if r.kind not in kinds)


def _without_conv(number: int, net: tuple[Layer, ...] | None = None) -> tuple[Layer, ...]:
    """§7 The net without one convolution, its nonlinearity and its normalisation.

    G3: the paper does not say what became of the rest. Here all pooling stays, so that the maps
    keep their sizes; without conv1, conv2 takes over its stride of 4 and reads all three colours;
    without conv3, conv4 reads both columns in its place.
    """
    gone = {f"{kind}{number}" for kind in ("conv", "relu", "norm")}
    changes: dict[int, dict[str, Any]] = {1: {"stride": 4, "groups": 1}, 3: {"groups": 1}}
    rows = tuple(r for r in net or _alexnet() if r.name not in gone)
    return _changed(rows, **{f"conv{number + 1}": changes.get(number, {})})


def _mini(z: int) -> tuple[Layer, ...]:
    """D1: the paper's order of layers for 24x24 crops, a quarter or less of its widths.

    conv1 is 5x5 with stride 1 and the input is not shrunk by four; everything after it keeps the
    paper's kernel sizes, groups, normalisation, pooling and dropout. 24-12-6-3 under z = 3 (sizes
    rounded up) and z = 2 alike, so that the two pooling arms differ in nothing else (§3.4).
    """
    return _changed(
        _alexnet(widths=(24, 48, 64, 64, 48), z=z),
        conv1={"size": 5, "stride": 1, "padding": 2},
        fc6={"out": 256}, fc7={"out": 256}, fc8={"out": 10},
    )  # fmt: skip


MATCHED = (24, 48, 64, 64, 48)


def _matched(
    widths=MATCHED, units: int = 512, groups: int = 2, z: int = 3, **conv1: int
) -> tuple[Layer, ...]:
    """D1: the paper's order of layers for 28x28 crops of 32x32 images, where the crop is 7/8 too.

    Wide enough for 57 parameters to each of 10,000 training images; the paper has 48. conv1 as in
    _mini. 28-14-7-3 under z = 3 (sizes rounded up) and z = 2 alike.
    """
    return _changed(
        _alexnet(widths=widths, groups=groups, z=z),
        conv1={"size": 5, "stride": 1, "padding": 2, **conv1},
        fc6={"out": units}, fc7={"out": units}, fc8={"out": 10},
    )  # fmt: skip


def _matched_nets() -> list[Spec]:
    """The nets of the matched regime, each apart from `matched` by one thing (D1)."""
    nets: dict[str, tuple[Layer, ...]] = {
        "": _matched(),
        "-half": _matched((12, 24, 32, 32, 24), 256),
        "-double": _matched((48, 96, 128, 128, 96), 1024),
        "-narrow": _matched((16, 32, 48, 48, 32)),
        # as alexnet-one-gpu: half the kernels in one column, but conv5 and what follows it whole
        "-one-column": _matched((12, 24, 32, 32, 48), groups=1),
        "-ungrouped": _matched(groups=1),
        "-nonoverlap": _matched(z=2),
        **{f"-without-conv{i}": _without_conv(i, _matched()) for i in (2, 3, 4)},
    }
    one = ("-one-column", "-ungrouped")
    found = [
        Spec(
            f"matched{name}", "scaled from §3.5 (D1)", rows, 28,
            columns=1 if name in one else 2, scaled=True,
        )
        for name, rows in nets.items()
    ]  # fmt: skip
    # 56-pixel crops of 64x64 images; conv1 takes every other place, so that all else is `matched`
    tiny = _changed(_matched(stride=2, padding=1), fc8={"out": 20})
    return [*found, Spec("matched-tiny", "scaled from §3.5 (D1)", tiny, 56, columns=2, scaled=True)]


def _networks() -> dict[str, Spec]:
    nets = [
        Spec("alexnet", "§3.5", _alexnet(), columns=2),
        Spec("alexnet-original", "layers-145.cfg", _alexnet("original"), columns=2),
        Spec(
            "alexnet-one-gpu",
            "§3.2 footnote, widths of layers-145-half.cfg",
            _alexnet(widths=(48, 128, 192, 192, 256), groups=1),
        ),
        Spec("alexnet-nonoverlap", "§3.4, the sizes of §3.5", _alexnet(z=2), columns=2),
        Spec(
            "alexnet-nonoverlap-original", "§3.4, layers-147.cfg", _nonoverlap_original(),
            columns=2,
        ),
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
        Spec("alexnet-six-conv", "§6, sixth layer of layers-146.cfg", _six_conv(), columns=2),
        *cifar_networks.nets(),
        Spec("mini-alexnet", "scaled from §3.5 (D1)", _mini(3), 24, columns=2, scaled=True),
        Spec(
            "mini-alexnet-nonoverlap", "scaled from §3.4 (D1)", _mini(2), 24, columns=2,
            scaled=True,
        ),
        Spec(
            "mini-alexnet-no-dropout", "scaled from §4.2 (D1)", _leave_out(_mini(3), "dropout"),
            24, columns=2, scaled=True,
        ),
        *_matched_nets(),
    ]  # fmt: skip
    return {s.name: s for s in nets}


NETWORKS: dict[str, Spec] = _networks()


def get(name: str) -> Spec:
    """The spec of that name; ValueError listing the names if there is none."""
    if name not in NETWORKS:
        raise InputError(f"no net called {name!r}; nets: {', '.join(NETWORKS)}")
    return NETWORKS[name]
