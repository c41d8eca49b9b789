"""§5 What a run tells of itself, its parts taken together: start, seconds, warnings, paths.

No torch. A run that is broken and resumed has one history, which its checkpoint carries on: the
commit is that under which training started, the seconds are those of all parts (but for what was
lost after the last checkpoint), and every resumption is told.
"""

from __future__ import annotations

import logging
import time
import warnings
from typing import Any

from alexnet_repro import native, origin, routes

NOT_OF_A_PART = ("start_utc", "code_sha256")  # always told, or always equal


class History:
    """A context in which warnings are collected (and still shown) and paths are noted.

    Warnings: those of Python as its filters let them through, and what any logger says at level
    WARNING or above; each text once.
    """

    def __init__(self, device: str, threads: int) -> None:
        self.origin = self._part = origin.provenance(device, threads)
        self.resumed: list[dict[str, Any]] = []
        self.warnings: list[dict[str, str]] = []
        self._paths: dict[str, list[str]] = {}
        self._seconds, self._peak = 0.0, 0  # of earlier parts
        self._began = time.perf_counter()
        self._context: warnings.catch_warnings | None = None

    def __enter__(self) -> History:
        routes.forget()
        self._context = warnings.catch_warnings()
        self._context.__enter__()
        show, self._factory = warnings.showwarning, logging.getLogRecordFactory()

        def showwarning(message, category, filename, lineno, file=None, line=None) -> None:
            self._warned(category.__name__, str(message))
            show(message, category, filename, lineno, file, line)

        def factory(*arguments: Any, **more: Any) -> logging.LogRecord:
            record = make(*arguments, **more)
            if record.levelno >= logging.WARNING:
                self._warned(f"log of {record.name}", record.getMessage())
            return record

        make = self._factory
        warnings.showwarning = showwarning
        # not a handler: a first one would silence what is printed where nobody has set up any
        logging.setLogRecordFactory(factory)
        return self

    def __exit__(self, *exception: Any) -> None:
        logging.setLogRecordFactory(self._factory)
        assert self._context is not None
        self._context.__exit__(*exception)

    def _warned(self, category: str, text: str) -> None:
        if (found := {"category": category, "text": text}) not in self.warnings:
            self.warnings.append(found)

    def paths(self) -> dict[str, str]:
        """What -> the path that it took, or several joined by " + "; with the kernels' compiler."""
        return {what: " + ".join(names) for what, names in self._all_paths().items()}

    def _all_paths(self) -> dict[str, list[str]]:
        found = {what: set(names) for what, names in self._paths.items()}
        for what, names in routes.noted().items():
            found.setdefault(what, set()).update(names)
        if any("native" in names for names in found.values()):
            found.setdefault("compiler", set()).add(native.compiler())
        return {what: sorted(names) for what, names in sorted(found.items())}

    def goes_on(self, epoch: int) -> None:
        """Note that this part starts after `epoch` epochs, and where it differs from the first."""
        differs = {
            k: v for k, v in self._part.items()
            if k not in NOT_OF_A_PART and v != self.origin.get(k)
        }  # fmt: skip
        start = {"epoch": epoch, "start_utc": self._part["start_utc"]}
        self.resumed.append({**start, **differs})

    def provenance(self) -> dict[str, Any]:
        """What a record tells of where it comes from, but for the data."""
        return {
            **self.origin,
            "wall_seconds": round(self._all_seconds(), 1),
            "resumed": self.resumed,
            "peak_memory_bytes": max(self._peak, origin.peak_memory_bytes()),
            "paths": self.paths(),
            "warnings": self.warnings,
        }

    def _all_seconds(self) -> float:
        return self._seconds + time.perf_counter() - self._began

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint carries."""
        return {
            "origin": self.origin,
            "seconds": self._all_seconds(),
            "peak": max(self._peak, origin.peak_memory_bytes()),
            "resumed": self.resumed,
            "warnings": self.warnings,
            "paths": self._all_paths(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from state_dict(): this part's own start is told by goes_on."""
        self.origin, self.resumed = dict(state["origin"]), list(state["resumed"])
        self._seconds, self._peak = float(state["seconds"]), int(state["peak"])
        self._paths = {what: list(names) for what, names in state["paths"].items()}
        own = self.warnings
        self.warnings = list(state["warnings"])
        for warning in own:
            self._warned(**warning)
