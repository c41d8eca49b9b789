"""Each benchmark still runs, at a small size; its two sides agree. Never a time.

`side_by_side.agree` stops a benchmark whose sides differ, before anything is timed.
"""

import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
SMALL = {"BENCH_SMALL": "1", "BENCH_PAIRS": "1"}
NAMES = [p.stem for p in sorted(FOLDER.glob("*.py")) if p.stem != "side_by_side"]
ALONE = {  # what they time has no other side: where a step goes, how cost grows, an import
    "breakdown", "growth", "report", "start_up", "ten_crop",
}  # fmt: skip
LINES = {  # nothing beside them
    "accelerator": r"images/s \(no goal\)",
    "breakdown": r"\d ms", "changes": r"takes \d+\.\d\dx the time", "growth": r"\d ms",
    "input": r"share of an epoch -?\d", "report": r"\d s, our time \(n = 1\); ship 60 s",
}  # fmt: skip
WITHOUT_COMPILER = {"jpeg", "report", "start_up"}  # the others refuse to time a fallback


@pytest.fixture(scope="module")
def side_by_side():
    """The module, at the small sizes, without what it adds to the library's log."""
    log = logging.getLogger("alexnet_repro")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        patch.setattr(log, "handlers", list(log.handlers))
        for name, value in SMALL.items():
            patch.setenv(name, value)
        import side_by_side

        yield side_by_side


@pytest.mark.minutes
@pytest.mark.parametrize("name", NAMES)
def test_benchmark_runs_small_and_its_sides_agree(name, request):
    if name not in WITHOUT_COMPILER:
        request.getfixturevalue("compiler")
    done = subprocess.run(
        [sys.executable, str(FOLDER / f"{name}.py")], env={**os.environ, **SMALL},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.search(LINES.get(name, r"\d\.\d\dx our time.*; ship \d"), done.stdout)
    agreed = re.findall(r"^the sides agree: they differ by (\S+) of", done.stdout, re.M)
    assert bool(agreed) == (name not in ALONE)


def test_sides_that_differ_stop_a_benchmark(side_by_side, capsys):
    one = torch.tensor([3.0, 4.0])
    side_by_side.agree(one, one + torch.tensor([0.0, 0.04]), within=0.01)  # 0.04 of 5
    assert capsys.readouterr().out == "the sides agree: they differ by 7.9e-03 of the result\n"
    for ours, stock in [
        (one, one + torch.tensor([0.0, 0.06])), (one, one[:1]), ([one, one], [one, -one]),
        (one * torch.nan, one), (one, one * torch.nan), ([], []), (one, torch.zeros(2)),
    ]:  # fmt: skip
        with pytest.raises(SystemExit, match="not measured: "):
            side_by_side.agree(ours, stock, within=0.01)
    with pytest.raises(ValueError, match="zip"):
        side_by_side.agree([one], [one, one])


def test_a_record_has_the_commit_of_its_start_and_is_whole(side_by_side, monkeypatch, tmp_path):
    now = {"git": {"commit": "b" * 40, "dirty": True}, "start_utc": "later", "threads": 1}
    monkeypatch.setattr(side_by_side.records, "provenance", lambda *_: dict(now))
    monkeypatch.setattr(side_by_side.records, "RUNS", tmp_path)
    assert side_by_side.save("some", []) is None  # nothing at the small sizes
    first = {"git": {"commit": "a" * 40, "dirty": False}, "start_utc": "earlier", "threads": 2}
    monkeypatch.setattr(side_by_side, "STARTED", first)
    path = side_by_side.save("some", [{"row": 1}])
    body = json.loads(path.read_text())
    assert body["rows"] == [{"row": 1}]
    assert {k: body["provenance"][k] for k in now} == {**first, "threads": 1}

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)  # before the new file takes the old one's place
    with pytest.raises(KeyboardInterrupt):
        side_by_side.save("some", [])
    assert json.loads(path.read_text()) == body


def test_what_is_measured_is_what_was_there_at_the_start():
    """Commit and time are taken when the module is imported, before any side exists."""
    code = "import side_by_side as s; print(s.STARTED['git']['commit'], s.STARTED['start_utc'])"
    environment = {k: v for k, v in os.environ.items() if k not in SMALL}
    found = subprocess.check_output([sys.executable, "-c", code], cwd=FOLDER, env=environment)
    assert re.fullmatch(rb"([0-9a-f]{40}|None) \d{4}-\S+\n", found)
