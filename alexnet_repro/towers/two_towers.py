"""§3.2 The net as the paper ran it: a column a GPU, which meet only before some of the layers.

`TwoTowers` holds both columns in this process; `run_two_processes` trains them in two, and
`run_one_process` is the same loop with the whole net. `python -m alexnet_repro.towers`, alone or
under `torchrun --nproc-per-node 2 -m`, compares the two on a few small steps.
"""

from __future__ import annotations

import copy
import os
import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Unpack

import torch
import torch.distributed as dist
from torch import Tensor, nn

from alexnet_repro import spec as specs
from alexnet_repro.errors import InputError
from alexnet_repro.layers import PaperDropout
from alexnet_repro.model import PaperNet, build
from alexnet_repro.model.paper_net import check_images
from alexnet_repro.spec.traffic import exchange, per_column
from alexnet_repro.towers.one_column import Column, keep_factors
from alexnet_repro.towers.processes import (
    Batch,
    Options,
    Result,
    differences,
    gradients,
    join,
    merge,
    reporting,
    start_pair,
    steps,
    train_column,
)


class TwoTowers(nn.Module):
    """§3.2 A two-column net as two modules on two devices that meet where the paper says.

    Weights are copied from the grouped net. Input N x 3 x S x S, output N x classes scores on
    devices[0], the grouped net's but for rounding. Raises ValueError for a net that does not
    divide in two, naming the layer, and as check_images.
    """

    def __init__(self, net: PaperNet, devices: Sequence[str] = ("cpu", "cpu")) -> None:
        super().__init__()
        self.spec, self.devices = net.spec, _two(devices)
        self.columns = nn.ModuleList(Column(net, i).to(d) for i, d in enumerate(self.devices))
        self.train(net.training)

    def forward(self, images: Tensor) -> Tensor:
        """N x 3 x S x S -> N x classes."""
        check_images(self, images)  # type: ignore[arg-type]  # it reads spec and training alone
        first, second = self.columns
        halves = [images.to(d) for d in self.devices]
        for name, module in first.named_children():
            if name in first.meetings:  # type: ignore[operator]
                halves = [torch.cat([h.to(d) for h in halves], 1) for d in self.devices]
            if isinstance(module, PaperDropout):  # one draw for both
                keep = keep_factors(module, halves[0])
                halves = [h * k.to(h.device) for h, k in zip(halves, keep, strict=True)]
            else:
                halves = [module(halves[0]), second.get_submodule(name)(halves[1])]
        return torch.cat([h.to(self.devices[0]) for h in halves], 1)

    def merged_state_dict(self) -> dict[str, Tensor]:
        """The weights under the grouped net's names and shapes, on devices[0]."""
        return merge([column.state_dict() for column in self.columns])

    def merged_gradients(self) -> dict[str, Tensor]:
        """The gradients likewise; empty before the first backward pass."""
        return merge([gradients(column) for column in self.columns])


def _two(devices: Sequence[str]) -> list[torch.device]:
    if isinstance(devices, str) or len(devices) != 2:
        raise InputError(f"wanted two devices, such as ('cpu', 'cpu'), got {devices!r}")
    return [torch.device(d) for d in devices]


def run_one_process(
    net: PaperNet,
    batches: Sequence[Batch],
    *,
    device: str = "cpu",
    **options: Unpack[Options],
) -> Result:
    """§5 Train a copy of the whole net, one step a batch, with PaperSGD: the reference.

    batches: (images N x 3 x S x S, labels N) each. options: see processes.Options. Raises
    ValueError for no batches, or images that check_images refuses.
    """
    _check(net, batches, options)
    whole = copy.deepcopy(net).to(device)
    return Result(**steps(whole, whole, batches, device, **options))


