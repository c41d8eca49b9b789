"""How the cost grows: LRN with channels, side, batch; a training step with batch and threads.

Seconds of one call, median of some rounds. No goal; the performance page draws them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from breakdown import median
from side_by_side import SMALL, save

from alexnet_repro import model
from alexnet_repro.layers import LocalResponseNorm
from alexnet_repro.optim import PaperSGD, parameter_groups

STEPS = (1, 2) if SMALL else (1, 2, 4, 8, 16, 32)


def lrn(batch: int, channels: int, side: int) -> float:
    x = torch.randn(batch, channels, side, side).contiguous(memory_format=torch.channels_last)
    x.requires_grad_()
    grad, norm = torch.ones_like(x), LocalResponseNorm()
    return median(lambda: norm(x).backward(grad))


def step(name: str, batch: int) -> float:
    net = model.build(name, init="modern").to(memory_format=torch.channels_last)
    side = net.spec.input_size
    images = torch.randn(batch, 3, side, side).contiguous(memory_format=torch.channels_last)
    labels = torch.zeros(batch, dtype=torch.int64)
    optimizer = PaperSGD(parameter_groups(net, 1e-4, 5e-4), 1e-4)

    def work() -> None:
        loss = F.cross_entropy(net(images), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return median(work)


def main() -> None:
    rows = []

    def add(what: str, x: int, took: float) -> None:
        rows.append({"what": what, "x": x, "seconds": took})
        print(f"{what}, {x}: {1e3 * took:.2f} ms", flush=True)

    for k in STEPS:
        add("LRN, batch (96 channels, 28x28)", 4 * k, lrn(4 * k, 96, 28))
        add("LRN, channels (batch 16, 28x28)", 8 * k, lrn(16, 8 * k, 28))
        add("LRN, side (batch 16, 96 channels)", 3 * k, lrn(16, 96, 3 * k))
        add("step of 18pct, batch", 8 * k, step("18pct", 8 * k))
    threads = torch.get_num_threads()
    for count in range(1, threads + 1):
        torch.set_num_threads(count)
        add("step of 18pct at batch 128, threads", count, step("18pct", 8 if SMALL else 128))
    torch.set_num_threads(threads)
    save("growth", rows)


if __name__ == "__main__":
    main()
