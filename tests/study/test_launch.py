"""The launcher: one process a job that says what it says and never outlives the launcher."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import stand_ins

from alexnet_repro import cli
from alexnet_repro.cli import commands, parser
from alexnet_repro.study import children, experiments, launch, records

HERE = Path(__file__).resolve().parents[1]
RUN = ["run", "s34-pooling", "--workers", "2", "--out"]


@pytest.fixture
def environment(tmp_path):
    """Of a process that finds the library, the stand-ins and where these lie."""
    path = os.pathsep.join(map(str, (HERE.parent, HERE, tmp_path)))
    return {**os.environ, "PYTHONPATH": path, "STAND_IN": str(tmp_path)}


@pytest.fixture
def talkers(tmp_path, monkeypatch, environment):
    """Runs talk in place of training, see stand_ins.TALKER."""
    (tmp_path / "stand_in.py").write_text(stand_ins.TALKER)
    monkeypatch.setenv("PYTHONPATH", environment["PYTHONPATH"])
    stand_ins.swap("alexnet_repro", patch=monkeypatch.setattr)


def test_a_job_is_one_process_that_trains_itself():
    """A child that launched again would start children without end."""
    line = launch.command(("s34-pooling", "overlap", 2), "some/folder", "cuda:1", "compiled")
    assert line[:4] == [sys.executable, "-m", "alexnet_repro.study.children", "alexnet_repro"]
    options = parser.build().parse_args(line[4:])
    assert options.command is commands.run_experiments
    assert options.here is True
    assert (options.names, options.arms, options.seeds) == (["s34-pooling"], ["overlap"], [2])
    assert (options.out, options.device) == (Path("some/folder"), "cuda:1")
    assert options.step == "compiled"
    plain = parser.build().parse_args(launch.command(("x", "a", 0), "o", None, None)[4:])
    assert (plain.here, plain.device, plain.step) == (True, None, None)


def test_why_a_job_failed_and_that_the_others_went_on(talkers, tmp_path, capfd):
    work = [("toy", "a", seed) for seed in (1, 2, 3)]
    assert dict(launch.run(work, workers=1, out=tmp_path)) == {
        ("toy", "a", 1): "OutOfMemory: 3 GB (exit 1)",
        ("toy", "a", 2): "it said nothing (signal 9)",
    }
    assert capfd.readouterr().out == "done 3\n"


def test_what_a_child_says_is_passed_on_with_its_name(talkers, tmp_path, capfd):
    launch.run([("toy", "a", seed) for seed in (0, 1, 3)], workers=2, out=tmp_path)
    out, err = capfd.readouterr()
    assert sorted(out.split("\n")) == ["", "done 0", "done 3"]
    lines = err.replace("\r", "\n").splitlines()  # the launcher's own bar is among them
    said = [line for line in lines if line.startswith("toy a seed ")]
    [warned] = [
        line for line in said if line.startswith("toy a seed 0: ") and "UserWarning" in line
    ]
    assert warned.endswith("UserWarning: all hidden units are dead")
    assert "toy a seed 1: Traceback of many lines" in said
    assert not [line for line in said if line.startswith("toy a seed 3")]


def test_a_process_that_cannot_start_is_one_failure(talkers, tmp_path, monkeypatch):
    popen = subprocess.Popen

    def broken(command, **rest):
        if command[command.index("--seed") + 1] == "0":
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return popen(command, **rest)

    monkeypatch.setattr(subprocess, "Popen", broken)
    failed = launch.run([("toy", "a", 0), ("toy", "a", 3)], workers=1, out=tmp_path)
    assert failed == [(("toy", "a", 0), "not started: [Errno 11] Resource temporarily unavailable")]


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)],
    ids=["ctrl-c", "ended", "killed"],
)
def test_no_child_outlives_the_launcher(number, status, tmp_path, environment):
    launcher = stand_ins.start(tmp_path, "alexnet_repro", [*RUN, str(tmp_path)], environment)
    stand_ins.wait_for(lambda: stand_ins.asleep(tmp_path) == 2)
    launcher.send_signal(number)
    _, said = launcher.communicate(timeout=60)
    assert launcher.returncode == status
    assert ("interrupted; the same command goes on from here" in said) == (number == signal.SIGINT)
    stand_ins.wait_for(lambda: stand_ins.asleep(tmp_path) == 0)
    assert len(list(tmp_path.glob("*.lock"))) == 2  # of six jobs: none started after that


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "ended"])
def test_a_child_that_starts_while_the_launcher_stops_is_ended(number, tmp_path, environment):
    arguments = [*RUN, str(tmp_path), "--workers", "1"]
    launcher = stand_ins.start(tmp_path, "alexnet_repro", arguments, environment, late=True)
    stand_ins.wait_for(lambda: stand_ins.asleep(tmp_path) == 1)  # the launcher is still starting it
    launcher.send_signal(number)
    with pytest.raises(subprocess.TimeoutExpired):
        launcher.wait(timeout=0.3)
    (tmp_path / "go").touch()
    launcher.communicate(timeout=60)
    assert launcher.returncode == 128 + number
    assert stand_ins.asleep(tmp_path) == 0
    assert len(list(tmp_path.glob("*.lock"))) == 1


def test_nothing_starts_after_the_stop_and_signals_are_as_before():
    def ours(number, frame):
        pass

    before = signal.signal(signal.SIGTERM, ours)
    try:
        with pytest.raises(ZeroDivisionError), children.Children() as some:  # noqa: PT012
            assert signal.getsignal(signal.SIGTERM) is not ours
            raise ZeroDivisionError
        assert some.start([sys.executable, "-c", ""]) is None
        assert signal.getsignal(signal.SIGTERM) is ours
    finally:
        signal.signal(signal.SIGTERM, before)


def test_jobs_are_each_arm_of_a_seed_and_none_twice():
    found = launch.jobs(["s34-pooling"] * 2, seeds=[4, 0])
    arms = ("overlap", "non-overlap")
    assert found == [("s34-pooling", arm, seed) for seed in (4, 0) for arm in arms]
    assert launch.jobs(["s34-pooling"], arms=["overlap", "overlap"], seeds=[1]) == [
        ("s34-pooling", "overlap", 1)
    ]
    with pytest.raises(ValueError, match="workers wants at least 1, got 0"):
        launch.run(found, workers=0)


def test_a_sweep_is_read_where_the_runs_go(make_record, monkeypatch, tmp_path, capsys):
    experiment = experiments.get("s31-relu-original")
    committed = experiment.config("relu").lr
    arguments = ["run", experiment.name, "--arm", "relu", "--seed", "0", "--out", str(tmp_path)]
    rates = []
    monkeypatch.setattr(launch, "run", lambda *_, **__: pytest.fail("launched without a sweep"))
    monkeypatch.setattr(
        experiments, "compute", lambda *given, **_: rates.append(given[3].lr) or _finished()
    )
    for more in ([], ["--here"]):
        assert cli.main([*arguments, *more]) == 2
        error = capsys.readouterr().err
        assert (
            f"run {experiment.name}-sweep --arm relu-lr0.0003 --seed 100 --out {tmp_path}" in error
        )
    sweep = experiment.sweep_experiment()
    for arm in sweep.arms:
        config = sweep.config(arm)
        error = 0.1 if config.lr == 0.01 else 0.5  # in runs/ another rate has won
        made = make_record(sweep.name, arm, 100, errors=[error], config=config)
        made.save(tmp_path)
    assert cli.main([*arguments, "--here"]) == 0
    assert rates == [0.01]
    assert committed != 0.01
    assert launch.jobs([experiment.name], ["relu"], [0], tmp_path) == [(experiment.name, "relu", 0)]
    assert records.record_path(sweep.name, "relu-lr0.01", 100).exists()


def _finished():
    return type("Record", (), {"metrics": {"top1_error": 0.5}})
