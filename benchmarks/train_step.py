"""One training step of the full net: against stock LRN, and against torchvision's AlexNet.

torchvision's net has no LRN and other widths; it is what a user would otherwise train, in torch's
usual layout and, as ours, channels last. The floor:
the multiply-adds of a forward pass, and twice as many backward (less the gradient of the
images, which nobody wants), over the measured rate of a convolution.
"""

from __future__ import annotations

from copy import deepcopy
from functools import partial

import torch
from side_by_side import SMALL, agree, compare, in_plain_python, multiplying, save, serve
from torch import nn
from torchvision.models import alexnet as torchvision_alexnet

from alexnet_repro import model, spec
from alexnet_repro.layers import LocalResponseNorm, PaperDropout, WithinMapNorm
from alexnet_repro.training import PaperSGD
from alexnet_repro.training.optim import parameter_groups
from alexnet_repro.training.steps import loss_of

BATCH = 2 if SMALL else 40
NET, PLAIN = ("mini-alexnet", "18pct-plain") if SMALL else ("alexnet", "alexnet-no-norm")


def stock_lrn(net: nn.Module) -> nn.Module:
    """The same net with torch.nn's LRN, constants turned into torch's."""
    for name, module in list(net.named_children()):
        if isinstance(module, LocalResponseNorm):
            norm = nn.LocalResponseNorm(5, 5 * module.alpha, module.beta, module.k)
            setattr(net, name, norm)
    return net


def kernel(name: str, batch: int, threads: int) -> dict:
    """A net's step with its norms in C++, against those of torch, a block at a time."""
    usual = torch.get_num_threads()
    torch.set_num_threads(threads)
    sides, gradients = [], []
    built = model.build(name, init="modern", generator=torch.Generator().manual_seed(0))
    for path in ("native", "eager"):
        net = deepcopy(built).to(memory_format=torch.channels_last)
        for module in net.children():
            if isinstance(module, (LocalResponseNorm, WithinMapNorm)):
                module.path = path
        optimizer = PaperSGD(parameter_groups(net, 1e-4, 5e-4), 1e-4)
        size = (batch, 3, net.spec.input_size, net.spec.input_size)
        images = torch.randn(size, generator=torch.Generator().manual_seed(0))
        labels = torch.zeros(batch, dtype=torch.int64)
        gradients.append(gradients_of(net, images, labels))
        sides.append(partial(step, loss_of(net), optimizer, images, labels, False))
    agree(*gradients, within=1e-3)
    row = compare(
        f"train step of {name}, batch {batch}, norms in C++", *sides,
        against="the same, norms a block at a time in torch", ship=1.1, stretch=1.2,
    )  # fmt: skip
    torch.set_num_threads(usual)
    return row


def theirs() -> nn.Module:
    """torchvision's net, which has no small size: then another one takes its place."""
    if not SMALL:
        return torchvision_alexnet()
    layers = nn.Conv2d(3, 8, 11, 8), nn.AdaptiveAvgPool2d(6), nn.Flatten(), nn.Linear(288, 10)
    return nn.Sequential(*layers)


def gradients_of(net: nn.Module, images, labels, kind: str = "eager") -> list[torch.Tensor]:
    """The gradient of each parameter, the masks of dropout drawn from seed 0."""
    masks = torch.Generator(images.device).manual_seed(0)
    for module in net.modules():
        if isinstance(module, PaperDropout):
            module.generator = masks
    return list(torch.autograd.grad(loss_of(net, kind)(images, labels), list(net.parameters())))


def step(loss_of_batch, optimizer, images, labels, bf16: bool) -> None:
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        loss = loss_of_batch(images, labels)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


