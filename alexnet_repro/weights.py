"""§3.5 Weights in files: our own in safetensors, other people's through the layout of their keys.

Nothing here runs code from a file. A file of ours holds the rows of its net beside the weights, so
that it gives the same scores even after the library's rows have changed.
"""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from alexnet_repro import __version__, dropout, peers
from alexnet_repro import spec as specs
from alexnet_repro.errors import InputError
from alexnet_repro.model import PaperNet, build

FORMAT = "alexnet-repro-1"


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


def _known(name: str) -> None:
    if name not in specs.NETWORKS and name not in peers.PEERS:
        raise InputError(
            f"no net called {name!r}; nets: {', '.join([*specs.NETWORKS, *peers.PEERS])}. "
            f"The weights of another net keep as torch.save(net.state_dict(), path)"
        )


def save(net: PaperNet, path: str | Path) -> None:
    """Write the weights and what net they belong to, whole or not at all.

    path: ends in .safetensors by custom; its folder must exist. Raises ValueError for a net whose
    spec has a name that neither NETWORKS nor PEERS has.
    """
    _known(net.spec.name)
    path = Path(path)
    state = {k: v.detach().cpu().contiguous() for k, v in net.state_dict().items()}
    metadata = {
        "format": FORMAT,
        "library": __version__,
        "net": net.spec.name,
        "nonlinearity": net.nonlinearity,
        "num_classes": str(net.get_parameter(f"{net.spec.layers[-1].name}.bias").numel()),
        "spec": json.dumps(asdict(net.spec)),
    }
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        safetensors.torch.save_file(state, temporary, metadata)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load(path: str | Path) -> PaperNet:
    """The net that `save` wrote, on the CPU, in training mode (as `build` gives it).

    Raises ValueError for a file that is not ours or not safetensors, for an unknown net, and where
    a layer's shape is not that of the net; FileNotFoundError where there is no file.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise InputError(f"{path} is not a safetensors file ({error})") from None
    if metadata.get("format") != FORMAT:
        raise InputError(
            f"{path} does not say which net of this library it holds (format "
            f"{metadata.get('format')!r}, wanted {FORMAT!r}); for other people's weights use "
            f"weights.from_layout(weights.read(path), layout)"
        )
    _known(metadata.get("net", ""))
    try:
        body = json.loads(metadata["spec"])
        rows = tuple(specs.Layer(**row) for row in body.pop("layers"))
        spec, classes = specs.Spec(**body, layers=rows), int(metadata["num_classes"])
        net = _empty(spec, classes, metadata["nonlinearity"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} was written by alexnet-repro {metadata.get('library')}, and {__version__} "
            f"cannot build its net ({error!r}); take that version"
        ) from None
    state = safetensors.torch.load_file(path)
    _same_shapes(state, net, f"{path} says that it holds {net.spec.name}, but")
    # safetensors maps the file; at its odd addresses torch's sums round differently
    net.load_state_dict({k: v.clone() for k, v in state.items()}, assign=True)
    return net


def _empty(spec: specs.Spec, num_classes: int, nonlinearity: str | None = None) -> PaperNet:
    """The net without memory for its weights: load_state_dict(assign=True) brings them."""
    with torch.device("meta"):
        return build(spec, num_classes=num_classes, nonlinearity=nonlinearity)


def _shapes(net: PaperNet) -> dict[str, tuple[int, ...]]:
    return {k: tuple(v.shape) for k, v in net.state_dict().items()}


def _same_shapes(state: Mapping[str, Tensor], net: PaperNet, who: str, hint: str = "") -> None:
    """Raise ValueError for the first tensor that is missing, of another shape, or too many."""
    wanted = _shapes(net)
    for name, shape in wanted.items():
        got = tuple(state[name].shape) if name in state else "none"
        if got != shape:
            raise InputError(f"{who} {name} has shape {got}, wanted {shape}{hint}")
    more = [name for name in state if name not in wanted]
    if more:
        raise InputError(f"{who} there is {more[0]}, which {net.spec.name} has not")


def read(path: str | Path) -> dict[str, Tensor]:
    """Tensors by name from .safetensors, .pt or .pth, on the CPU; a pickle's code is never run.

    A checkpoint that keeps them under "state_dict" is opened there. Raises ValueError for another
    ending, a damaged file, and a pickle that holds anything but tensors and plain values.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        try:
            return safetensors.torch.load_file(path)
        except SafetensorError as error:
            raise InputError(f"{path} is not a safetensors file ({error})") from None
    if path.suffix not in (".pt", ".pth"):
        raise InputError(f"{path}: wanted a name ending in .safetensors, .pt or .pth")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise InputError(
            f"{path} holds more than tensors, or is damaged; nothing in it was run. Ask for its "
            f"state_dict() saved by torch.save or as safetensors"
        ) from None
    except OSError:
        raise
    except Exception as error:  # what torch raises for damaged files depends on the damage
        raise InputError(f"{path} cannot be read as torch weights ({error!r})") from None
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise InputError(f"{path} holds a {type(state).__name__}, wanted tensors by name")
    return dict(state)


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
            value = torch.as_tensor(left.pop(key)).detach().to("cpu", torch.float32, copy=True)
            dims = 1 if part == "bias" else 4 if row.layer.startswith("conv") else 2
            while value.dim() > dims and value.shape[0] == 1:
                value = value[0]
            ours[f"{row.layer}.{part}"] = value
    if left:
        raise InputError(f"layout {layout} has no {next(iter(left))}, but the state has")
    if layout != "torchvision" and ours["conv1.weight"].dim() == 4:
        ours["conv1.weight"] = ours["conv1.weight"].flip(1)
    net = _empty(peers.get(layout), ours["fc8.bias"].numel())
    _same_shapes(ours, net, f"not the weights of {layout}:", _guess(ours))
    net.load_state_dict(ours, assign=True)
    if printed_dropout:
        dropout.from_inverted(net)
    return net


def _guess(state: Mapping[str, Tensor]) -> str:
    """The nets of this library that have these very shapes, as the end of an error."""
    got = {k: tuple(v.shape) for k, v in state.items()}
    classes = state["fc8.bias"].numel()
    nets = {**specs.NETWORKS, **peers.PEERS}.values()
    same = [s.name for s in nets if _shapes(_empty(s, classes)) == got]
    return f"; its shapes are those of {' or '.join(same) or 'no net that we know'}"


def to_layout(net: PaperNet, layout: str) -> dict[str, Tensor]:
    """Copies of the weights under the peer's names (conv1.weight for Caffe, blue first).

    Raises ValueError for an unknown layout and for a net that is not the peer's, row for row.
    """
    rows = _layout(layout)
    if net.spec != peers.get(layout) or net.nonlinearity != "relu":
        raise InputError(
            f"{net.spec.name} with {net.nonlinearity} is not the net of layout {layout}; if only "
            f"its dropout differs, call dropout.to_inverted(net) first"
        )
    state = {k: v.detach().cpu().clone() for k, v in net.state_dict().items()}
    if layout != "torchvision":
        state["conv1.weight"] = state["conv1.weight"].flip(1)
    return {f"{r.theirs}.{p}": state[f"{r.layer}.{p}"] for r in rows for p in ("weight", "bias")}
