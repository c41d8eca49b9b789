"""§2 The files of a folder, zip or tar, one after another, each archive read to its last byte.

A damaged archive is an error: zip members have a CRC, .gz, .bz2 and .xz a checksum that stands at
the end, tar headers a sum, and after the end mark only zeros may follow. What lies in a folder or
in a tar that is not compressed has no sum of its own; there the sums of a known set and the files'
own decide.
"""

from __future__ import annotations

import errno
import lzma
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

from alexnet_repro.data import tar_stream
from alexnet_repro.errors import InputError

ENDINGS = (".jpg", ".jpeg", ".png")  # of image files
LIMIT = 2**26  # bytes of one file; a reader returns one more and no further

# what reading a damaged archive raises; RuntimeError: packed in an unknown way
DAMAGED = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, struct.error,
    RuntimeError, OverflowError,
)  # fmt: skip

Named = tuple[str, Callable[[], bytes]]


def members(source: Path, *, whole: bool = False) -> Iterator[Named]:
    """Each file of a folder, zip or tar: its name and a function that reads it, in stored order.

    The function is good until the next file is asked for and returns at most LIMIT + 1 bytes.
    whole: read and verify also what the caller does not. Raises ValueError for another kind of
    file, a damaged archive, a link in place of an image, a member whose path leaves the archive.
    """
    if source.is_dir():
        yield from _folder(source)
        return
    if not source.is_file():  # opening a FIFO would wait for ever
        raise InputError(f"{shown(source)} is neither a folder nor a file")
    with source.open("rb") as file, _named_damage(source):
        start = file.read(6)
        file.seek(0)
        if start[:2] == b"PK":
            yield from _zip(source, file, whole)
        else:
            yield from _tar(source, file, start)


def shown(name: object) -> str:
    """A name for a message of one line: as it is, or with what cannot be printed escaped."""
    text = str(name)
    return text if text.isprintable() else repr(text)


@contextmanager
def _named_damage(source: Path) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except (*DAMAGED, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise  # the disk's fault; gzip and bz2 give no number, an offset below 0 gives EINVAL
        raise InputError(f"{shown(source)} is damaged or cannot be read: {error}") from error


def _folder(source: Path) -> Iterator[Named]:
    def fail(error: OSError) -> None:
        raise error

    paths = []
    for where, folders, files in os.walk(source, onerror=fail):
        links = [Path(where, name) for name in folders if Path(where, name).is_symlink()]
        if links:
            raise InputError(f"{shown(links[0])} is a link to a folder, wanted the folder itself")
        paths += [Path(where, name) for name in files]
    for path in sorted(paths):
        name = path.relative_to(source).as_posix()
        if path.is_file():
            yield name, partial(_first, path.stat().st_size, path.open, "rb")
        else:
            _refuse_link(name, source)


def _zip(source: Path, file: IO[bytes], whole: bool) -> Iterator[Named]:
    with zipfile.ZipFile(file) as archive:
        _check_end(archive, file)
        for info in archive.infolist():
            read: list[bool] = []

            def content(info: zipfile.ZipInfo = info, read: list[bool] = read) -> bytes:
                with _named_damage(source):
                    found = _first(info.file_size, archive.open, info)
                read.append(len(found) <= LIMIT)
                return found

            _check_name(info, file)
            name = _inside(info.filename, source)
            if info.flag_bits & 1:
                raise InputError(f"{shown(source)}: {shown(name)} is encrypted; unpack it yourself")
            if not info.is_dir():
                yield name, content
            if whole and not any(read):
                with archive.open(info) as member:  # the CRC is compared at the last byte
                    while member.read(tar_stream.CHUNK):
                        pass


def _check_end(archive: zipfile.ZipFile, file: IO[bytes]) -> None:
    """The zip ends with its end record, and that counts what was found."""
    at = file.seek(0, os.SEEK_END) - 22 - len(archive.comment)
    file.seek(max(at, 0))
    mark, *_, count, size, offset, _ = struct.unpack("<4s4H2LH", file.read(22))
    file.seek(max(at - 76, 0))
    record = file.read(76)
    if record[56:60] == b"PK\6\7" and record[:4] == b"PK\6\6":  # zip64: an earlier record
        at -= 76
        count, size, offset = struct.unpack("<3Q", record[32:56])
    if mark != b"PK\5\6" or offset + size != at:
        raise zipfile.BadZipFile("it does not end with its table of contents")
    if count != len(archive.infolist()):
        raise zipfile.BadZipFile(f"its end counts {count} files, {len(archive.infolist())} found")


def _check_name(info: zipfile.ZipInfo, file: IO[bytes]) -> None:
    """Both copies of a name are read in one encoding (zipfile compares their bytes)."""
    if not info.filename.isascii():
        file.seek(info.header_offset + 6)
        if (struct.unpack("<H", file.read(2))[0] ^ info.flag_bits) & 0x800:
            raise zipfile.BadZipFile(f"two encodings of the name {info.filename!r}")


def _tar(source: Path, file: IO[bytes], start: bytes) -> Iterator[Named]:
    try:
        tar = tar_stream.opened(file, start)
    except tarfile.TarError as error:
        if tar_stream.packed(start):
            raise
        raise InputError(
            f"{shown(source)} is neither a folder nor a zip nor a tar archive ({error})"
        ) from error
    with tar:
        for member in tar:
            if member.isfile():
                yield _inside(member.name, source), partial(_from_tar, tar, member, source)
            elif not member.isdir():
                _refuse_link(member.name, source)
        tar_stream.check_end(tar)


def _first(size: int, open_: Callable[..., IO[bytes]], *what: Any) -> bytes:
    """All of a file of that size, at most LIMIT + 1 bytes (asking for more than is there is slow).

    One byte more is asked for than there should be: a checksum is compared at the end.
    """
    with open_(*what) as file:
        return file.read(min(size, LIMIT) + 1)


def _from_tar(tar: tarfile.TarFile, member: tarfile.TarInfo, source: Path) -> bytes:
    with _named_damage(source):
        return _first(member.size, tar.extractfile, member)  # type: ignore[arg-type]


def _refuse_link(name: str, source: Path) -> None:
    if PurePosixPath(name).suffix.lower() in ENDINGS:
        raise InputError(f"{shown(source)}: {shown(name)} is a link or a device, wanted a file")


def _inside(name: str, source: Path) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise InputError(f"{shown(source)}: member {name!r} leaves the archive; refused")
    return str(path)
