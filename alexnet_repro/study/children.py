"""Processes that do not outlive the one that started them. No torch."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from types import FrameType, TracebackType
from typing import Any


class Children:
    """The child processes of a `with` block, each of one thread; started from any thread.

    When the block is left by an exception, Ctrl-C or SIGTERM, the running ones are ended and no
    more are started. Where this process is killed, a child that called `end_with_parent` ends by
    itself: its standard input is a pipe from here, which closes then.
    """

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[str]] = set()
        self._stopped = False
        self._lock = threading.Lock()  # no child starts between the stop and the ending of all
        self._before: Any = None

    def start(self, command: list[str], **pipes: Any) -> subprocess.Popen[str] | None:
        """Start a process; None where the block has been left. Its text is UTF-8."""
        environment = {"OMP_NUM_THREADS": "1", **os.environ}
        with self._lock:
            if self._stopped:
                return None
            child = subprocess.Popen(
                command, env=environment, stdin=subprocess.PIPE, encoding="utf-8",
                errors="replace", **pipes,
            )  # fmt: skip
            self._running.add(child)
        return child

    def wait(self, child: subprocess.Popen[str]) -> int:
        """Wait for the end of a child; its exit status."""
        status = child.wait()
        with self._lock:
            self._running.discard(child)
        for pipe in (child.stdin, child.stdout, child.stderr):
            if pipe:
                pipe.close()
        return status

    def stop(self) -> None:
        """End what runs; start no more."""
        with self._lock:
            self._stopped = True
            for child in self._running:
                child.terminate()

    def __enter__(self) -> Children:
        if threading.current_thread() is threading.main_thread():  # others cannot take signals
            self._before = signal.signal(signal.SIGTERM, _leave)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:  # fmt: skip
        if kind is not None:
            self.stop()
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def end_with_parent() -> None:
    """End this process at once when the other end of its standard input is closed."""

    def watch() -> None:
        while os.read(0, 4096):  # nothing is ever sent
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main(arguments: list[str]) -> None:
    """Run a module as `python -m` does, in a process that ends with its parent."""
    import runpy

    end_with_parent()
    sys.argv = arguments
    runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
