"""Importing the library against importing torch alone, each in a fresh process.

Printed as our time over torch's (upper bounds). The reading half imports no torch at all.
"""

from __future__ import annotations

import subprocess
import sys

from side_by_side import SMALL, compare, in_status, save


class Importing:
    """A fresh process that imports something."""

    def __init__(self, code: str) -> None:
        self.code = code

    def __call__(self) -> None:
        subprocess.run([sys.executable, "-c", self.code], check=True)

    def memory(self) -> int | None:
        """Bytes of the whole process at its peak, where Linux says so."""
        code = f"{self.code}\nprint(open('/proc/self/status').read())"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        return in_status("VmHWM", done.stdout) if done.returncode == 0 else None


def main() -> None:
    rows = [
        compare(
            "python -c 'import torch'", Importing("import torch"), Importing(ours),
            against=f"python -c '{ours}'", ship=1.2, stretch=1.05, lower=True,
        )
        for ours in ("import alexnet_repro", "import alexnet_repro.model")[SMALL:]
    ]  # fmt: skip
    save("start_up", rows)


if __name__ == "__main__":
    main()
