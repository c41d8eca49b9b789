"""§3.3 The normalisations of layers.py in few passes over memory.

Path "eager": a block at a time, while it is in the processor's cache; only the input and the scale
are kept for the backward pass, and two inverse square roots are the power at 0.75. "native"
(lrn_native) is the same in one pass, in C++. "compiled", across channels only, has torch.compile
fuse the formula into one kernel a pass, which needs a compiler (Triton on GPUs, a C++ compiler on
CPUs) and some seconds at the first call of each shape. Inside somebody else's torch.compile or
export, the formula is what is traced.
"""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from alexnet_repro import lrn_native

CACHED = 1 << 18  # numbers in a block, 1 MB of float32
PATHS = ("auto", "eager", "compiled", "native")
Windows = dict[int, tuple[int, int]]  # dimension -> places before and after
log = logging.getLogger(__name__)


def choose(path: str, device: torch.device) -> str:
    """The rule behind "auto": compiled on a GPU, where Triton is at hand, native on a CPU.

    "native" in turn is eager for float64, for another beta than 3/4, and without a C++ compiler.
    """
    if path == "auto":
        return {"cuda": "compiled", "cpu": "native"}.get(device.type, "eager")
    return path


def local_response_norm(
    a: Tensor,
    before: int,
    after: int,
    groups: int,
    alpha: float,
    beta: float,
    k: float,
    native: bool = False,
) -> Tensor:
    """a * (k + alpha * sum of a^2 over channels i - before .. i + after)^-beta.

    a: N x C x H x W float32 or float64, finite; its channels are normalised in equal groups.
    native: by norms.cpp, where it can be. Returns the shape, dtype and memory layout of a
    (contiguous, where it has neither layout). The second derivative is not implemented: asking for
    it raises RuntimeError.
    """
    if torch.compiler.is_compiling():
        return _formula(a, before, after, groups, alpha, beta, k)
    rows = functools.partial(_rows, groups=groups)
    return _Norm.apply(a, rows, {2: (before, after)}, alpha, beta, k, native)


def _layout(a: Tensor) -> torch.memory_format:
    last = a.is_contiguous(memory_format=torch.channels_last) and not a.is_contiguous()
    return torch.channels_last if last else torch.contiguous_format


