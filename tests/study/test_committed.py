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

from alexnet_repro import study
from alexnet_repro.study import claims, experiments

ROOT = Path(__file__).resolve().parents[2] / "runs"
FILES = sorted(ROOT.glob("*/*-seed*.json"))
T_95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}  # Student's t, two-sided 95 %, n - 1 degrees


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_record_is_fresh_and_from_a_clean_commit(path):
    record = study.RunRecord.load(path)
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


# claim -> side on which the paper expects the effect, printed size in the full setting, the metric
# that must follow; typed from the paper
SIDES = {
    "c02-gain-top1": (-1, None, ""), "c02-gain-top5": (-1, None, ""),
    "c08-original": (1, 6.0, ""), "c08-modern": (1, 6.0, ""), "c14-top1": (-1, None, ""),
    "c14-top5": (-1, None, ""), "c14-overfit": (-1, None, ""),
    "c21-overfit": (1, None, "top1_error"), "c23": (-1, None, ""),
    "c25-overfit": (1, None, "top1_error"), "c26": (-1, None, ""),
}  # fmt: skip
T_90 = {2: 6.314, 3: 2.920, 4: 2.353, 5: 2.132}


def _effects(claim, metric):
    """Effects of the committed records, and whether any run was cut off."""
    effects, cut = [], False
    for path in sorted((ROOT / claim.experiment).glob(f"{claim.arm}-seed*.json")):
        value = _metric(path, metric)
        cut |= metric == "epochs_to_25" and value == 20
        if claim.versus:
            other = _metric(path.with_name(path.name.replace(claim.arm, claim.versus, 1)), metric)
            value = math.log(value / other) if claim.compare == "ratio" else value - other
        effects.append(value)
    return effects, cut


def _half(effects, table):
    return table[len(effects)] * statistics.stdev(effects) / math.sqrt(len(effects))


@pytest.mark.parametrize("claim_id", SIDES)
def test_scoreboard_equals_a_second_calculation(claim_id):
    claim = claims.get(claim_id)
    side, size, also = SIDES[claim_id]
    shown = study.scoreboard().set_index("claim").loc[claim_id]
    effects, cut = _effects(claim, claim.metric)
    n = len(effects)
    assert shown["n"] == n == len(experiments.get(claim.experiment).seeds)
    assert shown["agree"] == sum(side * e > 0 for e in effects)
    if cut:  # 1 - 2 / 2^n is below 95 % for fewer than six
        assert n < 6
        assert shown["verdict"] == "unclear"
        assert shown["measured"] == f">= {math.exp(statistics.median(effects)):.6g}"
        return
    mean, half = statistics.fmean(effects), _half(effects, T_95)
    wanted = [mean, mean - half, mean + half]
    if claim.compare == "ratio":
        wanted = [math.exp(v) for v in wanted]
    assert [shown["ours"], shown["low"], shown["high"]] == pytest.approx(wanted, rel=1e-3)

    low, high = sorted((side * (mean - half), side * (mean + half)))
    inner = abs(mean) + _half(effects, T_90)
    if low > 0:
        word = "direction"  # none of the intervals holds a printed size that it may be held against
        assert size is None or not low <= math.log(size) <= high
    elif high < 0:
        word = "opposite"
    elif size:
        word = "smaller" if high < math.log(size) else "unclear"
    else:
        word = "negligible" if inner <= 0.005 else "unclear"
    if also and word == "direction":
        errors, _ = _effects(claim, also)
        if not side * statistics.fmean(errors) - _half(errors, T_95) > 0:
            word = "gap only"
    assert shown["verdict"] == word


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
