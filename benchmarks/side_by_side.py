"""What every benchmark shares: see that the two sides agree, alternate them, record the ratio.

BENCH_SMALL=1: tiny sizes, nothing recorded (the tests do that). BENCH_PAIRS: pairs a row (7).
"""

from __future__ import annotations

import ctypes
import functools
import json
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from alexnet_repro import whole
from alexnet_repro.study import records
from alexnet_repro.training import memory as memory_of_training

SMALL = os.environ.get("BENCH_SMALL") == "1"
PAIRS = int(os.environ.get("BENCH_PAIRS", "1" if SMALL else "7"))
STARTED = None if SMALL else records.provenance("cpu", torch.get_num_threads())  # what is measured


class NoFallback(logging.Handler):
    """A path that gave up would be timed under its name: stop."""

    def emit(self, record: logging.LogRecord) -> None:
        raise SystemExit(f"not measured: {record.getMessage()}")


logging.getLogger("alexnet_repro").addHandler(NoFallback(logging.WARNING))


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def memory(work: Callable[[], object]) -> int | None:
    """Bytes that one call adds, at its peak, to what the process held before.

    None where the system does not say. A side that runs in another process has a method for it.
    """
    if hasattr(work, "memory"):
        return work.memory()
    try:
        ctypes.CDLL(None).malloc_trim(0)  # what earlier calls freed is not held
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        before = in_status("VmRSS")
        work()
        return in_status("VmHWM") - before
    except (OSError, AttributeError):  # not Linux, not glibc, or not allowed
        return None


def in_status(key: str, status: str | None = None) -> int:
    """Bytes under that key of /proc/self/status, or of the text of another process's."""
    text = Path("/proc/self/status").read_text() if status is None else status
    return 1024 * int(re.search(rf"{key}:\s+(\d+) kB", text)[1])  # type: ignore[index]


def agree(ours: object, stock: object, within: float = 1e-4) -> None:
    """Stop unless both sides gave the same: a tensor, an array or a number, or a list of them each.

    within: the length of the difference over that of stock's result.
    """
    pairs = [(ours, stock)]
    if isinstance(ours, (list, tuple)) and isinstance(stock, (list, tuple)):
        pairs = list(zip(ours, stock, strict=True))
    if not pairs:
        raise SystemExit("not measured: no results to compare")
    worst = 0.0
    for pair in pairs:
        a, b = map(_double, pair)
        off = float("inf") if a.shape != b.shape else float((a - b).norm())
        off = off / float(b.norm()) if off and b.norm() else off
        if not off <= within:
            raise SystemExit(f"not measured: the sides differ by {off:.2g} of the result")
        worst = max(worst, off)
    print(f"the sides agree: they differ by {worst:.1e} of the result", flush=True)


def _double(x: object) -> torch.Tensor:
    return x.detach().double() if isinstance(x, torch.Tensor) else torch.tensor(np.array(x, float))


class Apart:
    """A side in a process of its own, in plain Python: no allocator settings in the environment.

    The script is started again with the side's name, which it hands to `serve`.
    """

    def __init__(self, script: str, side: str) -> None:
        environment = {k: v for k, v in os.environ.items() if k not in memory_of_training.OWN}
        pipes: dict = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen([sys.executable, script, side], env=environment, **pipes)

    def __call__(self) -> float:
        """Seconds of one more call."""
        return float(self._ask("seconds"))

    def memory(self) -> int:
        """`memory` of one more call."""
        return int(self._ask("memory"))

    def outcome(self) -> list[float]:
        """What the side's own `outcome` says of one more call."""
        return json.loads(self._ask("outcome"))

    def _ask(self, what: str) -> str:
        self.process.stdin.write(f"{what}\n")  # type: ignore[union-attr]
        self.process.stdin.flush()  # type: ignore[union-attr]
        return self.process.stdout.readline()  # type: ignore[union-attr]

    def close(self) -> None:
        self.process.communicate()


def serve(sides: dict[str, Callable[[], object]], stock: Collection[str] = ("stock",)) -> bool:
    """In a process that Apart started: answer for the asked side, line by line; False elsewhere.

    A side that is not stock keeps its memory, as `training.train` does.
    """
    if len(sys.argv) < 2:
        return False
    if sys.argv[1] not in stock:
        memory_of_training.keep_memory()
    measures: dict[str, Callable] = {
        "seconds": seconds, "memory": memory, "outcome": lambda work: json.dumps(work.outcome()),
    }  # fmt: skip
    for line in sys.stdin:
        print(measures[line.strip()](sides[sys.argv[1]]), flush=True)
    return True


def in_plain_python(
    row: str, script: str, side: str = "ours", stock_side: str = "stock", **goals
) -> dict:
    """`compare` of two sides as a user's own script has them: each in a plain Python process."""
    ours, stock = Apart(script, side), Apart(script, stock_side)
    try:
        return compare(f"{row}, both in plain Python", ours, stock, **goals)
    finally:
        ours.close()
        stock.close()


