"""What the paper prints, what the original ran, what we measure, and the verdict. No torch.

ledger.py has the rows; here each meets its runs: whether they are the whole evidence (evidence.py),
what word they earn (verdicts.py, exact.py), and Holm's correction over the primary rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from alexnet_repro.errors import InputError
from alexnet_repro.spec import arithmetic
from alexnet_repro.study import effects, evidence, exact, experiments, intervals, records, verdicts
from alexnet_repro.study.ledger import COLUMNS, FILE, TRAINED, Claim, ClaimError, get, load_claims
from alexnet_repro.study.records import RunRecord
from alexnet_repro.study.verdicts import Verdict

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "COLUMNS", "FILE", "Claim", "ClaimError", "committed_runs", "corrected", "get", "judged",
    "load_claims", "scoreboard", "verdict",
]  # fmt: skip


def verdict(
    claim: Claim, runs: Sequence[RunRecord] = (), root: Path | str | None = None
) -> Verdict:
    """The verdict of one claim from its runs (see verdicts), or "not run" with the reason.

    runs: records of any experiments; the claim takes those of its own experiment and arms. Where
    they are not the whole evidence, the numbers come with "no verdict" and what is missing. root:
    where the records of the experiment's sweep lie (runs/).
    """
    if claim.arithmetic:
        return _computed(claim)
    if claim.compare == "definition":
        return Verdict("definition", why=claim.reason)
    mine = evidence.own(claim, runs)
    if not mine or claim.compare not in TRAINED:
        return Verdict("not run", why=claim.reason or "no records yet")
    if missing := evidence.lacks(claim, runs, root or records.RUNS):
        return replace(_numbers(claim, mine), word="no verdict", why=missing, p=None)
    found = _earned(claim, mine)
    if unmet := evidence.unmet(claim, mine):
        return replace(found, word="not in regime", why=unmet, p=None)
    diverged = sum(r.metrics["diverged"] for r in mine)
    rate = f"; {diverged} of {len(mine)} runs diverged" if diverged else ""
    return replace(found, why=found.why + rate)


def _computed(claim: Claim) -> Verdict:
    assert claim.paper_value is not None
    ours = arithmetic.compute(claim.metric, claim.arm)
    if claim.compare == "at-most":
        return exact.judge_at_most(ours, claim.paper_value)
    found = exact.judge_exact(ours, claim.exact_text)
    if claim.compare == "definition" and found.word == "match":
        return replace(found, word="definition")
    return found


def _earned(claim: Claim, mine: Sequence[RunRecord], metric: str = "") -> Verdict:
    """What the runs say of the claim's metric, or of another one; of both, where also is named."""
    arm, versus = ([r for r in mine if r.arm == a] for a in (claim.arm, claim.versus))
    found = verdicts.judge(
        effects.effect(claim.compare, metric or claim.metric, arm, versus),
        paper=None if metric else claim.paper_value,
        sign=claim.sign,
        ratio=claim.compare == "ratio",
        scaled=evidence.scaled(claim, experiments.get(claim.experiment)),
    )
    if claim.also and not metric:
        return verdicts.with_error(found, _earned(claim, mine, claim.also), claim.sign)
    return found


def _numbers(claim: Claim, mine: Sequence[RunRecord]) -> Verdict:
    """The numbers of what is there, if there are any: seeds that every needed arm has."""
    sides = [a for a in (claim.arm, claim.versus) if a]
    seeds = set.intersection(*({r.seed for r in mine if r.arm == a} for a in sides))
    try:
        return _earned(replace(claim, also=""), [r for r in mine if r.seed in seeds])
    except (InputError, KeyError, TypeError):  # a value is missing; the line says which
        return Verdict("no verdict")


def committed_runs(claim: Claim, root: Path | str = records.RUNS) -> list[RunRecord]:
    """The records of the claim's experiment under root, of all its arms; RecordError as load_runs.

    Whether they are all that the plan wants is for evidence.py to say.
    """
    if claim.compare not in TRAINED or not claim.experiment:
        return []
    return records.load_runs(claim.experiment, root)


def judged(root: Path | str = records.RUNS) -> list[tuple[Claim, Verdict]]:
    """Every claim with its verdict from the records under root, Holm's correction in place."""
    ledger = load_claims()
    trained = {c.experiment: c for c in ledger if c.compare in TRAINED}
    runs = {name: committed_runs(claim, root) for name, claim in trained.items()}
    return corrected([(c, verdict(c, runs.get(c.experiment, ()), root)) for c in ledger])


def corrected(rows: Sequence[tuple[Claim, Verdict]]) -> list[tuple[Claim, Verdict]]:
    """The same rows with Holm's p in the primary ones, over all of them, run or not."""
    family = [found.p for claim, found in rows if claim.role == "primary"]
    adjusted = iter(intervals.holm(family))
    return [
        (claim, replace(found, holm=next(adjusted)) if claim.role == "primary" else found)
        for claim, found in rows
    ]


def scoreboard(root: Path | str = records.RUNS) -> pd.DataFrame:
    """One row a claim: what the paper prints, what the original ran, ours, n, interval, verdict.

    measured is ours as text, ">= " before a lower bound; p of "no effect", holm over primary rows.
    """
    import pandas as pd

    rows = [
        {
            "claim": claim.claim_id,
            "section": claim.section,
            "statement": claim.statement,
            "paper": claim.paper_value,
            "original": claim.code_value,
            "measured": found.measured,
            "ours": found.ours,
            "low": found.low,
            "high": found.high,
            "n": found.n,
            "agree": found.agree,
            "unit": claim.unit,
            "verdict": found.word,
            "bound": found.bound,
            "role": claim.role,
            "p": found.p,
            "holm": found.holm,
            "setting": claim.setting,
            "page": claim.page,
            "why": found.why,
            "command": claim.command,
        }
        for claim, found in judged(root)
    ]
    return pd.DataFrame(rows)
