"""A run as a row: one JSON file (what, result, provenance) and one CSV file (the curve). No torch.

<root>/<experiment>/<arm>-seed<k>.json and .csv. Errors are fractions in [0, 1]. A record carries
the sums of its curve and of all that it says, so that an edited one is known.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alexnet_repro import whole
from alexnet_repro.origin import (
    code_digest,
    files_digest,
    git_state,
    peak_memory_bytes,
    provenance,
)
from alexnet_repro.paths import PACKAGE, RUNS
from alexnet_repro.study import record_checks
from alexnet_repro.study.record_checks import CURVE, RecordError, content_sum

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "CURVE", "PACKAGE", "RUNS", "SCHEMA", "RecordError", "RunRecord", "code_digest", "content_sum",
    "git_state", "load_runs", "peak_memory_bytes", "provenance", "record_path",
]  # fmt: skip
SCHEMA = 2
LARGEST = 1 << 22  # bytes of a file; a run of 90 epochs has 30,000
KEYS = (
    "schema", "experiment", "arm", "seed", "config", "metrics", "provenance", "curve_sha256",
    "record_sha256",
)  # fmt: skip


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
        try:
            self._check()
        except RecordError as error:
            raise RecordError(f"record {self.experiment}/{self.arm}: {error}") from error
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
        body["record_sha256"] = content_sum(body)
        whole.write_text(path.with_suffix(".csv"), text)
        whole.write_text(path, json.dumps(body, indent=1) + "\n")
        return path

    @classmethod
    def load(cls, path: Path | str) -> RunRecord:
        """Read and validate a record; RecordError says what is wrong with it."""
        import pandas as pd

        path = Path(path)
        try:
            body = record_checks.read_json(_read(path))
            text = _read(path.with_suffix(".csv"))
            content = content_sum(body)
        except (OSError, ValueError) as error:
            raise RecordError(f"{path}: not a readable record ({error}); run it again") from error
        _check_sums(path, body, content, text)
        try:
            record = cls(
                body["experiment"], body["arm"], body["seed"], body["config"],
                body["metrics"], body["provenance"], pd.read_csv(io.StringIO(text)),
            )  # fmt: skip
            record._check()
        except ValueError as error:  # RecordError, or one of pandas
            text = f"stale record {path}: {error}; delete it and run it again"
            raise RecordError(text) from error
        if path != record_path(record.experiment, record.arm, record.seed, path.parent.parent):
            raise RecordError(
                f"{path}: holds {record.experiment}/{record.arm} seed {record.seed}; "
                f"a record's name must say what it holds"
            )
        return record

    def _check(self) -> None:
        record_checks.check_name(self.experiment, self.arm, self.seed)
        record_checks.check_config(self.config)
        record_checks.check_metrics(self.metrics)
        record_checks.check_provenance(self.provenance)
        record_checks.check_curve(self.curve, self.metrics["diverged"])


def _check_sums(path: Path, body: dict[str, Any], content: str, text: str) -> None:
    """RecordError for another schema, other keys, or content that is not what was written."""
    if body.get("schema") != SCHEMA:
        raise RecordError(
            f"{path}: schema {body.get('schema')!r}, this library reads schema {SCHEMA}; "
            f"delete the record and run it again"
        )
    if set(body) != set(KEYS):
        lacks = ", ".join(k for k in KEYS if k not in body) or "nothing"
        more = ", ".join(k for k in body if k not in KEYS) or "nothing"
        raise RecordError(f"{path}: lacks {lacks}, has {more} too much; run it again")
    if content != body["record_sha256"]:
        raise RecordError(
            f"{path}: damaged, its content is not what its record_sha256 was taken of; "
            f"bring back the file as it was, or delete it and run it again"
        )
    if hashlib.sha256(text.encode()).hexdigest() != body["curve_sha256"]:
        raise RecordError(f"{path}: its curve file is not the one written with it; run it again")


def record_path(experiment: str, arm: str, seed: int, root: Path | str = RUNS) -> Path:
    """The JSON file of a run."""
    return Path(root) / experiment / f"{arm}-seed{seed}.json"


def load_runs(experiment: str, root: Path | str = RUNS) -> list[RunRecord]:
    """Every record of an experiment, by arm and seed; an empty list if there are none."""
    found = [RunRecord.load(p) for p in (Path(root) / experiment).glob("*-seed*.json")]
    return sorted(found, key=lambda r: (r.arm, r.seed))


def digest(root: Path | str | None = None) -> str:
    """sha256 over all that a page's numbers can depend on: the library, records and curves."""
    root = Path(root or RUNS)
    found = [p for p in root.rglob("*") if p.suffix in (".json", ".csv")]
    return hashlib.sha256((code_digest() + files_digest(root, found)).encode()).hexdigest()


def _read(path: Path) -> str:
    if (size := path.stat().st_size) > LARGEST:
        raise ValueError(f"{path.name} has {size:,} bytes, a record at most {LARGEST:,}")
    return path.read_text(encoding="utf-8")