def in_turn(sides: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Seconds of PAIRS rounds in which each side has its turn, every other round backwards."""
    took: dict[str, list[float]] = {name: [] for name in sides}
    for i in range(PAIRS):
        for name in list(sides)[:: 1 if i % 2 else -1]:
            work = sides[name]
            took[name].append(work() if isinstance(work, Apart) else seconds(work))
    return took


def compare(
    row: str,
    ours: Callable[[], object],
    stock: Callable[[], object],
    *,
    against: str,
    ship: float,
    stretch: float,
    floor: Callable[[], float] | None = None,
    lower: bool = False,
) -> dict:
    """Time both, in turn, PAIRS times after two rounds that do not count; print and return a row.

    The second of the two measures memory, and is the only one at the small sizes.

    The ratio is stock time over our time: more is better, or, with lower, less. floor: measures the
    seconds that the work cannot go below, after the rounds and as often; memory is twice as fast in
    one minute as in the next.
    """
    if not SMALL:
        ours(), stock()
    peaks = [memory(ours), memory(stock)]
    took = in_turn({"ours": ours, "stock": stock})
    floors = [floor() for _ in range(PAIRS)] if floor else None
    pairs = [list(pair) for pair in zip(took["ours"], took["stock"], strict=True)]
    ratios = np.array([stock / ours for ours, stock in pairs])
    low, median, high = np.quantile(ratios, [0.25, 0.5, 0.75]).tolist()
    sign = -1 if lower else 1
    word = "missed"
    if sign * median >= sign * ship:
        word = "stretch" if sign * median >= sign * stretch else "ship"
    over = float(np.median(took["ours"]) / np.median(floors)) if floors else None
    limit = f", {over:.1f}x the floor" if over else ""
    held = "" if None in peaks else f", {peaks[0] / 2**20:,.0f} and {peaks[1] / 2**20:,.0f} MiB"  # type: ignore[operator]
    print(
        f"{row}: {against} takes {median:.2f}x our time ({low:.2f} to {high:.2f}, {PAIRS} pairs); "
        f"ship {ship}x, stretch {stretch}x: {word}{limit}{held}",
        flush=True,
    )
    return {
        "row": row, "against": against, "ship": ship, "stretch": stretch, "seconds": pairs,
        "median": median, "quartiles": [low, high], "lower": lower, "word": word,
        "memory": peaks, "floors": floors, "over the floor": over,
    }  # fmt: skip


def save(name: str, rows: list[dict], device: str = "cpu") -> Path | None:
    """Write runs/benchmarks/<name>.json, whole or not at all; nothing at the small sizes.

    Commit and time are those of the start: a file changed meanwhile was not what was measured.
    """
    if STARTED is None:
        return None
    path = records.RUNS / "benchmarks" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    now = records.provenance(device, torch.get_num_threads())
    origin = {**now, **{key: STARTED[key] for key in ("git", "start_utc")}}
    origin["cores"] = os.cpu_count()
    body = json.dumps({"provenance": origin, "rows": rows}, indent=1, allow_nan=False)
    whole.write_text(path, body + "\n")
    return path


@functools.cache
def _pair() -> tuple[torch.Tensor, torch.Tensor]:
    size = 1 << 20 if SMALL else 1 << 26
    return torch.ones(size), torch.ones(size)  # not zeros, which may be one page


def copying(moved: float) -> Callable[[], float]:
    """A floor: reading and writing so many bytes in all."""
    return lambda: moved / bandwidth()


def multiplying(products: float, dtype: torch.dtype = torch.float32) -> Callable[[], float]:
    """A floor: so many multiply-adds."""
    return lambda: products / multiply_adds(dtype)


def bandwidth() -> float:
    """Bytes a second of reading and writing memory, by copying."""
    a, b = _pair()
    best = min(seconds(lambda: b.copy_(a)) for _ in range(3))
    return 2 * a.numel() * a.element_size() / best


@functools.cache
def _convolution(dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    images, channels = (1, 32) if SMALL else (16, 512)
    sizes = (images, channels, 28, 28), (channels, channels, 3, 3)
    last = {"memory_format": torch.channels_last}
    x, weight = (torch.randn(size).to(dtype, **last) for size in sizes)
    return x, weight


def multiply_adds(dtype: torch.dtype = torch.float32) -> float:
    """Multiply-adds a second of a 3 x 3 convolution of 512 maps of 28 x 28, 16 images.

    A convolution, not a matrix product: on some processors oneDNN's convolutions are twice as fast
    as MKL's products.
    """
    x, weight = _convolution(dtype)
    best = min(seconds(lambda: F.conv2d(x, weight, padding=1)) for _ in range(3))
    return x.numel() * weight.numel() / weight.shape[1] / best
