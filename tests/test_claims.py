"""The ledger against the paper's figures, typed in again here, and against wrong rows."""

import csv

import pytest

from alexnet_repro import arithmetic, claims, verdicts
from alexnet_repro.claims import ClaimError
from alexnet_repro.records import RecordError

# The errors that the paper prints, per cent, top-1 and top-5 (tables 1 and 2, §6).
PRINTED = {
    "c01": (37.5, 17.0), "c02": (39.0, 18.3), "c03-sparse": (47.1, 28.2), "c03-sift": (45.7, 25.7),
    "c04-1cnn": (40.7, 18.2), "c04-5cnn": (38.1, 16.4), "c04-1cnn-pre": (39.0, 16.6),
    "c04-7cnn": (36.7, 15.3), "c04-sift": (None, 26.2), "c07": (67.4, 40.9),
    # ablations, points
    "c02-gain": (-1.5, -1.3), "c10": (-1.7, -1.2), "c12": (-1.4, -1.2), "c14": (-0.4, -0.3),
}  # fmt: skip
# Top-1 and top-5 errors that the original runs logged.
LOG_2010, LOG_CENTRE, LOG_HALF = (0.374727, 0.169987), (0.390247, 0.182953), (0.391680, 0.182287)
LOG_2012, LOG_PRE = (0.406640, 0.182100), (0.389900, 0.166220)
LOG_147, LOG_148 = (0.410580, 0.185100), (0.420340, 0.193620)


@pytest.fixture(scope="module")
def ledger():
    return {c.claim_id: c for c in claims.load_claims()}


