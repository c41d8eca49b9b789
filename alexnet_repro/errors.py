"""What the library says when it was given something wrong. No torch."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """What was given cannot be meant; the text says what it was, what is wanted and what to do.

    The command line prints it in one line and exits with 2. Any other ValueError is a fault of this
    library and comes out with its traceback.
    """


class MissingError(InputError, FileNotFoundError):
    """A file or folder that should be there is not."""


class ExistsError(InputError, FileExistsError):
    """A file or folder is there already and would have to be replaced."""


class PackageError(InputError, ImportError):
    """What was asked for needs a package that is not installed; the text names the extra."""


def nearest(name: str, known: Iterable[str]) -> str:
    """What to say after a wrong name: "did you mean 'x'?", or all there are where none is near."""
    names = list(known)
    near = difflib.get_close_matches(name, names, 1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
