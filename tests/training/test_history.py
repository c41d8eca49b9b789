"""What a run tells of itself: code, commit, seconds, resumptions, warnings, and what really ran."""

import logging
import os
import re
import shutil
import subprocess
import sys
import types
import warnings
from pathlib import Path

import pytest
import torch

import alexnet_repro
from alexnet_repro import native, origin, training
from alexnet_repro.config import RunConfig
from alexnet_repro.errors import InputError
from alexnet_repro.layers import norm_native
from alexnet_repro.training import history, loop
from alexnet_repro.training.diagnose import StuckWarning, StuckWatch

PLAIN = RunConfig(
    net="18pct-plain", init="modern", pixels="standardised", epochs=3, batch=50,
    train_eval_images=50,
)  # fmt: skip
MINI = PLAIN.replace(net="mini-alexnet", crop=24, epochs=1)
few = pytest.mark.usefixtures("few_images")
COMMITS = ["a" * 40, "b" * 40, "c" * 40]


@pytest.fixture
def parts(tmp_path, monkeypatch):
    """A function: train PLAIN until it is broken before an epoch, at a commit, of some code."""
    epoch = loop._epoch

    def run(commit, stop=None, code="1" * 64, config=PLAIN):
        def until(run, number, quiet):
            if number == stop:
                raise KeyboardInterrupt
            return epoch(run, number, quiet)

        monkeypatch.setattr(origin, "git_state", lambda: {"commit": commit, "dirty": False})
        monkeypatch.setattr(origin, "_once", lambda folder: code)
        monkeypatch.setattr(loop, "_epoch", until)
        return training.train(config, 0, checkpoint=tmp_path / "run.pt", quiet=True)

    return run


@few
def test_an_unbroken_run_was_never_resumed(parts):
    found = parts(COMMITS[0]).provenance
    assert found["git"] == {"commit": COMMITS[0], "dirty": False}
    assert (found["code_sha256"], found["resumed"]) == ("1" * 64, [])
    assert set(found["data_sha256"]) == {"train", "test"}
    assert 0 < found["wall_seconds"] < 600
    assert found["peak_memory_bytes"] > 1 << 20


@few
def test_a_resumed_run_is_stamped_with_the_commit_under_which_it_started(parts, monkeypatch):
    finished, now = loop._finished, [1000.0]

    def slow(*given):  # before each epoch, and once more before the one that is broken
        now[0] += 100
        return finished(*given)

    clock = types.SimpleNamespace(perf_counter=lambda: now[0])
    monkeypatch.setattr(history, "time", clock)
    monkeypatch.setattr(loop, "_finished", slow)
    for commit, stop in zip(COMMITS[:2], (1, 2), strict=True):
        with pytest.raises(KeyboardInterrupt):
            parts(commit, stop)
    found = parts(COMMITS[2]).provenance
    assert found["git"]["commit"] == COMMITS[0]
    told = [(part["epoch"], part["git"]["commit"]) for part in found["resumed"]]
    assert told == [(1, COMMITS[1]), (2, COMMITS[2])]
    assert all(re.match(r"\d{4}-\d\d-\d\dT", part["start_utc"]) for part in found["resumed"])
    assert "cpu" not in found["resumed"][0]  # what is as at the start is not told again
    assert found["wall_seconds"] == 300  # three epochs; what the broken ones took is lost


@few
def test_a_run_begun_under_other_code_is_refused_and_nothing_is_lost(parts, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        parts(COMMITS[0], 2)
    before = (tmp_path / "run.pt").read_bytes()
    text = rf"run.pt was trained under other code \({COMMITS[0]}\); delete it to start anew, or ch"
    with pytest.raises(InputError, match=text) as caught:
        parts(COMMITS[1], code="2" * 64)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "run.pt").read_bytes() == before
    assert (
        parts(COMMITS[1]).provenance["resumed"][0]["epoch"] == 2
    )  # under the same code it goes on


SCRIPT = """
import pathlib, sys
from dataclasses import replace
from alexnet_repro import config
from alexnet_repro.data import embedded
from alexnet_repro.training import loop as train
full = {s: embedded.generate(s) for s in ("train", "test")}
def generate(s):
    return replace(full[s], images=full[s].images[:60], labels=full[s].labels[:60])
embedded.generate = generate
settings = config.RunConfig(net="18pct-plain", epochs=2, batch=60)
train.train(settings, 0, checkpoint=pathlib.Path("run.pt"), quiet=True)
print(train.__file__)
"""


def test_one_changed_character_of_the_package_is_other_code(tmp_path):
    package = tmp_path / "alexnet_repro"
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(alexnet_repro.__file__).parent, package, ignore=ignore)

    def run():
        environment = {**os.environ, "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"}
        return subprocess.run(
            [sys.executable, "-c", SCRIPT], cwd=tmp_path, env=environment, capture_output=True,
            text=True,
        )  # fmt: skip

    first = run()
    assert first.stdout.strip() == str(package / "training" / "loop.py"), first.stderr
    (package / "spec" / "rows.py").write_text((package / "spec" / "rows.py").read_text() + "#")
    second = run()
    assert second.returncode == 1
    assert "InputError: run.pt was trained under other code" in second.stderr


