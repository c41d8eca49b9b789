"""§3.3 The normalisations of layers.py in few passes over memory.

A block at a time, while it is in the processor's cache; only the input and the scale are kept for
the backward pass, and two inverse square roots are the power at 0.75. Across channels this is the
path "eager"; "compiled" has torch.compile fuse the formula into one kernel a pass, which needs a
compiler (Triton on GPUs, a C++ compiler on CPUs) and some seconds at the first call of each shape.
Inside somebody else's torch.compile or export, the formula is what is traced.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

CACHED = 1 << 18  # numbers in a block, 1 MB of float32
PATHS = ("auto", "eager", "compiled")
log = logging.getLogger(__name__)


def choose(path: str, device: torch.device) -> str:
    """The rule behind "auto": compiled on a GPU, where Triton is at hand, eager elsewhere."""
    if path == "auto":
        return "compiled" if device.type == "cuda" else "eager"
    return path


def local_response_norm(
    a: Tensor, before: int, after: int, groups: int, alpha: float, beta: float, k: float
) -> Tensor:
    """a * (k + alpha * sum of a^2 over channels i - before .. i + after)^-beta.

    a: N x C x H x W float32 or float64, finite; its channels are normalised in equal groups.
    Returns the shape, dtype and memory layout of a (contiguous, where it has neither layout). The
    second derivative is not implemented:
    asking for it raises RuntimeError.
    """
    if torch.compiler.is_compiling():
        return _formula(a, before, after, groups, alpha, beta, k)
    return _LocalResponseNorm.apply(a, before, after, groups, alpha, beta, k)


def _layout(a: Tensor) -> torch.memory_format:
    last = a.is_contiguous(memory_format=torch.channels_last) and not a.is_contiguous()
    return torch.channels_last if last else torch.contiguous_format


def _rows(a: Tensor, groups: int) -> Tensor:
    """A view, rows x channels of a group x places between two channels in memory."""
    n, c, h, w = a.shape
    if _layout(a) == torch.channels_last:
        return a.permute(0, 2, 3, 1).view(n * h * w * groups, c // groups, 1)
    return a.view(n * groups, c // groups, h * w)


def _blocks(rows: Tensor) -> Iterator[slice]:
    step = max(1, len(rows) if rows.is_cuda else CACHED * len(rows) // max(1, rows.numel()))
    return (slice(i, i + step) for i in range(0, len(rows), step))


class _Window:
    """Sums of a product over channels i - before .. i + after, ends clipped, a block at a time."""

    def __init__(self, rows: Tensor, before: int, after: int) -> None:
        _, self.channels, self.inner = rows.shape
        self.before, self.reach = before, before + after
        self.wide = (self.channels + self.reach) * self.inner
        most = len(rows[next(_blocks(rows))])
        # a row ends in zeros that no block overwrites; what is read after the last is not used
        self.scratch = rows.new_zeros(most * self.wide + self.reach * self.inner)

    def sums(self, x: Tensor, y: Tensor) -> Tensor:
        """Rows of x and y, n x channels x inner -> the same shape."""
        n = len(x) * self.wide
        padded = self.scratch[:n].view(len(x), -1, self.inner)
        torch.mul(x, y, out=padded[:, self.before : self.before + self.channels])
        starts = range(0, (self.reach + 1) * self.inner, self.inner)
        first, *others = (self.scratch[start : start + n] for start in starts)
        total = first + others[0] if others else first
        for other in others[1:]:
            total += other
        return total.view(len(x), -1, self.inner)[:, : self.channels]


def _power(scale: Tensor, beta: float) -> Tensor:
    """scale^-beta. torch's sqrt costs seven times its rsqrt where MKL takes it, pow more."""
    if beta == 0.75:
        root = scale.rsqrt()
        return root.rsqrt().mul_(root).mul_(root)
    return scale.pow(-beta)


def _divide(a, out, scale, sums, alpha: float, beta: float, k: float) -> None:
    """scale = k + alpha * sums(a, a), out = a * scale^-beta, a block at a time."""
    for i in _blocks(a):
        torch.mul(sums(a[i], a[i]), alpha, out=scale[i]).add_(k)
        torch.mul(a[i], _power(scale[i], beta), out=out[i])


def _differentiate(a, grad, out, scale, sums, alpha: float, beta: float) -> None:
    """The gradient of a into out; sums runs over the places whose windows hold the given one."""
    for i in _blocks(a):
        own = torch.mul(grad[i], _power(scale[i], beta), out=out[i])
        spread = sums(own / scale[i], a[i])
        own.addcmul_(a[i], spread, value=-2 * alpha * beta)


class _LocalResponseNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a, before, after, groups, alpha, beta, k):
        ctx.before, ctx.after, ctx.groups, ctx.alpha, ctx.beta = before, after, groups, alpha, beta
        a = a.contiguous(memory_format=_layout(a))
        out, scale = torch.empty_like(a), torch.empty_like(a)
        ctx.save_for_backward(a, scale)
        if not a.numel():
            return out
        x, y, s = (_rows(t, groups) for t in (a, out, scale))
        window = _Window(x, before, after)
        _divide(x, y, s, window.sums, alpha, beta, k)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        a, scale = ctx.saved_tensors
        out = torch.empty_like(a)
        if a.numel():
            grad = grad.contiguous(memory_format=_layout(a))
            x, g, y, s = (_rows(t, ctx.groups) for t in (a, grad, out, scale))
            window = _Window(x, ctx.after, ctx.before)
            _differentiate(x, g, y, s, window.sums, ctx.alpha, ctx.beta)
        return out, *[None] * 6


def within_map_norm(a: Tensor, size: int, alpha: float, beta: float) -> Tensor:
    """a * (1 + alpha / size^2 * sum of a^2 over size x size places of the same map)^-beta.

    a: N x C x H x W float32 or float64, finite; size odd. Otherwise as local_response_norm.
    """
    if torch.compiler.is_compiling():
        return a * power(1 + alpha * _means(a * a, size), beta)
    return _WithinMapNorm.apply(a, size, alpha, beta)


def _means(x: Tensor, size: int) -> Tensor:
    # count_include_pad divides by size^2 everywhere: the sum over the clipped window / size^2
    return F.avg_pool2d(x, size, 1, size // 2, count_include_pad=True)


class _WithinMapNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a, size, alpha, beta):
        ctx.size, ctx.alpha, ctx.beta = size, alpha, beta
        out, scale = torch.empty_like(a), torch.empty_like(a)
        ctx.save_for_backward(a, scale)
        _divide(a, out, scale, lambda x, y: _means(x * y, size), alpha, beta, 1.0)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        a, scale = ctx.saved_tensors
        out = torch.empty_like(a)

        def sums(x, y):  # the windows that hold a place are the window of that place
            return _means(x * y, ctx.size)

        _differentiate(a, grad, out, scale, sums, ctx.alpha, ctx.beta)
        return out, None, None, None


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
