"""A page that is given other seeds shows their numbers, and no verdict."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import page_text
import pytest

ROOT = Path(__file__).resolve().parents[2]
TRAINED = [p.stem for p in (ROOT / "book").glob("*.ipynb") if "run_or_load(" in p.read_text()]


@pytest.fixture(scope="module", params=[[0, 1], [2]], ids=str)
def called(request):
    """The seeds, and what each page with runs shows when it is given them."""
    command = [sys.executable, page_text.__file__, ROOT, json.dumps({"seeds": request.param})]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [*command, *TRAINED], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return request.param, {page: shown for page, (_, shown) in json.loads(done.stdout).items()}


def test_every_row_that_rests_on_runs_says_which_seeds_are_missing(called):
    seeds, pages = called
    assert len(pages) == len(TRAINED) >= 6
    for page, text in pages.items():
        # the line at the head and at least one row of the table
        assert len(re.findall(rf"no verdict\W+{len(seeds)} of \d+ seeds", text)) >= 2, page
        assert f"n = {len(seeds)}" in text, page  # and the numbers are there
        measured = re.findall(r"[↗?✕≈◐<✓]\s+(match|direction|unclear|smaller|negligible|gap only|"
                              r"opposite)\b", text)  # fmt: skip
        assert measured == [], page
