"""§3.3 The normalisations by norms.cpp: one pass over memory, not the dozen of norm_eager.py.

float32 on the CPU and beta = 3/4 only.
"""

from __future__ import annotations

import ctypes
import functools

import torch
from torch import Tensor

from alexnet_repro import native


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled kernel, or None (native.library)."""
    found = native.library("layers/norms")
    if found:
        tensor, number, count = ctypes.c_void_p, ctypes.c_float, ctypes.c_int
        found.norm_forward.argtypes = [*[tensor] * 4, number, number, count]
        found.norm_backward.argtypes = [*[tensor] * 5, number, count]
    return found


def takes(a: Tensor, beta: float) -> bool:
    """Is this a tensor for the kernel: float32 on the CPU, beta = 3/4, and a kernel there?"""
    plain = type(a) in (Tensor, torch.nn.Parameter) and a.is_cpu and a.dtype == torch.float32
    return plain and beta == 0.75 and library() is not None


def forward(a: Tensor, out: Tensor, scale: Tensor, windows: dict, alpha: float, k: float) -> None:
    """scale = k + alpha * sums of a^2, out = a * scale^-3/4.

    a, out, scale: maps x H x W x u, contiguous. windows: (before, after) for dimensions 1 and 2.
    """
    pointers = (t.data_ptr() for t in (a, out, scale))
    library().norm_forward(*pointers, _shape(a, windows), alpha, k, torch.get_num_threads())  # type: ignore[union-attr]


def backward(
    a: Tensor, grad: Tensor, scale: Tensor, out: Tensor, windows: dict, alpha: float
) -> None:
    """The gradient of a into out; windows: those that hold a place."""
    pointers = (t.data_ptr() for t in (a, grad, scale, out))
    library().norm_backward(*pointers, _shape(a, windows), alpha, torch.get_num_threads())  # type: ignore[union-attr]


def _shape(a: Tensor, windows: dict) -> ctypes.Array:
    reach = (*windows.get(1, (0, 0)), *windows.get(2, (0, 0)))
    return (ctypes.c_int64 * 8)(*a.shape, *reach)
