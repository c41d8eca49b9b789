"""§3.3 The normalisations as formulas, for torch.compile to fuse into one kernel a pass.

That needs a compiler (Triton on GPUs, a C++ compiler on CPUs) and some seconds at the first call of
a shape. The backward pass is written out: of its own the compiler finds a slower one.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

Windows = dict[int, tuple[int, int]]  # dimension -> places before and after
log = logging.getLogger(__name__)
_broken: list[bool] = []


def forward(
    a: Tensor, out: Tensor, scale: Tensor, windows: Windows, alpha: float, beta: float, k: float
) -> bool:
    """scale = k + alpha * sums of a^2 over windows, out = a * scale^-beta.

    a, out, scale: four dimensions, of which windows names those that are summed over; same shape.
    False, and one line of log, where torch.compile does not work on this machine.
    """
    return _ran(_forward, a, out, scale, windows, alpha, beta, k)


def backward(
    a: Tensor,
    grad: Tensor,
    scale: Tensor,
    out: Tensor,
    windows: Windows,
    alpha: float,
    beta: float,
) -> bool:
    """The gradient of a into out; windows: those that hold a place. Otherwise as forward."""
    return _ran(_backward, a, grad, scale, out, windows, alpha, beta)


def _ran(formula: Callable[..., None], *arguments: Tensor | Windows | float) -> bool:
    """Call the compiled formula, which writes into its arguments; False if it does not compile."""
    if _broken:
        return False
    try:
        # for any batch, but one size of maps: faster than a program for all sizes
        for tensor in arguments:
            if isinstance(tensor, Tensor):
                torch._dynamo.maybe_mark_dynamic(tensor, 0)
                torch._dynamo.mark_static(tensor, [1, 2, 3])
        _program(formula)(*arguments)
        return True
    except (RuntimeError, ImportError, OSError) as error:
        _broken.append(True)
        reason = str(error).strip().splitlines() or [type(error).__name__]
        log.warning("LRN: torch.compile failed, going on with the eager path (%s)", reason[0])
        return False


@functools.cache
def _program(formula: Callable[..., None]) -> Callable[..., None]:
    return torch.compile(formula)


def _forward(
    a: Tensor, out: Tensor, scale: Tensor, windows: Windows, alpha: float, beta: float, k: float
) -> None:
    scale.copy_(k + alpha * _sums(a * a, windows))
    out.copy_(a * _power(scale, beta))


def _backward(
    a: Tensor, grad: Tensor, scale: Tensor, out: Tensor, windows: Windows, alpha: float, beta: float
) -> None:
    out.copy_(_gradient(a, grad, scale, windows, alpha, beta))


def _gradient(
    a: Tensor, grad: Tensor, scale: Tensor, windows: Windows, alpha: float, beta: float
) -> Tensor:
    """That of a, in its shape; windows: those that hold a place."""
    own = grad * _power(scale, beta)
    return own - 2 * alpha * beta * a * _sums(own / scale * a, windows)


def _sums(x: Tensor, windows: Windows) -> Tensor:
    """Over i - before .. i + after of each windowed dimension, ends clipped."""
    for dim, (before, after) in windows.items():
        wide = F.pad(x, [0, 0] * (x.dim() - 1 - dim) + [before, after])
        shifted = [wide.narrow(dim, i, x.shape[dim]) for i in range(before + after + 1)]
        x = functools.reduce(torch.add, shifted)
    return x


def _power(scale: Tensor, beta: float) -> Tensor:
    if beta == 0.75:
        root = scale.rsqrt()
        return root * root * root.rsqrt()
    return scale.pow(-beta)


def traced(a: Tensor, windows: Windows, alpha: float, beta: float, k: float) -> Tensor:
    """a * (k + alpha * sum of a^2 over windows)^-beta, for somebody else's compiler or exporter."""
    return _Traced.apply(a, windows, alpha, beta, k)


class _Traced(torch.autograd.Function):
    """traced, with the backward pass that is written out; all tensors have the shape of a."""

    @staticmethod
    def forward(ctx, a, windows, alpha, beta, k):
        scale = k + alpha * _sums(a * a, windows)
        ctx.save_for_backward(a, scale)
        ctx.windows, ctx.alpha, ctx.beta = windows, alpha, beta
        return a * _power(scale, beta)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        a, scale = ctx.saved_tensors
        windows = opposite(ctx.windows)
        return _gradient(a, grad, scale, windows, ctx.alpha, ctx.beta), *[None] * 4


def opposite(windows: Windows) -> Windows:
    """The windows over the places whose windows hold the given one."""
    return {dim: (after, before) for dim, (before, after) in windows.items()}
