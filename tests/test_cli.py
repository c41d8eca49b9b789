"""The command line: exit codes, one clear line, an example in each help."""

import io
import math
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from alexnet_repro import cli, study
from alexnet_repro.pages import chapters
from alexnet_repro.study import experiments, launch
from alexnet_repro.study.verdicts import Verdict

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("command", ["list", "data", "run", "chapters", "scoreboard"])
def test_help_shows_an_example(command, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([command, "--help"])
    assert stop.value.code == 0
    assert f"example: alexnet-repro {command}" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["run", "s34-poling"], "no experiment 's34-poling'; did you mean 's34-pooling"),
        (["run", "s34-pooling", "--arm", "up"], "s34-pooling has no arm 'up'; arms: overlap"),
        (["run", "s34-pooling", "--workers", "0"], "--workers wants at least 1, got 0"),
        (["data", "mine"], "only cifar10 has a download; give mine a --source"),
        (["data", "../x", "--source", "y"], "a data set's name is a plain word, got '../x'"),
        (["data", "x", "--source", "nowhere.zip"], "no such source: nowhere.zip"),
        (["data", "embedded"], "generated when it is used"),
        (
            ["data", "x", "--source", "y", "--root", "/dev/null/x"],
            "cannot write data to /dev/null/x",
        ),
        (["chapters", "3.4-poling"], "no page '3.4-poling'; did you mean '3.4-pooling'?"),
        (["chapters", "3.4-pooling", "-p", "sedes", "[0]"], "did you mean 'seeds'?"),
        (
            ["chapters", "3.4-pooling", "-p", "seeds", "[0, 1"],
            "-p seeds: not JSON (Expecting ',' del",
        ),
        (["chapters", "3.4-pooling", "-p", "seeds", "[" * 10**5], "-p seeds: not JSON ("),
        (["chapters", "3.4-pooling", "-p", "mode", "../x"], "the mode is set by --mode, not by -p"),
        (["chapters", "3.4-pooling", "--workers", "0"], "workers wants at least 1, got 0"),
        (["components", "crop"], "no demonstration 'crop'; there are order, "),
        (["diagnose", "--net", "alexnett"], "no net called 'alexnett'; nets: "),
    ],
)
def test_mistake_is_one_line_and_exit_2(arguments, line, capsys):
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.startswith("alexnet-repro: ")
    assert len(error.strip().splitlines()) == 1


def test_help_loads_nothing_heavy():
    code = "import sys; from alexnet_repro import cli; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert "alexnet_repro.cli.commands" in loaded
    assert not {"numpy", "pandas", "scipy", "torch"} & set(loaded)


def test_unknown_command_exits_2_without_traceback():
    done = subprocess.run(
        [sys.executable, "-m", "alexnet_repro", "trian"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("here", [True, False])
def test_run_says_where_and_how_to_compute(here, monkeypatch, tmp_path, capsys):
    asked = []

    def compute(experiment, arm, seed, config, out, quiet):
        assert quiet  # no bar where nobody watches; the launcher passes on whole lines
        asked.append((config.device, config.step))
        return Mock(metrics={"top1_error": 0.5})

    def popen(command, **rest):
        asked.append(tuple(command[command.index("--device") + 1 :: 2]))
        child = Mock(stderr=io.StringIO(), stdin=None, stdout=None)
        child.wait.return_value = 0
        return child

    monkeypatch.setattr(experiments, "compute", compute)
    monkeypatch.setattr(launch.subprocess, "Popen", popen)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    arguments = ["run", "s34-pooling", "--arm", "overlap", "--seed", "0", "--out", str(tmp_path)]
    arguments += ["--device", "cuda", "--step", "compiled"]
    assert cli.main(arguments + ["--here"] * here) == 0
    assert asked == [("cuda", "compiled")]


def test_list_names_experiments_and_their_records(capsys):
    assert cli.main(["list"]) == 0
    out = capsys.readouterr().out
    assert "s34-pooling:" in out
    assert "records 6 of 6" in out


def test_scoreboard_counts(capsys):
    assert cli.main(["scoreboard", "--decided"]) == 0
    out = capsys.readouterr().out
    assert "c16-conv1" in out
    assert "c03-sift-top1" not in out
    assert "paper is off: 5" in out


@pytest.mark.parametrize(
    ("bound", "shown"), [("lower", ">= 3.47"), ("upper", "<= 3.47"), ("", "3.47")]
)
def test_scoreboard_says_that_a_number_is_a_bound(bound, shown, monkeypatch, capsys):
    names = [
        "claim",
        "paper",
        "original",
        "measured",
        "low",
        "high",
        "n",
        "verdict",
        "p",
        "holm",
        "setting",
    ]
    found = Verdict("direction", 3.47, bound=bound)
    row = ["c08", 6.0, math.nan, found.measured, 3.05, 3.95, 3, "direction", 0.01, 0.1, "full"]
    other = ["c09", 6.0, math.nan, "", *[math.nan] * 2, 0, "not run", *[math.nan] * 2, "full"]
    board = pd.DataFrame([row, other], columns=names)
    monkeypatch.setattr(study, "scoreboard", lambda: board)
    assert cli.main(["scoreboard"]) == 0
    _, first, second, _ = capsys.readouterr().out.splitlines()
    assert " ".join(first.split()).startswith(f"c08 6 - {shown} 3.05 3.95 3 direction")
    assert second.split()[:3] == ["c09", "6", "-"]
    assert "3.47" not in second


def test_a_failed_run_is_told_and_exits_1(monkeypatch, capsys):
    failed = [(("s34-pooling", "overlap", 1), "no data set")]
    monkeypatch.setattr(launch, "run", lambda work, **_: failed)
    assert cli.main(["run", "s34-pooling"]) == 1
    assert capsys.readouterr().err == "failed: s34-pooling overlap seed 1: no data set\n"
    monkeypatch.setattr(launch, "run", lambda work, **_: [])
    assert cli.main(["run", "s34-pooling"]) == 0


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (KeyboardInterrupt(), 130, "interrupted; the same command goes on from here"),
        (OSError(28, "No space left on device", "runs/x"), 1, "No space left on device: 'runs/x'"),
        (ModuleNotFoundError("x", name="torchvision"), 2,
         "needs torchvision, which is not installed: pip install 'alexnet-repro[train]'"),
    ],
)  # fmt: skip
def test_how_a_command_ends(error, status, text, monkeypatch, capsys):
    monkeypatch.setattr(launch, "run", Mock(side_effect=error))
    assert cli.main(["run", "s34-pooling"]) == status
    said = capsys.readouterr().err
    assert text in said
    assert len(said.strip().splitlines()) == 1


