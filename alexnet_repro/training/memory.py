"""§5 glibc's allocator, told to keep what large tensors leave behind for the next ones."""

from __future__ import annotations

import ctypes
import logging
import os

log = logging.getLogger(__name__)
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # parameters of mallopt, from malloc.h
OWN = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_")


def keep_memory() -> bool:
    """Have this process keep freed memory, from here to its end; `train` does it for you.

    By itself glibc gives large short-lived tensors back to the kernel and faults every page in
    again at each step: 172 in place of 137 ms a step of the CIFAR net on one core of a Zen 3. What
    is kept is used again; the process stays as large as it ever was.

    Returns whether it was done. With another libc (musl, macOS, Windows) nothing is, nor where the
    environment already has one of OWN, which then holds; the log says so (level INFO).
    """
    if theirs := [name for name in OWN if name in os.environ]:
        log.info("the allocator stays as %s has it", ", ".join(theirs))
        return False
    libc = _glibc()
    if libc is None:
        log.info("the allocator stays as it is: this is not glibc")
        return False
    # no upper limit for what is kept, and no mapping of its own for a large piece: its threshold
    # (M_MMAP_THRESHOLD) cannot be raised beyond 32 MiB before glibc 2.35
    return bool(libc.mallopt(M_TRIM_THRESHOLD, -1) and libc.mallopt(M_MMAP_MAX, 0))


def _glibc() -> ctypes.CDLL | None:
    try:
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version  # noqa: B018  (others have no such function)
    except (AttributeError, OSError, TypeError):  # TypeError: Windows
        return None
    return libc
