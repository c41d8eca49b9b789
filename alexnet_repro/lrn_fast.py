"""§3.3 Local response normalisation in few passes over memory; layers.LocalResponseNorm uses it.

Two paths with the same numbers as the formula. "eager": only the input and the scale are kept for
the backward pass, the rest is recomputed, and two inverse square roots are the power at 0.75.
"compiled": torch.compile fuses the formula into one kernel a pass; it needs a compiler (Triton on
GPUs, a C++ compiler on CPUs) and some seconds at the first call of each shape.
"""

from __future__ import annotations

import functools
import logging

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

BAND = 128  # channels up to which a product with a band matrix beats shifted adds
PATHS = ("auto", "eager", "compiled")
log = logging.getLogger(__name__)


def choose(path: str, device: torch.device) -> str:
    """The rule behind "auto": compiled on a GPU, where Triton is at hand, eager elsewhere."""
    if path == "auto":
        return "compiled" if device.type == "cuda" else "eager"
    return path


def local_response_norm(
    a: Tensor, before: int, after: int, alpha: float, beta: float, k: float
) -> Tensor:
    """a * (k + alpha * sum of a^2 over channels i - before .. i + after)^-beta.

    a: N x C x H x W float32 or float64, finite. Returns the shape, dtype and memory layout of a.
    The second derivative is not implemented: asking for it raises RuntimeError.
    """
    return _LocalResponseNorm.apply(a, before, after, alpha, beta, k)


def _sum_channels(x: Tensor, before: int, after: int) -> Tensor:
    """Sums over channels i - before .. i + after, ends clipped."""
    channels = x.shape[1]
    if channels <= BAND:
        # channels last, this is one matrix product over contiguous rows, in place of shifted adds
        place = torch.arange(channels, device=x.device)
        offset = place[None, :] - place[:, None]
        band = ((offset >= -before) & (offset <= after)).to(x.dtype)
        return F.linear(x.movedim(1, -1), band).movedim(-1, 1)
    padded = F.pad(x, (0, 0, 0, 0, before, after))
    total = padded[:, :channels] + padded[:, 1 : channels + 1] if before + after else x.clone()
    for start in range(2, before + after + 1):
        total += padded[:, start : start + channels]
    return total


def _power(scale: Tensor, beta: float) -> Tensor:
    """scale^-beta. torch's sqrt costs seven times its rsqrt where MKL takes it, pow more."""
    if beta == 0.75:
        root = scale.rsqrt()
        return root.rsqrt().mul_(root).mul_(root)
    return scale.pow(-beta)


class _LocalResponseNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a, before, after, alpha, beta, k):
        scale = _sum_channels(a * a, before, after).mul_(alpha).add_(k)
        ctx.save_for_backward(a, scale)
        ctx.before, ctx.after, ctx.alpha, ctx.beta = before, after, alpha, beta
        return a * _power(scale, beta)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        a, scale = ctx.saved_tensors
        power = _power(scale, ctx.beta)
        own = grad * power
        with torch.autocast(grad.device.type, enabled=False):
            spread = _sum_channels((own * a).div_(scale), ctx.after, ctx.before)
        return own.addcmul_(a, spread, value=-2 * ctx.alpha * ctx.beta), *[None] * 5


def compiled(
    a: Tensor, before: int, after: int, alpha: float, beta: float, k: float
) -> Tensor | None:
    """The formula over channels i - before .. i + after as a compiled kernel; see the other path.

    None, and one line of log, where torch.compile does not work on this machine.
    """
    if _broken:
        return None
    try:
        return _kernel()(a, before, after, alpha, beta, k)
    except (RuntimeError, ImportError, OSError) as error:
        _broken.append(True)
        reason = str(error).strip().splitlines() or [type(error).__name__]
        log.warning("LRN: torch.compile failed, going on with the eager path (%s)", reason[0])
        return None


_broken: list[bool] = []


@functools.cache
def _kernel():
    return torch.compile(_formula)


def _formula(a: Tensor, before: int, after: int, alpha: float, beta: float, k: float) -> Tensor:
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
