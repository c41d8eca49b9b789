"""Where a run comes from: code, time, machine, versions, command. No torch."""

from __future__ import annotations

import datetime
import functools
import hashlib
import importlib.metadata
import platform
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from alexnet_repro.paths import PACKAGE, REPOSITORY


def git_state() -> dict[str, Any]:
    """The commit, and whether the files differed from it.

    New files count, for a module that git does not know can change a result; what git ignores and
    the records under runs/ do not. An installed copy has no commit, wherever it lies.
    """
    if REPOSITORY is None:
        return {"commit": None, "dirty": None}
    try:
        commit = _git("rev-parse", "HEAD")
        dirty = bool(_git("status", "--porcelain", "--", ".", ":!runs"))
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}
    return {"commit": commit, "dirty": dirty}


def provenance(device: str, threads: int) -> dict[str, Any]:
    """Where a run starts from: code, time, machine, versions, command."""
    names = ("torch", "torchvision", "numpy")
    versions = {n: importlib.metadata.version(n) for n in names if _installed(n)}
    return {
        "git": git_state(),
        "code_sha256": code_digest(),
        "start_utc": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "device": device,
        "accelerator": _accelerator(device),
        "cpu": _cpu_name(),
        "threads": threads,
        "versions": {"python": platform.python_version(), **versions},
        "command": " ".join(["alexnet-repro", *sys.argv[1:]]),
    }


def code_digest() -> str:
    """The sha256 of the package's own files: changes with any line, name or place of them.

    Taken once a process, at the first call: what is edited later is not what runs here.
    """
    return _once(PACKAGE)


def folder_digest(folder: Path) -> str:
    """sha256 over the relative path and the content of every file in folder and below it.

    What Python compiles and files with a leading dot are left out.
    """
    found = []
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        hidden = "__pycache__" in parts or any(part.startswith(".") for part in parts)
        if path.is_file() and not hidden:
            found.append(path)
    return files_digest(folder, found)


def files_digest(folder: Path, paths: Iterable[Path]) -> str:
    """sha256 over the path below folder and the content of each file; their order is no matter."""
    digest = hashlib.sha256()
    found = {path.relative_to(folder).as_posix(): path for path in paths}
    for name in sorted(found):
        content = found[name].read_bytes()
        digest.update(f"{name}\n{len(content)}\n".encode() + content)
    return digest.hexdigest()


@functools.cache
def _once(folder: Path) -> str:
    return folder_digest(folder)


def peak_memory_bytes() -> int:
    """Largest resident size of this process so far."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _accelerator(device: str) -> str | None:
    """The name of a CUDA device."""
    if not device.startswith("cuda"):
        return None
    import torch

    return torch.cuda.get_device_name(device)


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(PACKAGE.parent), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
