"""The ledger's rows: one figure of the paper each, as claims.csv has them, validated. No torch.

Errors and differences are fractions; per cent exists only where something is shown.
"""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path

from alexnet_repro import paths, spec
from alexnet_repro.errors import InputError
from alexnet_repro.spec import arithmetic
from alexnet_repro.study import evidence, exact, experiments

FILE = Path(__file__).with_name("claims.csv")
BOOK = paths.BOOK
COLUMNS = (
    "claim_id section where statement metric compare arm versus paper_value printed code_value "
    "unit expected_sign setting role also precondition experiment page reason note"
).split()
# unit -> the range that a printed value must lie in
UNITS = {
    "error": (0, 1), "difference": (-1, 1), "ratio": (0, math.inf), "count": (0, math.inf),
    "share": (0, 1), "bits": (0, math.inf), "epochs": (0, math.inf), "days": (0, math.inf),
    "none": (-math.inf, math.inf),
}  # fmt: skip
TRAINED = ("difference", "ratio", "within")  # what runs can earn a verdict for
COMPUTED = ("exact", "at-most", "definition")
COMPARES = (*TRAINED, "value", *COMPUTED, "none")
SETTINGS = ("full", "scaled", "arithmetic", "")
ROLES = ("primary", "secondary", "")
CLAIMS = 35  # of the paper, as shared out over the rows


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
    expected_sign: int
    setting: str  # of the nets and the data set, which decide: evidence.scaled
    role: str  # primary: Holm's correction is over these rows
    also: str  # a second metric that must move the same way, else the word is "gap only"
    precondition: str  # evidence.conditions; "not in regime" where the runs do not meet it
    experiment: str
    page: str
    reason: str  # why it is not run
    note: str  # what a reader must know beside the number

    @property
    def arithmetic(self) -> bool:
        """Computed from the specs, without a run."""
        return self.compare in COMPUTED and bool(self.metric)

    @property
    def exact_text(self) -> str:
        """The figure of an exact row as the paper prints it."""
        return self.printed or f"{self.paper_value:.15g}"

    @property
    def sign(self) -> int:
        """The side on which the paper expects the effect: its figure's, else the row's."""
        nothing = 1 if self.compare == "ratio" else 0
        if self.paper_value is None or self.paper_value == nothing:
            return self.expected_sign
        return 1 if self.paper_value > nothing else -1

    @property
    def command(self) -> str:
        """What would run it, or an empty string where no experiment does."""
        if not self.experiment:
            return ""
        arms = "".join(f" --arm {a}" for a in evidence.arms(self))
        return f"alexnet-repro run {self.experiment}{arms}"


def load_claims(file: Path | str = FILE) -> list[Claim]:
    """Every row, validated; ClaimError names the row and the column of the first mistake.

    A ledger that was cut short is an error: its last line has an end, and no claim lacks a row.
    """
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ClaimError(f"{file}: not a readable ledger ({error})") from error
    reader = csv.DictReader(io.StringIO(text))
    if reader.fieldnames != COLUMNS:
        raise ClaimError(f"{file}: columns are {reader.fieldnames}, wanted {COLUMNS}")
    known = experiments.load_experiments()
    claims = [_Row(row, known).claim() for row in reader]
    names = [c.claim_id for c in claims]
    if twice := {n for n in names if names.count(n) > 1}:
        raise ClaimError(f"row {min(twice)}, column claim_id: there are two of it")
    lost = {f"c{i:02}" for i in range(1, CLAIMS + 1)} - {n.split("-")[0] for n in names}
    if lost or not text.endswith("\n"):
        raise ClaimError(
            f"{file}: breaks off or lacks claims ({', '.join(sorted(lost)) or 'its last line'}); "
            f"get the whole file again, such as by `git checkout -- {file}`"
        )
    return claims


def get(claim_id: str) -> Claim:
    """The claim of that id; ValueError if there is none."""
    for claim in load_claims():
        if claim.claim_id == claim_id:
            return claim
    raise InputError(f"no claim {claim_id!r} in {FILE.name}")


