"""A run as a row: one JSON file (what, result, provenance) and one CSV file (the curve). No torch.

<root>/<experiment>/<arm>-seed<k>.json and .csv. Errors are fractions in [0, 1].
"""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import io
import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alexnet_repro.errors import InputError
from alexnet_repro.paths import PACKAGE, REPOSITORY, RUNS

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 1
CURVE = ["step", "epoch", "split", "loss", "top1_error", "top5_error", "lr"]


class RecordError(InputError):
    """A record that is missing, damaged, of another schema or stale; the text says what to do."""


@dataclass(frozen=True)
class RunRecord:
    """One run: configuration as resolved, final metrics, curve, and where it came from."""

    experiment: str
    arm: str
    seed: int
    config: dict[str, Any]
    metrics: dict[str, Any]
    provenance: dict[str, Any]
    curve: pd.DataFrame

    def save(self, root: Path | str = RUNS) -> Path:
        """Write both files, the JSON last and each by renaming: a record is whole or not there."""
        self._check()
        path = record_path(self.experiment, self.arm, self.seed, root)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = self.curve[CURVE].to_csv(index=False, lineterminator="\n")
        body = {
            "schema": SCHEMA,
            "experiment": self.experiment,
            "arm": self.arm,
            "seed": self.seed,
            "config": self.config,
            "metrics": self.metrics,
            "provenance": self.provenance,
            "curve_sha256": hashlib.sha256(text.encode()).hexdigest(),
        }
        write_atomic(path.with_suffix(".csv"), text)
        write_atomic(path, json.dumps(body, indent=1, allow_nan=False) + "\n")
        return path

    @classmethod
    def load(cls, path: Path | str) -> RunRecord:
        """Read and validate a record; RecordError says what is wrong with it."""
        import pandas as pd

        path = Path(path)
        try:
            body = json.loads(path.read_text())
            text = path.with_suffix(".csv").read_text()
        except (OSError, ValueError) as error:
            raise RecordError(f"{path}: not a readable record ({error}); run it again") from error
        if not isinstance(body, dict) or body.get("schema") != SCHEMA:
            got = body.get("schema") if isinstance(body, dict) else None
            raise RecordError(
                f"{path}: schema {got!r}, this library reads schema {SCHEMA}; "
                f"delete the record and run it again"
            )
        if hashlib.sha256(text.encode()).hexdigest() != body.get("curve_sha256"):
            raise RecordError(
                f"{path}: its curve file is not the one written with it; run it again"
            )
        try:
            record = cls(
                body["experiment"], body["arm"], body["seed"], body["config"],
                body["metrics"], body["provenance"], pd.read_csv(io.StringIO(text)),
            )  # fmt: skip
        except KeyError as error:
            raise RecordError(f"{path}: lacks {error}; run it again") from error
        record._check()
        if path != record_path(record.experiment, record.arm, record.seed, path.parent.parent):
            raise RecordError(
                f"{path}: holds {record.experiment}/{record.arm} seed {record.seed}; "
                f"a record's name must say what it holds"
            )
        return record

    def _check(self) -> None:
        where = f"record {self.experiment}/{self.arm}"
        if type(self.seed) is not int or self.seed < 0:
            raise RecordError(f"{where}: seed wants an integer >= 0, got {self.seed!r}")
        for name in ("config", "metrics", "provenance"):
            if not isinstance(getattr(self, name), dict):
                raise RecordError(f"{where}: {name} wants a table of names and values")
        missing = [c for c in CURVE if c not in self.curve]
        if missing:
            raise RecordError(f"{where}: its curve lacks the columns {', '.join(missing)}")
        for name, value in self.metrics.items():
            number = isinstance(value, (int, float))
            if name.endswith("error") and not (number and 0 <= value <= 1):
                raise RecordError(f"{where}: {name} wants a fraction in [0, 1], got {value!r}")


def record_path(experiment: str, arm: str, seed: int, root: Path | str = RUNS) -> Path:
    """The JSON file of a run."""
    return Path(root) / experiment / f"{arm}-seed{seed}.json"


def load_runs(experiment: str, root: Path | str = RUNS) -> list[RunRecord]:
    """Every record of an experiment, by arm and seed; an empty list if there are none."""
    found = [RunRecord.load(p) for p in (Path(root) / experiment).glob("*-seed*.json")]
    return sorted(found, key=lambda r: (r.arm, r.seed))


def git_state() -> dict[str, Any]:
    """The commit, and whether the files differed from it.

    New files count, for a module that git does not know can change a result; what git ignores and
    the records under runs/ do not. An installed copy has no commit, wherever it lies.
    """
    if REPOSITORY is None:
        return {"commit": None, "dirty": None}
    try:
        commit = _git("rev-parse", "HEAD")
        dirty = bool(_git("status", "--porcelain", "--", ".", ":!runs"))
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}
    return {"commit": commit, "dirty": dirty}


def provenance(device: str, threads: int) -> dict[str, Any]:
    """Where a run starts from: code, time, machine, versions, command."""
    names = ("torch", "torchvision", "numpy")
    versions = {n: importlib.metadata.version(n) for n in names if _installed(n)}
    return {
        "git": git_state(),
        "start_utc": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "device": device,
        "accelerator": _accelerator(device),
        "cpu": _cpu_name(),
        "threads": threads,
        "versions": {"python": platform.python_version(), **versions},
        "command": " ".join(["alexnet-repro", *sys.argv[1:]]),
    }


def _accelerator(device: str) -> str | None:
    """The name of a CUDA device."""
    if not device.startswith("cuda"):
        return None
    import torch

    return torch.cuda.get_device_name(device)


def code_digest() -> str:
    """The first half of a sha256 over the package's own files: changes with any line of them."""
    digest = hashlib.sha256()
    for path in sorted(p for p in PACKAGE.iterdir() if p.is_file()):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:32]


def peak_memory_bytes() -> int:
    """Largest resident size of this process so far."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(PACKAGE.parent), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def write_atomic(path: Path, text: str) -> None:
    """Write by renaming: whoever reads meanwhile, or after a kill, has the old file or the new."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text)
    os.replace(temporary, path)
