"""The runner of pages: what is run again, what is refused, and that nothing outlives it."""

import json
import os
import signal
from pathlib import Path

import pytest
import stand_ins

from alexnet_repro import cli
from alexnet_repro.pages import chapters
from alexnet_repro.study import records

HERE = Path(__file__).resolve().parents[1]


def notebook(*cells):
    """A notebook of code cells, (source, tag) each."""
    made = [
        {"cell_type": "code", "id": f"c{i}", "source": source, "outputs": [],
         "execution_count": None, "metadata": {"tags": [tag] if tag else []}}
        for i, (source, tag) in enumerate(cells)
    ]  # fmt: skip
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    meta = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return json.dumps({"cells": made, "metadata": meta, "nbformat": 4, "nbformat_minor": 5})


PAGE = notebook(
    ("mode = 'load'\nseeds = None  # or a list", "parameters"), ("assert seeds != [7]", "")
)


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A book of one small page, and records."""
    for name in ("book", "runs/s1", "runs/s2"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "book" / "page.ipynb").write_text(PAGE)
    (tmp_path / "runs/s1/a-seed0.json").write_text('{"error": 0.1}')
    (tmp_path / "runs/s1/a-seed0.csv").write_text("step\n0\n")
    monkeypatch.setattr(chapters, "BOOK", tmp_path / "book")
    monkeypatch.setattr(records, "RUNS", tmp_path / "runs")
    return tmp_path


def test_a_page_runs_again_when_anything_behind_it_has_changed(book, monkeypatch):
    seen = [chapters._digest("page", {"mode": "load"})]
    assert chapters._digest("page", {"mode": "load"}) == seen[0]

    def changed(**parameters):
        seen.append(chapters._digest("page", {"mode": "load", **parameters}))
        assert len(set(seen)) == len(seen)

    record = book / "runs/s1/a-seed0.json"
    record.write_text('{"error": 0.2}')
    changed()
    record.with_suffix(".csv").write_text("step\n1\n")
    changed()
    record.rename(book / "runs/s2/a-seed0.json")
    changed()
    (book / "runs/s1/b-seed0.json").write_text("{}")
    changed()
    (book / "book/page.ipynb").write_text(PAGE.replace("None", "[1]"))
    changed()
    changed(seeds=[1])
    monkeypatch.setattr(records, "code_digest", lambda: "other")
    changed()


def test_a_page_runs_once_then_is_unchanged_and_a_failure_is_told(book, capsys):
    def run(*more):
        status = cli.main(["chapters", "page", "page", "--out", str(book / "out"), *more])
        return status, capsys.readouterr().out

    status, said = run()
    assert (status, "ran        page" in said) == (0, True)
    assert "1 pages, 0 failed" in said
    cells = json.loads((book / "out/load/page.ipynb").read_text())["cells"]
    assert any("injected-parameters" in c["metadata"].get("tags", []) for c in cells)
    assert "unchanged  page" in run()[1]
    status, said = run("-p", "seeds", "[7]")
    assert (status, "failed     page" in said, "AssertionError" in said) == (1, True, True)
    assert "AssertionError" in (book / "out/load/page.failed.ipynb").read_text()
    assert "unchanged  page" in run()[1]  # what was there is kept


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "page.ipynb: not a readable notebook"),
        ('{"cells": 3}', "page.ipynb: not a readable notebook"),
        (notebook(("mode = 'load'", "")), "page.ipynb: no cell tagged 'parameters'"),
        (notebook(("pass", "parameters")), "page.ipynb: no cell tagged 'parameters', or nothing"),
        (notebook(("a = [\n  1]\nb = {'mode': 3}", "parameters")), "has no parameter 'mode'; "),
    ],
)  # fmt: skip
def test_what_a_page_must_have(book, text, said, capsys):
    (book / "book/page.ipynb").write_text(text)
    assert cli.main(["chapters", "page", "--out", str(book / "out")]) == 2
    assert said in capsys.readouterr().err


def test_what_is_refused_before_anything_runs(book):
    with pytest.raises(ValueError, match=r"mode wants one of load, train, smoke, got '\.\./x'"):
        chapters.run(["page"], {"mode": "../x"}, out=book / "out")
    with pytest.raises(ValueError, match="workers wants at least 1, got 0"):
        chapters.run(["page"], {}, out=book / "out", workers=0)
    assert not (book / "out").exists()


def test_no_page_outlives_the_runner(tmp_path):
    path = os.pathsep.join(map(str, (HERE.parent, HERE, tmp_path)))
    environment = {**os.environ, "PYTHONPATH": path, "STAND_IN": str(tmp_path)}
    arguments = ["chapters", "2-data", "--out", str(tmp_path / "out")]
    runner = stand_ins.start(tmp_path, "papermill", arguments, environment)
    stand_ins.wait_for(lambda: stand_ins.asleep(tmp_path) == 1)
    runner.send_signal(signal.SIGKILL)
    runner.communicate(timeout=60)
    stand_ins.wait_for(lambda: stand_ins.asleep(tmp_path) == 0)