@pytest.fixture
def changed(tmp_path):
    """A function that writes claims.csv with one cell changed and returns the new file."""

    def write(claim_id, column, value):
        with open(claims.FILE, newline="", encoding="utf-8") as f:
            rows = list(csv.DictReader(f))
        [row] = [r for r in rows if r["claim_id"] == claim_id]
        row[column] = value
        with open(tmp_path / "claims.csv", "w", newline="", encoding="utf-8") as f:
            writer = csv.DictWriter(f, claims.COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        return tmp_path / "claims.csv"

    return write


def test_all_35_claims_have_a_row(ledger):
    assert {name[:3] for name in ledger} == {f"c{i:02}" for i in range(1, 36)}


def test_the_printed_errors(ledger):
    for stem, pair in PRINTED.items():
        for top, value in zip(("top1", "top5"), pair, strict=True):
            if value is not None:
                claim = ledger[f"{stem}-{top}"]
                assert claim.paper_value == pytest.approx(value / 100), claim.claim_id
    assert ledger["c08-original"].paper_value == ledger["c08-modern"].paper_value == 6
    assert (ledger["c13-without"].paper_value, ledger["c13-with"].paper_value) == (0.13, 0.11)


def test_the_logged_errors(ledger):
    def logged(stem):
        return [ledger[f"{stem}-{top}"].code_value for top in ("top1", "top5")]

    def minus(a, b):
        return pytest.approx([a[0] - b[0], a[1] - b[1]], abs=1e-9)

    assert logged("c01") == [*LOG_2010]
    assert logged("c02") == [*LOG_CENTRE]
    assert logged("c04-1cnn") == [*LOG_2012]
    assert logged("c04-1cnn-pre") == [*LOG_PRE]
    assert logged("c02-gain") == minus(LOG_2010, LOG_CENTRE)
    assert logged("c10") == minus(LOG_2010, LOG_HALF)
    assert logged("c12") == minus(LOG_2012, LOG_148)
    assert logged("c14") == minus(LOG_2012, LOG_147)
    assert ledger["c33"].code_value == pytest.approx(0.402500 - LOG_2012[0])


def test_the_paper_is_off_in_three_places_and_matches_elsewhere(ledger):
    words = {name: claims.verdict(c).word for name, c in ledger.items() if c.arithmetic}
    off = {name for name, word in words.items() if word == "paper is off"}
    assert off == {"c16-conv1", "c18", "c21-factor"}
    assert set(words.values()) == {"match", "paper is off"}
    assert len(words) == 1 + 6 + 9 + 2 + 1 + 1 + 1 + 1  # c05, c15, c16, c17, c18, c20, c21, c22
    for name in words:
        claim = ledger[name]
        if claim.code_value is not None:
            assert arithmetic.compute(claim.metric, claim.arm) == claim.code_value, name


def test_every_row_that_is_not_run_says_why(tmp_path):
    board = claims.scoreboard(tmp_path)  # no records at all
    assert set(board["verdict"]) == {"match", "paper is off", "not run"}
    idle = board[board["verdict"] == "not run"]
    assert idle["why"].str.len().min() > 10
    assert idle["ours"].isna().all()
    open_claims = idle[idle["why"].str.startswith("no records")]
    names = "c02-gain-top1 c02-gain-top5 c08-original c08-modern c14-top1 c14-top5 c14-overfit "
    names += "c21-overfit c23 c25-overfit c26"
    assert set(open_claims["claim"]) == set(names.split())


def test_commands(ledger):
    one = "alexnet-repro run s34-pooling --arm overlap"
    assert ledger["c02-gain-top1"].command == one
    assert ledger["c14-top1"].command == f"{one} --arm non-overlap"
    assert ledger["c03-sift-top1"].command == ""


def test_scoreboard_from_records(pooling_records, tmp_path):
    for record in pooling_records:
        record.save(tmp_path)
    board = claims.scoreboard(tmp_path).set_index("claim")
    # top-1: -0.003, -0.004, -0.005, so -0.004 +- 4.303 * 0.001 / sqrt(3) = 0.002484
    row = board.loc["c14-top1"]
    wanted = pytest.approx([-0.004, -0.006484, -0.001516], abs=1e-6)
    assert [row["ours"], row["low"], row["high"]] == wanted
    assert (row["n"], row["verdict"]) == (3, "direction")  # scaled, at best direction
    assert board.loc["c14-top5", "verdict"] == "unclear"  # no difference in any seed
    assert board.loc["c14-overfit", "ours"] == pytest.approx(-0.004)  # equal training errors
    assert board.loc["c14-overfit", "verdict"] == "direction"
    assert board.loc["c02-gain-top1", "ours"] == pytest.approx(0.290 - 0.300)
    assert set(board["verdict"]) <= set(verdicts.WORDS)


def test_part_of_the_seeds_is_an_error_not_a_choice(pooling_records, tmp_path):
    for record in pooling_records[1:]:
        record.save(tmp_path)
    with pytest.raises(RecordError, match=r"no record .*overlap-seed0.json; make it with"):
        claims.scoreboard(tmp_path)


def test_verdicts_from_runs(ledger, pooling_records, make_record):
    claim = ledger["c14-top1"]
    strange = make_record("s34-pooling", "another-arm", 0)
    assert claims.verdict(claim, [*pooling_records, strange]).n == 3
    with pytest.raises(ValueError, match=r"unpaired seeds: \[0, 1, 2\] against \[0, 1\]"):
        claims.verdict(claim, pooling_records[:5])
    pooling_records[0].config["data"] = "embedded"
    assert claims.verdict(claim, pooling_records).word == "no verdict"
    with pytest.raises(ValueError, match=r"no claim 'c99' in claims\.csv"):
        claims.get("c99")


@pytest.mark.parametrize(
    ("row", "column", "value", "text"),
    [
        ("c01-top1", "unit", "percent", "wanted one of error, difference, .*, got 'percent'"),
        ("c01-top1", "paper_value", "37.5", r"wanted 0 to 1 \(error\), got '37.5'"),
        ("c01-top1", "code_value", "nan", r"wanted 0 to 1 \(error\), got 'nan'"),
        ("c14-top1", "paper_value", "-1.5", r"wanted -1 to 1 \(difference\)"),
        ("c14-top1", "paper_value", "many", "wanted a number or nothing, got 'many'"),
        ("c14-top1", "paper_value", "", "wanted a number, or an expected_sign"),
        ("c14-top1", "page", "9-none", "wanted the name of a page in book/, got '9-none'"),
        ("c14-top1", "experiment", "s99", "wanted one of s31-relu-original-sweep, .*, got 's99'"),
        ("c14-top1", "arm", "", "wanted one of overlap, non-overlap, got ''"),
        ("c14-top1", "versus", "tanh", "wanted one of overlap, non-overlap, got 'tanh'"),
        ("c14-top1", "versus", "", "wanted one of overlap, non-overlap, got ''"),
        ("c14-top1", "compare", "minus", "wanted one of difference, ratio, .*, got 'minus'"),
        ("c14-top1", "setting", "huge", "wanted full, scaled, arithmetic or nothing, got 'huge'"),
        ("c14-overfit", "expected_sign", "+", "wanted -1, 1 or nothing, got '\\+'"),
        ("c15-layers", "metric", "flops", "wanted a metric of arithmetic.py, got 'flops'"),
        ("c15-layers", "metric", "", "wanted a metric of arithmetic.py, got ''"),
        ("c15-layers", "arm", "alexnett", "wanted .*, got 'alexnett'"),
        ("c15-layers", "precision", "", "wanted a number, got ''"),
        ("c15-layers", "precision", "one", "wanted a number or nothing, got 'one'"),
        ("c03-sift-top1", "reason", "", "wanted why it is not run, got ''"),
        ("c03-sift-top1", "reason", 'x",y', None),  # a comma within quotes is no mistake
    ],
)
def test_a_wrong_cell_is_named(changed, row, column, value, text):
    file = changed(row, column, value)
    if text is None:
        assert {c.claim_id: c for c in claims.load_claims(file)}[row].reason == value
        return
    with pytest.raises(ClaimError, match=f"^row {row}, column {column}: {text}"):
        claims.load_claims(file)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("c02-top5,", "c02-top1,", "row c02-top1, column claim_id: there are two of it"),
        ("c11,", ",", "row , column claim_id: wanted a name, got ''"),
        (
            "accelerators of the kind",
            "more, or so",
            "row c11, column reason: wanted as many fields",
        ),
        ("c20,4,§4,", "c20,§4,", "row c20, column reason: wanted as many fields as columns"),
        ("claim_id,section", "claim,section", r"columns are \['claim', .*, wanted \['claim_id'"),
    ],
)
def test_a_wrong_table_is_named(tmp_path, old, new, text):
    whole = claims.FILE.read_text(encoding="utf-8")
    assert whole.count(old) == 1
    (tmp_path / "claims.csv").write_text(whole.replace(old, new), encoding="utf-8")
    with pytest.raises(ClaimError, match=text):
        claims.load_claims(tmp_path / "claims.csv")
