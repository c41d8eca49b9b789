"""§3.2 Two processes, a column each: training steps, results, what is told when one dies."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, TypedDict, Unpack

import torch
import torch.multiprocessing as mp
import torch.nn.functional as F
from torch import Tensor, nn

from alexnet_repro.errors import InputError
from alexnet_repro.layers import PaperDropout
from alexnet_repro.spec.traffic import SCORES
from alexnet_repro.towers.link import ColumnGone, Link
from alexnet_repro.training import PaperSGD
from alexnet_repro.training.optim import parameter_groups

Batch = tuple[Tensor, Tensor]  # images N x 3 x S x S float, labels N int64
GRACE = 5.0  # seconds that a process has to end by itself once the other has failed


class Options(TypedDict, total=False):
    """§5 How `steps` trains; what is left out has the value beside it."""

    lr: float  # 0.01
    momentum: float  # 0.9
    weight_decay: float  # 5e-4; biases have none
    bias_lr_factor: float  # 1: biases learn at bias_lr_factor * lr
    seed: int  # 0; of the dropout masks


@dataclass
class Result:
    """What a short training run leaves, in the layout of the whole net, on the CPU."""

    losses: list[float]  # cross-entropy of each step, nats, before its update
    gradients: dict[str, Tensor]  # of the first step
    state_dict: dict[str, Tensor]  # after the last
    bytes_sent: list[dict[str, Any]] = field(default_factory=list)  # rows of Link.sent


def train_column(
    column: nn.Module, batches: Sequence[Batch], device: str, **options: Unpack[Options]
) -> dict[str, Any]:
    """`steps` for one column (columns.Column) over a Link, whose counts are "bytes_sent"."""
    link = Link(column.number)  # type: ignore[arg-type]

    def scores(images: Tensor) -> Tensor:
        link.step += 1
        return link.exchange(SCORES, column(images, link.exchange))

    return {**steps(column, scores, batches, device, **options), "bytes_sent": link.sent}


def steps(
    net: nn.Module,
    scores: Callable[[Tensor], Tensor],
    batches: Sequence[Batch],
    device: str,
    *,
    lr: float = 0.01,
    momentum: float = 0.9,
    weight_decay: float = 5e-4,
    bias_lr_factor: float = 1.0,
    seed: int = 0,
) -> dict[str, Any]:
    """§5 Train the net in place, one step a batch: losses, gradients and state_dict of Result.

    scores: images N x 3 x S x S -> N x classes, through the net. Masks come from seed alone.
    """
    generator = torch.Generator().manual_seed(seed)
    for module in net.train().modules():
        if isinstance(module, PaperDropout):
            module.generator = generator
    groups = parameter_groups(net, lr, weight_decay, bias_lr_factor)
    optimizer = PaperSGD(groups, lr, momentum, weight_decay)
    losses: list[float] = []
    first: dict[str, Tensor] = {}
    for images, labels in batches:
        optimizer.zero_grad()
        loss = F.cross_entropy(scores(images.to(device)), labels.to(device))
        loss.backward()
        first = first or {k: g.cpu() for k, g in gradients(net).items()}
        optimizer.step()
        losses.append(loss.item())
    state = {k: v.cpu() for k, v in net.state_dict().items()}
    return {"losses": losses, "gradients": first, "state_dict": state}


def gradients(net: nn.Module) -> dict[str, Tensor]:
    """Copies of the gradients by the names of their parameters; none before a backward pass."""
    return {n: p.grad.clone() for n, p in net.named_parameters() if p.grad is not None}


def merge(halves: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Two columns' tensors -> the whole net's, on the device of the first."""
    first, second = halves
    return {name: torch.cat([t, second[name].to(t.device)]) for name, t in first.items()}


def join(found: Sequence[dict[str, Any]]) -> Result:
    """What train_column returned in the two processes as one; both computed the same losses."""
    return Result(
        found[0]["losses"],
        merge([f["gradients"] for f in found]),
        merge([f["state_dict"] for f in found]),
        [row for f in found for row in f["bytes_sent"]],
    )


def differences(a: Result, b: Result) -> dict[str, float]:
    """Largest differences of losses, gradients and weights, relative to b.

    Of a tensor: the largest absolute difference over the largest absolute value.
    """

    def worst(x: Mapping[str, Tensor], y: Mapping[str, Tensor]) -> float:
        if x.keys() != y.keys():
            raise InputError(f"these are not results of one net: {sorted(x.keys() ^ y.keys())}")
        return max(float((x[k] - y[k]).abs().max() / y[k].abs().max()) for k in y)

    losses = ({"": torch.tensor(r.losses, dtype=torch.float64)} for r in (a, b))
    return {
        "loss": worst(*losses),
        "gradients": worst(a.gradients, b.gradients),
        "weights": worst(a.state_dict, b.state_dict),
    }


def start_pair(work: Callable[..., None], folder: Path, *args: Any) -> None:
    """Run work(column, folder, *args) in two fresh processes; return when both have ended well.

    work: a function of an importable module; it wraps its body in `reporting`. Raises RuntimeError
    that says which column's process ended and how, within GRACE seconds of the first to fail. No
    process outlives the call.
    """
    context = mp.start_processes(
        work, (str(folder), *args), nprocs=2, join=False, daemon=True, start_method="spawn"
    )
    processes = context.processes
    deadline = float("inf")
    codes: list[int | None] = [None, None]
    try:
        while None in codes and time.monotonic() < deadline:
            wait([p.sentinel for p in processes if p.exitcode is None], timeout=0.2)
            codes = [p.exitcode for p in processes]
            if any(codes) and deadline == float("inf"):
                deadline = time.monotonic() + GRACE
    finally:
        for process in processes:
            process.kill()
            process.join()
    _raise_failure(codes, folder)


def _raise_failure(codes: Sequence[int | None], folder: Path) -> None:
    stories = []
    for column, code in enumerate(codes):
        report = folder / f"error{column}.txt"
        text = report.read_text().strip() if report.exists() else ""
        last = text.splitlines()[-1] if text else ""
        if code is None:
            rank, how = 2, "did not end by itself and was killed"
        elif code < 0:
            rank, how = 0, f"was ended by signal {-code} ({signal.Signals(-code).name})"
        elif text:
            rank, how = 3 if ColumnGone.__name__ in last else 1, f"raised {last}"
        else:
            rank, how = (1 if code else 4), f"ended with exit code {code}"
        stories.append((rank, f"column {column}'s process {how}", text))
    if any(codes) or any(text for *_, text in stories):
        stories.sort()  # what the others suffer from comes first
        trace = next((f"\n\n{text}" for _, _, text in stories if text), "")
        raise RuntimeError("; ".join(story for _, story, _ in stories) + trace)


@contextlib.contextmanager
def reporting(column: int, folder: str) -> Iterator[None]:
    """Leave the traceback of what the body raises where start_pair reads it, and exit with 1."""
    # torch sends SIGINT when the parent dies; a shell's background jobs are born deaf to it
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    except BaseException:
        (Path(folder) / f"error{column}.txt").write_text(traceback.format_exc())
        sys.exit(1)
