"""What was fixed before what: each counted run against its plan and its sweep. No torch.

Reads the commits of the repository and the records. The plan of a run is what experiments.toml says
of its arm: preset, changes, the grid of rates. Its commit is the first since which that has stood
as it stands today.
"""

from __future__ import annotations

import datetime
import subprocess
import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alexnet_repro.errors import MissingError
from alexnet_repro.study import experiments, records
from alexnet_repro.study.experiments import Experiment
from alexnet_repro.study.records import RunRecord

if TYPE_CHECKING:
    import pandas as pd

ROOT = records.PACKAGE.parent


def table(root: Path | str = records.RUNS) -> pd.DataFrame:
    """One row a counted record, with what ought to have come before it and whether it did.

    Columns: experiment, arm, seed, start, plan (its commit), planned (that commit's time), swept
    (when the last run of the arm's sweep had ended, None without one), fault: what came too late,
    empty where all is in order. MissingError without the whole history of the repository.
    """
    import pandas as pd

    rows = []
    for experiment in experiments.load_experiments().values():
        if experiment.name.endswith("-sweep"):  # what chooses is held against nothing
            continue
        for record in records.load_runs(experiment.name, root):
            rows.append(_row(experiment, record, root))
    columns = "experiment arm seed start plan planned swept fault".split()
    return pd.DataFrame(rows, columns=columns)


def _row(experiment: Experiment, record: RunRecord, root: Path | str) -> tuple[Any, ...]:
    start = _start(record)
    plan, planned = plan_commit(experiment.name, record.arm)
    ends = [_end(run) for run in _sweep_of(experiment, record.arm, root)]
    swept = max(ends, default=None)
    faults = []
    if planned > start:
        faults.append("started before its plan was committed")
    late = not_ended(experiment, record, root)
    if late:
        faults.append(f"started before {len(late)} of {len(ends)} runs of its sweep had ended")
    if record.seed not in _seeds_at(record.provenance["git"]["commit"], experiment.name):
        faults.append("its seed is not in the plan of the commit that it ran from")
    row = (experiment.name, record.arm, record.seed, start, plan, planned, swept)
    return (*row, "; ".join(faults))


def not_ended(
    experiment: Experiment, record: RunRecord, root: Path | str = records.RUNS
) -> list[RunRecord]:
    """The runs of its arm's sweep that had not ended when a run began, by their own beginning.

    From the records alone, without the repository's history.
    """
    began = _start(record)
    sweep = _sweep_of(experiment, record.arm, root)
    return sorted((run for run in sweep if _end(run) > began), key=_start)


def _sweep_of(experiment: Experiment, arm: str, root: Path | str) -> Sequence[RunRecord]:
    """The runs that chose the arm's rate."""
    if not experiment.sweep:
        return []
    sweep = experiment.sweep_experiment()
    names = [f"{arm}-lr{rate:g}" for rate in experiment.sweep["lr"][arm]]
    return [experiments.load_run(sweep, name, sweep.seeds[0], root) for name in names]


def _start(run: RunRecord) -> datetime.datetime:
    return datetime.datetime.fromisoformat(run.provenance["start_utc"])


def _end(run: RunRecord) -> datetime.datetime:
    return _start(run) + datetime.timedelta(seconds=run.provenance["wall_seconds"])


def plan_commit(name: str, arm: str) -> tuple[str, datetime.datetime]:
    """The commit since which the plan of an arm has stood as it does today, and its time.

    MissingError where the repository's history is not at hand, or does not hold the plan.
    """
    found = None
    today = _plan(tomllib.loads(experiments.FILE.read_text()), name, arm)
    for commit, time, text in _versions():  # newest first
        if _plan(tomllib.loads(text), name, arm) != today:
            break
        found = commit, datetime.datetime.fromisoformat(time)
    if found is None:
        raise MissingError(f"no commit holds the plan of {name}, arm {arm}, as it is; commit it")
    return found


def _plan(tables: dict[str, Any], name: str, arm: str) -> Any:
    """What decides the runs of an arm: its keys, and the grid and the runs that choose its rate."""
    table = tables.get(name)
    if table is None or arm not in table["arms"]:
        return None
    sweep = dict(table.get("sweep", {}))
    if sweep:
        sweep["lr"] = sweep["lr"].get(arm)
    return {**table["preset"], **table["arms"][arm]}, sweep


@cache
def _versions() -> list[tuple[str, str, str]]:
    """Commit, time and text of every version of experiments.toml, newest first."""
    if _git("rev-parse", "--is-shallow-repository") != "false":
        raise MissingError("the history is cut short; get it with `git fetch --unshallow`")
    path = experiments.FILE.relative_to(ROOT)
    log = _git("log", "--follow", "--format=%H %cI", "--name-only", "--", str(path))
    lines = [line for line in log.splitlines() if line]
    found = []
    for head, name in zip(lines[::2], lines[1::2], strict=True):
        commit, time = head.split()
        found.append((commit, time, _git("show", f"{commit}:{name}")))
    return found


@cache
def _seeds_at(commit: str, name: str) -> tuple[int, ...]:
    """The seeds that the plan had at a commit; none where the commit or the plan is not there."""
    path = experiments.FILE.relative_to(ROOT)
    paths = dict.fromkeys([str(path), f"{records.PACKAGE.name}/{path.name}"])  # before and after
    for candidate in paths:
        try:
            tables = tomllib.loads(_git("show", f"{commit}:{candidate}"))
        except MissingError:
            continue
        return tuple(tables.get(name, {}).get("seeds", ()))
    return ()


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise MissingError(
            f"git {arguments[0]} says nothing here ({error}); use a clone"
        ) from error
