"""§3.5 Do weights fit a net? Its shapes, without memory for its numbers."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from alexnet_repro import spec as specs
from alexnet_repro.errors import InputError
from alexnet_repro.model.paper_net import PaperNet, build


def empty(spec: specs.Spec, nonlinearity: str | None = None) -> PaperNet:
    """The net without memory for its weights: load_state_dict(assign=True) brings them."""
    with torch.device("meta"):
        return build(spec, nonlinearity=nonlinearity)


def shapes(net: PaperNet) -> dict[str, tuple[int, ...]]:
    """Parameter -> its shape."""
    return {k: tuple(v.shape) for k, v in net.state_dict().items()}


def want_same_shapes(state: Mapping[str, Tensor], net: PaperNet, who: str, hint: str = "") -> None:
    """Raise InputError for the first tensor that is missing, of another shape, or too many."""
    wanted = shapes(net)
    for name, shape in wanted.items():
        got = tuple(state[name].shape) if name in state else "none"
        if got != shape:
            raise InputError(f"{who} {name} has shape {got}, wanted {shape}{hint}")
    more = [name for name in state if name not in wanted]
    if more:
        raise InputError(f"{who} there is {more[0]}, which {net.spec.name} has not")
