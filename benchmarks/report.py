"""The whole report from the committed records: built cold, and again after one page has changed.

Seconds against the goals; less is better.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from side_by_side import SMALL, save, seconds

from alexnet_repro.study import records

ROOT = records.PACKAGE.parent
ROUNDS = 1 if SMALL else 2
GOALS = {"cold": (60, 30), "after a change of one page": (10, 5)}


def main() -> None:
    took: dict[str, list[float]] = {name: [] for name in GOALS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(ROOT / "book", folder / "book")
        shutil.copy(ROOT / "_config.yml", folder)
        if SMALL:
            (folder / "book/_toc.yml").write_text(
                "format: jb-book\nroot: index\nchapters:\n  - file: 6-ensembles\n"
            )
        command = [str(Path(sys.executable).with_name("jupyter-book")), "build", "book/"]

        def build() -> None:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(f"the book does not build:\n{done.stdout}{done.stderr}")

        page = folder / "book/6-ensembles.ipynb"
        for i in range(ROUNDS):
            shutil.rmtree(folder / "_build", ignore_errors=True)
            took["cold"].append(seconds(build))
            notebook = json.loads(page.read_text())
            notebook["cells"][0]["source"].append(f"\n\nRound {i}.")
            page.write_text(json.dumps(notebook))
            took["after a change of one page"].append(seconds(build))
            if f"Round {i}." not in (folder / "_build/html/6-ensembles.html").read_text():
                raise SystemExit("not measured: the change is not in the page that was built")
    rows = []
    for what, (ship, stretch) in GOALS.items():
        median = float(np.median(took[what]))
        word = "stretch" if median <= stretch else "ship" if median <= ship else "missed"
        print(
            f"report, {what}: {median:.1f} s, our time (n = {ROUNDS}); ship {ship} s, stretch "
            f"{stretch} s: {word}",
            flush=True,
        )
        rows.append({"what": what, "seconds": took[what], "ship": ship, "stretch": stretch})
    save("report", rows)


if __name__ == "__main__":
    main()
