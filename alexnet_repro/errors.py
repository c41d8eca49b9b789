"""What the library says when it was given something wrong. No torch."""


class InputError(ValueError):
    """What was given cannot be meant; the text says what it was, what is wanted and what to do.

    The command line prints it in one line and exits with 2. Any other ValueError is a fault of this
    library and comes out with its traceback.
    """


class MissingError(InputError, FileNotFoundError):
    """A file or folder that should be there is not."""


class ExistsError(InputError, FileExistsError):
    """A file or folder is there already and would have to be replaced."""
