"""Processes that stand in for runs and pages: they sleep or talk, and train nothing."""

import fcntl
import subprocess
import sys
import time
from pathlib import Path

# run instead of a module of that name, with its arguments
SLEEPER = """
import fcntl, os, pathlib, time
file = open(pathlib.Path(os.environ["STAND_IN"]) / f"{os.getpid()}.lock", "w")
fcntl.flock(file, fcntl.LOCK_EX)
file.write("asleep")
file.flush()
time.sleep(120)
"""
TALKER = """
import os, signal, sys, warnings
seed = sys.argv[sys.argv.index("--seed") + 1]
if seed == "0":
    warnings.warn("all hidden units are dead")
if seed == "1":
    sys.exit("Traceback of many lines\\nOutOfMemory: 3 GB")
if seed == "2":
    os.kill(os.getpid(), signal.SIGKILL)
print("done", seed)
"""
STARTER = """
import signal, sys
from alexnet_repro import cli
from stand_ins import swap

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in a background
swap(sys.argv[1], late=sys.argv[2] == "late")
sys.exit(cli.main(sys.argv[3:]))
"""


def swap(module: str, *, late: bool = False, patch=setattr) -> None:
    """Make subprocess.Popen run the module stand_in in place of `module`.

    late: it returns only when a file "go" is there. patch: what sets the attribute.
    """
    popen = subprocess.Popen

    class Swapped(popen):
        def __init__(self, command, *rest, **options):
            if module not in command:
                return super().__init__(command, *rest, **options)
            at = command.index(module)
            super().__init__([*command[:at], "stand_in", *command[at + 1 :]], *rest, **options)
            if late:
                import os

                go = Path(os.environ["STAND_IN"], "go")
                wait_for(go.exists)

    patch(subprocess, "Popen", Swapped)


def wait_for(what, seconds: float = 60) -> None:
    """Poll until what() is true; AssertionError when the time is over."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, f"{seconds} s are over"
        time.sleep(0.02)


def asleep(folder: Path) -> int:
    """How many sleepers live: each holds the lock of its file, and a dead one holds nothing."""
    alive = 0
    for path in folder.glob("*.lock"):
        with open(path, "r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                alive += file.read() == "asleep"
    return alive


def start(folder: Path, module: str, arguments: list[str], environment: dict, *, late=False):
    """The command line in a process of its own whose children run the sleeper for `module`."""
    (folder / "stand_in.py").write_text(SLEEPER)
    command = [sys.executable, "-c", STARTER, module, "late" if late else "", *arguments]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
