"""Whether the runs of a claim are the whole evidence that its plan asks for. No torch.

Every seed of the plan and no other, of the committed configuration, finite or diverged, on a data
set that the study names, with its counts and sums, from clean commits. Anything else is told in a
line, and no verdict is given, wherever it is shown and whatever a page was called with.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alexnet_repro import spec
from alexnet_repro.config import RunConfig
from alexnet_repro.data import sets
from alexnet_repro.errors import InputError
from alexnet_repro.study import effects, experiments, records
from alexnet_repro.study.experiments import Experiment
from alexnet_repro.study.records import RecordError, RunRecord

if TYPE_CHECKING:
    from alexnet_repro.study.claims import Claim

_CONDITION = re.compile(r"([\w.-]+): (\S.*?) (>=|<=) (-?[\d.]+)")


@dataclass(frozen=True)
class Condition:
    """What a claim presupposes: the mean of a metric over an arm's seeds, at least or at most."""

    arm: str
    metric: str
    at_least: bool
    value: float

    def met(self, mean: float) -> bool:
        """Whether a mean fulfils it; one that is not a number does not."""
        return mean >= self.value if self.at_least else mean <= self.value


def conditions(text: str) -> list[Condition]:
    """Conditions of a cell such as "no-norm: top1_error - train_top1_error >= 0.15; ...".

    The arms are those of the claim's own experiment. InputError for another text.
    """
    found = []
    for part in filter(None, (p.strip() for p in text.split(";"))):
        match = _CONDITION.fullmatch(part)
        if not match:
            raise InputError(f"wanted 'arm: metric >= value' or <=, got {part!r}")
        found.append(Condition(match[1], match[2], match[3] == ">=", float(match[4])))
    return found


def arms(claim: Claim) -> list[str]:
    """The arms that a verdict rests on: both sides, and those of its preconditions."""
    wanted = [claim.arm, claim.versus, *(c.arm for c in conditions(claim.precondition))]
    return list(dict.fromkeys(filter(None, wanted)))


def own(claim: Claim, runs: Iterable[RunRecord]) -> list[RunRecord]:
    """Those of the runs that the claim rests on: of its own experiment and arms."""
    wanted = arms(claim)
    return [r for r in runs if r.experiment == claim.experiment and r.arm in wanted]


def scaled(claim: Claim, experiment: Experiment) -> bool:
    """Whether the nets of either arm, or their data set, are not the paper's own.

    The nets and the data set decide, not the ledger's cell.
    """
    for arm in filter(None, (claim.arm, claim.versus)):
        config = RunConfig.from_dict({**experiment.preset, **experiment.arms[arm]})
        if spec.get(config.net).scaled or config.data not in sets.of_the_paper(claim.claim_id):
            return True
    return False


def lacks(claim: Claim, runs: Sequence[RunRecord], root: Path | str = records.RUNS) -> str:
    """What is missing for a verdict, in a line; an empty text where the evidence is whole.

    runs: records of any experiments, of which the claim takes its own. root: where the records of
    the experiment's sweep lie.
    """
    mine = own(claim, runs)
    try:
        experiment = experiments.get(claim.experiment)
        return (
            _set(mine)
            or _seeds(experiment, arms(claim), mine)
            or _plan(experiment, mine, root)
            or _values(claim, mine)
            or _images(mine)
            or _sums(claim, runs)
            or _origin(mine)
        )
    except (KeyError, TypeError, AttributeError) as error:  # a record of another make
        return f"a record lacks what every run has ({error})"


def unmet(claim: Claim, runs: Sequence[RunRecord]) -> str:
    """The first precondition that the runs do not fulfil, in a line; empty if they fulfil all."""
    for condition in conditions(claim.precondition):
        same = [r for r in own(claim, runs) if r.arm == condition.arm]
        ends = [effects.metric(r, condition.metric) for r in same]
        # a run that was cut off or diverged has no value, and its mean fulfils nothing
        exact = [least if least == most else math.nan for least, most in ends]
        mean = sum(exact) / len(exact)
        if not condition.met(mean):
            wanted = f"{'>=' if condition.at_least else '<='} {condition.value:g}"
            return f"{condition.arm}: {condition.metric} is {mean:.4g}, wanted {wanted}"
    return ""


def _name(record: RunRecord) -> str:
    return f"{record.arm} seed {record.seed}"


