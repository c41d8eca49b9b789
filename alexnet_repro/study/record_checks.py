"""What the parts of a record must be: types, bounds, finite numbers. No torch."""

from __future__ import annotations

import datetime
import hashlib
import json
import math
import re
from typing import TYPE_CHECKING, Any

from alexnet_repro.config import RunConfig
from alexnet_repro.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

CURVE = ["step", "epoch", "split", "loss", "top1_error", "top5_error", "lr"]
METRICS = ("diverged", "epochs", "train_images", "test_images", "train_top1_error", "top1_error")
COUNTS = ("epochs", "train_images", "test_images")


class RecordError(InputError):
    """A record that is missing, damaged, of another schema or stale; the text says what to do."""


def content_sum(body: dict[str, Any]) -> str:
    """sha256 of a JSON object but for its own record_sha256, in one canonical way of writing it.

    Raises ValueError for numbers that JSON does not have, and for what is nested too deep.
    """
    rest = {k: v for k, v in body.items() if k != "record_sha256"}
    try:
        text = json.dumps(rest, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except RecursionError:
        raise ValueError("nested too deep") from None
    return hashlib.sha256(text.encode()).hexdigest()


def read_json(text: str) -> dict[str, Any]:
    """A JSON object; ValueError for anything else, for NaN, for huge integers and double names."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError("a name is given twice")
        return dict(pairs)

    def constant(name: str) -> None:
        raise ValueError(f"{name} is no number")

    def integer(digits: str) -> int:
        if len(digits) > 18:
            raise ValueError(f"an integer of {len(digits)} digits")
        return int(digits)

    try:
        body = json.loads(text, object_pairs_hook=once, parse_constant=constant, parse_int=integer)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(body, dict):
        raise ValueError(f"a list or value, not an object: {text[:20]!r}")
    return body


def check_name(experiment: Any, arm: Any, seed: Any) -> None:
    """RecordError unless these are two plain words and an integer >= 0."""
    for what, word in (("experiment", experiment), ("arm", arm)):
        if not isinstance(word, str) or not re.fullmatch(r"[A-Za-z0-9][\w.+-]*", word):
            raise RecordError(f"{what} wants a plain word, got {word!r}")
    if type(seed) is not int or seed < 0:
        raise RecordError(f"seed wants an integer >= 0, got {seed!r}")


def check_config(config: Any) -> None:
    """RecordError for keys or values that this library's configurations do not have."""
    _want_table("config", config)
    try:
        RunConfig.from_dict(config)
    except InputError as error:
        raise RecordError(str(error)) from error


def check_metrics(metrics: Any) -> None:
    """RecordError unless all are numbers in their bounds; a loss may be null where it diverged."""
    _want_table("metrics", metrics)
    for name in METRICS:
        if name not in metrics:
            raise RecordError(f"metrics lack {name!r}")
    if type(metrics["diverged"]) is not bool:
        raise RecordError(f"diverged wants true or false, got {metrics['diverged']!r}")
    for name, value in metrics.items():
        if name == "diverged" or (name.endswith("loss") and value is None and metrics["diverged"]):
            continue
        number = type(value) in (int, float) and math.isfinite(value)
        if name in COUNTS and not (type(value) is int and value >= 0):
            raise RecordError(f"{name} wants an integer >= 0, got {value!r}")
        if name.endswith("error") and not (number and 0 <= value <= 1):
            raise RecordError(f"{name} wants a fraction in [0, 1], got {value!r}")
        if not number:
            raise RecordError(f"{name} wants a finite number, got {value!r}")


def check_provenance(provenance: Any) -> None:
    """RecordError unless it tells at least commit, start, versions and the sums of the data."""
    _want_table("provenance", provenance)
    git = provenance.get("git")
    if not isinstance(git, dict) or not {"commit", "dirty"} <= set(git):
        raise RecordError(f"provenance wants git with commit and dirty, got {git!r}")
    commit, dirty = git["commit"], git["dirty"]
    if commit is not None and not (_text(commit) and re.fullmatch("[0-9a-f]{40}", commit)):
        raise RecordError(f"provenance wants a commit of 40 hexadecimal digits, got {commit!r}")
    if dirty is not None and type(dirty) is not bool:
        raise RecordError(f"provenance wants dirty true or false, got {dirty!r}")
    start = provenance.get("start_utc")
    try:
        zone = datetime.datetime.fromisoformat(start).tzinfo
    except (TypeError, ValueError):
        zone = None
    if zone is None:
        raise RecordError(f"provenance wants start_utc, a time with its zone, got {start!r}")
    for name in ("versions", "data_sha256"):
        table = provenance.get(name)
        if not isinstance(table, dict) or not table or not all(map(_text, table.values())):
            raise RecordError(f"provenance wants {name}, names and texts, got {table!r}")


def check_curve(curve: pd.DataFrame, diverged: bool) -> None:
    """RecordError for missing columns, and numbers outside of their bounds."""
    missing = [c for c in CURVE if c not in curve]
    if missing:
        raise RecordError(f"its curve lacks the columns {', '.join(missing)}")
    for name in CURVE:
        kind = curve[name].dtype.kind
        if name == "split":
            good = curve[name].map(_text).all()
        elif name in ("step", "epoch"):
            good = kind in "iu" and (curve[name] >= 0).all()
        elif name.endswith("error"):
            good = kind in "iuf" and curve[name].between(0, 1).all()
        elif name == "loss" and diverged:  # then it may be nan, or a cell that says so
            good = kind in "iuf" or curve[name].isna().all()
        else:
            good = kind in "iuf" and curve[name].between(-math.inf, math.inf, "neither").all()
        if not good:
            raise RecordError(f"the column {name} of its curve holds what cannot be: see the csv")


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _want_table(name: str, value: Any) -> None:
    if not isinstance(value, dict):
        raise RecordError(f"{name} wants a table of names and values, got {value!r:.80}")