def _rows(a: Tensor, groups: int) -> Tensor:
    """A view, rows x 1 x channels of a group x places between two channels in memory."""
    n, c, h, w = a.shape
    if _layout(a) == torch.channels_last:
        return a.permute(0, 2, 3, 1).view(n * h * w * groups, 1, c // groups, 1)
    return a.view(n * groups, 1, c // groups, h * w)


def _maps(a: Tensor) -> Tensor:
    """A view, rows x H x W x channels that lie side by side in memory."""
    n, c, h, w = a.shape
    if _layout(a) == torch.channels_last:
        return a.permute(0, 2, 3, 1)
    return a.view(n * c, h, w, 1)


def _blocks(rows: Tensor) -> Iterator[slice]:
    step = max(1, len(rows) if rows.is_cuda else CACHED * len(rows) // max(1, rows.numel()))
    return (slice(i, i + step) for i in range(0, len(rows), step))


class _Window:
    """Sums of a product over i - before .. i + after, ends clipped, a block of rows at a time.

    windows: (before, after) for each dimension that is summed over. A block lies in scratch with
    zeros around it, so a sum is that of the flat memory and of its own copies, shifted.
    """

    def __init__(self, rows: Tensor, windows: Windows) -> None:
        self.sizes = list(rows.shape[1:])
        self.inside, self.found = [slice(None)] * rows.dim(), [slice(None)] * rows.dim()
        for dim, (before, after) in windows.items():
            self.inside[dim] = slice(before, before + rows.shape[dim])
            self.found[dim] = slice(rows.shape[dim])
            self.sizes[dim - 1] += before + after
        self.shifts = [(math.prod(self.sizes[dim:]), sum(windows[dim])) for dim in windows]
        self.tail = sum(shift * reach for shift, reach in self.shifts)
        most = len(rows[next(_blocks(rows))])
        self.scratch = rows.new_zeros(most * math.prod(self.sizes) + self.tail)

    def sums(self, x: Tensor, y: Tensor) -> Tensor:
        """A block of rows of x and y -> the sums, in the same shape."""
        n = len(x) * math.prod(self.sizes)
        torch.mul(x, y, out=self.scratch[:n].view(-1, *self.sizes)[tuple(self.inside)])
        total = self.scratch[: n + self.tail]
        for shift, reach in self.shifts:
            length = len(total) - shift * reach
            first, *others = (total[i * shift : i * shift + length] for i in range(reach + 1))
            total = first + others[0] if others else first
            for other in others[1:]:
                total += other
        return total.view(-1, *self.sizes)[tuple(self.found)]


def _power(scale: Tensor, beta: float) -> Tensor:
    """scale^-beta. torch's sqrt costs seven times its rsqrt where MKL takes it, pow more."""
    if beta == 0.75:
        root = scale.rsqrt()
        return root.rsqrt().mul_(root).mul_(root)
    return scale.pow(-beta)


class _Norm(torch.autograd.Function):
    """a * (k + alpha * sum of a^2 over a window)^-beta. rows: a -> the view that windows are of."""

    @staticmethod
    def forward(ctx, a, rows, windows, alpha, beta, k, native):
        ctx.rows, ctx.windows, ctx.alpha, ctx.beta = rows, windows, alpha, beta
        a = a.contiguous(memory_format=_layout(a))
        out, scale = torch.empty_like(a), torch.empty_like(a)
        ctx.save_for_backward(a, scale)
        ctx.native = native and lrn_native.takes(a, beta)
        if a.numel():
            x, y, s = rows(a), rows(out), rows(scale)
            if ctx.native:
                lrn_native.forward(x, y, s, windows, alpha, k)
                return out
            window = _Window(x, windows)
            for i in _blocks(x):
                torch.mul(window.sums(x[i], x[i]), alpha, out=s[i]).add_(k)
                torch.mul(x[i], _power(s[i], beta), out=y[i])
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        a, scale = ctx.saved_tensors
        out = torch.empty_like(a)
        if a.numel():
            grad = grad.contiguous(memory_format=_layout(a))
            x, g, y, s = (ctx.rows(t) for t in (a, grad, out, scale))
            # over the places whose windows hold the given one
            windows = {d: (after, before) for d, (before, after) in ctx.windows.items()}
            if ctx.native:
                lrn_native.backward(x, g, s, y, windows, ctx.alpha)
                return out, *[None] * 6
            window = _Window(x, windows)
            for i in _blocks(x):
                own = torch.mul(g[i], _power(s[i], ctx.beta), out=y[i])
                spread = window.sums(own / s[i], x[i])
                own.addcmul_(x[i], spread, value=-2 * ctx.alpha * ctx.beta)
        return out, *[None] * 6


def within_map_norm(
    a: Tensor, size: int, alpha: float, beta: float, native: bool = False
) -> Tensor:
    """a * (1 + alpha / size^2 * sum of a^2 over size x size places of the same map)^-beta.

    a: N x C x H x W float32 or float64, finite; size odd. Otherwise as local_response_norm.
    """
    if torch.compiler.is_compiling():
        # count_include_pad: the sum over the clipped window / size^2
        means = F.avg_pool2d(a * a, size, 1, size // 2, count_include_pad=True)
        return a * power(1 + alpha * means, beta)
    around = (size // 2, size // 2)
    return _Norm.apply(a, _maps, {1: around, 2: around}, alpha / size**2, beta, 1.0, native)


def compiled(
    a: Tensor, before: int, after: int, groups: int, alpha: float, beta: float, k: float
) -> Tensor | None:
    """The formula as a compiled kernel; arguments and result as local_response_norm's.

    None, and one line of log, where torch.compile does not work on this machine.
    """
    if _broken:
        return None
    try:
        return _kernel()(a, before, after, groups, alpha, beta, k)
    except (RuntimeError, ImportError, OSError) as error:
        _broken.append(True)
        reason = str(error).strip().splitlines() or [type(error).__name__]
        log.warning("LRN: torch.compile failed, going on with the eager path (%s)", reason[0])
        return None


_broken: list[bool] = []


@functools.cache
def _kernel():
    return torch.compile(_formula)


def _formula(
    a: Tensor, before: int, after: int, groups: int, alpha: float, beta: float, k: float
) -> Tensor:
    if groups > 1:  # not one path for both: a fifth dimension makes the kernel slower
        parts = [_formula(part, before, after, 1, alpha, beta, k) for part in a.chunk(groups, 1)]
        return torch.cat(parts, 1)
    channels = a.shape[1]
    squares = F.pad(a * a, (0, 0, 0, 0, before, after))
    total = squares[:, :channels]
    for offset in range(1, before + after + 1):
        total = total + squares[:, offset : offset + channels]
    return a * power(k + alpha * total, beta)


def power(scale: Tensor, beta: float) -> Tensor:
    """scale^-beta for autograd: r * r * r^-1/2, where r = scale^-1/2, at beta = 0.75."""
    if beta == 0.75:
        root = scale.rsqrt()
        return root * root * root.rsqrt()
    return scale.pow(-beta)
