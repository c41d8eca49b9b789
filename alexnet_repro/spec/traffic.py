"""§3.2 What two columns send each other in a training step, by arithmetic. No torch.

A column keeps half of the kernels or units of every layer. Where a layer reads both columns, each
sends its half of the layer's input, and in the backward pass the gradient of the other's half.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from alexnet_repro.errors import InputError
from alexnet_repro.spec import networks, shapes
from alexnet_repro.spec.rows import WEIGHT_KINDS, Layer, Spec

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = 2
SCORES = "scores"  # the last exchange, of the halves of the net's output


def per_column(spec: Spec) -> Spec:
    """The same net with local response normalisation that stays within a column."""
    rows = (replace(r, groups=COLUMNS) if r.kind == "lrn" else r for r in spec.layers)
    return replace(spec, name=f"{spec.name}-per-column", layers=tuple(rows))


def meetings(spec: Spec) -> tuple[str, ...]:
    """Layers before which the columns exchange: those that read both, but for the first (images).

    For the paper's net conv3, fc6, fc7 and fc8. Raises ValueError naming the first layer that does
    not divide into two columns.
    """
    if spec.columns != COLUMNS:
        raise InputError(
            f"{spec.name} has columns={spec.columns}, wanted {COLUMNS}; nets of two columns: "
            f"{', '.join(s.name for s in networks.NETWORKS.values() if s.columns == COLUMNS)}"
        )
    for row in spec.layers:
        problem = _problem(row, row is spec.layers[0])
        if problem:
            raise InputError(f"{spec.name} does not divide into two columns: {row.name} {problem}")
    return tuple(r.name for r in spec.layers[1:] if r.kind in WEIGHT_KINDS and r.groups == 1)


def _problem(row: Layer, first: bool) -> str:
    """Why this layer cannot be halved; empty if it can."""
    if row.kind == "local":
        return "is locally connected, which the paper never split; wanted conv or fc"
    if first and (row.kind not in WEIGHT_KINDS or row.groups != 1):
        return f"is first with kind {row.kind}, groups={row.groups}; wanted conv or fc, groups=1"
    if row.kind in WEIGHT_KINDS and row.groups not in (1, COLUMNS):
        return f"has groups={row.groups}; wanted 1 (reads both columns) or 2 (its own)"
    if row.kind in WEIGHT_KINDS and row.out % COLUMNS:
        return f"has {row.out} kernels or units; wanted an even number"
    if row.kind == "lrn" and row.groups % COLUMNS:
        return (
            f"normalises across the columns (groups={row.groups}, wanted 2); take a net that "
            f"normalises within a column, such as 'alexnet-per-column' or 'alexnet-original', or "
            f"traffic.per_column(spec)"
        )
    return ""


def exchange(spec: Spec, batch: int, bytes_per_number: int = 4) -> pd.DataFrame:
    """What one column sends in one training step of `batch` images; the other sends as much.

    Columns layer (the reader, or "scores"), direction ("forward", "backward") and bytes. Scores go
    forward only: each column computes the loss of all classes, hence its own half's gradient.
    Raises ValueError as meetings, and for batch or bytes_per_number below 1.
    """
    import pandas as pd

    if batch < 1 or bytes_per_number < 1:
        raise InputError(
            f"wanted batch and bytes_per_number >= 1, got {batch} and {bytes_per_number}"
        )
    readers = meetings(spec)
    rows = []
    numbers = 0
    for layer, shape in shapes.trace(spec)[["layer", "shape"]].itertuples(index=False):
        if layer in readers:
            rows += [(layer, way, numbers) for way in ("forward", "backward")]
        numbers = math.prod(shape)
    rows.append((SCORES, "forward", numbers))
    frame = pd.DataFrame(rows, columns=["layer", "direction", "bytes"])
    frame["bytes"] = frame["bytes"] // COLUMNS * batch * bytes_per_number
    return frame


def full_connectivity(spec: Spec, batch: int, bytes_per_number: int = 4) -> pd.DataFrame:
    """exchange, had every convolution but the first read both columns. Raises as exchange."""
    rows = (replace(r, groups=1) if r.kind == "conv" else r for r in spec.layers)
    return exchange(replace(spec, layers=tuple(rows)), batch, bytes_per_number)


def data_parallel(spec: Spec, bytes_per_number: int = 4) -> pd.DataFrame:
    """What each of two workers, each with the whole net, sends to share a step's gradients.

    One row a weight layer: layer, direction ("gradient"), bytes, whatever the batch. Any net.
    """
    trace = shapes.trace(spec)
    trace = trace[trace["kind"].isin(WEIGHT_KINDS)].reset_index(drop=True)
    numbers = trace["weights"] + trace["biases"]
    return trace[["layer"]].assign(direction="gradient", bytes=numbers * bytes_per_number)
