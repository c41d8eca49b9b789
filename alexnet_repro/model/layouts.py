"""§3.5 Other people's weights, by the layout of their keys: torchvision's and Caffe's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from alexnet_repro import spec as specs
from alexnet_repro.errors import InputError
from alexnet_repro.model import inverted
from alexnet_repro.model.fitting import empty, shapes, want_same_shapes
from alexnet_repro.model.paper_net import PaperNet
from alexnet_repro.spec import peers


class Mapped(NamedTuple):
    """One layer: its name here, its name there (torch's ".weight" and ".bias" follow), a note."""

    layer: str
    theirs: str
    note: str = ""


_BGR = "input channels are blue, green, red there; red, green, blue here"
_CAFFE = (
    Mapped("conv1", "conv1", _BGR),
    *(Mapped(n, n, "blobs conv/0 and conv/1, too") for n in ("conv2", "conv3", "conv4", "conv5")),
    *(Mapped(n, n, "old blobs have leading ones: 1 x 1 x out x in") for n in ("fc6", "fc7", "fc8")),
)
# name, which is also the peer whose net the weights are for -> layers
LAYOUTS: dict[str, tuple[Mapped, ...]] = {
    "torchvision": (
        Mapped("conv1", "features.0", "pixels 0..1, standardised by mean and deviation"),
        Mapped("conv2", "features.3", "no groups"),
        Mapped("conv3", "features.6"),
        Mapped("conv4", "features.8", "256 kernels, 384 in the paper"),
        Mapped("conv5", "features.10"),
        Mapped("fc6", "classifier.1", "after dropout on pool5"),
        Mapped("fc7", "classifier.4"),
        Mapped("fc8", "classifier.6", "no dropout before it"),
    ),
    "caffe-alexnet": _CAFFE,
    "caffenet": _CAFFE,
}


def _layout(layout: str) -> tuple[Mapped, ...]:
    if layout not in LAYOUTS:
        raise InputError(f"no layout {layout!r}; layouts: {', '.join(LAYOUTS)}")
    return LAYOUTS[layout]


def from_layout(
    state: Mapping[str, Any], layout: str, *, printed_dropout: bool = False
) -> PaperNet:
    """The peer's net, on the CPU in training mode, with weights under the peer's own names.

    state: tensors or numpy arrays, copied as float32. layout: a key of LAYOUTS; caffe-alexnet and
    caffenet have the same names and shapes, so only you can tell which one it is. Caffe's keys
    are conv1.weight and conv1.bias or conv1/0 and conv1/1, and the net that comes back wants red,
    green, blue. printed_dropout: the net with dropout as the paper prints it, same function.
    Raises ValueError for an unknown layout, names that are missing or too many, other shapes.
    """
    rows = _layout(layout)
    left = dict(state)
    ours: dict[str, Tensor] = {}
    for row in rows:
        for i, part in enumerate(("weight", "bias")):
            key = f"{row.theirs}.{part}"
            if layout != "torchvision" and key not in left:
                key = f"{row.theirs}/{i}"
            if key not in left:
                raise InputError(
                    f"layout {layout} wants {row.theirs}.{part}; the state has "
                    f"{', '.join(list(state)[:4])}, ...; layouts: {', '.join(LAYOUTS)}"
                )
            value = _numbers(left.pop(key), key)
            dims = 1 if part == "bias" else 4 if row.layer.startswith("conv") else 2
            while value.dim() > dims and value.shape[0] == 1:
                value = value[0]
            ours[f"{row.layer}.{part}"] = value
    if left:
        raise InputError(f"layout {layout} has no {next(iter(left))}, but the state has")
    if layout != "torchvision" and ours["conv1.weight"].dim() == 4:
        ours["conv1.weight"] = ours["conv1.weight"].flip(1)
    net = empty(peers.get(layout).with_classes(ours["fc8.bias"].numel()))
    want_same_shapes(ours, net, f"not the weights of {layout}:", _guess(ours))
    net.load_state_dict(ours, assign=True)
    if printed_dropout:
        inverted.from_inverted(net)
    return net


def _numbers(value: Any, key: str) -> Tensor:
    """A float32 copy on the CPU. Raises ValueError for what is neither a tensor nor an array."""
    try:
        tensor = torch.as_tensor(value).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{key} is a {type(value).__name__}, wanted a tensor ({error})") from None
    if tensor.is_complex() or tensor.is_meta:
        raise InputError(f"{key} holds {tensor.dtype} on {tensor.device}, wanted real numbers")
    return tensor.to("cpu", torch.float32, copy=True)


def _guess(state: Mapping[str, Tensor]) -> str:
    """The nets of this library that have these very shapes, as the end of an error."""
    got = {k: tuple(v.shape) for k, v in state.items()}
    classes = state["fc8.bias"].numel()
    nets = {**specs.NETWORKS, **peers.PEERS}.values()
    same = [s.name for s in nets if shapes(empty(s.with_classes(classes))) == got]
    return f"; its shapes are those of {' or '.join(same) or 'no net that we know'}"


def to_layout(net: PaperNet, layout: str) -> dict[str, Tensor]:
    """Copies of the weights under the peer's names (conv1.weight for Caffe, blue first).

    Raises ValueError for an unknown layout and for a net that is not the peer's, row for row.
    """
    rows = _layout(layout)
    wanted = peers.get(layout).with_classes(net.spec.num_classes)
    if net.spec != wanted or net.nonlinearity != "relu":
        raise InputError(
            f"{net.spec.name} with {net.nonlinearity} is not the net of layout {layout}; if only "
            f"its dropout differs, call dropout.to_inverted(net) first"
        )
    state = {k: v.detach().cpu().clone() for k, v in net.state_dict().items()}
    if layout != "torchvision":
        state["conv1.weight"] = state["conv1.weight"].flip(1)
    return {f"{r.theirs}.{p}": state[f"{r.layer}.{p}"] for r in rows for p in ("weight", "bias")}
