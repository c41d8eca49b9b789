"""§2 How a prepared set comes to its place: one writer at a time, whole, with nothing lost or left.

Beside the set NAME lie, while it is prepared, .NAME.lock (held by the writing process, and free
again when that is gone), .NAME.writing (what is not whole yet) and, for a moment, .NAME.old (the
set that is replaced). Who finds them without their writer sweeps them.
"""

from __future__ import annotations

import errno
import math
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from alexnet_repro.data.archives import shown
from alexnet_repro.errors import ExistsError, InputError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
UNSUPPORTED = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
FILES = re.compile(r"meta\.json|mean\.npy|\w+-(images|labels)\.npy")


def plain(name: str) -> str:
    """The name of a data set, if it is a plain word; a path or an empty name could hit others."""
    if not NAME.fullmatch(name):
        raise InputError(f"a data set's name is a plain word, got {name!r}")
    return name


def beside(target: Path, what: str) -> Path:
    """The path beside a set for its "lock", what is "writing" or the "old" one."""
    return target.with_name(f".{target.name}.{what}")


def check(target: Path, force: bool, source: Path | None = None) -> None:
    """Raise unless a set may be prepared at target: it is not there, or (force) is one of ours.

    source: where the images are; it may not lie in what is replaced or swept, nor around it.
    """
    plain(target.name)
    if source is not None:
        given = source.resolve()
        for path in (target, *(beside(target, what) for what in ("writing", "old"))):
            there = path.parent.resolve() / path.name
            if given in (there, *there.parents) or there in given.parents:
                raise InputError(
                    f"the source {shown(source)} and the target {shown(target)} overlap; "
                    f"move one of them"
                )
    recover(target)
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise ExistsError(f"{shown(target)} exists and is no folder; move it away")
    if not target.exists():
        return
    if not force:
        raise ExistsError(f"{shown(target)} exists already; add --force to prepare it again")
    names = sorted(path.name for path in target.iterdir())
    foreign = [name for name in names if not FILES.fullmatch(name)]
    if foreign or "meta.json" not in names or not any(n.endswith("-images.npy") for n in names):
        why = f"{foreign[0]!r} is not of a prepared set" if foreign else "no prepared set is in it"
        raise ExistsError(f"{shown(target)} is not replaced: {why}; move it away yourself")


@contextmanager
def workplace(target: Path, force: bool) -> Iterator[Path]:
    """An empty folder beside target that goes when the block ends; nobody else writes target.

    Raises what `check` does, and ValueError while another process prepares the same set.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with _lock(target) as free:
        if not free:
            raise InputError(f"{shown(target)} is being prepared by another process; wait for it")
        _settle(target)
        check(target, force)  # again: another process may have been here
        folder = beside(target, "writing")
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def replace(folder: Path, target: Path) -> None:
    """Rename folder to target; a set that is there goes when the new one is in its place."""
    old = beside(target, "old")
    if target.exists():
        if old.exists():
            shutil.rmtree(old)
        target.rename(old)
    folder.rename(target)
    if old.exists():
        shutil.rmtree(old)


def recover(target: Path) -> None:
    """Bring back the old set where a replacement was broken off, unless one is under way."""
    if beside(target, "old").exists():
        # where nothing may be written nothing is brought back, and a set that is there is read
        with suppress(OSError), _lock(target) as free:
            if free:
                _settle(target)


def create(path: Path, shape: tuple[int, ...]) -> np.memmap:
    """A new uint8 array in an .npy file, mapped; its space is taken before anything is written.

    Writing into a mapped file that finds no space ends the process. Raises OSError.
    """
    array = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
    with path.open("r+b") as file:
        try:
            _allocate(file.fileno(), array.offset, math.prod(shape))
        except OSError as error:
            raise OSError(
                error.errno,
                f"no space for {math.prod(shape):,} bytes ({error.strerror})",
                str(path),
            ) from error
    return array


def keep_rows(path: Path, rows: np.ndarray, chunk: int = 1000) -> None:
    """Shrink the array in an .npy file to the given rows (ascending), in place."""
    array = np.lib.format.open_memmap(path, "r+")
    for i in range(0, len(rows), chunk):  # row i comes from i or later
        part = rows[i : i + chunk]
        array[i : i + len(part)] = array[part]
    array.flush()
    shape = (len(rows), *array.shape[1:])
    with path.open("r+b") as file:
        header = np.lib.format.header_data_from_array_1_0(array) | {"shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        if file.tell() != array.offset:  # numpy leaves room for the number of rows
            raise RuntimeError(f"{path}: header of {file.tell()} bytes, was {array.offset}")
        file.truncate(array.offset + math.prod(shape) * array.itemsize)


def _allocate(file: int, start: int, size: int, chunk: int = 2**20) -> None:
    try:
        os.posix_fallocate(file, start, size)
    except (AttributeError, OSError) as error:  # macOS has none, some file systems cannot
        if isinstance(error, OSError) and error.errno not in UNSUPPORTED:
            raise
        for at in range(start, start + size, chunk):
            os.pwrite(file, bytes(min(chunk, start + size - at)), at)


def _settle(target: Path) -> None:
    """Sweep what a broken preparation left; the caller holds the lock."""
    old, writing = beside(target, "old"), beside(target, "writing")
    if old.exists():
        if target.exists():
            shutil.rmtree(old)
        else:
            old.rename(target)
    if writing.exists():
        shutil.rmtree(writing)


@contextmanager
def _lock(target: Path) -> Iterator[bool]:
    """Hold the lock of a set; False where another process does. The file goes with the holder."""
    import fcntl  # not before a set is written: reading needs none

    path = beside(target, "lock")
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            yield False
            return
        try:
            same = os.path.samestat(os.fstat(file), os.stat(path))
        except FileNotFoundError:
            same = False
        if same:
            break
        os.close(file)  # its last holder has removed it meanwhile
    try:
        yield True
    finally:
        path.unlink(missing_ok=True)
        os.close(file)
