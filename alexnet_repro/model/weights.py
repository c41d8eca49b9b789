"""§3.5 Weights in files: our own nets in safetensors; `read` opens other people's for `layouts`.

Nothing here runs code from a file. A file of ours holds the rows of its net beside the weights, so
that it gives the same scores even after the library's rows have changed.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from alexnet_repro import __version__
from alexnet_repro import spec as specs
from alexnet_repro.errors import InputError, MissingError
from alexnet_repro.model.fitting import empty, want_same_shapes
from alexnet_repro.model.paper_net import PaperNet
from alexnet_repro.spec import peers, rows
from alexnet_repro.whole import replacing

FORMAT = "alexnet-repro-1"
FLOATS = {torch.float16, torch.bfloat16, torch.float32, torch.float64}
_FLOAT_NAMES = "float16, bfloat16, float32, float64"


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
    want_same_shapes(
        state, empty(spec, net.nonlinearity), f"this {spec.name} is not as its spec says:"
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
    want_same_shapes(state, net, f"{path} says that it holds {net.spec.name}, but")
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
            f"layouts.from_layout(weights.read(path), layout)"
        )
    name = metadata.get("net", "")
    try:
        _known(name)
        spec = _spec_of(metadata["spec"]).with_classes(int(metadata["num_classes"]))
        if spec.name != name:
            raise InputError(f"the rows are of {spec.name!r}, the file says {name!r}")
        return empty(spec, metadata["nonlinearity"])
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
