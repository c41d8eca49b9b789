"""§3.3 The two normalisations, across channels and within a map, written as their formulas.

Both take float tensors N x C x H x W and return the same dtype. Constants default to the printed
ones; a difference from the printed text is a keyword that must be named at the call.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from alexnet_repro.errors import InputError
from alexnet_repro.layers import norm_eager


class LocalResponseNorm(nn.Module):
    """§3.3 Divide each activity by the energy of neighbouring channels at the same place.

    b_i = a_i / (k + alpha * sum of a_j^2 over j = i - n//2 .. i + n//2)^beta, ends clipped.

    alpha_over_n=True is the original code: alpha is divided by n, and an even window holds n
    channels (i - n//2 .. i + n//2 - 1) instead of the printed n + 1. groups: columns that are
    normalised apart, as the original does on its two GPUs. Input N x C x H x W, finite; the
    statistics are computed in float32 (or float64), so half precision does not overflow. path:
    "eager", "native", "compiled" or "auto" (norm_eager.choose); the numbers are the same. First
    derivatives only, by backward(): no torch.func, no double backward.
    Raises ValueError for size < 1, k <= 0, groups that do not divide C, input that is not 4-D.
    """

    def __init__(
        self,
        size: int = 5,
        alpha: float = 1e-4,
        beta: float = 0.75,
        k: float = 2.0,
        *,
        alpha_over_n: bool = False,
        groups: int = 1,
        path: str = "auto",
    ) -> None:
        super().__init__()
        _want_path(path, "LocalResponseNorm")
        if size < 1 or k <= 0 or groups < 1:
            raise InputError(
                f"LocalResponseNorm wants size >= 1, k > 0 and groups >= 1, "
                f"got size={size}, k={k}, groups={groups}"
            )
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k
        self.alpha_over_n, self.groups, self.path = alpha_over_n, groups, path

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W -> the same shape and dtype."""
        _want_maps(x, "LocalResponseNorm")
        if x.shape[1] % self.groups:
            raise InputError(
                f"LocalResponseNorm(groups={self.groups}) wants a multiple of {self.groups} "
                f"channels, got {x.shape[1]}"
            )
        a = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        alpha = self.alpha / self.size if self.alpha_over_n else self.alpha
        with torch.autocast(x.device.type, enabled=False):
            path = norm_eager.choose(self.path, x.device)
            constants = (*self._reach(), self.groups, alpha, self.beta, self.k)
            b = norm_eager.local_response_norm(a, *constants, path)
        return b.to(x.dtype)

    def _reach(self) -> tuple[int, int]:
        """How many channels before and after its own a window holds."""
        even_as_coded = self.alpha_over_n and self.size % 2 == 0
        return self.size // 2, self.size // 2 - even_as_coded

    def extra_repr(self) -> str:
        """The constants, for print(net)."""
        return (
            f"size={self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}, "
            f"alpha_over_n={self.alpha_over_n}, groups={self.groups}"
        )


class WithinMapNorm(nn.Module):
    """Divide each activity by the energy of its size x size neighbourhood in the same map.

    b = a / (k + alpha / size^2 * sum of squares)^beta, windows clipped at the border;
    alpha_over_n=False: alpha is not divided. In the original configuration (layers-145.cfg, rnorm)
    and in 18pct; the paper's text has no word of it.
    Input and output N x C x H x W. path, and first derivatives only: as LocalResponseNorm.
    Raises ValueError for an even size, k <= 0 or input that is not 4-D.
    """

    def __init__(
        self,
        size: int = 5,
        alpha: float = 1e-3,
        beta: float = 0.75,
        k: float = 1.0,
        *,
        alpha_over_n: bool = True,
        path: str = "auto",
    ) -> None:
        super().__init__()
        _want_path(path, "WithinMapNorm")
        if size < 1 or size % 2 == 0:
            raise InputError(f"WithinMapNorm wants an odd size >= 1, got {size}")
        if k <= 0:
            raise InputError(f"WithinMapNorm wants k > 0, got {k}")
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k
        self.alpha_over_n, self.path = alpha_over_n, path

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W -> the same shape and dtype."""
        _want_maps(x, "WithinMapNorm")
        a = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        with torch.autocast(x.device.type, enabled=False):
            path = norm_eager.choose(self.path, x.device)
            alpha = self.alpha / self.size**2 if self.alpha_over_n else self.alpha
            b = norm_eager.within_map_norm(a, self.size, alpha, self.beta, self.k, path)
        return b.to(x.dtype)

    def extra_repr(self) -> str:
        """The constants, for print(net)."""
        return (
            f"size={self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}, "
            f"alpha_over_n={self.alpha_over_n}"
        )


def _want_path(path: str, who: str) -> None:
    if path not in norm_eager.PATHS:
        raise InputError(f"{who} wants path {', '.join(norm_eager.PATHS)}, got {path!r}")


def _want_maps(x: Tensor, who: str) -> None:
    if x.dim() != 4 or not x.is_floating_point():
        raise InputError(
            f"{who} wants a float tensor N x C x H x W, got {tuple(x.shape)} of {x.dtype}"
        )
