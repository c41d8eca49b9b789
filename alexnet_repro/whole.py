"""Files that are written whole or not at all. No torch."""

from __future__ import annotations

import glob
import os
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """A path beside `path` to write to; it takes that place at the end, and goes after an error.

    Whoever reads meanwhile, or after a kill, has the old file or the new. The folder must exist.
    Several threads and processes may be at it: the last to end wins. What a killed process of this
    machine left beside the same path is swept.
    """
    path = Path(path)
    _sweep(path)
    here = f"{platform.node()}-{os.getpid()}-{threading.get_ident()}"
    temporary = path.with_name(f".{path.name}.{here}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _sweep(path: Path) -> None:
    for left in path.parent.glob(f".{glob.escape(path.name)}.{glob.escape(platform.node())}-*.tmp"):
        number = left.name.removesuffix(".tmp").split("-")[-2]
        if number.isdigit() and not _lives(int(number)):
            left.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


def write_text(path: Path | str, text: str) -> None:
    """The text as UTF-8, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