@few
def test_python_warnings_and_logs_are_in_the_record_and_still_shown(monkeypatch, caplog):
    init = StuckWatch.__init__

    def at_once(self, classes):
        init(self, classes, patience=10, tolerance=100.0)

    monkeypatch.setattr(StuckWatch, "__init__", at_once)
    finite, log = loop._finished, logging.getLogger("alexnet_repro.native")

    def finished(*given):
        log.warning("a kernel of %d lines\nwas not compiled", 38)
        log.info("all is well")
        warnings.warn("twice", RuntimeWarning, stacklevel=1)
        return finite(*given)

    monkeypatch.setattr(loop, "_finished", finished)
    with pytest.warns(StuckWarning) as shown, caplog.at_level(logging.INFO):
        found = training.train(PLAIN.replace(net="18pct", epochs=2), 0, quiet=True).provenance
    assert [w["category"] for w in found["warnings"]] == [
        "log of alexnet_repro.native", "RuntimeWarning", "StuckWarning"
    ]  # fmt: skip
    texts = [w["text"] for w in found["warnings"]]
    assert texts[:2] == ["a kernel of 38 lines\nwas not compiled", "twice"]
    assert texts[2].startswith("the loss has been at ln 10 = 2.3026")
    assert {w.category for w in shown} == {StuckWarning, RuntimeWarning}
    assert "a kernel of 38 lines" in caplog.text
    assert training.train(MINI, 0, quiet=True).provenance["warnings"] != found["warnings"]


@few
def test_warnings_of_all_parts_are_told(parts, monkeypatch):
    def warn(text):
        def spoken(*given):
            warnings.warn(text, UserWarning, stacklevel=1)
            return original(*given)

        original = loop._set_rates
        monkeypatch.setattr(loop, "_set_rates", spoken)
        return original

    original = warn("first")
    with pytest.raises(KeyboardInterrupt), pytest.warns(UserWarning, match="first"):
        parts(COMMITS[0], 2)
    monkeypatch.setattr(loop, "_set_rates", original)
    warn("second")
    with pytest.warns(UserWarning, match="second"):
        found = parts(COMMITS[0]).provenance
    assert [w["text"] for w in found["warnings"]] == ["first", "second"]


def test_nothing_is_left_behind():
    before = warnings.showwarning, logging.getLogRecordFactory(), list(warnings.filters)
    with pytest.raises(ZeroDivisionError), history.History("cpu", 1):
        raise ZeroDivisionError
    assert (warnings.showwarning, logging.getLogRecordFactory()) == before[:2]
    assert list(warnings.filters) == before[2]


def test_without_any_handler_a_log_is_still_printed():
    code = """
import logging
from alexnet_repro.training.history import History
with History("cpu", 1) as found:
    logging.getLogger("alexnet_repro.native").warning("not compiled")
print(found.warnings)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == "not compiled\n"
    assert "'text': 'not compiled'" in done.stdout


@few
@pytest.mark.skipif(not native.library("layers/norms"), reason="needs a C++ compiler")
def test_the_native_path_stands_in_the_record_with_its_compiler():
    found = training.train(MINI, 0, quiet=True).provenance["paths"]
    assert (found["norms"], found["batches"], found["step"]) == ("native", "native", "eager")
    line = subprocess.check_output([os.environ.get("CXX", "g++"), "--version"], text=True)
    assert found["compiler"] == line.splitlines()[0]
    plain = training.train(PLAIN.replace(epochs=1), 0, quiet=True).provenance["paths"]
    assert "norms" not in plain  # a net without any; and nothing of the run before


@few
def test_the_fallback_stands_in_the_record(monkeypatch):
    monkeypatch.setattr(native, "library", lambda name: None)
    monkeypatch.setattr(norm_native, "library", lambda: None)
    found = training.train(MINI, 0, quiet=True).provenance["paths"]
    assert found == {"batches": "numpy", "norms": "eager", "step": "eager"}


@few
def test_a_step_whose_compiler_fails_says_so(monkeypatch):
    def refuse(*given):
        raise RuntimeError("no compiler")

    monkeypatch.setattr(torch, "compile", lambda function, mode: refuse)
    found = training.train(MINI.replace(step="compiled"), 0, quiet=True).provenance
    assert found["paths"]["step"] == "eager (compile failed)"
    assert [w["text"] for w in found["warnings"]] == [
        "step: torch.compile failed, going on without it (no compiler)"
    ]
    monkeypatch.setattr(torch, "compile", lambda function, mode: function)
    found = training.train(MINI.replace(step="compiled"), 0, quiet=True).provenance
    assert found["paths"]["step"] == "compiled"


@pytest.mark.parametrize("broken", [False, True])
def test_norms_by_torch_compile_or_by_its_fallback(monkeypatch, broken):
    from alexnet_repro import routes
    from alexnet_repro.layers import LocalResponseNorm, norm_compiled

    def refuse(formula):
        raise RuntimeError("no compiler")

    monkeypatch.setattr(norm_compiled, "_program", refuse if broken else lambda formula: formula)
    monkeypatch.setattr(norm_compiled, "_broken", [])
    x = torch.rand(2, 8, 3, 3, requires_grad=True)
    routes.forget()
    LocalResponseNorm(path="compiled")(x).sum().backward()
    assert routes.noted() == {"norms": ["eager" if broken else "compiled"]}
    LocalResponseNorm(path="native")(x.double())  # the kernel takes no float64
    assert routes.noted() == {"norms": ["eager"] if broken else ["compiled", "eager"]}
