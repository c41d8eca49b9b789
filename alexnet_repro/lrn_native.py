"""§3.3 norms.cpp, compiled on this machine at its first use, and called.

One pass over memory in place of the dozen of lrn_fast.py, float32 and beta = 3/4 only. Needs a C++
compiler with OpenMP (g++, or what CXX names); the library lies in the user's cache folder, under a
name that changes with the source, the compiler and the processor.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import logging
import os
import platform
import subprocess
import tempfile
from pathlib import Path

import torch
from torch import Tensor

SOURCE = Path(__file__).with_name("norms.cpp")
FLAGS = "-O3 -march=native -fno-math-errno -fno-trapping-math -fopenmp -shared -fPIC".split()
log = logging.getLogger(__name__)


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled kernel. None, and one line of log, where it cannot be had."""
    try:
        found = _load(_built())
    except (OSError, subprocess.SubprocessError) as error:
        log.warning("LRN: no native kernel, going on with the eager path (%s)", error)
        return None
    tensor, number, count = ctypes.c_void_p, ctypes.c_float, ctypes.c_int
    found.norm_forward.argtypes = [*[tensor] * 4, number, number, count]
    found.norm_backward.argtypes = [*[tensor] * 5, number, count]
    return found


def _built() -> Path:
    """Where the compiled library lies, after compiling it if need be."""
    compiler = os.environ.get("CXX", "g++")
    version = subprocess.run([compiler, "--version"], check=True, capture_output=True).stdout
    digest = hashlib.sha256(SOURCE.read_bytes() + version + _processor())
    digest.update(" ".join([compiler, *FLAGS]).encode())
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "alexnet_repro"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        folder = Path(tempfile.mkdtemp(prefix="alexnet_repro-"))
    path = folder / f"norms-{digest.hexdigest()[:16]}.so"
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=folder) as name:
            new = Path(name) / "norms.so"
            command = [compiler, *FLAGS, str(SOURCE), "-o", str(new)]
            subprocess.run(command, check=True, capture_output=True)
            new.replace(path)  # at once: other processes may be at the same
    return path


def _load(path: Path) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(str(path))
    except OSError:  # a damaged file: once more
        path.unlink()
        return ctypes.CDLL(str(_built()))


def _processor() -> bytes:
    """What -march=native depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_bytes().splitlines()
    except OSError:
        return platform.processor().encode()
    return b"".join(sorted({x for x in lines if x.startswith((b"model name", b"flags"))}))


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
