"""Where one training step of the full net goes: layer by layer, both passes, update, input.

Each layer alone on its own input, as the step runs it (channels last, fp32); median of some rounds.
"""

from __future__ import annotations

import time

import numpy as np
import torch
import torch.nn.functional as F
from side_by_side import PAIRS, SMALL, save

from alexnet_repro import augment, augment_fast, model
from alexnet_repro.demo_training import IMAGENET
from alexnet_repro.layers import LocalResponseNorm
from alexnet_repro.optim import PaperSGD, parameter_groups

BATCH = 2 if SMALL else 128
ROUNDS = 1 if SMALL else min(5, PAIRS)


def median(work) -> float:
    """Median seconds of ROUNDS calls, after one that does not count."""
    work()
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return float(np.median(took))


def both_ways(module, x: torch.Tensor, *, first=False) -> tuple[float, float, torch.Tensor]:
    """Seconds of the forward and of the backward pass, and the output.

    first: the input is the images, and nobody wants their gradient.
    """
    x = x.detach().requires_grad_(not first)
    kept = {}

    def forward() -> None:
        kept["y"] = module(x)

    def backward() -> None:
        y = module(x)
        gradient = torch.ones_like(y)
        for tensor in (x, *getattr(module, "parameters", list)()):
            tensor.grad = None  # nothing to add to
        began = time.perf_counter()
        y.backward(gradient)
        kept.setdefault("took", []).append(time.perf_counter() - began)

    ahead = median(forward)
    median(backward)
    return ahead, float(np.median(kept["took"][1:])), kept["y"].detach()


def main() -> None:
    generator = torch.Generator().manual_seed(0)
    images = 70 * torch.randn(BATCH, 3, 224, 224, generator=generator)
    net = model.alexnet(generator=generator).to(memory_format=torch.channels_last)
    x = images.contiguous(memory_format=torch.channels_last)
    rows = []
    for name, module in net.named_children():
        ahead, back, y = both_ways(module, x, first=not rows)
        rows.append({"part": name, "forward": ahead, "backward": back})
        if isinstance(module, LocalResponseNorm):
            stock = torch.nn.LocalResponseNorm(5, 5 * module.alpha, module.beta, module.k)
            ahead, back, _ = both_ways(stock, x)
            rows.append({"part": f"{name}, torch.nn", "forward": ahead, "backward": back})
        x = y
    labels = torch.randint(1000, (BATCH,), generator=generator)
    ahead, back, _ = both_ways(lambda scores: F.cross_entropy(scores, labels), x)
    rows.append({"part": "loss", "forward": ahead, "backward": back})

    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    ours = PaperSGD(parameter_groups(net, 1e-4, 5e-4), 1e-4)
    rows.append({"part": "update", "forward": median(ours.step), "backward": 0.0})
    raw = torch.randint(0, 256, (BATCH, 3, 256, 256), dtype=torch.uint8, generator=generator)
    mean = torch.full((3, 224, 224), 120.0)

    def prepare() -> None:
        draws = augment.draw_crops(BATCH, 256, 224, generator)
        shift = IMAGENET.shift(IMAGENET.draw(BATCH, generator), reading="original").float()
        augment_fast.batch(raw, draws, 224, mean, shift=shift, divisors=(1.1,))

    rows.append({"part": "input", "forward": median(prepare), "backward": 0.0})
    total = sum(r["forward"] + r["backward"] for r in rows if "torch.nn" not in r["part"])
    for row in rows:
        print(
            f"{row['part']:16} forward {1e3 * row['forward']:8.1f} ms  "
            f"backward {1e3 * row['backward']:8.1f} ms"
        )
    print(f"a step of {BATCH} images: {total:.2f} s, {BATCH / total:.1f} images a second")
    save("breakdown", rows)


if __name__ == "__main__":
    main()
