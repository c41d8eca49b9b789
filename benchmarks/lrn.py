"""Local response normalisation, forward and backward, against torch.nn's.

torch.nn divides alpha by n, so it gets 5e-4 where ours has the printed 1e-4, and the two are
checked to agree before they are timed; torch.nn gets the memory layout in which it is faster. The
floor: the forward pass reads and writes one tensor each, the backward pass reads two and writes
one.
"""

from __future__ import annotations

import torch
from side_by_side import SMALL, agree, compare, copying, save, seconds
from torch import nn

from alexnet_repro.layers import LocalResponseNorm, norm_compiled

SHAPES = [(128, 96, 55, 55), (128, 256, 27, 27), (128, 24, 24, 24)]
if SMALL:
    SHAPES = [(2, 24, 9, 9)]


@torch.compile
def derived(a: torch.Tensor) -> torch.Tensor:
    """The forward pass of the compiled path, without its written-out backward pass."""
    scale = 2 + 1e-4 * norm_compiled._sums(a * a, {1: (2, 2)})
    return a * norm_compiled._power(scale, 0.75)


def against_derived(shape: tuple, step) -> dict:
    """What writing the backward pass out wins."""
    written = LocalResponseNorm(path="compiled")
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    agree(written(x), derived(x))
    return compare(
        f"LRN {'x'.join(map(str, shape))}, compiled", step(written), step(derived),
        against="the gradient that torch.compile derives", ship=1.1, stretch=1.5,
    )  # fmt: skip


def main() -> None:
    rows = []
    for shape in SHAPES:
        x = 50 * torch.randn(shape, generator=torch.Generator().manual_seed(0))
        x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
        grad = torch.ones_like(x)
        usual = x.detach().contiguous().requires_grad_()
        stock = nn.LocalResponseNorm(5, 5e-4, 0.75, 2.0)

        def step(layer, x=x, grad=grad):
            def work():
                x.grad = None
                layer(x).backward(grad)

            return work

        def gradient(layer, x=x):
            weights = torch.linspace(-1, 1, x.numel()).reshape(x.shape)
            return torch.autograd.grad(layer(x), x, weights)[0]

        layouts = {
            "channels last": step(stock), "NCHW": step(stock, usual, torch.ones_like(usual)),
        }  # fmt: skip
        for warm_up in layouts.values():
            warm_up()
        faster = min(layouts, key=lambda name: seconds(layouts[name]))
        for path, ship, stretch in (("eager", 3.5, 5), ("compiled", 5, 7), ("native", 12, 25)):
            ours = LocalResponseNorm(path=path)
            agree([ours(x), gradient(ours)], [stock(x), gradient(stock)])
            row = compare(
                f"LRN {'x'.join(map(str, shape))}, {path}", step(ours), layouts[faster],
                against=f"torch.nn.LocalResponseNorm, {faster}", ship=ship, stretch=stretch,
                floor=copying(5 * x.numel() * 4),
            )  # fmt: skip
            rows.append(row)
        if shape[1:] == SHAPES[0][1:]:
            rows.append(against_derived(shape, step))
    save("lrn", rows)


if __name__ == "__main__":
    main()
