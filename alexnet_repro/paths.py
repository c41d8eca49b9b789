"""Where things lie: the package, the checkout it may stand in, and what it writes. No torch.

In a checkout everything stands beside the package. A copy installed from a wheel has no checkout:
what it writes goes into the user's data folder, and what reads the study's pages and records says
that it needs the repository.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import platformdirs

from alexnet_repro.errors import MissingError

PACKAGE = Path(__file__).resolve().parent


def _checkout(package: Path) -> Path | None:
    """The folder of the book and the records, or None for an installed copy."""
    return package.parent if (package.parent / "book" / "_toc.yml").is_file() else None


def _user_folder() -> Path:
    """The user's data folder for this library; without a home, one among the temporary files."""
    folder = Path(platformdirs.user_data_dir("alexnet_repro", appauthor=False))
    if folder.is_absolute():  # "~/.local/..." where nobody knows whose home that is
        return folder
    return Path(tempfile.gettempdir()) / f"alexnet_repro-{os.getuid()}"


REPOSITORY = _checkout(PACKAGE)
BASE = REPOSITORY or _user_folder()  # nothing is created before something is written
RUNS = BASE / "runs"
BOOK = BASE / "book"
SCRATCH = BASE / ".scratch" if REPOSITORY else BASE / "scratch"


def data_root() -> Path:
    """Where prepared sets lie: $ALEXNET_DATA, data/ in a checkout, or the user's data folder."""
    return Path(os.environ.get("ALEXNET_DATA") or BASE / "data")


def need_repository(what: str, instead: str = "") -> None:
    """MissingError, with what to do, where this is an installed copy without pages and records."""
    if REPOSITORY is None:
        raise MissingError(
            f"{what} needs the repository, and {PACKAGE} is an installed copy without it: "
            f"clone the repository, `pip install -e .` there{instead}"
        )
