"""Each benchmark still runs, at a small size; it checks that its two sides agree, never a time."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.mark.parametrize(
    "path",
    [p for p in sorted(FOLDER.glob("*.py")) if p.stem != "side_by_side"],
    ids=lambda p: p.stem,
)
def test_benchmark_runs_small(path):
    environment = {**os.environ, "BENCH_SMALL": "1", "BENCH_PAIRS": "1"}
    done = subprocess.run(
        [sys.executable, str(path)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    alone = {  # nothing beside them
        "accelerator": r"images/s \(no goal\)",
        "breakdown": r"\d ms", "changes": r"takes \d+\.\d\dx the time", "growth": r"\d ms",
        "input": r"share of an epoch -?\d", "report": r"\d s, our time \(n = 1\); ship 60 s",
    }  # fmt: skip
    assert re.search(alone.get(path.stem, r"\d\.\d\dx our time.*; ship \d"), done.stdout)
