"""On a CUDA device: images a second, what the norms cost, and how near the limits are.

The full net in both readings and without its norms, one whole training step on images that lie on
the device; two CIFAR-10 nets as the training loop runs them; LRN against torch.nn's. No goals. It
measures nothing where there is no CUDA device.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from input import prepared
from side_by_side import PAIRS, SMALL, agree, save, seconds
from torch import nn
from train_step import gradients_of, stock_lrn

from alexnet_repro import model, spec
from alexnet_repro.layers import LocalResponseNorm, PaperDropout
from alexnet_repro.training import PaperSGD, loop
from alexnet_repro.training.optim import parameter_groups
from alexnet_repro.training.steps import loss_of, set_tf32

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
PRECISIONS = ("fp32", "tf32", "bf16") if DEVICE.type == "cuda" else ("fp32", "bf16")
# of the full net in both readings, and without its norms
BATCHES = {"alexnet": (128, 512, 1024), "alexnet-original": (512,), "alexnet-no-norm": (512,)}
CIFAR = ("18pct", "mini-alexnet")
if SMALL:
    BATCHES, CIFAR = {"mini-alexnet": (2,)}, ("mini-alexnet",)
STEPS = 1 if SMALL else 10  # a round


def wait() -> None:
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def rounds(work: Callable[[], object], repeats: int) -> list[float]:
    """Seconds of a call, PAIRS times over `repeats` calls, after two that do not count."""

    def several() -> None:
        for _ in range(repeats):
            work()
        wait()

    work(), several()
    return [seconds(several) / repeats for _ in range(PAIRS)]


def multiply_adds(precision: str) -> float:
    """Multiply-adds a second of a large product of matrices."""
    n = 64 if SMALL else 8192
    set_tf32(precision == "tf32")
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a = torch.randn(n, n, device=DEVICE, dtype=dtype)
    return n**3 / min(rounds(lambda: a @ a, STEPS))


def bandwidth() -> float:
    """Bytes a second of reading and writing the device's memory, by copying."""
    a = torch.zeros(1 << 10 if SMALL else 1 << 28, device=DEVICE)
    b = torch.empty_like(a)
    return 2 * a.numel() * a.element_size() / min(rounds(lambda: b.copy_(a), STEPS))


def floors(name: str, precision: str, batch: int) -> tuple[float, float]:
    """Multiply-adds and bytes that a step cannot do without.

    Each activity is written, read and read again by the backward pass, its gradient written and
    read; each weight is read by both passes and the update, its gradient and its velocity written
    and read, and itself written.
    """
    rows = spec.trace(spec.get(name))
    activities = sum(int(np.prod(shape)) for shape in rows["shape"])
    weights = int(rows["weights"].sum())
    size = 2 if precision == "bf16" else 4
    work = batch * (3 * rows["macs"].sum() - rows["macs"].iloc[0])
    return float(work), float(5 * size * batch * activities + 4 * 8 * weights)


def full_net(name: str, precision: str, kind: str, batch: int) -> list[float]:
    """Seconds of one step: loss, gradients, update."""
    set_tf32(precision == "tf32")
    generator = torch.Generator().manual_seed(0)
    net = model.build(name, generator=generator)
    net.to(DEVICE, memory_format=torch.channels_last)  # type: ignore[call-overload]
    for module in net.modules():
        if isinstance(module, PaperDropout):
            module.generator = torch.Generator(DEVICE).manual_seed(0)  # as in training
    side = net.spec.input_size
    images = 70 * torch.randn(batch, 3, side, side, device=DEVICE)
    labels = torch.randint(10, (batch,), device=DEVICE)
    optimizer = PaperSGD(parameter_groups(net, 1e-4, 5e-4), 1e-4)
    loss_of_batch = loss_of(net, kind)

    def step() -> None:
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=precision == "bf16"):
            loss = loss_of_batch(images, labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return rounds(step, STEPS)


def cifar_net(name: str, precision: str, kind: str) -> tuple[list[float], int]:
    """Seconds of an epoch of the training loop, images held on the device, and its images."""
    count, batch = (8, 4) if SMALL else (10_000, 128)
    keys = {"precision": precision, "step": kind, "device": str(DEVICE)}
    keys |= {"crop": 24, "flip": True} if name.startswith("mini") else {}
    run = prepared(name, count, 32, batch, torch.get_num_threads(), keys)
    set_tf32(precision == "tf32")
    return rounds(lambda: loop._epoch(run, 0), 1), count


def same_results() -> None:
    """Stop unless the norms and the compiled step give what torch.nn and the eager step give."""
    set_tf32(False)
    net = model.build(next(iter(BATCHES)), generator=torch.Generator().manual_seed(0))
    net.to(DEVICE, memory_format=torch.channels_last)  # type: ignore[call-overload]
    side = net.spec.input_size
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0)).to(DEVICE)
    labels = torch.arange(2, device=DEVICE)
    eager = gradients_of(net, 70 * images, labels)
    if not SMALL:
        agree(gradients_of(net, 70 * images, labels, "compiled"), eager, within=1e-3)
    agree(eager, gradients_of(stock_lrn(net), 70 * images, labels), within=1e-3)


def norm(precision: str, path: str) -> list[float]:
    """Seconds of LRN on conv1's output, forward and backward; path "torch.nn": torch's."""
    shape = (2, 96, 5, 5) if SMALL else (128, 96, 55, 55)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    x = torch.randn(shape, device=DEVICE, dtype=dtype).contiguous(memory_format=torch.channels_last)
    x.requires_grad_()
    grad = torch.ones_like(x)
    stock = path == "torch.nn"
    layer = nn.LocalResponseNorm(5, 5e-4, 0.75, 2.0) if stock else LocalResponseNorm(path=path)
    return rounds(lambda: torch.autograd.grad(layer(x), x, grad), STEPS)


def main() -> None:
    if DEVICE.type != "cuda" and not SMALL:
        print("no CUDA device: nothing measured, our time unknown")
        return
    rows: list[dict] = []

    def add(what: str, precision: str, kind: str, batch: int, images: int, took: list, **more):
        rows.append({
            "what": what, "precision": precision, "kind": kind, "batch": batch, "images": images,
            "seconds": took, **more,
        })  # fmt: skip
        fast = np.median(images / np.array(took))
        print(f"{what}, {precision}, {kind}, batch {batch}: {fast:,.0f} images/s (no goal)")

    same_results()
    moved = bandwidth()
    for precision in PRECISIONS:
        rate = multiply_adds(precision)
        for kind in ("eager",) if SMALL else ("eager", "compiled"):
            for name, batch in [(n, b) for n, batches in BATCHES.items() for b in batches]:
                torch.compiler.reset()
                work, size = floors(name, precision, batch)
                limits = {"compute": work / rate, "memory": size / moved}
                took = full_net(name, precision, kind, batch)
                add(name, precision, kind, batch, batch, took, floors=limits)
            for name in CIFAR:
                torch.compiler.reset()
                took, count = cifar_net(name, precision, kind)
                add(name, precision, kind, 4 if SMALL else 128, count, took)
        on_cpu = precision == "bf16" and DEVICE.type == "cpu"  # torch.nn's has no bf16 there
        for path in () if precision == "tf32" else ("torch.nn", "eager", "compiled")[on_cpu:]:
            add("LRN 96x55x55", precision, path, 128, 128, norm(precision, path))
    set_tf32(False)
    save("accelerator", rows, str(DEVICE))


if __name__ == "__main__":
    main()
