"""The C++ sources of this package, compiled on this machine at their first use.

Needs a C++ compiler with OpenMP (g++, or what CXX names). A library lies in the user's cache
folder, under a name that changes with the source, the compiler and the processor. Without, the
same is done by torch or numpy, more slowly.
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

from alexnet_repro.paths import PACKAGE
from alexnet_repro.whole import replacing

FLAGS = "-O3 -march=native -fno-math-errno -fno-trapping-math -fopenmp -shared -fPIC".split()
log = logging.getLogger(__name__)


@functools.cache
def library(name: str) -> ctypes.CDLL | None:
    """<name>.cpp of the package, such as "layers/norms", compiled.

    None, and one line of log, where it cannot be had.
    """
    source = PACKAGE / f"{name}.cpp"
    try:
        return _load(source)
    except (OSError, subprocess.SubprocessError) as error:
        why = _reason(error)
        log.warning("%s: not compiled, going on without, more slowly (%s)", source.name, why)
        return None


def _reason(error: Exception) -> str:
    """What went wrong, in a line: of a compiler that failed, the first that names an error."""
    said = getattr(error, "stderr", None) or b""
    lines = said.decode(errors="replace").strip().splitlines() or [str(error)]
    return next((line for line in lines if "error" in line), lines[0]).strip()


def compiler() -> str:
    """What the compiler says of itself, its first line; "" where there is none."""
    try:
        return _version().decode(errors="replace").partition("\n")[0].strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _version() -> bytes:
    command = [os.environ.get("CXX", "g++"), "--version"]
    return subprocess.run(command, check=True, capture_output=True).stdout


def _built(source: Path) -> Path:
    """Where the compiled library lies, after compiling it if need be."""
    compiler = os.environ.get("CXX", "g++")
    version = _version()
    digest = hashlib.sha256(source.read_bytes() + version + _processor())
    digest.update(" ".join([compiler, *FLAGS]).encode())
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "alexnet_repro"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        folder = Path(tempfile.mkdtemp(prefix="alexnet_repro-"))
    path = folder / f"{source.stem}-{digest.hexdigest()[:16]}.so"
    if not path.exists():
        with replacing(path) as new:  # other processes may be at the same
            command = [compiler, *FLAGS, str(source), "-o", str(new)]
            subprocess.run(command, check=True, capture_output=True)
    return path


def _load(source: Path) -> ctypes.CDLL:
    path = _built(source)
    try:
        return ctypes.CDLL(str(path))
    except OSError:  # a damaged file: once more
        path.unlink()
        return ctypes.CDLL(str(_built(source)))


def _processor() -> bytes:
    """What -march=native depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_bytes().splitlines()
    except OSError:
        return platform.processor().encode()
    return b"".join(sorted({x for x in lines if x.startswith((b"model name", b"flags"))}))
