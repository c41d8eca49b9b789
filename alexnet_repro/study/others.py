"""What others measured: published figures of replications and relatives of AlexNet, by claim.

others.csv holds one row a figure, each read in the source that it names. They stand beside the
claims and never make a verdict. Also here: the paper's print against its authors' own log. No
torch.
"""

from __future__ import annotations

import csv
import math
import re
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from alexnet_repro.errors import InputError
from alexnet_repro.study import claims

if TYPE_CHECKING:
    import pandas as pd

FILE = Path(__file__).with_name("others.csv")
COLUMNS = "claims net data metric value number unit derived difference source where".split()
# unit -> the greatest number that can be meant; none is negative
UNITS = {
    "%": 100, "points": 100, "times": math.inf, "count": math.inf, "epochs": math.inf,
    "days": math.inf, "hours": math.inf, "minutes": math.inf, "seconds": math.inf,
    "milliseconds": math.inf, "nats": math.inf, "none": math.inf,
}  # fmt: skip
WORDS = "words"  # the unit of a finding without a figure
FIGURE = re.compile(r"\d[\d,]*(?:\.\d+)?")


@dataclass(frozen=True)
class Other:
    """One published figure of somebody else: one row of others.csv."""

    claims: tuple[str, ...]  # numbers of the claims that it bears on: c01 to c35
    net: str
    data: str  # what it was measured on: images and patches, or a machine
    metric: str
    value: str  # as published; fractions of 1 are given in per cent
    number: float | None  # the figure in value, in unit; None for a finding in words
    unit: str
    derived: bool  # computed from published figures, not itself published
    difference: str  # from the paper's setting
    source: str
    where: str  # commit, table or address

    @property
    def error(self) -> float | None:
        """The error in per cent, where an error or an accuracy is given."""
        if self.number is None or self.unit != "%":
            return None
        if "accuracy" in self.metric:
            return float(100 - Decimal(str(self.number)))  # 42.9, not 42.89999999999999
        return self.number if "error" in self.metric else None


def load_others(file: Path | str = FILE) -> list[Other]:
    """Every row, in the file's order; InputError names the row and column of the first mistake."""
    known = {stem(claim.claim_id) for claim in claims.load_claims()}
    with open(file, newline="", encoding="utf-8") as f:
        reader = csv.DictReader(f)
        if reader.fieldnames != COLUMNS:
            raise InputError(f"{file}: columns are {reader.fieldnames}, wanted {COLUMNS}")
        others = [_other(row, f"{file}, row {reader.line_num}", known) for row in reader]
    if not others:
        raise InputError(f"{file}: no rows; wanted one a figure")
    seen: set[tuple[object, ...]] = set()
    for other in others:
        key = (other.claims, other.net, other.data, other.metric)
        if key in seen:
            raise InputError(
                f"{file}, column metric: two rows say {other.metric!r} of {other.net!r}"
            )
        seen.add(key)
    return others


def _other(row: dict[str, str], place: str, known: set[str]) -> Other:
    def check(good: bool, column: str, wanted: str) -> None:
        if not good:
            raise InputError(f"{place}, column {column}: wanted {wanted}, got {row[column]!r}")

    if None in row or None in row.values():
        raise InputError(f"{place}, column where: wanted as many fields as columns")
    for column in ("net", "data", "metric", "value", "difference", "source", "where"):
        check(bool(row[column]) and row[column] == row[column].strip(), column, "words")
    ids = row["claims"].split()
    good = bool(ids) and set(ids) <= known and len(ids) == len(set(ids))
    check(good, "claims", "claims of claims.csv, such as 'c04 c15'")
    check(row["derived"] in ("", "yes"), "derived", "yes or nothing")
    check(row["unit"] in (*UNITS, WORDS), "unit", f"one of {', '.join(UNITS)}, {WORDS}")
    number = None
    if row["unit"] == WORDS:
        check(row["number"] == "", "number", "nothing, as the finding is in words")
    else:
        plain = FIGURE.fullmatch(row["number"]) is not None and "," not in row["number"]
        check(plain, "number", "a number in plain digits")
        number, most = float(row["number"]), UNITS[row["unit"]]
        check(number <= most, "number", f"0 to {most}")
        written = [float(text.replace(",", "")) for text in FIGURE.findall(row["value"])]
        check(number in written, "number", f"a figure of value, {row['value']!r}")
    text = {c: row[c] for c in COLUMNS if c not in ("claims", "number", "derived")}
    return Other(claims=tuple(ids), number=number, derived=row["derived"] == "yes", **text)


def stem(claim_id: str) -> str:
    """The number of a claim without the name of its figure: c04-1cnn-top1 gives c04."""
    return claim_id.split("-")[0]


def of_claim(claim_id: str, file: Path | str = FILE) -> list[Other]:
    """What others measured for a claim, maybe nothing.

    claim_id: a number such as c04, or a row of claims.csv such as c04-5cnn-top1; InputError for one
    that is not there.
    """
    ids = {claim.claim_id for claim in claims.load_claims()}
    if claim_id not in ids | {stem(name) for name in ids}:
        raise InputError(f"no claim {claim_id!r} in {claims.FILE.name}")
    return [other for other in load_others(file) if stem(claim_id) in other.claims]


def print_against_log(file: Path | str = claims.FILE) -> pd.DataFrame:
    """§6 Does the paper print what its authors' log rounds to? One row a result with both.

    Columns: claim; printed, log and rounded (per cent or points, as text with their digits); equal.
    Results are errors and differences of errors: what is counted or computed has no run. The digits
    that are printed are those of the claim's statement (17.0 there is 0.17 in paper_value); the log
    is rounded to as many, half away from zero. Raises InputError where the statement does not name
    the printed value.
    """
    import pandas as pd

    claims.load_claims(file)  # refuses wrong cells; the digits are in the text of the cells
    rows = []
    with open(file, newline="", encoding="utf-8") as f:
        for row in csv.DictReader(f):
            both = row["paper_value"] and row["code_value"]
            if not both or row["unit"] not in ("error", "difference"):
                continue
            paper, log = (100 * Decimal(row[c]) for c in ("paper_value", "code_value"))
            figures = [Decimal(t.replace(",", "")) for t in FIGURE.findall(row["statement"])]
            named = [figure for figure in figures if figure == abs(paper)]
            if not named:
                raise InputError(
                    f"row {row['claim_id']}, column statement: wanted the printed value "
                    f"{abs(paper)} (per cent or points), got {row['statement']!r}"
                )
            printed = named[-1].copy_sign(paper)  # the last: a statement ends with its figure
            rounded = log.quantize(printed, ROUND_HALF_UP)
            rows.append(
                {
                    "claim": row["claim_id"],
                    "printed": str(printed),
                    "log": f"{log.normalize():f}",
                    "rounded": str(rounded),
                    "equal": rounded == printed,
                }
            )
    return pd.DataFrame(rows)
