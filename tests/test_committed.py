"""The committed records: fresh, clean, complete, and equal to what the pages say of them.

The second calculation here reads the JSON and CSV files with nothing of the library but the path.
"""

import csv
import json
import math
import re
import statistics
from pathlib import Path

import pytest

from alexnet_repro import claims, experiments, records

ROOT = Path(__file__).resolve().parent.parent / "runs"
FILES = sorted(ROOT.glob("*/*-seed*.json"))
T_95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}  # Student's t, two-sided 95 %, n - 1 degrees


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_record_is_fresh_and_from_a_clean_commit(path):
    record = records.RunRecord.load(path)
    experiment = experiments.get(record.experiment)
    assert experiments.load_run(experiment, record.arm, record.seed).metrics == record.metrics
    assert record.seed in experiment.seeds
    git = record.provenance["git"]
    assert re.fullmatch(r"[0-9a-f]{40}", git["commit"])
    assert git["dirty"] is False
    assert record.metrics["test_images"] == 10_000
    assert record.metrics["train_images"] == 50_000
    assert record.config["data"] != "embedded"


def test_no_seed_of_a_started_experiment_is_missing():
    for name in {p.parent.name for p in FILES}:
        experiment = experiments.get(name)
        wanted = {f"{a}-seed{s}.json" for a in experiment.arms for s in experiment.seeds}
        assert {p.name for p in FILES if p.parent.name == name} == wanted


def test_equal_configurations_gave_equal_runs():
    """s4-ablations trained the baseline of s34-pooling again, some commits on: the same bits."""
    for seed in (0, 1, 2):
        first = json.loads((ROOT / f"s34-pooling/overlap-seed{seed}.json").read_text())
        again = json.loads((ROOT / f"s4-ablations/baseline-seed{seed}.json").read_text())
        assert first["provenance"]["git"]["commit"] != again["provenance"]["git"]["commit"]
        assert first["metrics"] == again["metrics"]
        assert first["curve_sha256"] == again["curve_sha256"]


def _metric(path: Path, name: str) -> float:
    if name != "epochs_to_25":
        metrics = json.loads(path.read_text())["metrics"]
        first, *rest = name.split(" - ")
        return metrics[first] - sum(metrics[r] for r in rest)
    with open(path.with_suffix(".csv"), newline="") as f:
        curve = [r for r in csv.DictReader(f) if r["split"] == "train"]
    errors = [float(r["top1_error"]) for r in curve]
    for epoch in range(1, len(errors)):
        if errors[epoch] <= 0.25:
            drop = errors[epoch - 1] - errors[epoch]
            return epoch - 1 + (errors[epoch - 1] - 0.25) / drop
    return float(json.loads(path.read_text())["config"]["epochs"])


@pytest.mark.parametrize(
    "claim_id",
    [
        "c02-gain-top1",
        "c02-gain-top5",
        "c08-original",
        "c08-modern",
        "c14-top1",
        "c14-top5",
        "c14-overfit",
        "c21-overfit",
        "c23",
        "c25-overfit",
        "c26",
    ],
)
def test_scoreboard_equals_a_second_calculation(claim_id):
    claim = claims.get(claim_id)
    shown = claims.scoreboard().set_index("claim").loc[claim_id]
    effects = []
    for path in sorted((ROOT / claim.experiment).glob(f"{claim.arm}-seed*.json")):
        value = _metric(path, claim.metric)
        if claim.versus:
            other = _metric(
                path.with_name(path.name.replace(claim.arm, claim.versus, 1)), claim.metric
            )
            value = math.log(value / other) if claim.compare == "ratio" else value - other
        effects.append(value)
    n = len(effects)
    assert shown["n"] == n == len(experiments.get(claim.experiment).seeds)
    if n == 1:
        assert shown["verdict"] == "unclear"
        return
    half = T_95[n] * statistics.stdev(effects) / math.sqrt(n)
    mean = statistics.fmean(effects)
    wanted = [mean, mean - half, mean + half]
    if claim.compare == "ratio":
        wanted = [math.exp(v) for v in wanted]
    assert [shown["ours"], shown["low"], shown["high"]] == pytest.approx(wanted, rel=1e-3)
    away = mean - half > 0 or mean + half < 0
    sign = claim.expected_sign or (1 if claim.compare == "ratio" else -1)
    if not away:
        assert shown["verdict"] == "unclear"
    else:
        assert shown["verdict"] in (("match", "direction") if mean * sign > 0 else ("opposite",))


def test_sweep_rule_by_a_second_calculation():
    for name in ("s31-relu-original", "s31-relu-modern"):
        for arm in ("relu", "tanh"):
            found = []
            for path in (ROOT / f"{name}-sweep").glob(f"{arm}-lr*.json"):
                body = json.loads(path.read_text())
                if not body["metrics"]["diverged"]:
                    found.append((body["metrics"]["train_top1_error"], body["config"]["lr"]))
            used = {
                json.loads(p.read_text())["config"]["lr"]
                for p in (ROOT / name).glob(f"{arm}-*.json")
            }
            assert used == {min(found)[1]}
            rates = [rate for _, rate in found]
            assert min(rates) < min(found)[1] < max(json.loads(p.read_text())["config"]["lr"]
                for p in (ROOT / f"{name}-sweep").glob(f"{arm}-lr*.json"))  # fmt: skip
