"""§3.5 Weights in files: our own in safetensors, other people's through the layout of their keys.

Nothing here runs code from a file. A file of ours holds the rows of its net beside the weights, so
that it gives the same scores even after the library's rows have changed.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from alexnet_repro import __version__
from alexnet_repro import spec as specs
from alexnet_repro.errors import InputError, MissingError
from alexnet_repro.model import inverted
from alexnet_repro.model.paper_net import PaperNet, build
from alexnet_repro.spec import peers, rows
from alexnet_repro.whole import replacing

FORMAT = "alexnet-repro-1"
FLOATS = {torch.float16, torch.bfloat16, torch.float32, torch.float64}
_FLOAT_NAMES = "float16, bfloat16, float32, float64"


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
    spec has a name that neither NETWORKS nor PEERS has, and for weights of other shapes than its,
    but for the number of classes: a new last layer is kept as it is.
    """
    _known(net.spec.name)
    path = Path(path)
    state = {k: v.detach().cpu().contiguous() for k, v in net.state_dict().items()}
    last = [r.name for r in net.spec.layers if r.kind in rows.WEIGHT_KINDS][-1]
    spec = net.spec.with_classes(len(net.get_parameter(f"{last}.bias")))
    _same_shapes(
        state, _empty(spec, net.nonlinearity), f"this {spec.name} is not as its spec says:"
    )
    metadata = {
        "format": FORMAT,
        "library": __version__,
        "net": net.spec.name,
        "nonlinearity": net.nonlinearity,
        "num_classes": str(spec.num_classes),
        "spec": json.dumps(asdict(spec)),
    }
    with replacing(path) as temporary:
        safetensors.torch.save_file(state, temporary, metadata)


def load(path: str | Path) -> PaperNet:
    """The net that `save` wrote, on the CPU, in training mode (as `build` gives it).

    Raises ValueError, naming the file, for one that is not ours or not safetensors, for an unknown
    net, and where a layer's shape is not that of the net; MissingError where there is no file.
    """
    path = _file(path)
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            net = _net_of(path, metadata)
            # safetensors maps the file; at its odd addresses torch's sums round differently
            state = {k: file.get_tensor(k).clone() for k in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise InputError(f"{path} is not a safetensors file ({error})") from None
    _same_shapes(state, net, f"{path} says that it holds {net.spec.name}, but")
    types = {v.dtype for v in state.values()}
    if len(types) > 1 or not types <= FLOATS:
        got = ", ".join(sorted(str(t) for t in types))
        raise InputError(f"{path} holds numbers of {got}, wanted one of {_FLOAT_NAMES} throughout")
    net.load_state_dict(state, assign=True)
    return net


def _file(path: str | Path) -> Path:
    path = Path(path)
    if not path.exists():
        raise MissingError(f"{path}: there is no such file; weights.save(net, path) writes one")
    if not path.is_file():  # a pipe would wait for ever
        raise InputError(f"{path} is not a regular file, wanted weights")
    return path


def _net_of(path: Path, metadata: Mapping[str, str]) -> PaperNet:
    """The net that a file's metadata describe, without weights."""
    if metadata.get("format") != FORMAT:
        raise InputError(
            f"{path} does not say which net of this library it holds (format "
            f"{metadata.get('format')!r}, wanted {FORMAT!r}); for other people's weights use "
            f"weights.from_layout(weights.read(path), layout)"
        )
    name = metadata.get("net", "")
    try:
        _known(name)
        spec = _spec_of(metadata["spec"]).with_classes(int(metadata["num_classes"]))
        if spec.name != name:
            raise InputError(f"the rows are of {spec.name!r}, the file says {name!r}")
        return _empty(spec, metadata["nonlinearity"])
    except (KeyError, TypeError, ValueError, OverflowError, RuntimeError) as error:
        # RuntimeError: sizes beyond what a tensor can have, JSON nested too deep
        raise InputError(
            f"{path} was written by alexnet-repro {metadata.get('library')}, and {__version__} "
            f"cannot build its net ({error!r}); take that version, or another file"
        ) from None


def _spec_of(text: str) -> specs.Spec:
    """Rows from JSON. Raises ValueError, TypeError or KeyError for text that is none."""
    body = json.loads(text)
    if not isinstance(body, dict) or not isinstance(body.get("layers"), list):
        raise InputError(f"wanted an object with a list of layers, got {text[:40]!r}")
    if not all(isinstance(row, dict) for row in body["layers"]):
        raise InputError("wanted an object for each layer")
    rows = tuple(specs.Layer(**row) for row in body.pop("layers"))
    body.pop("num_classes", None)  # beside the rows in files of 0.1.0; metadata have it
    return specs.Spec(**body, layers=rows)


def _empty(spec: specs.Spec, nonlinearity: str | None = None) -> PaperNet:
    """The net without memory for its weights: load_state_dict(assign=True) brings them."""
    with torch.device("meta"):
        return build(spec, nonlinearity=nonlinearity)


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
    ending, a damaged file, and a pickle that holds anything but tensors and plain values;
    MissingError where there is no file.
    """
    path = Path(path)
    if path.suffix not in (".safetensors", ".pt", ".pth"):
        raise InputError(f"{path}: wanted a name ending in .safetensors, .pt or .pth")
    _file(path)
    if path.suffix == ".safetensors":
        try:
            return safetensors.torch.load_file(path)
        except SafetensorError as error:
            raise InputError(f"{path} is not a safetensors file ({error})") from None
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
    named = isinstance(state, dict) and all(isinstance(k, str) for k in state)
    if not named or not all(isinstance(v, Tensor) for v in state.values()):
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
            value = _numbers(left.pop(key), key)
            dims = 1 if part == "bias" else 4 if row.layer.startswith("conv") else 2
            while value.dim() > dims and value.shape[0] == 1:
                value = value[0]
            ours[f"{row.layer}.{part}"] = value
    if left:
        raise InputError(f"layout {layout} has no {next(iter(left))}, but the state has")
    if layout != "torchvision" and ours["conv1.weight"].dim() == 4:
        ours["conv1.weight"] = ours["conv1.weight"].flip(1)
    net = _empty(peers.get(layout).with_classes(ours["fc8.bias"].numel()))
    _same_shapes(ours, net, f"not the weights of {layout}:", _guess(ours))
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
    same = [s.name for s in nets if _shapes(_empty(s.with_classes(classes))) == got]
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
