"""Pages of the book through papermill: strict parameters, what is there and unchanged is skipped.

No torch here; the pages' kernels import it where they train.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from alexnet_repro import experiments, launch, records
from alexnet_repro.errors import InputError

BOOK = records.PACKAGE.parent / "book"


@dataclass(frozen=True)
class Outcome:
    """What became of a page: ran, unchanged or failed, in how many seconds, and the reason."""

    page: str
    state: str
    seconds: float
    reason: str = ""


def names(wanted: Iterable[str] = ()) -> list[str]:
    """Pages by name (no ending), default all notebooks; ValueError for one that is not there."""
    known = sorted(p.stem for p in BOOK.glob("*.ipynb"))
    wanted = [w.removesuffix(".ipynb").removeprefix("book/") for w in wanted]
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"pages: {', '.join(known)}"
            raise InputError(f"no page {name!r}; {hint}")
    return wanted or known


def run(
    pages: Iterable[str],
    parameters: dict[str, Any],
    *,
    out: Path | str = experiments.SCRATCH / "chapters",
    workers: int = 2,
) -> list[Outcome]:
    """Run pages with parameters into out/<mode>/<page>.ipynb, `workers` at a time.

    Raises ValueError, before anything runs, for a parameter that a page does not have. A page that
    fails leaves <page>.failed.ipynb with the traceback and does not stop the others.
    """
    pages = list(pages)
    for page in pages:
        _check_parameters(page, parameters)
    folder = Path(out) / parameters.get("mode", "load")
    folder.mkdir(parents=True, exist_ok=True)
    bar = tqdm(total=len(pages), unit="page", desc="chapters")

    def one(page: str) -> Outcome:
        outcome = _run_page(page, parameters, folder)
        bar.update()
        return outcome

    with bar, ThreadPoolExecutor(workers) as pool:
        return list(pool.map(one, pages))


def _check_parameters(page: str, parameters: dict[str, Any]) -> None:
    cells = json.loads((BOOK / f"{page}.ipynb").read_text())["cells"]
    tagged = [c for c in cells if "parameters" in c["metadata"].get("tags", [])]
    if len(tagged) != 1:
        raise InputError(f"page {page} has {len(tagged)} cells tagged 'parameters', wanted one")
    lines = "".join(tagged[0]["source"]).splitlines()
    known = [line.split("=")[0].strip() for line in lines if "=" in line]
    for name in parameters:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}"
            raise InputError(f"page {page} has no parameter {name!r}; {hint}")


def _run_page(page: str, parameters: dict[str, Any], folder: Path) -> Outcome:
    target, stamp = folder / f"{page}.ipynb", folder / f"{page}.stamp"
    failed = folder / f"{page}.failed.ipynb"
    digest = _digest(page, parameters)
    if target.exists() and stamp.exists() and stamp.read_text() == digest:
        return Outcome(page, "unchanged", 0.0)
    began = time.perf_counter()
    command = [sys.executable, "-m", "papermill", str(BOOK / f"{page}.ipynb"), str(failed)]
    command += ["-y", json.dumps(parameters), "--cwd", str(BOOK), "--no-progress-bar"]
    environment = {**launch.MALLOC, "OMP_NUM_THREADS": "1", **os.environ}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        return Outcome(page, "failed", seconds, lines[-1] if lines else "no message")
    failed.replace(target)
    stamp.write_text(digest)
    return Outcome(page, "ran", seconds)


def _digest(page: str, parameters: dict[str, Any]) -> str:
    """sha256 over the page, its parameters, the library and the records."""
    digest = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode())
    digest.update(records.code_digest().encode())
    for path in [BOOK / f"{page}.ipynb", *sorted(records.RUNS.glob("*/*.json"))]:
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()
