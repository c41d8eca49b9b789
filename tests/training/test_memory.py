"""What training tells glibc's allocator: freed memory is kept, which page faults show."""

import logging
import os
import platform
import subprocess
import sys
import types

import pytest

from alexnet_repro.training import keep_memory, memory

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="not glibc")
# page faults of eight tensors of 64 MiB, one after another, each gone before the next comes
FAULTS = """
import resource, torch
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        torch.ones(1 << 24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""
TRAIN = """
from alexnet_repro import training
from alexnet_repro.config import RunConfig
from alexnet_repro.training import loop
loop._epoch = lambda *_: True
loop.evaluate = lambda *_, **__: {"loss": 1.0, "top1_error": 0.5, "top5_error": 0.5, "images": 1}
training.train(RunConfig(net="18pct-plain", train_eval_images=1), 0, quiet=True)
"""


def faults(before="", **environment):
    bare = {k: v for k, v in os.environ.items() if k not in memory.OWN}
    return int(
        subprocess.check_output(
            [sys.executable, "-c", before + FAULTS], env={**bare, **environment}, text=True
        )
    )


@pytest.fixture(scope="module")
def plain():
    return faults()


@glibc
@pytest.mark.parametrize(
    "before", ["from alexnet_repro import training\nassert training.keep_memory()\n", TRAIN]
)
def test_kept_memory_is_not_faulted_in_again(plain, before):
    assert plain >= 8 * 64 // 2  # with the largest pages, of 2 MiB
    assert faults(before) < plain / 10


@glibc
def test_what_the_environment_says_holds(plain):
    """Here: pieces of more than 1 MiB are mapped, each anew."""
    code = "from alexnet_repro import training\nassert not training.keep_memory()\n"
    assert faults(code, MALLOC_MMAP_THRESHOLD_=str(1 << 20)) > plain / 2


@pytest.mark.parametrize(
    "library", [types.SimpleNamespace(), types.SimpleNamespace(mallopt=lambda *_: 1 / 0)]
)
def test_another_libc_is_left_alone_and_that_is_said(library, monkeypatch, caplog):
    for name in memory.OWN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: library)
    with caplog.at_level(logging.INFO):
        assert keep_memory() is False
    assert [r.getMessage() for r in caplog.records] == [
        "the allocator stays as it is: this is not glibc"
    ]


def test_a_refusal_is_told(monkeypatch):
    for name in memory.OWN:
        monkeypatch.delenv(name, raising=False)
    refuses = types.SimpleNamespace(gnu_get_libc_version=None, mallopt=lambda *_: 0)
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: refuses)
    assert keep_memory() is False
