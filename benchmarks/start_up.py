"""Importing the library against importing torch alone, each in a fresh process.

Printed as our time over torch's (upper bounds). The reading half imports no torch at all.
"""

from __future__ import annotations

import subprocess
import sys

from side_by_side import compare, save


def importing(code: str):
    return lambda: subprocess.run([sys.executable, "-c", code], check=True)


def main() -> None:
    rows = [
        compare(
            f"python -c '{ours}'", importing("import torch"), importing(ours),
            against="python -c 'import torch' (time over its)", ship=1.2, stretch=1.05, lower=True,
        )
        for ours in ("import alexnet_repro", "import alexnet_repro.model")
    ]  # fmt: skip
    save("start_up", rows)


if __name__ == "__main__":
    main()
