"""§3.5 The nets that others call AlexNet, as rows, and what sets each apart from the paper's.

No torch. Layers bear the paper's names, whatever the peer calls them; drop5 acts on the outputs of
pool5. Parameters are counted by spec.trace, structure is read off the rows; what rows cannot hold
(how the peer starts and trains) is told in words.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from alexnet_repro.errors import InputError
from alexnet_repro.spec import networks, shapes
from alexnet_repro.spec.rows import Layer, Spec

CAFFE_NORM = {"k": 1.0, "alpha_over_n": True}


def _net(
    *widths: int,
    groups: int = 1,
    padding: int = 0,
    ceil: bool = False,
    norm: dict[str, Any] | None = None,
    pool_first: bool = False,
    drop_before: bool = False,
    inverted: bool = True,
    start: dict[str, dict[str, Any]],
) -> tuple[Layer, ...]:
    """Rows of a peer; all have ReLU after every hidden layer and round convolutions down.

    widths: kernels of conv1 to conv5. padding: of conv1. ceil: how pooling rounds. norm: constants
    of the LRN, None for none; pool_first: it follows the pooling. drop_before: dropout before fc6
    and fc7, not after. start: std and bias of layers that do not begin at N(0, 0.01) and 0.
    """

    def conv(n: int, size: int, columns: int, stride: int = 1, padding: int = 1) -> list[Layer]:
        row = Layer(f"conv{n}", "conv", widths[n - 1], size, stride, padding, columns, ceil=False)
        return [row, Layer(f"relu{n}", "act")]

    def pool(n: int, norm: dict[str, Any] | None = None) -> list[Layer]:
        rows = [Layer(f"pool{n}", "maxpool", 0, 3, 2, ceil=ceil)]
        if norm is not None:
            rows.insert(int(pool_first), Layer(f"norm{n}", "lrn", 0, 5, **norm))
        return rows

    def hidden(n: int) -> list[Layer]:
        rows = [Layer(f"fc{n}", "fc", 4096), Layer(f"relu{n}", "act")]
        drop = Layer(f"drop{n - drop_before}", "dropout", inverted=inverted)
        return [drop, *rows] if drop_before else [*rows, drop]

    rows = [
        *conv(1, 11, 1, 4, padding),
        *pool(1, norm),
        *conv(2, 5, groups, padding=2),
        *pool(2, norm),
        *conv(3, 3, 1),
        *conv(4, 3, groups),
        *conv(5, 3, groups),
        *pool(5),
        *hidden(6),
        *hidden(7),
        Layer("fc8", "fc", 1000),
    ]
    return tuple(replace(r, **start.get(r.name, {})) for r in rows)


def _torch_default(**fan_in: int) -> dict[str, dict[str, Any]]:
    """Deviations of torch's default: uniform within 1 / sqrt(fan_in), Kaiming's with a = sqrt(5).

    Its biases are uniform too, about the 0 that stands in the rows.
    """
    return {name: {"std": (3 * n) ** -0.5} for name, n in fan_in.items()}


def _biases(value: float, *names: str) -> dict[str, dict[str, Any]]:
    return {name: {"bias": value} for name in names}


def _caffe(bias: float) -> dict[str, dict[str, Any]]:
    hidden = {"std": 0.005, "bias": bias}
    return {**_biases(bias, "conv2", "conv4", "conv5"), "fc6": hidden, "fc7": hidden}


def _peers() -> dict[str, Spec]:
    paper = (96, 256, 384, 384, 256)
    fc = {"fc6": 36 * 256, "fc7": 4096, "fc8": 4096}
    conv = {"conv1": 363, "conv2": 64 * 25, "conv3": 192 * 9, "conv4": 384 * 9, "conv5": 256 * 9}
    torchvision = _net(
        64, 192, 384, 256, 256, padding=2, drop_before=True, start=_torch_default(**conv, **fc)
    )
    caffe = _net(*paper, groups=2, ceil=True, norm=CAFFE_NORM, start=_caffe(0.1))
    caffenet = _net(
        *paper, groups=2, ceil=True, norm=CAFFE_NORM, pool_first=True, start=_caffe(1.0)
    )
    # torch's own LRN divides alpha by n
    dansuh17 = _net(
        *paper, norm={"alpha_over_n": True}, drop_before=True,
        start=_biases(1.0, "conv2", "conv4", "conv5") | _torch_default(**fc),
    )  # fmt: skip
    # convolutions: the paper's biases, for want of the source; 1 on every Linear is reported
    longrootchen = _net(*paper, start=_biases(1.0, "conv2", "conv4", "conv5", "fc6", "fc7", "fc8"))
    # its dropout is the printed one: a mask in training, times 1 - p at test
    theano = _net(
        *paper, groups=2, norm={}, pool_first=True, inverted=False,
        start=_caffe(0.1) | _biases(0.0, "conv5"),
    )  # fmt: skip
    nets = [
        Spec("torchvision", "pytorch/vision: torchvision/models/alexnet.py", torchvision),
        Spec("caffe-alexnet", "BVLC/caffe: models/bvlc_alexnet", caffe, 227, columns=2),
        Spec("caffenet", "BVLC/caffe: models/bvlc_reference_caffenet", caffenet, 227, columns=2),
        Spec("dansuh17", "dansuh17/alexnet-pytorch: model.py", dansuh17, 227),
        Spec("longrootchen", "longrootchen/alexnet-imagenet-pytorch", longrootchen, 227),
        Spec("theano-alexnet", "uoguelph-mlrg/theano_alexnet", theano, 227, columns=2),
    ]
    return {s.name: s for s in nets}


PEERS: dict[str, Spec] = _peers()

# start of the weights; training; top-1 / top-5 accuracy on the 2012 validation images, per cent
WORDS: dict[str, tuple[str, str, str]] = {
    "paper": (
        "deviation 0.01; bias 1 in conv2, 4, 5, fc6, fc7",
        "SGD 0.01 / 0.9 / 0.0005, batch 128, three drops by hand; crops, mirror, colour noise",
        "59.3 / 81.8, ten crops",
    ),
    "torchvision": (
        "torch's default, uniform, biases too",
        "decay 0.0001, batch 8 × 32, a drop every 30 epochs; crops of random size, mirror",
        "56.522 / 79.066, centre",
    ),
    "caffe-alexnet": (
        "bias 0.1 in place of 1; deviation 0.005 in fc6, fc7",
        "batch 256, a drop every 100,000 steps; biases: twice the rate, no decay; no colour noise",
        "57.1 / 80.2, centre",
    ),
    "caffenet": (
        "bias 1; deviation 0.005 in fc6, fc7",
        "as caffe-alexnet",
        "57.4 / 80.4, centre",
    ),
    "dansuh17": (
        "convolutions as the paper; fully connected layers at torch's default",
        "Adam 0.0001 (its note: the paper's SGD does not train); centre crops only",
        "none published",
    ),
    "longrootchen": (
        "deviation 0.01; bias 1 in all fully connected layers, the output too",
        "a drop when validation stalls for one epoch; pixels standardised",
        "58.8 / 81.8 claimed, ten crops",
    ),
    "theano-alexnet": (
        "bias 0.1 in conv2, 4, fc6, fc7, 0 in conv5; deviation 0.005 in fc6, fc7",
        "drops at epochs 20 and 40 of 60; crops, mirror, no colour noise",
        "57.40 / 80.14, centre",
    ),
}


def get(name: str) -> Spec:
    """The peer's spec of that name; ValueError listing the names if there is none."""
    if name not in PEERS:
        raise InputError(f"no peer called {name!r}; peers: {', '.join(PEERS)}")
    return PEERS[name]


