"""§5 The state of an unfinished run: written whole after each epoch, read back only by that run.

A file ends in the sum of all that stands before. One that is damaged is set aside and the run
starts again from its beginning.
"""

from __future__ import annotations

import copy
import hashlib
import logging
from pathlib import Path
from typing import Any

import torch

from alexnet_repro.errors import InputError
from alexnet_repro.whole import replacing

log = logging.getLogger(__name__)
MARK = b"\nsha256 "  # and 64 hexadecimal digits; torch.load does not mind what follows its own
TAIL = len(MARK) + 64


class _Damaged(Exception):
    """Why a file is no checkpoint."""


def save(
    path: Path,
    identity: dict[str, Any],
    epoch: int,
    parts: dict[str, Any],
    curve: list[dict[str, Any]],
    metrics: dict[str, Any],
) -> None:
    """Write after `epoch` epochs. parts: things with state_dict(). identity: what run this is.

    identity["code"] is the digest of the code; parts["history"] tells the commit.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {"identity": identity, "epoch": epoch, "curve": curve, "metrics": metrics}
    state |= {name: part.state_dict() for name, part in parts.items()}
    with replacing(path) as temporary:
        torch.save(state, temporary)
        content = _sum(temporary, temporary.stat().st_size)
        with temporary.open("ab") as file:
            file.write(MARK + content.encode())


def resume(
    path: Path | None, identity: dict[str, Any], parts: dict[str, Any]
) -> tuple[int, dict[str, Any]]:
    """Load parts from a checkpoint of this very run; return the epochs done and what else it holds.

    (0, {}) where there is none, and where it is damaged: it is renamed to .damaged then, with one
    line of log. Raises ValueError, and leaves all as it is, for the checkpoint of another run or of
    other code.
    """
    if path is None or not path.exists():
        return 0, {}
    try:
        state = _read(path, parts)
        _want_same(path, state, identity)
        _load(parts, state)
    except _Damaged as why:
        aside = path.with_name(f"{path.name}.damaged")
        path.replace(aside)
        log.warning("%s: damaged (%s), now %s; the run starts anew", path, why, aside.name)
        return 0, {}
    return state["epoch"], {"curve": state["curve"], "metrics": state["metrics"]}


def _sum(path: Path, size: int) -> str:
    """sha256 of the first size bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while size > 0 and (some := file.read(min(size, 1 << 20))):
            digest.update(some)
            size -= len(some)
    return digest.hexdigest()


def _read(path: Path, parts: dict[str, Any]) -> dict[str, Any]:
    """The state, its sum, keys and types checked. No pickle is run."""
    size = path.stat().st_size
    if size <= TAIL:
        raise _Damaged(f"{size} bytes")
    with path.open("rb") as file:
        file.seek(size - TAIL)
        tail = file.read()
    if tail != MARK + _sum(path, size - TAIL).encode():
        raise _Damaged("its sum is not that of its content")
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
    except OSError:
        raise
    except Exception as error:  # whatever the reader of a file from elsewhere stumbles over
        raise _Damaged(f"unreadable, {type(error).__name__}") from error
    wanted = {"identity": dict, "epoch": int, "curve": list, "metrics": dict}
    wanted |= {name: dict for name in parts}
    for name, kind in wanted.items():
        if not isinstance(state, dict) or not isinstance(state.get(name), kind):
            raise _Damaged(f"no {name}")
    return state


def _want_same(path: Path, state: dict[str, Any], identity: dict[str, Any]) -> None:
    """ValueError for another run, or for other code than that under which this one started."""
    known = state["identity"]
    if {**known, "code": None} != {**identity, "code": None}:
        raise InputError(
            f"{path} is the checkpoint of another configuration; delete it to start anew"
        )
    if known.get("code") != identity["code"]:
        git = state.get("history", {}).get("origin", {}).get("git", {})
        commit = git.get("commit") or "no known commit"
        commit += ", with changes that it does not hold" if git.get("dirty") else ""
        raise InputError(
            f"{path} was trained under other code ({commit}); delete it to start anew, or check "
            f"that code out to go on"
        )


def _load(parts: dict[str, Any], state: dict[str, Any]) -> None:
    """Load every part, or none."""
    before = {name: copy.deepcopy(part.state_dict()) for name, part in parts.items()}
    try:
        for name, part in parts.items():
            part.load_state_dict(state[name])
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        for name, part in parts.items():
            part.load_state_dict(before[name])
        raise _Damaged(f"{type(error).__name__} in {name}") from error