def run_two_processes(
    net: PaperNet,
    batches: Sequence[Batch],
    *,
    backend: str = "gloo",
    devices: Sequence[str] = ("cpu", "cpu"),
    timeout: float = 60.0,
    **options: Unpack[Options],
) -> Result:
    """run_one_process with a column a process (one thread each), through torch.distributed.

    backend: "gloo", or "nccl" with two cuda devices. timeout: seconds that a column waits for the
    other in one exchange. In a script, call it under `if __name__ == "__main__":`. Raises
    ValueError as TwoTowers and run_one_process; RuntimeError that says which column's process
    ended and how, if one does, and leaves no process behind.
    """
    _check(net, batches, options)
    plan = {
        "batches": list(batches), "devices": [str(d) for d in _two(devices)], "backend": backend,
        "timeout": timeout, "options": dict(options),
    }  # fmt: skip
    columns = [Column(net, i) for i in range(2)]
    with tempfile.TemporaryDirectory(prefix="towers-") as name:
        folder = Path(name)
        torch.save(plan, folder / "plan.pt")
        for i, column in enumerate(columns):
            torch.save(column.state_dict(), folder / f"weights{i}.pt")
            column.to("meta")  # the arguments of a process carry the layers, the file the weights
        start_pair(_work, folder, columns)
        return join([torch.load(folder / f"result{i}.pt", weights_only=True) for i in range(2)])


def _check(net: PaperNet, batches: Sequence[Batch], options: Options) -> None:
    if unknown := sorted(options.keys() - Options.__annotations__.keys()):
        known = ", ".join(Options.__annotations__)
        raise TypeError(f"unknown option {unknown[0]!r}; there are {known}")
    if not batches:
        raise InputError("wanted a list of (images, labels), one a step; got none")
    for images, _ in batches:
        check_images(net, images)


def _work(number: int, folder: str, columns: Sequence[Column]) -> None:
    """The life of one column's process."""
    with reporting(number, folder):
        torch.set_num_threads(1)
        home, column = Path(folder), columns[number]
        plan = torch.load(home / "plan.pt", weights_only=True)
        weights = torch.load(home / f"weights{number}.pt", weights_only=True)
        column.load_state_dict(weights, assign=True)
        device = plan["devices"][number]
        if torch.device(device).type == "cuda":
            torch.cuda.set_device(device)
        dist.init_process_group(
            plan["backend"], store=dist.FileStore(str(home / "store"), 2), rank=number,
            world_size=2, timeout=timedelta(seconds=plan["timeout"]),
        )  # fmt: skip
        result = train_column(column.to(device), plan["batches"], device, **plan["options"])
        torch.save(result, home / f"result{number}.pt")
        dist.barrier()  # who ends first must not close the wire on the other
        dist.destroy_process_group()


def _demonstration() -> tuple[PaperNet, list[Batch]]:
    """A small two-column net and three batches of random images, from a seed."""
    generator = torch.Generator().manual_seed(0)
    net = build(per_column(specs.get("mini-alexnet")), init="modern", generator=generator)
    labels = torch.randint(10, (3, 8), generator=generator)
    return net, [(torch.randn(8, 3, 24, 24, generator=generator), y) for y in labels]


def _under_torchrun(net: PaperNet, batches: Sequence[Batch]) -> Result | None:
    """Train this process's column; rank 0 gets the result of both."""
    rank = int(os.environ["RANK"])
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    found: list[Any] = [None, None]
    dist.all_gather_object(found, train_column(Column(net, rank), batches, "cpu"))
    dist.destroy_process_group()
    return join(found) if rank == 0 else None


def main() -> None:
    """Train the demonstration in two processes and in one; print how far the two differ."""
    size = os.environ.get("WORLD_SIZE")
    if size not in (None, "2"):
        raise SystemExit(
            f"WORLD_SIZE is {size}, wanted 2, a process a column: "
            f"torchrun --nproc-per-node 2 -m alexnet_repro.towers"
        )
    net, batches = _demonstration()
    two = _under_torchrun(net, batches) if size else run_two_processes(net, batches)
    if two is None:
        return
    print(f"{net.spec.name}, {len(batches)} steps of {len(batches[0][0])} images, two processes")
    print("largest difference from one process, relative to the largest value:")
    for what, worst in differences(two, run_one_process(net, batches)).items():
        print(f"  {what:10}{worst:.1e}")
    sent = sum(r["bytes"] for r in two.bytes_sent if (r["step"], r["column"]) == (0, 0))
    computed = exchange(net.spec, len(batches[0][0]))["bytes"].sum()
    print(f"bytes that a column sends per step: {sent:,} counted, {computed:,} computed")
