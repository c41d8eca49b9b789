"""Change one constant, sign or cell at a time (mutations.txt) and see that a test goes red.

python tests/mutations.py [WORD ...] [--sample K --seed S] [--workers N]

WORD: only mutations whose file, text or tests hold one of the words. --sample: K of them, drawn by
the seed. Each worker (2) has its own copy of the checkout. First every test file that is named runs
unchanged and must be green. Exits 1 if one was not, if no test noticed a mutation, or if the tests
did not end. Not collected by pytest. All of them: about half an hour on two idle cores.
"""

from __future__ import annotations

import argparse
import compileall
import contextlib
import os
import py_compile
import queue
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path("alexnet_repro")
FILE = Path(__file__).with_name("mutations.txt")
BASELINE_SECONDS = 900  # longest that one test file may take, unchanged


@dataclass(frozen=True)
class Mutation:
    """One change: a file (from the package's folder), what stands there once, what replaces it."""

    file: str
    tests: tuple[str, ...]
    old: str
    new: str
    line: int  # of mutations.txt

    @property
    def path(self) -> Path:
        """The file, from the top of the checkout."""
        return Path(os.path.normpath(PACKAGE / self.file))

    @property
    def name(self) -> str:
        """File and change, on one line."""
        old, new = (" ".join(text.split()) for text in (self.old, self.new))
        return f"{self.file}: {old} -> {new}"


def _test(name: str) -> str:
    """What pytest is given for "training/test_loop", or for "test_loop::one_of_its_tests"."""
    file, sign, one = name.partition("::")
    return f"tests/{file}.py{sign}{one}"


def load(text: str) -> list[Mutation]:
    """The mutations of a file like mutations.txt; ValueError names the line of a mistake."""
    found: list[Mutation] = []
    file, tests, old, new, begin = "", (), [], [], 0

    def finish() -> None:
        if old or new:
            if not (file and old and new):
                raise ValueError(f"line {begin}: wanted a file, - lines and + lines")
            found.append(Mutation(file, tests, "\n".join(old), "\n".join(new), begin))
            old.clear(), new.clear()

    for number, line in enumerate(text.splitlines(), 1):
        mark, rest = line[:1], line[2:]
        if mark == "-" and not new:
            begin = begin if old else number
            old.append(rest)
        elif mark == "+":
            new.append(rest)
        elif mark == "-":
            finish()
            begin = number
            old.append(rest)
        else:
            finish()
            if mark not in ("", "#"):
                file, _, names = line.partition(": ")
                tests = tuple(map(_test, names.split()))
                if not tests:
                    raise ValueError(f"line {number}: wanted 'file: tests', got {line!r}")
    finish()
    return found


MUTATIONS = load(FILE.read_text(encoding="utf-8"))


def misfit(mutation: Mutation) -> str:
    """Why a mutation does not fit the checkout, or an empty string."""
    where = f"{FILE.name}:{mutation.line}: {mutation.file}"
    if not (ROOT / mutation.path).is_file():
        return f"{where}: no such file"
    count = (ROOT / mutation.path).read_text(encoding="utf-8").count(mutation.old)
    if count != 1:
        return f"{where}: holds {mutation.old!r} {count} times, wanted once"
    if mutation.old == mutation.new:
        return f"{where}: changes nothing"
    missing = [n for n in mutation.tests if not (ROOT / n.partition("::")[0]).is_file()]
    return f"{where}: no {', '.join(missing)}" if missing else ""


def copy_checkout(target: Path) -> None:
    """A clone with the files that git does not ignore, as they are now.

    Its bytecode knows its source by a hash: a time stamp could hide a mutation.
    """
    clone = ["git", "clone", "--quiet", "--shared", "--no-checkout", str(ROOT), str(target)]
    subprocess.run(clone, check=True)  # some tests read the history
    subprocess.run(["git", "-C", str(target), "reset", "--quiet"], check=True)
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.check_output(command, cwd=ROOT, text=True).split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file() and not (ROOT / name).is_symlink():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)
    mode = py_compile.PycInvalidationMode.CHECKED_HASH
    compileall.compile_dir(target / PACKAGE, quiet=1, invalidation_mode=mode)


