"""§3.3 The normalisations of norms.py in few passes over memory, by one of three paths.

Path "eager": a block at a time, while it is in the processor's cache; only the input and the scale
are kept for the backward pass, and two inverse square roots are the power at 0.75. "native"
(norm_native) is the same in one pass, in C++. "compiled" (norm_compiled) has torch.compile make
such a pass of the formula. Inside somebody else's torch.compile or export, the formula is traced.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from alexnet_repro import routes
from alexnet_repro.layers import norm_compiled, norm_native
from alexnet_repro.layers.norm_compiled import Windows, opposite

CACHED = 1 << 18  # numbers in a block, 1 MB of float32
PATHS = ("auto", "eager", "compiled", "native")


def choose(path: str, device: torch.device) -> str:
    """The rule behind "auto": compiled on a GPU, where Triton is at hand, native on a CPU.

    "compiled" in turn is eager where torch.compile fails; "native" is, too, without a C++ compiler,
    for float64 and for another beta than 3/4.
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
    path: str = "eager",
) -> Tensor:
    """a * (k + alpha * sum of a^2 over channels i - before .. i + after)^-beta.

    a: N x C x H x W float32 or float64, finite; its channels are normalised in equal groups.
    Returns the shape, dtype and memory layout of a (contiguous, where it has neither layout). The
    second derivative is not implemented: asking for it raises RuntimeError.
    """
    if torch.compiler.is_compiling():
        # not a fifth dimension for the groups: it makes the kernel slower
        windows = {1: (before, after)}
        parts = [norm_compiled.traced(x, windows, alpha, beta, k) for x in a.chunk(groups, 1)]
        return torch.cat(parts, 1) if groups > 1 else parts[0]
    rows = functools.partial(_rows, groups=groups)
    return _Norm.apply(a, rows, {2: (before, after)}, alpha, beta, k, path)


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
    """a * (k + alpha * sum of a^2 over a window)^-beta.

    a: N x C x H x W float32 or float64. rows: a -> a view with four dimensions, the first of them
    without a window; windows are of that view. Out, and a's gradient, in shape and layout of a.
    """

    @staticmethod
    def forward(ctx, a, rows, windows, alpha, beta, k, path):
        ctx.rows, ctx.windows, ctx.alpha, ctx.beta, ctx.path = rows, windows, alpha, beta, path
        a = a.contiguous(memory_format=_layout(a))
        out, scale = torch.empty_like(a), torch.empty_like(a)
        ctx.save_for_backward(a, scale)
        if a.numel():
            x, y, s = rows(a), rows(out), rows(scale)
            if path == "native" and norm_native.takes(a, beta):
                norm_native.forward(x, y, s, windows, alpha, k)
                routes.note("norms", "native")
            elif path == "compiled" and norm_compiled.forward(x, y, s, windows, alpha, beta, k):
                routes.note("norms", "compiled")
            else:
                _forward(x, y, s, windows, alpha, beta, k)
                routes.note("norms", "eager")
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        a, scale = ctx.saved_tensors
        out = torch.empty_like(a)
        if a.numel():
            grad = grad.contiguous(memory_format=_layout(a))
            x, g, s, y = (ctx.rows(t) for t in (a, grad, scale, out))
            windows, alpha, beta, path = opposite(ctx.windows), ctx.alpha, ctx.beta, ctx.path
            if path == "native" and norm_native.takes(a, beta):
                norm_native.backward(x, g, s, y, windows, alpha)
                routes.note("norms", "native")
            elif path == "compiled" and norm_compiled.backward(x, g, s, y, windows, alpha, beta):
                routes.note("norms", "compiled")
            else:
                _backward(x, g, s, y, windows, alpha, beta)
                routes.note("norms", "eager")
        return out, *[None] * 6


def _forward(
    x: Tensor, y: Tensor, s: Tensor, windows: Windows, alpha: float, beta: float, k: float
) -> None:
    """s = k + alpha * sums of x^2, y = x * s^-beta, a block of rows at a time; same shape."""
    window = _Window(x, windows)
    for i in _blocks(x):
        torch.mul(window.sums(x[i], x[i]), alpha, out=s[i]).add_(k)
        torch.mul(x[i], _power(s[i], beta), out=y[i])


def _backward(
    x: Tensor, g: Tensor, s: Tensor, y: Tensor, windows: Windows, alpha: float, beta: float
) -> None:
    """The gradient of x into y, from that of the output, g; windows: those that hold a place."""
    window = _Window(x, windows)
    for i in _blocks(x):
        own = torch.mul(g[i], _power(s[i], beta), out=y[i])
        spread = window.sums(own / s[i], x[i])
        own.addcmul_(x[i], spread, value=-2 * alpha * beta)


def within_map_norm(
    a: Tensor, size: int, alpha: float, beta: float, k: float, path: str = "eager"
) -> Tensor:
    """a * (k + alpha * sum of a^2 over size x size places of the same map)^-beta.

    a: N x C x H x W float32 or float64, finite; size odd. Otherwise as local_response_norm.
    """
    around = (size // 2, size // 2)
    constants = alpha, beta, k
    if torch.compiler.is_compiling():
        return norm_compiled.traced(a, {2: around, 3: around}, *constants)
    return _Norm.apply(a, _maps, {1: around, 2: around}, *constants, path)
