"""alexnet-repro: list | data | run | diagnose | components | chapters | scoreboard.

parser     what may be typed, and the help
commands   what each command does

Exit codes: 0 done, 1 something failed while running, 2 a mistake in what was asked for, 130 ended
by Ctrl-C, 143 by SIGTERM.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from alexnet_repro.cli import parser
from alexnet_repro.errors import InputError

# what may be missing in an install -> the extra of pyproject.toml that brings it
EXTRAS = {
    "torch": "train", "torchvision": "train", "PIL": "train", "safetensors": "train",
    "papermill": "book", "IPython": "book", "onnx": "onnx", "onnxruntime": "onnx",
    "onnxscript": "onnx",
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; a user's mistake is one line on stderr and exit code 2."""
    options = parser.build().parse_args(arguments)
    try:
        return options.command(options)
    except InputError as error:
        print(f"alexnet-repro: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        print(
            f"alexnet-repro: this needs {error.name}, which is not installed: "
            f"pip install 'alexnet-repro[{EXTRAS[error.name]}]'",
            file=sys.stderr,
        )
        return 2
    except OSError as error:
        print(f"alexnet-repro: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nalexnet-repro: interrupted; the same command goes on from here", file=sys.stderr)
        return 130