class Tests:
    """Runs pytest in copies of the checkout; ends what it started when it is left."""

    def __init__(self, folder: Path, workers: int) -> None:
        self.copies: queue.Queue[Path] = queue.Queue()
        for i in range(workers):
            copy_checkout(folder / f"copy{i}")
            self.copies.put(folder / f"copy{i}")
        self.environment = {
            **os.environ,
            "PYTHONDONTWRITEBYTECODE": "1",
            "XDG_CACHE_HOME": str(folder / "cache"),  # kernels, named by their sources
            "OMP_NUM_THREADS": "1",
        }
        self.running: set[subprocess.Popen] = set()

    def run(self, copy: Path, files: tuple[str, ...], limit: float) -> tuple[int | None, str]:
        """Exit code (None: it did not end in `limit` seconds) and output, up to the first red."""
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *files]
        child = subprocess.Popen(
            command, cwd=copy, env={**self.environment, "PYTHONPATH": str(copy)}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        self.running.add(child)
        try:
            output, _ = child.communicate(timeout=limit)
            return child.returncode, output
        except subprocess.TimeoutExpired:
            return None, ""
        finally:
            self.end(child)

    def end(self, child: subprocess.Popen) -> None:
        """End a run and all that it started: a mutation may start processes without end."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        self.running.discard(child)

    def baseline(self, file: str) -> tuple[float, str]:
        """Seconds that a test file takes unchanged, and what is red there."""
        copy = self.copies.get()
        try:
            began = time.perf_counter()
            code, output = self.run(copy, (file,), BASELINE_SECONDS)
            return time.perf_counter() - began, "" if code == 0 else f"{file}\n{output[-2000:]}"
        finally:
            self.copies.put(copy)

    def attempt(self, mutation: Mutation, limit: float) -> tuple[str, str]:
        """caught, MISSED, ENDLESS or BROKEN, and the test that caught it, or the output."""
        copy = self.copies.get()
        path = copy / mutation.path
        text = path.read_text(encoding="utf-8")
        try:
            path.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
            code, output = self.run(copy, mutation.tests, limit)
        finally:
            path.write_text(text, encoding="utf-8")
            self.copies.put(copy)
        if code == 0:
            return "MISSED", ""
        if code is None:
            return "ENDLESS", ""
        found = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - |$)", output, re.M)
        if code != 1 or not found:  # 2: a module that cannot even be imported is no mutation
            return "BROKEN", output[-1000:]
        return "caught", found[1].removeprefix("tests/")


def chosen(words: list[str], sample: int, seed: str) -> list[Mutation]:
    """The mutations that hold a word, or a sample of them in their order."""
    found = [m for m in MUTATIONS if not words or any(w in f"{m.name} {m.tests}" for w in words)]
    if not 0 < sample < len(found):
        return found
    places = sorted(random.Random(seed).sample(range(len(found)), sample))
    return [found[i] for i in places]


def main(arguments: list[str]) -> int:
    """Try the asked-for mutations; return 1 unless the tests are green and catch every one."""
    parser = argparse.ArgumentParser(description="see the docstring")
    parser.add_argument("words", nargs="*")
    parser.add_argument("--sample", type=int, default=0)
    parser.add_argument("--seed", default="0")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args(arguments)
    work = chosen(options.words, options.sample, options.seed)
    if misfits := list(filter(None, map(misfit, work))):
        print(*misfits, sep="\n")
        return 1
    began, counts = time.perf_counter(), {"caught": 0, "MISSED": 0, "ENDLESS": 0, "BROKEN": 0}
    files = sorted({file for m in work for file in m.tests})
    workers = options.workers
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(workers) as pool:
        tests = Tests(Path(folder), workers)
        try:
            took = dict(zip(files, pool.map(tests.baseline, files), strict=True))
            if red := [why for _, why in took.values() if why]:
                print("red without any mutation, so nothing can be said:", *red, sep="\n")
                return 1
            print(f"{len(files)} test files are green unchanged", flush=True)
            limits = [60 + 3 * sum(took[file][0] for file in m.tests) for m in work]
            for mutation, (word, what) in zip(
                work, pool.map(tests.attempt, work, limits), strict=True
            ):
                counts[word] += 1
                print(f"{word:7} {FILE.name}:{mutation.line} {mutation.name}  {what}", flush=True)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in list(tests.running):
                tests.end(child)
    seconds = time.perf_counter() - began
    print(f"{len(work)} mutations in {seconds:.0f} s:", *(f"{n} {w}" for w, n in counts.items()))
    return int(counts["caught"] < len(work))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
