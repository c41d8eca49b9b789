"""claims.csv as a file: one that breaks off anywhere is no shorter ledger."""

import re

import pytest

from alexnet_repro import study
from alexnet_repro.study import claims
from alexnet_repro.study.claims import ClaimError

WHOLE = claims.FILE.read_bytes()
LINES = WHOLE.splitlines(keepends=True)


@pytest.mark.parametrize(
    ("kept", "text"),
    [
        (WHOLE[:-1], "its last line"),
        (WHOLE[: WHOLE.rindex(b",")], "as many fields as columns"),
        (b"".join(LINES[:-1]), "lacks claims (c35)"),
        (b"".join(LINES[:40]), "lacks claims (c16, c17, "),
        (LINES[0], "lacks claims (c01, c02, "),
        (b"", "columns are None"),
        (WHOLE[: WHOLE.index("§".encode()) + 1], "not a readable ledger"),
        (b"".join(line for line in LINES if not line.startswith(b"c20,")), "lacks claims (c20)"),
    ],
)  # fmt: skip
def test_a_ledger_that_breaks_off_is_refused(tmp_path, kept, text):
    file = tmp_path / "claims.csv"
    file.write_bytes(kept)
    with pytest.raises(ClaimError, match=re.escape(text)):
        study.load_claims(file)


def test_a_ledger_that_is_not_there(tmp_path):
    with pytest.raises(ClaimError, match=r"nowhere\.csv: not a readable ledger"):
        study.load_claims(tmp_path / "nowhere.csv")


def test_the_whole_ledger_is_taken(tmp_path):
    (tmp_path / "claims.csv").write_bytes(WHOLE)
    assert study.load_claims(tmp_path / "claims.csv") == study.load_claims()
