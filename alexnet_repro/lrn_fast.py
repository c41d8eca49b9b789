"""§3.3 Local response normalisation in few passes over memory; layers.LocalResponseNorm uses it.

Same numbers as the formula, but only the input and the scale are kept for the backward pass, the
rest is recomputed, and at beta = 0.75 two square roots replace the power.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


def local_response_norm(a: Tensor, window: Tensor, alpha: float, beta: float, k: float) -> Tensor:
    """a * (k + alpha * window-sum of a^2)^-beta.

    a: N x C x H x W float32 or float64, finite. window: C x C zeros and ones, row i marks the
    channels that channel i sums over. Returns the shape, dtype and memory layout of a. The second
    derivative is not implemented: asking for it raises RuntimeError.
    """
    return _LocalResponseNorm.apply(a, window, alpha, beta, k)


def _sum_channels(x: Tensor, window: Tensor) -> Tensor:
    # channels last, this is one matrix product over contiguous rows, in place of shifted adds
    return F.linear(x.movedim(1, -1), window).movedim(-1, 1)


def _power(scale: Tensor, beta: float) -> Tensor:
    if beta == 0.75:
        root = scale.rsqrt()
        return root.mul_(root.sqrt())
    return scale.pow(-beta)


class _LocalResponseNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a, window, alpha, beta, k):
        scale = _sum_channels(a * a, window).mul_(alpha).add_(k)
        ctx.save_for_backward(a, scale, window)
        ctx.alpha, ctx.beta = alpha, beta
        return a * _power(scale, beta)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        a, scale, window = ctx.saved_tensors
        power = _power(scale, ctx.beta)
        own = grad * power
        with torch.autocast(grad.device.type, enabled=False):
            spread = _sum_channels((own * a).div_(scale), window.t())
        return own.addcmul_(a, spread, value=-2 * ctx.alpha * ctx.beta), None, None, None, None