def test_a_module_of_this_library_that_is_lost_is_no_missing_install(monkeypatch):
    lost = ModuleNotFoundError("no", name="alexnet_repro.training.loop")
    monkeypatch.setattr(launch, "run", Mock(side_effect=lost))
    with pytest.raises(ModuleNotFoundError):
        cli.main(["run", "s34-pooling"])


def test_data_prepares_and_reports_the_skipped(tmp_path, capsys):
    for split in ("train", "test"):
        for name, value in (("a", 0), ("b", 255)):
            folder = tmp_path / "in" / split / name
            folder.mkdir(parents=True)
            Image.fromarray(np.full((32, 32, 3), value, np.uint8)).save(folder / "1.png")
    (tmp_path / "in/train/a/bad.jpg").write_bytes(b"no image")
    arguments = ["data", "mine", "--source", str(tmp_path / "in"), "--root", str(tmp_path / "out")]
    assert cli.main(arguments) == 2
    assert "bad.jpg" in capsys.readouterr().err
    assert not (tmp_path / "out/mine").exists()
    assert cli.main([*arguments, "--skip-bad"]) == 0
    out = capsys.readouterr().out
    assert "2 train" in out
    assert "skipped 1 files" in out


def test_a_failing_page_leaves_its_traceback_and_exit_1(tmp_path, capsys):
    arguments = ["chapters", "4.1-ten-crops", "--out", str(tmp_path), "-p", "seeds", "[77]"]
    assert cli.main(arguments) == 1
    out = capsys.readouterr().out
    assert "failed" in out
    assert "seed77.json" in out
    assert (tmp_path / "load/4.1-ten-crops.failed.ipynb").exists()
    assert not (tmp_path / "load/4.1-ten-crops.ipynb").exists()


def test_papermill_by_hand_refuses_a_misspelt_parameter(tmp_path):
    command = [sys.executable, "-m", "papermill", "2-data.ipynb", str(tmp_path / "out.ipynb")]
    command += ["-p", "mdoe", "smoke", "--no-progress-bar"]
    done = subprocess.run(command, cwd=chapters.BOOK, capture_output=True, text=True)
    assert done.returncode == 1
    assert "no parameter 'mdoe'; did you mean 'mode'?" in done.stderr


def test_a_fault_of_the_library_is_not_told_as_a_users_mistake(monkeypatch):
    """Only InputError is somebody's mistake; numpy's ValueError keeps its traceback."""

    def broken():
        raise ValueError("operands could not be broadcast together")

    monkeypatch.setattr(study, "scoreboard", broken)
    with pytest.raises(ValueError, match="broadcast"):
        cli.main(["scoreboard"])