def _set(mine: Sequence[RunRecord]) -> str:
    for name in dict.fromkeys(r.config["data"] for r in mine):
        if name == "embedded":
            return "synthetic images earn none"
        if name not in sets.KNOWN:
            return f"the data set {name!r} is none that the study names"
    return ""


def _seeds(experiment: Experiment, wanted: Sequence[str], mine: Sequence[RunRecord]) -> str:
    plan = set(experiment.seeds)
    there = {arm: [r.seed for r in mine if r.arm == arm] for arm in wanted}
    for arm, seeds in there.items():
        if len(set(seeds)) < len(seeds):
            return f"{arm} has a seed twice"
        if more := sorted(set(seeds) - plan):
            return f"{arm} seed {more[0]} is not in the plan"
    whole = set(experiment.seeds).intersection(*there.values())
    if len(whole) < len(plan):
        return f"{len(whole)} of {len(plan)} seeds"
    return ""


def _plan(experiment: Experiment, mine: Sequence[RunRecord], root: Path | str) -> str:
    wanted: dict[str, dict[str, Any]] = {}
    for record in mine:
        try:
            if record.arm not in wanted:
                wanted[record.arm] = experiment.config(record.arm, root).decides()
            have = RunConfig.from_dict(record.config).decides()
        except RecordError as error:
            return f"the sweep is not whole: {error}"
        except InputError as error:
            return f"{_name(record)}: {error}"
        for key, want in wanted[record.arm].items():
            if have[key] != want:
                return f"{_name(record)} has {key} {have[key]!r}, the plan {want!r}"
    return ""


def _values(claim: Claim, mine: Sequence[RunRecord]) -> str:
    """Each value that is compared is there, and finite unless the run is known to have diverged."""
    for record in mine:
        diverged = record.metrics.get("diverged")
        if type(diverged) is not bool:
            return f"{_name(record)} does not say whether it diverged"
        names = {claim.metric, claim.also} if record.arm in (claim.arm, claim.versus) else set()
        names |= {c.metric for c in conditions(claim.precondition) if c.arm == record.arm}
        for name in filter(None, names):
            least, most = effects.metric_or_nan(record, name)
            cut_off = diverged or name == "epochs_to_25"
            if math.isnan(least) or not (cut_off or math.isfinite(most)):
                return f"{_name(record)} has no {name}"
    return ""


def _images(mine: Sequence[RunRecord]) -> str:
    for record in mine:
        known = sets.KNOWN[record.config["data"]]
        held_out = record.config.get("validation_images", 0)
        trained = record.metrics["train_images"] + held_out
        drawn = record.config.get("train_images", 0) or known.images["train"]
        if record.config.get("scored_split", "test") == "val":  # pilots and sweeps choose by them
            return f"{_name(record)} is scored on held-out images, which count for no verdict"
        scored = sets.scored(known)
        for split, have, want in (
            ("scored", record.metrics["test_images"], scored),
            ("training", trained, drawn),
        ):
            if have != want:
                return f"{_name(record)} has {have:,} {split} images, the set {want:,}"
    return ""


def _sums(claim: Claim, runs: Sequence[RunRecord]) -> str:
    """The sums of the images are those of the set, and the same in all runs of the experiment."""
    first: dict[str, dict[str, str]] = {}
    for record in (r for r in runs if r.experiment == claim.experiment):
        have, name = record.provenance.get("data_sha256") or {}, record.config["data"]
        if "train" not in have or len(have) < 2:
            return f"{_name(record)} does not say which images it used"
        known = sets.KNOWN[name].sha256 if name in sets.KNOWN else {}
        if any(have.get(split, digest) != digest for split, digest in known.items()):
            return f"{_name(record)} used other images than {name} has"
        if first.setdefault(name, have) != have:
            return f"{_name(record)} used other images than the runs before it"
    return ""


def _origin(mine: Sequence[RunRecord]) -> str:
    for record in mine:
        git = record.provenance.get("git") or {}
        if not re.fullmatch(r"[0-9a-f]{40}", str(git.get("commit"))):
            return f"{_name(record)} does not say from which commit it comes"
        if git.get("dirty") is not False:
            return f"{_name(record)} comes from files that differ from their commit"
        try:
            datetime.datetime.fromisoformat(record.provenance["start_utc"])
        except (KeyError, TypeError, ValueError):
            return f"{_name(record)} does not say when it started"
    return ""
