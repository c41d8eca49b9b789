"""Several seeds of a small net as one batched program (torch.func.vmap), against one after another.

Gradients of both are checked to agree. On accelerators small nets are bound by launches, and one
program has a seed's worth of them; on a processor they are bound by arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from side_by_side import SMALL, agree, compare, save
from torch import func, nn

from alexnet_repro import model

SEEDS, BATCH = (2, 4) if SMALL else (4, 128)


def sides(device: torch.device) -> tuple[Callable, Callable]:
    """Gradients of all seeds, in one program and one after another."""
    generator = torch.Generator().manual_seed(0)
    nets = [
        nn.Sequential(*model.build("18pct-plain", init="modern", generator=generator).children())
        for _ in range(SEEDS)
    ]
    for net in nets:
        net.to(device)
    images = torch.randn(SEEDS, BATCH, 3, 32, 32, generator=generator).to(device)
    labels = torch.randint(10, (SEEDS, BATCH), generator=generator).to(device)
    stacked, _ = func.stack_module_state(nets)

    def loss(parameters, x, y):
        return F.cross_entropy(func.functional_call(nets[0], parameters, (x,)), y)

    together = func.vmap(func.grad(loss))

    def ours():
        return together(stacked, images, labels)

    def stock():
        found = []
        for net, x, y in zip(nets, images, labels, strict=True):
            net.zero_grad(set_to_none=True)
            F.cross_entropy(net(x), y).backward()
            found.append({n: p.grad for n, p in net.named_parameters()})
        return found

    batched, single = ours(), stock()
    for i, gradients in enumerate(single):
        agree([batched[name][i] for name in gradients], list(gradients.values()), within=1e-3)
    return ours, stock


def main() -> None:
    ours, stock = sides(torch.device("cpu"))
    row = compare(
        f"{SEEDS} seeds of 18pct-plain in one program", ours, stock,
        against="one after another", ship=1.1, stretch=1.5,
    )  # fmt: skip
    save("seeds", [row])


if __name__ == "__main__":
    main()