def main() -> None:
    generator = torch.Generator().manual_seed(0)
    images = 70 * torch.randn(BATCH, 3, 224, 224, generator=generator)
    last = images.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(10 if SMALL else 1000, (BATCH,), generator=generator)
    built = model.build(NET, generator=torch.Generator().manual_seed(0))
    side = built.spec.input_size
    own = last[:, :, :side, :side].contiguous(memory_format=torch.channels_last)

    def ours(net=None, n=BATCH, bf16=False, kind="eager"):
        net = (net or deepcopy(built)).to(memory_format=torch.channels_last)
        for module in net.modules():
            if isinstance(module, PaperDropout):
                module.generator = torch.Generator()  # as in training
        optimizer = PaperSGD(parameter_groups(net, 1e-4, 5e-4), 1e-4)
        loss = loss_of(net, kind)
        side = net.spec.input_size
        return lambda: step(loss, optimizer, last[:n, :, :side, :side], labels[:n], bf16)

    def stock(net, n=BATCH, images=images):
        optimizer = torch.optim.SGD(net.parameters(), 1e-4, 0.9, weight_decay=5e-4)
        loss = loss_of(net)
        return lambda: step(loss, optimizer, images[:n], labels[:n], False)

    fast = torch.cpu._is_avx512_bf16_supported()
    few = BATCH if fast else max(1, BATCH // 8)  # emulated bf16 is slow
    sides = {
        "ours": ours(), "ours in bf16": ours(n=few, bf16=True),
        "stock": stock(theirs()), "stock of few": stock(theirs(), few),
    }  # fmt: skip
    if serve(sides, stock=("stock", "stock of few")):
        return
    mine = sides["ours"]
    ordinary = gradients_of(deepcopy(built), own, labels)
    agree(ordinary, gradients_of(stock_lrn(deepcopy(built)), own, labels), within=1e-3)
    agree(gradients_of(deepcopy(built), own, labels, "compiled"), ordinary, within=1e-3)
    macs = spec.trace(built.spec)["macs"]
    work = (3 * macs.sum() - macs.iloc[0]) * BATCH
    floor = multiplying(work)
    half = multiplying(work * few / BATCH, torch.bfloat16 if fast else torch.float32)
    rows = [
        compare(
            f"train step, batch {BATCH}, fp32", mine,
            stock(stock_lrn(deepcopy(built)), images=own),
            against="the same net with torch.nn's LRN and SGD", ship=1.4, stretch=1.7, floor=floor,
        ),
        compare(
            f"train step, batch {BATCH}, fp32", mine, sides["stock"],
            against="torchvision's AlexNet", ship=0.95, stretch=1.05, floor=floor,
        ),
        compare(
            f"train step, batch {BATCH}, fp32", mine,
            stock(theirs().to(memory_format=torch.channels_last), images=last),
            against="torchvision's AlexNet, channels last too", ship=0.95, stretch=1.05,
            floor=floor,
        ),
        compare(
            f"train step, batch {BATCH}, fp32, without the norms",
            ours(model.build(PLAIN)),
            stock(theirs().to(memory_format=torch.channels_last), images=last),
            against="torchvision's AlexNet, channels last too", ship=0.95, stretch=1.05,
        ),
        in_plain_python(
            f"train step, batch {BATCH}, fp32", __file__, against="torchvision's AlexNet",
            ship=1.05, stretch=1.1, floor=floor,
        ),
        compare(
            f"train step, batch {few}, bf16", sides["ours in bf16"],
            sides["stock of few"], against="torchvision's AlexNet, fp32",
            ship=1.6, stretch=1.9, floor=half,
        ),
        in_plain_python(
            f"train step, batch {few}, bf16", __file__, "ours in bf16", "stock of few",
            against="torchvision's AlexNet, fp32", ship=1.8, stretch=1.9, floor=half,
        ),
    ]  # fmt: skip
    if not SMALL:  # it was compiled once, above
        rows.append(compare(
            f"train step, batch {BATCH}, fp32, compiled", ours(kind="compiled"), mine,
            against="the same step, eager", ship=1.1, stretch=1.3,
        ))  # fmt: skip
    rows += [kernel(name, 2 if SMALL else 128, 1) for name in ("mini-alexnet", "18pct")]
    if not SMALL:
        rows.append(kernel("alexnet", BATCH, torch.get_num_threads()))
    save("train_step", rows)


if __name__ == "__main__":
    main()
