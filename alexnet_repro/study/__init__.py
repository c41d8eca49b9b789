"""The study: claims and experiments are rows, runs are records, verdicts are computed. No torch.

ledger        claims.csv: one row for each figure of the paper, validated
claims        the verdict of a row, and the scoreboard of all
evidence      whether runs are the whole evidence for a row
effects       from paired runs to one effect a seed
verdicts      the rule, from effects to a word; intervals: their statistics
exact         the rounding rule for figures that are computed
chronology    that plan and sweep came before the runs
experiments   presets, arms, seeds, sweeps; run_or_load. experiment_file: experiments.toml
records       a run as a JSON and a CSV file; record_checks: what is refused
launch        many runs side by side; children: processes that end with their parent
others        what published replications measured (others.csv); the paper's print against its log
factorial     a design for ten choices at once, and their effects
"""

from alexnet_repro.study.claims import scoreboard, verdict
from alexnet_repro.study.experiments import load_experiments, run_or_load
from alexnet_repro.study.ledger import load_claims
from alexnet_repro.study.records import RunRecord, load_runs

__all__ = [
    "RunRecord",
    "load_claims",
    "load_experiments",
    "load_runs",
    "run_or_load",
    "scoreboard",
    "verdict",
]
