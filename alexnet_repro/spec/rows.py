"""§3.5 A network as data: a `Spec` is a tuple of `Layer` rows in the order in which they run.

No torch. Constants of initialisation stand beside each weight layer: `std` and `decay` are what the
original configuration ran, `bias` what both the paper and the configuration give.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass, fields, replace
from typing import Any

from alexnet_repro.errors import InputError

WEIGHT_KINDS = ("conv", "local", "fc")
# What each kind makes of a row, beside its name. A row that sets anything else is refused.
_START = ("std", "bias", "decay")
_NORM = ("size", "alpha", "beta", "k", "alpha_over_n")
READS: dict[str, tuple[str, ...]] = {
    "conv": ("out", "size", "stride", "padding", "groups", "ceil", *_START),
    "local": ("out", "size", "padding", *_START),
    "fc": ("out", *_START),
    "act": (),
    "lrn": ("groups", *_NORM),
    "mapnorm": _NORM,
    "maxpool": ("size", "stride", "ceil"),
    "avgpool": ("size", "stride", "ceil"),
    "dropout": ("inverted", "p"),
}
_LOWEST = {"out": 1, "size": 1, "stride": 1, "groups": 1, "padding": 0, "std": 0, "decay": 0}


@dataclass(frozen=True)
class Layer:
    """One row: what it is called in the paper, what it does, and its constants.

    Raises ValueError, naming the row, for a constant that its kind does not read (READS) and for a
    value that cannot be meant.
    """

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
    alpha_over_n: bool = False  # the original divides alpha by the number of places in the window
    inverted: bool = False  # dropout as torch and Caffe have it: rescaled in training, not at test
    decay: float | None = None  # §5 weight decay of this layer; None where no configuration is told
    p: float = 0.5  # §4.2 probability that dropout sets an output to zero

    def __post_init__(self) -> None:
        who = f"layer {self.name!r}"
        if not isinstance(self.name, str) or not self.name.isidentifier():
            raise InputError(f"{who}: wanted a name of letters, digits and _, such as conv1")
        if self.kind not in READS:
            raise InputError(
                f"{who} has an unknown kind {self.kind!r}; there are {', '.join(READS)}"
            )
        reads = READS[self.kind]
        for field in fields(self)[2:]:
            value = getattr(self, field.name)
            if field.name in reads:
                if problem := _problem(field.name, value, type(field.default)):
                    raise InputError(f"{who} wants {problem}, got {value!r}")
            elif value != field.default or type(value) is not type(field.default):
                raise InputError(
                    f"{who} has {field.name} = {value!r}, which kind {self.kind} does not read; "
                    f"it reads {', '.join(reads) or 'nothing'}"
                )
        if self.kind == "mapnorm" and self.size % 2 == 0:
            raise InputError(f"{who} wants an odd size, got {self.size}")
        if self.kind.endswith("pool") and self.stride > self.size:
            raise InputError(
                f"{who} wants a stride of at most its size, {self.size}, got {self.stride}"
            )


def _problem(name: str, value: Any, kind: type) -> str:
    """What a field wants, where this value is not it; empty if it is."""
    if kind is bool:
        return "" if isinstance(value, bool) else f"{name} true or false"
    if name == "decay" and value is None:
        return ""
    low = _LOWEST.get(name, -math.inf)
    if kind is int:
        fits = isinstance(value, int) and not isinstance(value, bool) and value >= low
        return "" if fits else f"{name} an integer >= {low}"
    fits = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if name == "k":
        return "" if fits and value > 0 else "k a number > 0"
    if name == "p":
        return "" if fits and 0 <= value < 1 else "p a number with 0 <= p < 1"
    above = f" >= {low}" if name in _LOWEST else ""
    return "" if fits and value >= low else f"{name} a finite number{above}"


def decayed(rows: Iterable[Layer], *decays: float) -> tuple[Layer, ...]:
    """§5 The rows with the weight decay of each layer with weights, in running order."""
    left = list(decays)
    found = tuple(replace(r, decay=left.pop(0)) if r.kind in WEIGHT_KINDS else r for r in rows)
    assert not left
    return found


@dataclass(frozen=True)
class Spec:
    """A network: its layers, the input it wants, and where it comes from.

    Raises ValueError for layers of the same name, for none with weights and for other types.
    """

    name: str
    source: str  # section of the paper or file of the original source
    layers: tuple[Layer, ...]
    input_size: int = 224  # pixels
    _: KW_ONLY
    columns: int = 1  # GPUs of the paper
    scaled: bool = False  # smaller than the paper's net, same shape
    nonlinearity: str = "relu"
    in_channels: int = 3

    def __post_init__(self) -> None:
        rows, who = self.layers, f"net {self.name!r}"
        if not isinstance(rows, tuple) or not all(isinstance(r, Layer) for r in rows):
            raise InputError(f"{who} wants a tuple of Layer rows, got {type(rows).__name__}")
        names = [r.name for r in rows]
        twice = next((n for n in names if names.count(n) > 1), None)
        if twice:
            raise InputError(f"{who} has two layers called {twice}")
        if not any(r.kind in WEIGHT_KINDS for r in rows):
            raise InputError(f"{who} has no layer with weights: {', '.join(WEIGHT_KINDS)}")
        for field in ("name", "source", "nonlinearity"):
            if not isinstance(value := getattr(self, field), str):
                raise InputError(f"{who} wants a {field} in letters, got {value!r}")
        for field in ("input_size", "columns", "in_channels"):
            value = getattr(self, field)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise InputError(f"{who} wants {field} an integer >= 1, got {value!r}")
        if not isinstance(self.scaled, bool):
            raise InputError(f"{who} wants scaled true or false, got {self.scaled!r}")

    @property
    def num_classes(self) -> int:
        """§4 Classes that the net tells apart: the units of its last layer with weights."""
        return self.layers[self._last()].out

    def with_classes(self, n: int) -> Spec:
        """The same net for n classes. Raises ValueError for n < 1."""
        at = self._last()
        last = replace(self.layers[at], out=n)
        return replace(self, layers=(*self.layers[:at], last, *self.layers[at + 1 :]))

    def decays(self) -> dict[str, float]:
        """§5 The weight decay that the original ran, by layer with weights.

        Raises ValueError naming the first layer for which no configuration tells one.
        """
        found = {}
        for row in self.layers:
            if row.kind in WEIGHT_KINDS:
                if row.decay is None:
                    raise InputError(
                        f"{self.name}: {row.name} has no weight decay of its own; give one for all "
                        f"layers, or a net whose rows have it, such as 18pct"
                    )
                found[row.name] = row.decay
        return found

    def _last(self) -> int:
        return max(i for i, r in enumerate(self.layers) if r.kind in WEIGHT_KINDS)
