"""What every benchmark shares: alternate the two sides, print the ratio against the goals, record.

BENCH_SMALL=1: tiny sizes, nothing recorded (the tests do that). BENCH_PAIRS: pairs a row (7).
"""

from __future__ import annotations

import json
import logging
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from alexnet_repro import launch, records

SMALL = os.environ.get("BENCH_SMALL") == "1"
PAIRS = int(os.environ.get("BENCH_PAIRS", "1" if SMALL else "7"))


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


class Apart:
    """A side in a process of its own, with glibc's malloc as the launcher sets it or as it is.

    The script is started again with the side's name, which it hands to `serve`.
    """

    def __init__(self, script: str, side: str, *, launcher: bool) -> None:
        plain = {k: v for k, v in os.environ.items() if k not in launch.MALLOC}
        environment = {**plain, **(launch.MALLOC if launcher else {})}
        pipes: dict = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen([sys.executable, script, side], env=environment, **pipes)

    def __call__(self) -> float:
        """Seconds of one more call."""
        self.process.stdin.write("go\n")  # type: ignore[union-attr]
        self.process.stdin.flush()  # type: ignore[union-attr]
        return float(self.process.stdout.readline())  # type: ignore[union-attr]

    def close(self) -> None:
        self.process.communicate()


def serve(sides: dict[str, Callable[[], object]]) -> bool:
    """In a process that Apart started: time the asked side for each line; False in any other."""
    if len(sys.argv) < 2:
        return False
    for _ in sys.stdin:
        print(seconds(sides[sys.argv[1]]), flush=True)
    return True


def as_started(row: str, script: str, **goals) -> dict:
    """`compare` of ours as `alexnet-repro` starts it with stock as `python` starts it."""
    ours = Apart(script, "ours", launcher=True)
    stock = Apart(script, "stock", launcher=False)
    try:
        return compare(f"{row}, each as it is started", ours, stock, **goals)
    finally:
        ours.close()
        stock.close()


def compare(
    row: str,
    ours: Callable[[], object],
    stock: Callable[[], object],
    *,
    against: str,
    ship: float,
    stretch: float,
    floor: float | None = None,
    lower: bool = False,
) -> dict:
    """Time both, in turn, PAIRS times after one round that does not count; print and return a row.

    The ratio is stock time over our time: more is better, or, with lower, less. floor: seconds that
    the work cannot go below (bytes over measured bandwidth, multiply-adds over measured rate).
    """
    ours(), stock()
    pairs = []
    for i in range(PAIRS):
        sides = [("ours", ours), ("stock", stock)]
        took = {}
        for name, work in sides if i % 2 else sides[::-1]:
            took[name] = work() if isinstance(work, Apart) else seconds(work)
        pairs.append([took["ours"], took["stock"]])
    ratios = np.array([stock / ours for ours, stock in pairs])
    low, median, high = np.quantile(ratios, [0.25, 0.5, 0.75]).tolist()
    sign = -1 if lower else 1
    word = "missed"
    if sign * median >= sign * ship:
        word = "stretch" if sign * median >= sign * stretch else "ship"
    best = float(np.median(pairs, 0)[0])
    limit = f", {best / floor:.1f}x the floor" if floor else ""
    print(
        f"{row}: {against} takes {median:.2f}x our time ({low:.2f} to {high:.2f}, {PAIRS} pairs); "
        f"ship {ship}x, stretch {stretch}x: {word}{limit}",
        flush=True,
    )
    return {
        "row": row, "against": against, "ship": ship, "stretch": stretch, "seconds": pairs,
        "median": median, "quartiles": [low, high], "floor": floor, "lower": lower, "word": word,
    }  # fmt: skip


def save(name: str, rows: list[dict]) -> Path | None:
    """Write runs/benchmarks/<name>.json with the machine; nothing at the small sizes."""
    if SMALL:
        return None
    path = records.RUNS / "benchmarks" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    origin = records.provenance("cpu", torch.get_num_threads())
    children = 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    peak = max(records.peak_memory_bytes(), children)
    origin |= {"cores": os.cpu_count(), "peak_memory_bytes": peak}
    path.write_text(json.dumps({"provenance": origin, "rows": rows}, indent=1) + "\n")
    return path


def bandwidth(size: int = 1 << 26) -> float:
    """Bytes a second of reading and writing memory, by copying."""
    a = torch.zeros(size)
    b = torch.empty_like(a)
    best = min(seconds(lambda: b.copy_(a)) for _ in range(5))
    return 2 * a.numel() * a.element_size() / best


def multiply_adds(dtype: torch.dtype = torch.float32) -> float:
    """Multiply-adds a second of a 3 x 3 convolution of 512 maps of 28 x 28, 16 images.

    A convolution, not a matrix product: on some processors oneDNN's convolutions are twice as fast
    as MKL's products.
    """
    images, channels = (1, 32) if SMALL else (16, 512)
    last = {"memory_format": torch.channels_last}
    x = torch.randn(images, channels, 28, 28).to(dtype, **last)
    weight = torch.randn(channels, channels, 3, 3).to(dtype, **last)
    best = min(seconds(lambda: F.conv2d(x, weight, padding=1)) for _ in range(5))
    return images * 28 * 28 * channels * channels * 9 / best
