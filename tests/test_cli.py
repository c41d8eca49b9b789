"""The command line: exit codes, one clear line, an example in each help."""

import json
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from alexnet_repro import chapters, claims, cli, experiments, launch

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
        (["chapters", "3.4-poling"], "no page '3.4-poling'; did you mean '3.4-pooling'?"),
        (["chapters", "3.4-pooling", "-p", "sedes", "[0]"], "did you mean 'seeds'?"),
    ],
)
def test_mistake_is_one_line_and_exit_2(arguments, line, capsys):
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.startswith("alexnet-repro: ")
    assert len(error.strip().splitlines()) == 1


def test_unknown_command_exits_2_without_traceback():
    done = subprocess.run(
        [sys.executable, "-m", "alexnet_repro", "trian"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("here", [True, False])
def test_run_says_where_and_how_to_compute(here, monkeypatch, tmp_path, capsys):
    asked = []

    def compute(experiment, arm, seed, config, out):
        asked.append((config.device, config.step))
        return Mock(metrics={"top1_error": 0.5})

    def popen(command, **rest):
        asked.append(tuple(command[command.index("--device") + 1 :: 2]))
        return Mock(communicate=lambda: ("", ""), returncode=0)

    monkeypatch.setattr(experiments, "compute", compute)
    monkeypatch.setattr(launch.subprocess, "Popen", popen)
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
    assert "paper is off: 3" in out


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


def test_chapters_run_once_then_are_unchanged_and_a_failure_is_told(tmp_path, capsys):
    arguments = ["chapters", "2-data", "--mode", "smoke", "--out", str(tmp_path)]
    assert cli.main(arguments) == 0
    assert "ran        2-data" in capsys.readouterr().out
    cells = json.loads((tmp_path / "smoke/2-data.ipynb").read_text())["cells"]
    assert any("injected-parameters" in c["metadata"].get("tags", []) for c in cells)
    assert cli.main(arguments) == 0
    assert "unchanged  2-data" in capsys.readouterr().out
    assert cli.main([*arguments, "-p", "device", "3"]) == 0  # another parameter: it runs again
    assert "ran        2-data" in capsys.readouterr().out


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

    monkeypatch.setattr(claims, "scoreboard", broken)
    with pytest.raises(ValueError, match="broadcast"):
        cli.main(["scoreboard"])
