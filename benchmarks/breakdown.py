"""Where one training step goes: layer by layer, both passes, update, input.

The full net on all threads and the CIFAR-10 net 18pct on one, that in bf16 too, each layer alone on
its own input, as the step runs it (channels last); median of some rounds. The floor of a layer is
its multiply-adds, both passes, over the measured rate of a convolution.
"""

from __future__ import annotations

import time

import numpy as np
import torch
import torch.nn.functional as F
from side_by_side import PAIRS, SMALL, multiply_adds, save

from alexnet_repro import augment, model, spec
from alexnet_repro.augment import on_cpu
from alexnet_repro.demos.of_training import IMAGENET
from alexnet_repro.training import PaperSGD
from alexnet_repro.training.optim import parameter_groups

BATCH = 2 if SMALL else 128
ROUNDS = 1 if SMALL else min(5, PAIRS)
WARM = 1 if SMALL else 3  # until no large tensor lies in pages that the process never touched


def median(work) -> float:
    """Median seconds of ROUNDS calls, after WARM ones that do not count."""
    for _ in range(WARM):
        work()
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return float(np.median(took))


def both_ways(
    module, x: torch.Tensor, *, first=False, half=False
) -> tuple[float, float, torch.Tensor]:
    """Seconds of the forward and of the backward pass, and the output.

    first: the input is the images, and nobody wants their gradient. half: bf16 autocast.
    """
    x = x.detach().requires_grad_(not first)
    kept = {}

    def forward() -> None:
        kept.pop("y", None)  # the last graph's memory
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            kept["y"] = module(x)

    def backward() -> None:
        forward()
        y = kept.pop("y")
        for tensor in (x, *getattr(module, "parameters", list)()):
            tensor.grad = None  # nothing to add to
        began = time.perf_counter()
        y.backward(gradient)
        kept.setdefault("took", []).append(time.perf_counter() - began)

    ahead = median(forward)
    y = kept.pop("y").detach()
    gradient = torch.ones_like(y)
    median(backward)
    return ahead, float(np.median(kept["took"][WARM:])), y


def layers(name: str, batch: int, threads: int, precision: str = "fp32") -> list[dict]:
    """Every layer of a net on its own input, the loss, the update and the input."""
    torch.set_num_threads(threads)
    generator = torch.Generator().manual_seed(0)
    net = model.build(name, generator=generator).to(memory_format=torch.channels_last)
    side = net.spec.input_size
    x = 70 * torch.randn(batch, 3, side, side, generator=generator)
    x = x.contiguous(memory_format=torch.channels_last)
    half = precision == "bf16"
    macs = spec.trace(net.spec).set_index("layer")["macs"]
    rate = multiply_adds(torch.bfloat16 if half else torch.float32)
    rows: list[dict] = []

    def add(part: str, forward: float, backward: float = 0.0) -> None:
        passes = 3 if rows else 2  # nobody wants the gradient of the images
        rows.append({
            "net": name, "precision": precision, "part": part, "forward": forward,
            "backward": backward, "floor": passes * batch * int(macs.get(part, 0)) / rate,
        })  # fmt: skip

    for part, module in net.named_children():
        ahead, back, y = both_ways(module, x, first=not rows, half=half)
        add(part, ahead, back)
        x = y
    labels = torch.randint(10, (batch,), generator=generator)
    ahead, back, _ = both_ways(lambda scores: F.cross_entropy(scores, labels), x, half=half)
    add("loss", ahead, back)
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    ours = PaperSGD(parameter_groups(net, 1e-4, 5e-4), 1e-4)
    add("update", median(ours.step))
    whole = 256 if side == 224 else side
    raw = torch.randint(0, 256, (batch, 3, whole, whole), dtype=torch.uint8, generator=generator)
    mean = torch.full((3, side, side), 120.0)

    def prepare() -> None:
        draws = augment.draw_crops(batch, whole, side, generator)
        shift = IMAGENET.shift(IMAGENET.draw(batch, generator), reading="original").float()
        on_cpu.batch(raw, draws, side, mean, shift=shift, divisors=(1.1,))

    add("input", median(prepare))
    return rows


def main() -> None:
    threads = torch.get_num_threads()
    rows = layers("alexnet", BATCH, threads)
    rows += layers("18pct", BATCH, 1) + layers("18pct", BATCH, 1, "bf16")
    for row in rows:
        print(
            f"{row['net']:8} {row['precision']} {row['part']:16} "
            f"forward {1e3 * row['forward']:8.1f} ms  backward {1e3 * row['backward']:8.1f} ms"
        )
    torch.set_num_threads(threads)
    save("breakdown", rows)


if __name__ == "__main__":
    main()