@dataclass(frozen=True)
class _Row:
    """A row as text, and the experiments that it may name."""

    row: dict[str, str]
    known: dict[str, experiments.Experiment]

    def check(self, good: bool, column: str, wanted: str) -> None:
        if not good:
            name, got = self.row["claim_id"], self.row[column]
            raise ClaimError(f"row {name}, column {column}: wanted {wanted}, got {got!r}")

    def number(self, column: str) -> float | None:
        try:
            return float(self.row[column]) if self.row[column] else None
        except ValueError:
            self.check(False, column, "a number or nothing")
        return None

    def claim(self) -> Claim:
        row, check = self.row, self.check
        check(bool(row["claim_id"]), "claim_id", "a name")
        check(None not in row.values() and None not in row, "note", "as many fields as columns")
        check(row["unit"] in UNITS, "unit", f"one of {', '.join(UNITS)}")
        check(row["compare"] in COMPARES, "compare", f"one of {', '.join(COMPARES)}")
        check(row["setting"] in SETTINGS, "setting", "full, scaled, arithmetic or nothing")
        check(row["role"] in ROLES, "role", "primary, secondary or nothing")
        check(row["expected_sign"] in ("", "-1", "1"), "expected_sign", "-1, 1 or nothing")
        low, high = UNITS[row["unit"]]
        for column in ("paper_value", "code_value"):
            value = self.number(column)
            check(value is None or low <= value <= high, column, f"{low} to {high} ({row['unit']})")
        page = any((BOOK / f"{row['page']}{ending}").exists() for ending in (".ipynb", ".md"))
        check(page or not BOOK.exists(), "page", "the name of a page in book/")
        numbers = {c: self.number(c) for c in ("paper_value", "code_value")}
        sign = int(row["expected_sign"] or 0)
        claim = Claim(**{**row, **numbers, "expected_sign": sign})  # type: ignore[arg-type]
        if row["experiment"]:
            self.check_arms()
        if claim.compare in TRAINED and claim.experiment:
            self.check_trained(claim)
        elif claim.compare in COMPUTED and (claim.metric or claim.compare != "definition"):
            self.check_computed(claim)
        else:
            check(bool(row["reason"]), "reason", "why it is not run")
        judged = claim.compare in TRAINED and bool(claim.experiment)
        for column in ("role", "also", "precondition"):
            check(judged or not row[column], column, "nothing in a row that runs do not judge")
        return claim

    def check_arms(self) -> None:
        row, check = self.row, self.check
        check(row["experiment"] in self.known, "experiment", f"one of {', '.join(self.known)}")
        arms = self.known[row["experiment"]].arms
        check(row["arm"] in arms, "arm", f"one of {', '.join(arms)}")
        alone = row["compare"] in ("within", "value") and not row["versus"]
        check(alone or row["versus"] in arms, "versus", f"one of {', '.join(arms)}")

    def check_trained(self, claim: Claim) -> None:
        check, experiment = self.check, self.known[claim.experiment]
        unit = "ratio" if claim.compare == "ratio" else "difference"
        check(claim.unit == unit, "unit", f"{unit}, as it is compared")
        if claim.compare == "ratio":
            check(claim.paper_value != 0, "paper_value", "a ratio above 0")
        check(claim.paper_value is not None or claim.expected_sign != 0, "paper_value",
              "a number, or an expected_sign")  # fmt: skip
        check(claim.sign != 0, "expected_sign", "-1 or 1, for the printed size has no sign")
        check(claim.expected_sign in (0, claim.sign), "expected_sign",
              f"{claim.sign}, as the printed size has it, or nothing")  # fmt: skip
        setting = "scaled" if evidence.scaled(claim, experiment) else "full"
        check(claim.setting == setting, "setting", f"{setting}, by its nets and data set")
        try:
            conditions = evidence.conditions(claim.precondition)
        except InputError as error:
            check(False, "precondition", f"conditions ({error})")
        for condition in conditions:
            names = ", ".join(experiment.arms)
            check(condition.arm in experiment.arms, "precondition", f"arms of {names}")

    def check_computed(self, claim: Claim) -> None:
        check = self.check
        check(claim.arm in spec.NETWORKS, "arm", f"a net: {', '.join(spec.NETWORKS)}")
        known = claim.metric.split(" ")[0] in arithmetic.METRICS
        check(known, "metric", "a metric of arithmetic.py")
        try:
            arithmetic.compute(claim.metric, claim.arm)
        except (ValueError, TypeError) as error:
            check(False, "metric", f"one that can be computed ({error})")
        check(claim.paper_value is not None, "paper_value", "a number")
        if claim.compare == "at-most":
            return
        try:
            figure, _ = exact.printed_figure(claim.exact_text)
        except InputError as error:
            check(False, "printed", f"one figure ({error})")
        check(figure == claim.paper_value, "printed", "the figure that paper_value has")