def _structure(net: Spec) -> dict[str, Any]:
    """What the rows say, in a few words."""
    convs = [r for r in net.layers if r.kind == "conv"]
    grouped = [r.name for r in convs if r.groups > 1]
    names = [r.name for r in net.layers]
    norms = [r for r in net.layers if r.kind == "lrn"]
    drops = [names[i - 1] for i, r in enumerate(net.layers) if r.kind == "dropout"]
    inverted = any(r.inverted for r in net.layers if r.kind == "dropout")
    padding = f", padding {convs[0].padding}" if convs[0].padding else ""
    return {
        "filters": "-".join(str(r.out) for r in convs),
        "groups": f"{convs[1].groups} in {', '.join(grouped)}" if grouped else "none",
        "input": f"{net.input_size}{padding}, rounded {'up' if convs[0].ceil else 'down'}",
        "order": ", ".join(names[: names.index("conv2")]),
        "LRN": f"alpha {norms[0].alpha:g}{' / 5' * norms[0].alpha_over_n}, k {norms[0].k:g}"
        if norms
        else "none",
        "dropout": f"{'inverted' if inverted else 'printed'}, on {' and '.join(drops)}",
    }


def differences() -> list[dict[str, Any]]:
    """Rows of the table of peers, the paper's own net first; "as the paper" where they agree.

    Keys: peer; filters, groups, input (pixels), order, LRN, dropout, from the rows of the spec;
    start, recipe and accuracy (top-1 / top-5, 2012 validation images, per cent) in words;
    parameters, counted by spec.trace; line and order_line, which compute parameters and order anew
    once `from alexnet_repro import peers, spec` has run.
    """
    table: list[dict[str, Any]] = []
    for name, words in WORDS.items():
        call = 'spec.get("alexnet")' if name == "paper" else f'peers.get("{name}")'
        net = networks.get("alexnet") if name == "paper" else get(name)
        counts = shapes.trace(net)[["weights", "biases"]]
        text = {**_structure(net), **dict(zip(("start", "recipe", "accuracy"), words, strict=True))}
        if table:
            text = {k: "as the paper" if v == table[0][k] else v for k, v in text.items()}
        end = [r.name for r in net.layers].index("conv2")
        table.append(
            {
                "peer": name,
                **text,
                "parameters": int(counts.sum().sum()),
                "line": f'int(spec.trace({call})[["weights", "biases"]].sum().sum())',
                "order_line": f"[r.name for r in {call}.layers][:{end}]",
            }
        )
    return table
