"""§2 A tar archive as a stream that is wrong or whole: packed or not, read to its last byte.

tarfile takes a wrong header for the end of the archive and does not look at what follows; its own
streams do not compare the checksum of a .gz, and lzma and bz2 pass over what follows their end.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Callable
from functools import partial
from typing import IO, Any

CHUNK = 2**18
LONGEST_NAME = 2**20  # bytes
# members that hold the name of the next one, which tarfile reads whole
NAMES = (
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)  # fmt: skip


def packed(start: bytes) -> Callable[[IO[bytes]], Any] | None:
    """What unpacks a file with these first six bytes; None for one that is not packed."""
    if start[:2] == b"\x1f\x8b":
        return lambda file: gzip.GzipFile(fileobj=file)
    new: Callable[[], Any]
    if start[:3] == b"BZh":
        new = bz2.BZ2Decompressor
    elif start == b"\xfd7zXZ\0":
        new = partial(lzma.LZMADecompressor, lzma.FORMAT_XZ, memlimit=2**30)
    else:
        return None
    return lambda file: io.BufferedReader(_Unpacked(file, new))


def opened(file: IO[bytes], start: bytes) -> tarfile.TarFile:
    """The tar archive in a file with these first six bytes, to be read in its own order.

    Raises a TarError, or what the unpacking raises, as soon as something is wrong.
    """
    unpack = packed(start)
    stream = unpack(file) if unpack else file
    # a stream: a solid .tar.xz cannot be read out of order
    return tarfile.open(fileobj=stream, mode="r|", tarinfo=_Header)


def check_end(tar: tarfile.TarFile) -> None:
    """Read on after the last member: only zeros, and the checksum of what was packed."""
    while rest := tar.fileobj.read(CHUNK):
        if rest.strip(b"\0"):
            raise tarfile.ReadError("something follows its end mark")


class _Header(tarfile.TarInfo):
    """A tar header; tarfile takes a wrong one for the end of the archive."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> _Header:
        try:
            return super().fromtarfile(tarfile_)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"{error} at byte {tarfile_.offset:,}") from error

    def _proc_member(self, tarfile_: tarfile.TarFile) -> _Header:
        if self.type in NAMES and self.size > LONGEST_NAME:
            raise tarfile.ReadError(f"a name of {self.size:,} bytes at byte {self.offset:,}")
        return super()._proc_member(tarfile_)  # type: ignore[misc]


class _Unpacked(io.RawIOBase):
    """What a packed file holds; lzma and bz2 themselves pass over anything after the end."""

    def __init__(self, file: IO[bytes], new: Callable[[], Any]) -> None:
        self.file, self.new, self.part = file, new, new()

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        """Fill the buffer with some of the bytes; 0 at the end of the file."""
        while True:
            part = self.part
            packed = self.file.read(CHUNK) if part.eof or part.needs_input else b""
            if part.eof:  # padding, another stream, or the end
                following = part.unused_data + packed
                if not following.strip(b"\0"):
                    if not packed:
                        return 0
                    continue
                self.part, packed = self.new(), following.lstrip(b"\0")
            elif part.needs_input and not packed:
                raise EOFError("it ends before its packed data do")
            found = self.part.decompress(packed, len(into))
            if found:
                into[: len(found)] = found
                return len(found)
