"""The ledger: what the paper prints, what the original ran, what we measure, and the verdict.

claims.csv holds one row per figure of the paper. Errors and differences are fractions; per cent
exists only where something is shown. No torch.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from alexnet_repro import arithmetic, experiments, paths, records, spec, verdicts
from alexnet_repro.errors import InputError
from alexnet_repro.records import RunRecord
from alexnet_repro.verdicts import Verdict

if TYPE_CHECKING:
    import pandas as pd

FILE = Path(__file__).with_name("claims.csv")
BOOK = paths.BOOK
COLUMNS = (
    "claim_id section where statement metric compare arm versus paper_value printed code_value "
    "unit precision expected_sign setting experiment page reason"
).split()
CLAIMS = 35  # c01 to c35
# unit -> the range that a printed value must lie in
UNITS = {
    "error": (0, 1), "difference": (-1, 1), "ratio": (0, math.inf), "count": (0, math.inf),
    "share": (0, 1), "bits": (0, math.inf), "epochs": (0, math.inf), "days": (0, math.inf),
    "none": (-math.inf, math.inf),
}  # fmt: skip
COMPARES = ("difference", "ratio", "within", "value", "exact", "at-most", "none")
SETTINGS = ("full", "scaled", "arithmetic", "")


class ClaimError(InputError):
    """claims.csv is wrong; the text names the row and the column."""


@dataclass(frozen=True)
class Claim:
    """One row of claims.csv."""

    claim_id: str
    section: str
    where: str
    statement: str
    metric: str
    compare: str
    arm: str
    versus: str
    paper_value: float | None
    printed: str  # the words, where the paper prints no plain figure
    code_value: float | None
    unit: str
    precision: float | None
    expected_sign: int
    setting: str
    experiment: str
    page: str
    reason: str

    @property
    def arithmetic(self) -> bool:
        """Decided by computation from the specs, without a run."""
        return self.compare in ("exact", "at-most")

    @property
    def command(self) -> str:
        """What would run it, or an empty string where no experiment does."""
        if not self.experiment:
            return ""
        arms = "".join(f" --arm {a}" for a in dict.fromkeys((self.arm, self.versus)) if a)
        return f"alexnet-repro run {self.experiment}{arms}"


def load_claims(file: Path | str = FILE) -> list[Claim]:
    """Every row, validated; ClaimError names the row and the column of the first mistake.

    A file that breaks off is refused: it must hold each of the paper's claims and end with a line.
    """
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ClaimError(f"{file}: not a readable ledger ({error})") from error
    reader = csv.DictReader(io.StringIO(text))
    if reader.fieldnames != COLUMNS:
        raise ClaimError(f"{file}: columns are {reader.fieldnames}, wanted {COLUMNS}")
    known = experiments.load_experiments()
    claims = [_claim(row, known) for row in reader]
    names = [c.claim_id for c in claims]
    if twice := {n for n in names if names.count(n) > 1}:
        raise ClaimError(f"row {min(twice)}, column claim_id: there are two of it")
    lost = {f"c{i:02}" for i in range(1, CLAIMS + 1)} - {n[:3] for n in names}
    if lost or not text.endswith("\n"):
        raise ClaimError(
            f"{file}: breaks off or lacks claims ({', '.join(sorted(lost)) or 'its last line'}); "
            f"get the whole file again, such as by `git checkout -- {file}`"
        )
    return claims


def _claim(row: dict[str, str], known: dict[str, experiments.Experiment]) -> Claim:
    name = row["claim_id"]

    def check(good: bool, column: str, wanted: str) -> None:
        if not good:
            raise ClaimError(f"row {name}, column {column}: wanted {wanted}, got {row[column]!r}")

    def number(column: str) -> float | None:
        try:
            return float(row[column]) if row[column] else None
        except ValueError:
            check(False, column, "a number or nothing")
        return None

    check(bool(name), "claim_id", "a name")
    check(None not in row.values() and None not in row, "reason", "as many fields as columns")
    check(row["unit"] in UNITS, "unit", f"one of {', '.join(UNITS)}")
    check(row["compare"] in COMPARES, "compare", f"one of {', '.join(COMPARES)}")
    check(row["setting"] in SETTINGS, "setting", "full, scaled, arithmetic or nothing")
    check(row["expected_sign"] in ("", "-1", "1"), "expected_sign", "-1, 1 or nothing")
    low, high = UNITS[row["unit"]]
    for column in ("paper_value", "code_value"):
        value = number(column)
        check(value is None or low <= value <= high, column, f"{low} to {high} ({row['unit']})")
    page = any((BOOK / f"{row['page']}{ending}").exists() for ending in (".ipynb", ".md"))
    check(page or not BOOK.exists(), "page", "the name of a page in book/")
    if row["experiment"]:
        check(row["experiment"] in known, "experiment", f"one of {', '.join(known)}")
        arms = known[row["experiment"]].arms
        check(row["arm"] in arms, "arm", f"one of {', '.join(arms)}")
        alone = row["compare"] in ("within", "value") and not row["versus"]
        check(alone or row["versus"] in arms, "versus", f"one of {', '.join(arms)}")
    if row["compare"] in ("exact", "at-most"):
        nets = ", ".join(spec.NETWORKS)
        check(row["arm"] in spec.NETWORKS, "arm", f"a net: {nets}")
        check(row["metric"].split(" ")[0] in arithmetic.METRICS, "metric",
              "a metric of arithmetic.py")  # fmt: skip
        try:
            arithmetic.compute(row["metric"], row["arm"])
        except (ValueError, TypeError) as error:
            check(False, "metric", f"one that can be computed ({error})")
        check(bool(row["paper_value"]), "paper_value", "a number")
        check(row["compare"] == "at-most" or bool(row["precision"]), "precision", "a number")
    elif row["compare"] in ("difference", "ratio", "within") and row["experiment"]:
        check(bool(row["paper_value"] or row["expected_sign"]), "paper_value",
              "a number, or an expected_sign")  # fmt: skip
    else:
        check(bool(row["reason"]), "reason", "why it is not run")
    numbers = {c: number(c) for c in ("paper_value", "code_value", "precision")}
    sign = int(row["expected_sign"] or 0)
    return Claim(**{**row, **numbers, "expected_sign": sign})  # type: ignore[arg-type]


def get(claim_id: str) -> Claim:
    """The claim of that id; ValueError if there is none."""
    for claim in load_claims():
        if claim.claim_id == claim_id:
            return claim
    raise InputError(f"no claim {claim_id!r} in {FILE.name}")


def verdict(claim: Claim, runs: Sequence[RunRecord] = ()) -> Verdict:
    """The verdict of one claim from its runs (see verdicts), or "not run" with the reason.

    runs: records of the claim's experiment; arms the claim does not name are left aside.
    """
    if claim.arithmetic:
        assert claim.paper_value is not None
        ours = arithmetic.compute(claim.metric, claim.arm)
        return verdicts.judge_arithmetic(
            ours, claim.paper_value, claim.precision or 0, at_most=claim.compare == "at-most"
        )
    arm = [r for r in runs if r.arm == claim.arm]
    versus = [r for r in runs if r.arm == claim.versus]
    if not arm or claim.compare not in ("difference", "ratio", "within"):
        return Verdict("not run", why=claim.reason or "no records yet")
    values, bound = verdicts.effect(claim.compare, claim.metric, arm, versus)
    return verdicts.judge(
        values,
        paper=claim.paper_value,
        sign=claim.expected_sign,
        ratio=claim.compare == "ratio",
        scaled=claim.setting == "scaled",
        bound=bound,
        synthetic=any(r.config["data"] == "embedded" for r in (*arm, *versus)),
    )


def committed_runs(claim: Claim, root: Path | str = records.RUNS) -> list[RunRecord]:
    """The claim's records under root: every seed of its arms, or none at all.

    Raises RecordError for a stale or damaged record, and where some seeds are there and others are
    not: a verdict from part of the seeds would be a choice.
    """
    if claim.arithmetic or not claim.experiment or claim.compare == "value":
        return []
    experiment = experiments.get(claim.experiment)
    pairs = [(a, s) for a in (claim.arm, claim.versus) if a for s in experiment.seeds]
    there = [records.record_path(experiment.name, a, s, root).exists() for a, s in pairs]
    if not any(there):
        return []
    return [experiments.load_run(experiment, a, s, root) for a, s in pairs]


def scoreboard(root: Path | str = records.RUNS) -> pd.DataFrame:
    """One row a claim: what the paper prints, what the original ran, ours, n, interval, verdict."""
    import pandas as pd

    rows = []
    for claim in load_claims():
        found = verdict(claim, committed_runs(claim, root))
        rows.append(
            {
                "claim": claim.claim_id,
                "section": claim.section,
                "statement": claim.statement,
                "paper": claim.paper_value,
                "original": claim.code_value,
                "ours": found.ours,
                "low": found.low,
                "high": found.high,
                "n": found.n,
                "unit": claim.unit,
                "verdict": found.word,
                "bound": found.bound,
                "setting": claim.setting,
                "page": claim.page,
                "why": found.why,
                "command": claim.command,
            }
        )
    return pd.DataFrame(rows)
