"""Experiments as rows, and the one bridge from them to runs: `run_or_load`.

No torch is imported here until something is trained.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alexnet_repro import paths
from alexnet_repro.config import RunConfig
from alexnet_repro.errors import InputError, nearest
from alexnet_repro.study import experiment_file, records
from alexnet_repro.study.experiment_file import check_seeds
from alexnet_repro.study.records import RecordError, RunRecord

log = logging.getLogger(__name__)
FILE = Path(__file__).with_name("experiments.toml")
SCRATCH = paths.SCRATCH
MODES = ("load", "train", "smoke")


@dataclass(frozen=True)
class Experiment:
    """One table of experiments.toml, or the sweep of one."""

    name: str
    page: str
    purpose: str
    cost: str
    seeds: tuple[int, ...]
    preset: dict[str, Any]
    arms: dict[str, dict[str, Any]]
    smoke: dict[str, Any] = field(default_factory=dict)
    sweep: dict[str, Any] | None = None

    def config(
        self, arm: str, root: Path | str = records.RUNS, *, smoke: bool = False
    ) -> RunConfig:
        """The resolved configuration of an arm. With a sweep, its rate comes from the records."""
        self.check_arm(arm)
        config = RunConfig.from_dict({**self.preset, **self.arms[arm]})
        if self.sweep and not smoke:
            config = config.replace(lr=chosen_rate(self, arm, root))
        elif self.sweep:
            config = config.replace(lr=sorted(self.sweep["lr"][arm])[1])
        return config.replace(data="embedded", **self.smoke) if smoke else config

    def check_arm(self, arm: str) -> None:
        """ValueError listing the arms if there is none of that name."""
        if arm not in self.arms:
            raise InputError(f"{self.name} has no arm {arm!r}; arms: {', '.join(self.arms)}")

    def sweep_experiment(self) -> Experiment:
        """The sweep as an experiment of its own: one arm for each rate of each arm."""
        if not self.sweep:
            raise InputError(f"{self.name} has no sweep")
        arms = {
            f"{arm}-lr{rate:g}": {**self.arms[arm], "lr": rate}
            for arm, rates in self.sweep["lr"].items()
            for rate in rates
        }
        preset = {**self.preset, "epochs": self.sweep["epochs"], "stop_at_train_error": 0.0}
        purpose = f"Chooses the learning rates of {self.name}"
        seeds = (self.sweep["seed"],)
        return Experiment(
            f"{self.name}-sweep", self.page, purpose, self.cost, seeds, preset, arms, self.smoke
        )


def load_experiments(file: Path | str = FILE) -> dict[str, Experiment]:
    """Every experiment by name, sweeps before what they choose for.

    Raises InputError naming the file, the table and the key of the first mistake.
    """
    found: dict[str, Experiment] = {}
    for name, table in experiment_file.read(file).items():
        experiment = Experiment(name=name, **{**table, "seeds": tuple(table["seeds"])})
        if experiment.sweep:
            sweep = experiment.sweep_experiment()
            found[sweep.name] = sweep
        found[name] = experiment
    return found


def get(name: str) -> Experiment:
    """The experiment of that name; ValueError with the nearest name if there is none."""
    found = load_experiments()
    if name not in found:
        raise InputError(f"no experiment {name!r}; {nearest(name, found)}")
    return found[name]


def chosen_rate(experiment: Experiment, arm: str, root: Path | str = records.RUNS) -> float:
    """The sweep's rule: lowest final training error, the smaller rate on a tie, none that diverged.

    Raises RecordError with the command when the sweep has not been run.
    """
    sweep = experiment.sweep_experiment()
    best: tuple[float, float] | None = None
    assert experiment.sweep is not None
    for rate in experiment.sweep["lr"][arm]:
        run = load_run(sweep, f"{arm}-lr{rate:g}", sweep.seeds[0], root)
        if not run.metrics["diverged"]:
            candidate = (run.metrics["train_top1_error"], rate)
            best = min(best, candidate) if best else candidate
    if best is None:
        raise RecordError(f"{sweep.name}: every rate of arm {arm!r} diverged; widen the grid")
    return best[1]


def load_run(
    experiment: Experiment, arm: str, seed: int, root: Path | str = records.RUNS
) -> RunRecord:
    """The record of one run; RecordError naming the command when it is missing or stale."""
    experiment.check_arm(arm)
    path = records.record_path(experiment.name, arm, seed, root)
    command = f"alexnet-repro run {experiment.name} --arm {arm} --seed {seed}"
    if Path(root) != records.RUNS:
        command += f" --out {root}"
    if not path.exists():
        raise RecordError(f"no record {path}; make it with `{command}`")
    record = RunRecord.load(path)
    want = experiment.config(arm, root).decides()
    try:
        have = RunConfig.from_dict(record.config).decides()
    except InputError as error:
        raise RecordError(f"stale record {path}: {error}; delete it and `{command}`") from error
    if differ := [f"{k} is {have[k]!r}, now {want[k]!r}" for k in want if have[k] != want[k]]:
        raise RecordError(f"stale record {path}: {'; '.join(differ)}; delete it and `{command}`")
    return record


def run_or_load(
    name: str,
    mode: str = "load",
    *,
    seeds: Iterable[int] | None = None,
    arms: Iterable[str] | None = None,
    epochs: int | None = None,
    device: str | None = None,
    data_root: Path | str | None = None,
    out_dir: Path | str | None = None,
    quiet: bool = False,
) -> list[RunRecord]:
    """The runs of an experiment, in order of arm and seed.

    mode "load" reads committed records and never trains; "train" computes what is not already in
    out_dir, and refuses what lies there from other code; "smoke" trains for seconds on the embedded
    data set (seed 0), which earns no verdict. epochs: another length than the experiment's (not
    with "load"). device: another torch device than the experiment's. out_dir: default .scratch/,
    never runs/; the rates that a sweep chose come from runs/ all the same. Raises ValueError for an
    unknown name, mode, arm or seed, RecordError as load_run.
    """
    if mode not in MODES:
        raise InputError(f"mode wants one of {', '.join(MODES)}, got {mode!r}")
    experiment = get(name)
    chosen = check_seeds(experiment.seeds if seeds is None else seeds)
    if seeds is None and mode == "smoke":
        chosen = (0,)
    names = list(experiment.arms) if arms is None else list(arms)
    for arm in names:
        experiment.check_arm(arm)
    pairs = [(arm, seed) for arm in names for seed in chosen]
    if mode == "load":
        if epochs is not None:
            raise InputError("epochs cannot be set in load mode; the records have their own")
        return [load_run(experiment, arm, seed) for arm, seed in pairs]
    folder = Path(out_dir or SCRATCH) / mode
    if mode == "smoke":  # smoke runs show that this very code works: none is kept across a change
        folder = folder / records.code_digest()[:12]
    found = []
    for arm, seed in pairs:
        config = experiment.config(arm, smoke=mode == "smoke")
        given = {"device": device, "epochs": epochs}
        config = config.replace(**{k: v for k, v in given.items() if v is not None})
        found.append(
            compute(experiment, arm, seed, config, folder, data_root, quiet, this_code=True)
        )
    return found


def compute(
    experiment: Experiment,
    arm: str,
    seed: int,
    config: RunConfig,
    root: Path | str,
    data_root: Path | str | None = None,
    quiet: bool = False,
    *,
    this_code: bool = False,
) -> RunRecord:
    """Train one run and save its record under root, or return the same run's record from there.

    A record of other code is returned with a line of log; with this_code it is refused. Nothing is
    overwritten: RecordError for a record of another configuration, too.
    """
    path = records.record_path(experiment.name, arm, seed, root)
    if path.exists():
        old = RunRecord.load(path)
        if RunConfig.from_dict(old.config).decides() != config.decides():
            raise RecordError(f"{path} holds another configuration; delete it to run this one")
        if old.provenance.get("code_sha256") != records.code_digest():
            commit = (old.provenance["git"]["commit"] or "no known commit")[:9]
            text = f"{path} was trained under other code ({commit})"
            if this_code:
                raise RecordError(f"{text}; delete it to train again, or check that code out")
            log.warning("%s; it stays as it is", text)
        return old
    import pandas as pd

    from alexnet_repro.training.loop import train

    checkpoint = Path(root) / ".checkpoints" / f"{experiment.name}-{arm}-seed{seed}.pt"
    result = train(config, seed, checkpoint=checkpoint, data_root=data_root, quiet=quiet)
    record = RunRecord(
        experiment.name, arm, seed, config.to_dict(), result.metrics, result.provenance,
        pd.DataFrame(result.curve),
    )  # fmt: skip
    record.save(root)
    checkpoint.unlink(missing_ok=True)
    return record
