"""§2 The files of a folder, zip or tar, one after another."""

from __future__ import annotations

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath

from alexnet_repro.errors import InputError

# what reading a damaged archive raises
DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError)


def members(source: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Each file of a folder, zip or tar: its name and a function that reads it, in stored order.

    The function is good until the next file is asked for. Raises ValueError for another kind of
    file or a member whose path leaves the archive, one of DAMAGED for a damaged archive.
    """
    if source.is_dir():
        for path in sorted(source.rglob("*")):
            if path.is_file():
                yield path.relative_to(source).as_posix(), path.read_bytes
    elif zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            for info in archive.infolist():
                if not info.is_dir():
                    yield _inside(info.filename, source), partial(archive.read, info)
    elif tarfile.is_tarfile(source):
        # a stream: a solid .tar.xz cannot be read out of order
        with tarfile.open(source, "r|*") as stream:
            for member in stream:
                if member.isfile():
                    yield _inside(member.name, source), partial(_member, stream, member)
    else:
        raise InputError(f"{source} is neither a folder nor a zip nor a tar archive")


def _member(stream: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    content = stream.extractfile(member)
    assert content is not None  # isfile() said so
    return content.read()


def _inside(name: str, source: Path) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise InputError(f"{source}: member {name!r} leaves the archive; refused")
    return str(path)
