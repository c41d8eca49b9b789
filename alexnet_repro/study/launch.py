"""Many runs side by side, one process each. No torch in the parent."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tqdm import tqdm

from alexnet_repro.errors import InputError
from alexnet_repro.study import experiments, records
from alexnet_repro.study.children import Children

Job = tuple[str, str, int]  # experiment, arm, seed


def jobs(
    names: Iterable[str],
    arms: Iterable[str] | None = None,
    seeds: Iterable[int] | None = None,
    root: Path | str = records.RUNS,
) -> list[Job]:
    """Every run of the named experiments, all arms of a seed before the next seed.

    root: where the sweep of an experiment that has one must lie. Raises InputError for an unknown
    name, arm or seed, RecordError for a sweep that has not been run.
    """
    found, wanted = [], list(dict.fromkeys(arms or ()))
    for name in dict.fromkeys(names):
        experiment = experiments.get(name)
        chosen = wanted or list(experiment.arms)
        for arm in chosen:
            experiment.config(arm, root)
        for seed in experiments.check_seeds(experiment.seeds if seeds is None else seeds):
            found += [(name, arm, seed) for arm in chosen]
    return found


def command(job: Job, out: Path | str, device: str | None, step: str | None) -> list[str]:
    """What runs one job, in a process that ends with the one that starts it."""
    name, arm, seed = job
    line = [sys.executable, "-m", "alexnet_repro.study.children", "alexnet_repro"]
    line += ["run", name, "--arm", arm, "--seed", str(seed), "--here", "--out", str(out)]
    line += ["--device", device] if device else []
    return line + (["--step", step] if step else [])


def run(
    work: list[Job],
    *,
    workers: int,
    out: Path | str = records.RUNS,
    device: str | None = None,
    step: str | None = None,
) -> list[tuple[Job, str]]:
    """Run jobs in `workers` processes of one thread each; return the failed ones with the reason.

    A job whose record is there is done at once. What a job says on stderr is passed on line by
    line, after its name. The others go on after a failure; when this process is interrupted or
    ended, its children are ended and their checkpoints stay.
    """
    if workers < 1:
        raise InputError(f"workers wants at least 1, got {workers}")
    failed = []
    bar = tqdm(total=len(work), unit="run", desc=f"{workers} at a time")
    with bar, ThreadPoolExecutor(workers) as pool, Children() as children:

        def one(job: Job) -> str:
            """The reason why a job failed, or nothing."""
            name, arm, seed = job
            said = "it said nothing"
            try:
                child = children.start(command(job, out, device, step), stderr=subprocess.PIPE)
            except OSError as error:
                return f"not started: {error}"
            if child is None:
                return "not started"
            assert child.stderr is not None
            for line in filter(None, map(str.rstrip, child.stderr)):
                said = line.strip()
                bar.write(f"{name} {arm} seed {seed}: {line}", file=sys.stderr)
            status = children.wait(child)
            return f"{said} ({ending(status)})" if status else ""

        waiting = {pool.submit(one, job): job for job in work}
        for done in as_completed(waiting):
            if reason := done.result():
                failed.append((waiting[done], reason))
            bar.update()
    return failed


def ending(status: int) -> str:
    """How a process ended that did not end well."""
    return f"signal {-status}" if status < 0 else f"exit {status}"
