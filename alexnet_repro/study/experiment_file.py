"""experiments.toml as checked tables: what a row of the study must have before it means anything.

No torch.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from alexnet_repro import spec
from alexnet_repro.config import RunConfig
from alexnet_repro.errors import InputError

NEEDED = {"page", "purpose", "cost", "seeds", "preset", "arms"}
SWEEP = {"seed", "epochs", "lr"}
NAME = re.compile(r"[A-Za-z0-9][\w.-]*")  # it becomes the name of a folder or a file


def read(file: Path | str) -> dict[str, dict[str, Any]]:
    """The tables of the file by name; InputError names the file, the table and the key."""
    try:
        tables = tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read ({error})") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{file}: not TOML ({error})") from error
    for name, table in tables.items():
        where = f"{file}: experiment {name!r}"
        _want(NAME.fullmatch(name), where, "a name of letters, digits, dots and dashes", name)
        _want(not name.endswith("-sweep"), where, "another name: a sweep gets that one", name)
        _check_table(table, where)
    return tables


def check_seeds(seeds: Iterable[Any]) -> tuple[int, ...]:
    """Seeds as a tuple; InputError unless they are distinct integers >= 0."""
    if isinstance(seeds, (str, dict)) or not isinstance(seeds, Iterable):
        raise InputError(f"seeds wants a list of integers such as [0, 1, 2], got {seeds!r}")
    checked = tuple(seeds)
    for seed in checked:
        if type(seed) is not int or seed < 0:
            raise InputError(f"a seed is an integer >= 0, got {seed!r} in {list(checked)!r}")
    if not checked or len(set(checked)) < len(checked):
        raise InputError(f"seeds wants at least one seed and none twice, got {list(checked)!r}")
    return checked


def _want(good: object, where: str, wanted: str, got: object) -> None:
    if not good:
        raise InputError(f"{where}: wants {wanted}, got {got!r}")


def _check_keys(table: Any, where: str, needed: set[str], other: Iterable[str] = ()) -> None:
    _want(isinstance(table, dict), where, "a table", table)
    unknown = sorted(set(table) - needed - set(other))
    missing = sorted(needed - set(table))
    if unknown or missing:
        raise InputError(f"{where}: unknown keys {unknown}, missing keys {missing}")


def _check_table(table: Any, where: str) -> None:
    _check_keys(table, where, NEEDED, ("smoke", "sweep"))
    for key in ("page", "purpose", "cost"):
        text = isinstance(table[key], str) and table[key].strip()
        _want(text, f"{where}, {key}", "a text", table[key])
    for key in ("preset", "arms", "smoke"):
        _want(isinstance(table.get(key, {}), dict), f"{where}, {key}", "a table", table.get(key))
    try:
        check_seeds(table["seeds"])
    except InputError as error:
        raise InputError(f"{where}, seeds: {error}") from error
    _want(table["arms"], f"{where}, arms", "at least one arm", table["arms"])
    smoke = table.get("smoke", {})
    _want("data" not in smoke, f"{where}, smoke", "the embedded data set, no other", smoke)
    for arm, changes in table["arms"].items():
        here = f"{where}, arm {arm!r}"
        _want(NAME.fullmatch(arm), here, "a name of letters, digits, dots and dashes", arm)
        _want(isinstance(changes, dict), here, "a table of the keys that it changes", changes)
        try:
            config = RunConfig.from_dict({**table["preset"], **changes})
            spec.get(config.net)
            here = f"{here}, smoke"
            config.replace(data="embedded", **smoke)
        except InputError as error:
            raise InputError(f"{here}: {error}") from error
    if "sweep" in table:
        _check_sweep(table["sweep"], table, f"{where}, sweep")


def _check_sweep(sweep: Any, table: dict[str, Any], where: str) -> None:
    _check_keys(sweep, where, SWEEP)
    seed, epochs, grids = sweep["seed"], sweep["epochs"], sweep["lr"]
    apart = type(seed) is int and seed >= 0 and seed not in table["seeds"]
    _want(apart, f"{where}.seed", "an integer >= 0 that is none of the seeds that count", seed)
    _want(type(epochs) is int and epochs >= 1, f"{where}.epochs", "an integer >= 1", epochs)
    each = isinstance(grids, dict) and set(grids) == set(table["arms"])
    _want(each, f"{where}.lr", f"a grid for each arm ({', '.join(table['arms'])})", grids)
    for arm, grid in grids.items():
        rates = grid if isinstance(grid, list) else []
        numbers = all(type(r) in (int, float) and 0 < r < math.inf for r in rates)
        several = numbers and len({f"{r:g}" for r in rates}) == len(rates) >= 2
        wanted = "a list of at least two different rates above 0"
        _want(several, f"{where}.lr.{arm}", wanted, grid)
