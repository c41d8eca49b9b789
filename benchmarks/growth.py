"""How cost and memory grow: LRN with channels, side, batch; a training step with batch and threads;
preparing a data set with its size.

Seconds of one call, median of some rounds (preparing: one), and the peak memory of a process that
does nothing else (each family of sizes has its own, and goes up). No goal; the performance page
draws them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from breakdown import median
from jpeg import picture
from side_by_side import SMALL, save, seconds

from alexnet_repro import data, model
from alexnet_repro.layers import LocalResponseNorm
from alexnet_repro.study import records
from alexnet_repro.training import PaperSGD
from alexnet_repro.training.optim import parameter_groups

STEPS = (1, 2) if SMALL else (1, 2, 4, 8, 16, 32)


def lrn(batch: int, channels: int, side: int) -> float:
    x = torch.randn(batch, channels, side, side).contiguous(memory_format=torch.channels_last)
    x.requires_grad_()
    grad, norm = torch.ones_like(x), LocalResponseNorm()
    return median(lambda: norm(x).backward(grad))


def step(batch: int, threads: int | None = None) -> float:
    torch.set_num_threads(threads or torch.get_num_threads())
    net = model.build("18pct", init="modern").to(memory_format=torch.channels_last)
    images = torch.randn(batch, 3, 32, 32)
    labels = torch.zeros(batch, dtype=torch.int64)
    optimizer = PaperSGD(parameter_groups(net, 1e-4, 5e-4), 1e-4)

    def work() -> None:
        loss = F.cross_entropy(net(images), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return median(work)


def prepare(count: int) -> float:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "source" / "train" / "one"
        folder.mkdir(parents=True)
        for i in range(count):
            (folder / f"{i:04}.jpg").write_bytes(picture(i % 8))
        return seconds(lambda: data.prepare(Path(name) / "source", Path(name) / "out"))


# what grows: the sizes, and seconds at one
FAMILIES: dict[str, tuple[tuple[int, ...], Callable[[int], float]]] = {
    "LRN, batch (96 channels, 28x28)": (tuple(4 * k for k in STEPS), lambda n: lrn(n, 96, 28)),
    "LRN, channels (batch 16, 28x28)": (tuple(8 * k for k in STEPS), lambda n: lrn(16, n, 28)),
    "LRN, side (batch 16, 96 channels)": (tuple(3 * k for k in STEPS), lambda n: lrn(16, 96, n)),
    "step of 18pct, batch": (tuple(8 * k for k in STEPS), step),
    "step of 18pct at batch 128, threads": (
        tuple(range(1, torch.get_num_threads() + 1)), lambda n: step(8 if SMALL else 128, n),
    ),
    "preparing JPEG files, files": (tuple(25 * k for k in STEPS), prepare),
}  # fmt: skip


def family(what: str) -> list[dict]:
    """Rows of one family, in this process."""
    sizes, work = FAMILIES[what]
    return [
        {"what": what, "x": x, "seconds": work(x), "memory": records.peak_memory_bytes()}
        for x in sizes
    ]


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(family(sys.argv[1])))
        return
    rows = []
    for what in FAMILIES:
        if SMALL and rows:  # one of them in a process of its own is enough
            rows += family(what)
            continue
        command = [sys.executable, __file__, what]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        rows += json.loads(done.stdout.splitlines()[-1])
    for row in rows:
        took, peak = 1e3 * row["seconds"], row["memory"] / 2**20
        print(f"{row['what']}, {row['x']}: {took:.2f} ms, {peak:,.0f} MiB")
    save("growth", rows)


if __name__ == "__main__":
    main()
