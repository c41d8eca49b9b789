"""One training step of the full net: against stock LRN, and against torchvision's AlexNet.

torchvision's net has no LRN and other widths; it is what a user would otherwise train, in torch's
usual layout and, as ours, channels last. The floor:
the multiply-adds of a forward pass, and twice as many backward (less the gradient of the
images, which nobody wants), over the measured rate of a convolution.
"""

from __future__ import annotations

from functools import partial

import torch
from side_by_side import SMALL, as_started, compare, multiplying, save, serve
from torch import nn
from torchvision.models import alexnet as torchvision_alexnet

from alexnet_repro import model, spec
from alexnet_repro.layers import LocalResponseNorm, WithinMapNorm
from alexnet_repro.optim import PaperSGD, parameter_groups
from alexnet_repro.steps import loss_of

BATCH = 2 if SMALL else 40


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
    sides = []
    for path in ("native", "eager"):
        net = model.build(name, init="modern").to(memory_format=torch.channels_last)
        for module in net.children():
            if isinstance(module, (LocalResponseNorm, WithinMapNorm)):
                module.path = path
        optimizer = PaperSGD(parameter_groups(net, 1e-4, 5e-4), 1e-4)
        images = torch.randn(batch, 3, net.spec.input_size, net.spec.input_size)
        labels = torch.zeros(batch, dtype=torch.int64)
        sides.append(partial(step, loss_of(net), optimizer, images, labels, False))
    row = compare(
        f"train step of {name}, batch {batch}, norms in C++", *sides,
        against="the same, norms a block at a time in torch", ship=1.1, stretch=1.2,
    )  # fmt: skip
    torch.set_num_threads(usual)
    return row


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
    labels = torch.randint(1000, (BATCH,), generator=generator)

    def ours(net=None, n=BATCH, bf16=False, kind="eager"):
        net = net or model.alexnet(generator=torch.Generator().manual_seed(0))
        net = net.to(memory_format=torch.channels_last)
        net.drop6.generator = net.drop7.generator = torch.Generator()  # as in training
        optimizer = PaperSGD(parameter_groups(net, 1e-4, 5e-4), 1e-4)
        loss = loss_of(net, kind)
        return lambda: step(loss, optimizer, last[:n], labels[:n], bf16)

    def stock(net, n=BATCH, images=images):
        optimizer = torch.optim.SGD(net.parameters(), 1e-4, 0.9, weight_decay=5e-4)
        loss = loss_of(net)
        return lambda: step(loss, optimizer, images[:n], labels[:n], False)

    if serve({"ours": ours(), "stock": stock(torchvision_alexnet())}):
        return
    macs = spec.trace(spec.get("alexnet"))["macs"]
    work = (3 * macs.sum() - macs.iloc[0]) * BATCH
    floor = multiplying(work)
    fast = torch.cpu._is_avx512_bf16_supported()
    few = BATCH if fast else max(1, BATCH // 8)  # emulated bf16 is slow
    mine = ours()
    rows = [
        compare(
            f"train step, batch {BATCH}, fp32", mine, stock(stock_lrn(model.alexnet())),
            against="the same net with torch.nn's LRN and SGD", ship=1.4, stretch=1.7, floor=floor,
        ),
        compare(
            f"train step, batch {BATCH}, fp32", mine, stock(torchvision_alexnet()),
            against="torchvision's AlexNet", ship=0.95, stretch=1.05, floor=floor,
        ),
        compare(
            f"train step, batch {BATCH}, fp32", mine,
            stock(torchvision_alexnet().to(memory_format=torch.channels_last), images=last),
            against="torchvision's AlexNet, channels last too", ship=0.95, stretch=1.05,
            floor=floor,
        ),
        compare(
            f"train step, batch {BATCH}, fp32, without the norms",
            ours(model.build("alexnet-no-norm")),
            stock(torchvision_alexnet().to(memory_format=torch.channels_last), images=last),
            against="torchvision's AlexNet, channels last too", ship=0.95, stretch=1.05,
        ),
        as_started(
            f"train step, batch {BATCH}, fp32", __file__, against="torchvision's AlexNet",
            ship=0.95, stretch=1.05, floor=floor,
        ),
        compare(
            f"train step, batch {few}, bf16", ours(n=few, bf16=True),
            stock(torchvision_alexnet(), few), against="torchvision's AlexNet, fp32",
            ship=1.6, stretch=1.9,
            floor=multiplying(work * few / BATCH, torch.bfloat16 if fast else torch.float32),
        ),
    ]  # fmt: skip
    rows.append(
        compare(
            f"train step, batch {BATCH}, fp32, compiled", ours(kind="compiled"), mine,
            against="the same step, eager", ship=1.1, stretch=1.3,
        )
    )  # fmt: skip
    rows += [kernel(name, 2 if SMALL else 128, 1) for name in ("mini-alexnet", "18pct")]
    rows.append(kernel("alexnet", BATCH, torch.get_num_threads()))
    save("train_step", rows)


if __name__ == "__main__":
    main()
