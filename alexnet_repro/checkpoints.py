"""§5 The state of an unfinished run: written whole after each epoch, read back only by that run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from alexnet_repro.errors import InputError


def save(
    path: Path,
    identity: dict[str, Any],
    epoch: int,
    parts: dict[str, Any],
    curve: list[dict[str, Any]],
    metrics: dict[str, Any],
) -> None:
    """Write after `epoch` epochs. parts: things with state_dict(). identity: what run this is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {"identity": identity, "epoch": epoch, "curve": curve, "metrics": metrics}
    state |= {name: part.state_dict() for name, part in parts.items()}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")  # two processes may run it
    torch.save(state, temporary)
    os.replace(temporary, path)


def resume(
    path: Path | None, identity: dict[str, Any], parts: dict[str, Any]
) -> tuple[int, dict[str, Any]]:
    """Load parts from a checkpoint of this very run; return the epochs done and what else it holds.

    (0, {}) where there is none. Raises ValueError for the checkpoint of another run.
    """
    if path is None or not path.exists():
        return 0, {}
    state = torch.load(path, weights_only=True, map_location="cpu")
    if state["identity"] != identity:
        raise InputError(
            f"{path} is the checkpoint of another configuration; delete it to start anew"
        )
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return state["epoch"], {"curve": state["curve"], "metrics": state["metrics"]}
