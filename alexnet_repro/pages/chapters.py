"""Pages of the book through papermill: strict parameters, what is there and unchanged is skipped.

No torch here; the pages' kernels import it where they train.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from alexnet_repro import paths
from alexnet_repro.errors import InputError, nearest
from alexnet_repro.study import experiments, records
from alexnet_repro.study.children import Children
from alexnet_repro.study.launch import ending

BOOK = paths.BOOK


@dataclass(frozen=True)
class Outcome:
    """What became of a page: ran, unchanged or failed, in how many seconds, and the reason."""

    page: str
    state: str
    seconds: float
    reason: str = ""


def names(wanted: Iterable[str] = ()) -> list[str]:
    """Pages by name (no ending), default all notebooks; InputError for one that is not there."""
    paths.need_repository("running chapters")
    known = sorted(p.stem for p in BOOK.glob("*.ipynb"))
    wanted = [w.removesuffix(".ipynb").removeprefix("book/") for w in wanted]
    for name in wanted:
        if name not in known:
            raise InputError(f"no page {name!r}; {nearest(name, known)}")
    return list(dict.fromkeys(wanted)) or known


def run(
    pages: Iterable[str],
    parameters: dict[str, Any],
    *,
    out: Path | str = experiments.SCRATCH / "chapters",
    workers: int = 2,
) -> list[Outcome]:
    """Run pages with parameters into out/<mode>/<page>.ipynb, `workers` at a time.

    Raises InputError, before anything runs, for a parameter that a page does not have. A page that
    fails leaves <page>.failed.ipynb with the traceback and does not stop the others. When this
    process is interrupted or ended, the pages that run are ended too.
    """
    pages = list(pages)
    mode = parameters.get("mode", "load")
    if mode not in experiments.MODES:
        raise InputError(f"mode wants one of {', '.join(experiments.MODES)}, got {mode!r}")
    if workers < 1:
        raise InputError(f"workers wants at least 1, got {workers}")
    for page in pages:
        _check_parameters(page, parameters)
    folder = Path(out) / mode
    folder.mkdir(parents=True, exist_ok=True)
    bar = tqdm(total=len(pages), unit="page", desc="chapters")
    with bar, ThreadPoolExecutor(workers) as pool, Children() as children:
        running = [pool.submit(_run_page, page, parameters, folder, children) for page in pages]
        for done in as_completed(running):
            done.result()
            bar.update()
    return [done.result() for done in running]


def _check_parameters(page: str, parameters: dict[str, Any]) -> None:
    import papermill

    path = BOOK / f"{page}.ipynb"
    try:
        known = list(papermill.inspect_notebook(str(path)))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:  # nbformat's
        raise InputError(f"{path}: not a readable notebook ({error})") from error
    if not known:
        raise InputError(f"{path}: no cell tagged 'parameters', or nothing in it")
    for name in parameters:
        if name not in known:
            raise InputError(f"page {page} has no parameter {name!r}; {nearest(name, known)}")


def _run_page(page: str, parameters: dict[str, Any], folder: Path, children: Children) -> Outcome:
    target, stamp = folder / f"{page}.ipynb", folder / f"{page}.stamp"
    failed = folder / f"{page}.failed.ipynb"
    digest = _digest(page, parameters)
    if target.exists() and stamp.exists() and stamp.read_bytes() == digest.encode():
        return Outcome(page, "unchanged", 0.0)
    began = time.perf_counter()
    command = [sys.executable, "-m", "alexnet_repro.study.children", "papermill"]
    command += [str(BOOK / f"{page}.ipynb"), str(failed), "-y", json.dumps(parameters)]
    command += ["--cwd", str(BOOK), "--no-progress-bar"]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        child = children.start(command, stdout=subprocess.DEVNULL, stderr=said)
        if child is None:
            return Outcome(page, "failed", 0.0, "not started")
        status = children.wait(child)
        said.seek(0)
        lines = [line for line in said.read().splitlines() if line.strip()]
    seconds = time.perf_counter() - began
    if status:
        reason = f"{lines[-1] if lines else 'no message'} ({ending(status)})"
        return Outcome(page, "failed", seconds, reason)
    failed.replace(target)
    stamp.write_text(digest)
    return Outcome(page, "ran", seconds)


def _digest(page: str, parameters: dict[str, Any]) -> str:
    """sha256 over the page, its parameters, the library and the records."""
    content = (BOOK / f"{page}.ipynb").read_bytes()
    given = json.dumps([page, parameters, records.digest()], sort_keys=True)
    return hashlib.sha256(given.encode() + content).hexdigest()
