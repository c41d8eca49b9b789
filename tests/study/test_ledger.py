"""Every row of claims.csv once more, typed from the paper, and what a wrong ledger is told.

The table below was written from the paper's text and not from the file: what is compared with what,
on which side the paper expects the effect, and in which setting this study can look.
"""

import csv
import dataclasses

import pytest

from alexnet_repro import study
from alexnet_repro.study import claims, evidence, experiments
from alexnet_repro.study.claims import ClaimError

# compare, arm - versus (or arm / versus), the printed figure, side, setting
# §6, tables 1 and 2: errors as they are printed, none of them an effect
ERRORS = {
    "c01-top1": ("value", "paper", 0.375), "c01-top5": ("value", "paper", 0.170),
    "c02-top1": ("value", "paper", 0.390), "c02-top5": ("value", "paper", 0.183),
    "c03-sparse-top1": ("none", "", 0.471), "c03-sparse-top5": ("none", "", 0.282),
    "c03-sift-top1": ("none", "", 0.457), "c03-sift-top5": ("none", "", 0.257),
    "c04-1cnn-top1": ("value", "paper", 0.407), "c04-1cnn-top5": ("value", "paper", 0.182),
    "c04-5cnn-top1": ("none", "", 0.381), "c04-5cnn-top5": ("none", "", 0.164),
    "c04-1cnn-pre-top1": ("none", "", 0.390), "c04-1cnn-pre-top5": ("none", "", 0.166),
    "c04-7cnn-top1": ("none", "", 0.367), "c04-7cnn-val-top5": ("none", "", 0.154),
    "c04-7cnn-top5": ("none", "", 0.153), "c04-sift-top5": ("none", "", 0.262),
    "c07-top1": ("none", "", 0.674), "c07-top5": ("none", "", 0.409),
    "c13-without": ("none", "", 0.13), "c13-with": ("none", "", 0.11),
    "c09-relu": ("value", "relu", 6), "c09-tanh": ("value", "tanh", 36),
}  # fmt: skip
FULL_ERRORS = {n for n, row in ERRORS.items() if row[0] == "value"}
# effects: compare, arm, versus, printed, side, setting, role, also, unit, metric
EFFECTS = {
    # footnote of §6: 39.0 and 18.3 with the centre patch, 37.5 and 17.0 with ten
    "c02-gain-top1": ("within", "overlap", "", -0.015, -1, "scaled", "primary", "",
                      "ten_crop_top1_error - top1_error"),
    "c02-gain-top5": ("within", "overlap", "", -0.013, -1, "scaled", "secondary", "",
                      "ten_crop_top5_error - top5_error"),
    # §3.1: tanh needs six times as many epochs
    "c08-original": ("ratio", "tanh", "relu", 6, 1, "full", "primary", "", "epochs_to_25"),
    "c08-modern": ("ratio", "tanh", "relu", 6, 1, "full", "secondary", "", "epochs_to_25"),
    # §3.2: the net on two GPUs has the lower errors
    "c10-top1": ("difference", "paper", "one-gpu", -0.017, -1, "full", "primary", "",
                 "ten_crop_top1_error"),
    "c10-top5": ("difference", "paper", "one-gpu", -0.012, -1, "full", "secondary", "",
                 "ten_crop_top5_error"),
    # §3.3: so has the net with normalisation
    "c12-top1": ("difference", "paper", "no-norm", -0.014, -1, "full", "primary", "",
                 "ten_crop_top1_error"),
    "c12-top5": ("difference", "paper", "no-norm", -0.012, -1, "full", "secondary", "",
                 "ten_crop_top5_error"),
    # §3.4: overlapping pooling lowers the errors and is harder to overfit
    "c14-top1": ("difference", "overlap", "non-overlap", -0.004, -1, "scaled", "primary", "",
                 "top1_error"),
    "c14-top5": ("difference", "overlap", "non-overlap", -0.003, -1, "scaled", "secondary", "",
                 "top5_error"),
    "c14-overfit": ("difference", "overlap", "non-overlap", None, -1, "scaled", "secondary", "",
                    "top1_error - train_top1_error"),
    # §4.1: without crops it overfits; colour noise lowers the top-1 error by over one point
    "c21-overfit": ("difference", "no-crops", "baseline", None, 1, "scaled", "primary",
                    "top1_error", "top1_error - train_top1_error"),
    "c23": ("difference", "colour-noise", "baseline", -0.01, -1, "scaled", "primary", "",
            "top1_error"),
    # §4.2: without dropout it overfits
    "c25-overfit": ("difference", "no-dropout", "baseline", None, 1, "scaled", "primary",
                    "top1_error", "top1_error - train_top1_error"),
    # §5: decay lowers the training error too
    "c26": ("difference", "baseline", "no-decay", None, -1, "scaled", "primary", "",
            "train_top1_error"),
}  # fmt: skip
# figures that the net fixes: compare, net, printed
COMPUTED = {
    "c05": ("exact", "alexnet-six-conv", 9), "c15-layers": ("exact", "alexnet", 8),
    "c15-conv1": ("exact", "alexnet", 96 * 11 * 11 * 3),
    "c15-conv2": ("exact", "alexnet", 256 * 5 * 5 * 48),
    "c15-conv3": ("exact", "alexnet", 384 * 3 * 3 * 256),
    "c15-conv4": ("exact", "alexnet", 384 * 3 * 3 * 192),
    "c15-conv5": ("exact", "alexnet", 256 * 3 * 3 * 192),
    "c16-input": ("exact", "alexnet", 150_528), "c16-conv1": ("exact", "alexnet", 253_440),
    "c16-conv2": ("exact", "alexnet", 186_624), "c16-conv3": ("exact", "alexnet", 64_896),
    "c16-conv4": ("exact", "alexnet", 64_896), "c16-conv5": ("exact", "alexnet", 43_264),
    "c16-fc6": ("exact", "alexnet", 4096), "c16-fc7": ("exact", "alexnet", 4096),
    "c16-fc8": ("exact", "alexnet", 1000), "c17-parameters": ("exact", "alexnet", 60e6),
    "c17-neurons": ("exact", "alexnet", 650_000), "c18": ("at-most", "alexnet", 0.01),
    "c20": ("definition", "alexnet", 10), "c21-factor": ("exact", "alexnet", 2048),
    "c22": ("definition", "alexnet", 10),
}  # fmt: skip
# the others, with the figure that they print
OTHERS = {
    "c06": 0.001, "c11": None, "c19": 0.02, "c24": None, "c25-iterations": 2, "c27": None,
    "c28": None, "c29": 6, "c30": None, "c31": None, "c32": None, "c33": None, "c34": None,
    "c35": None,
}  # fmt: skip


@pytest.fixture(scope="module")
def rows():
    return {c.claim_id: c for c in study.load_claims()}


def test_no_row_is_missing_and_none_is_new(rows):
    assert set(rows) == set(ERRORS) | set(EFFECTS) | set(COMPUTED) | set(OTHERS)
    assert len(rows) == 24 + 15 + 22 + 14 == 75
    assert {name[:3] for name in rows} == {f"c{i:02}" for i in range(1, 36)}


@pytest.mark.parametrize("name", EFFECTS)
def test_an_effect_is_compared_as_the_paper_says(rows, name):
    c = rows[name]
    found = (c.compare, c.arm, c.versus, c.paper_value, c.sign, c.setting, c.role, c.also)
    assert (*found, c.metric) == EFFECTS[name]
    assert c.unit == ("ratio" if c.compare == "ratio" else "difference")
    if c.paper_value is not None:
        nothing = 1 if c.compare == "ratio" else 0
        assert (c.paper_value > nothing) == (c.sign > 0)


def test_printed_errors_are_typed_right_and_judged_by_nothing(rows):
    for name, row in ERRORS.items():
        c = rows[name]
        assert (c.compare, c.arm, c.paper_value) == row, name
        assert (c.versus, c.expected_sign, c.role, c.also) == ("", 0, "", ""), name
        assert c.setting == ("full" if name in FULL_ERRORS else ""), name


def test_computed_and_other_rows(rows):
    for name, row in COMPUTED.items():
        c = rows[name]
        assert (c.compare, c.arm, c.paper_value) == row, name
        assert (c.versus, c.expected_sign, c.setting, c.role) == ("", 0, "arithmetic", ""), name
    for name, figure in OTHERS.items():
        c = rows[name]
        assert c.paper_value == figure, name
        assert (c.arm, c.versus, c.expected_sign, c.setting, c.role) == ("", "", 0, "", ""), name
        assert c.compare == ("definition" if name in ("c27", "c34") else "none"), name


def test_claim_8_says_that_its_net_is_a_guess_and_its_images_copies(rows):
    for name in ("c08-original", "c08-modern"):
        assert "G1" in rows[name].note
        assert "JPEG copies" in rows[name].note


@pytest.fixture
def changed(tmp_path):
    """A function that writes claims.csv with cells of one row changed and returns the new file."""

    def write(claim_id, **cells):
        with open(claims.FILE, newline="", encoding="utf-8") as f:
            table = list(csv.DictReader(f))
        [row] = [r for r in table if r["claim_id"] == claim_id]
        row.update(cells)
        with open(tmp_path / "claims.csv", "w", newline="", encoding="utf-8") as f:
            writer = csv.DictWriter(f, claims.COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(table)
        return tmp_path / "claims.csv"

    return write


@pytest.mark.parametrize(
    ("row", "column", "value", "text"),
    [
        ("c01-top1", "unit", "percent", "wanted one of error, difference, .*, got 'percent'"),
        ("c01-top1", "paper_value", "37.5", r"wanted 0 to 1 \(error\), got '37.5'"),
        ("c01-top1", "code_value", "nan", r"wanted 0 to 1 \(error\), got 'nan'"),
        ("c01-top1", "role", "primary", "wanted nothing in a row that runs do not judge"),
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
        ("c14-top1", "setting", "full", "wanted scaled, by its nets and data set, got 'full'"),
        ("c02-gain-top1", "setting", "full", "wanted scaled, by its nets and data set"),
        ("c08-original", "setting", "scaled", "wanted full, by its nets and data set"),
        ("c12-top1", "setting", "scaled", "wanted full, by its nets and data set"),
        ("c14-overfit", "unit", "share", "wanted difference, as it is compared, got 'share'"),
        ("c14-top1", "role", "first", "wanted primary, secondary or nothing, got 'first'"),
        ("c14-top1", "expected_sign", "1", "wanted -1, as the printed size has it, or nothing"),
        ("c14-top1", "paper_value", "0", None),
        ("c08-original", "paper_value", "0", "wanted a ratio above 0, got '0'"),
        ("c14-top1", "precondition", "overlap", r"wanted conditions \(wanted 'arm: metric >= "),
        ("c14-top1", "precondition", "tanh: loss <= 1", "wanted arms of overlap, non-overlap"),
        ("c14-overfit", "expected_sign", "+", "wanted -1, 1 or nothing, got '\\+'"),
        ("c15-layers", "metric", "flops", "wanted a metric of arithmetic.py, got 'flops'"),
        ("c15-layers", "metric", "", "wanted a metric of arithmetic.py, got ''"),
        ("c15-layers", "arm", "alexnett", "wanted .*, got 'alexnett'"),
        ("c15-layers", "printed", "7", "wanted the figure that paper_value has, got '7'"),
        ("c15-layers", "printed", "8 to 9", r"wanted one figure \(wanted a text with one figure"),
        ("c17-parameters", "paper_value", "61000000", None),
        ("c03-sift-top1", "reason", "", "wanted why it is not run, got ''"),
        ("c27", "reason", "", "wanted why it is not run, got ''"),
    ],
)
def test_a_wrong_cell_is_named(changed, row, column, value, text):
    if text is None:  # told at another column
        column, text = {
            "c14-top1": ("expected_sign", "wanted -1 or 1, for the printed size has no sign"),
            "c17-parameters": ("printed", "wanted the figure that paper_value has"),
        }[row]
        file = changed(row, paper_value=value)
    else:
        file = changed(row, **{column: value})
    with pytest.raises(ClaimError, match=f"^row {row}, column {column}: {text}"):
        study.load_claims(file)


def test_a_comma_within_quotes_is_no_mistake(changed):
    file = changed("c03-sift-top1", reason='x",y')
    assert {c.claim_id: c for c in study.load_claims(file)}["c03-sift-top1"].reason == 'x",y'


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("c02-top5,", "c02-top1,", "row c02-top1, column claim_id: there are two of it"),
        ("c11,", ",", "row , column claim_id: wanted a name, got ''"),
        ("accelerators of the kind", "more, or so", "row c11, column note: wanted as many fields"),
        ("c20,4,§4,", "c20,§4,", "row c20, column note: wanted as many fields as columns"),
        ("claim_id,section", "claim,section", r"columns are \['claim', .*, wanted \['claim_id'"),
    ],
)
def test_a_wrong_table_is_named(tmp_path, old, new, text):
    whole = claims.FILE.read_text(encoding="utf-8")
    assert whole.count(old) == 1
    (tmp_path / "claims.csv").write_text(whole.replace(old, new), encoding="utf-8")
    with pytest.raises(ClaimError, match=text):
        study.load_claims(tmp_path / "claims.csv")


def test_a_ledger_that_was_cut_is_refused_wherever_it_was_cut(tmp_path):
    whole = claims.FILE.read_text(encoding="utf-8")
    file = tmp_path / "claims.csv"
    ends = [i + 1 for i, c in enumerate(whole) if c == "\n"][:-1]  # after each whole row
    for end in [*ends[::6], ends[-1], len(whole) - 1, len(whole) - 9]:
        file.write_text(whole[:end], encoding="utf-8")
        with pytest.raises(ClaimError):
            study.load_claims(file)


def test_the_nets_and_the_data_set_decide_what_is_scaled():
    pooling, full = experiments.get("s34-pooling"), experiments.get("s6-ilsvrc-2012")
    claim = claims.get("c14-top1")
    assert evidence.scaled(claim, pooling)
    wide = dataclasses.replace(
        full, arms={"overlap": {"net": "alexnet"}, "non-overlap": {"net": "alexnet"}}
    )
    assert not evidence.scaled(claim, wide)
    # either arm's net, and the images
    for arms in (("mini-alexnet", "alexnet"), ("alexnet", "mini-alexnet-nonoverlap")):
        nets = {a: {"net": n} for a, n in zip(("overlap", "non-overlap"), arms, strict=True)}
        assert evidence.scaled(claim, dataclasses.replace(wide, arms=nets))
    other = {**full.preset, "data": "cifar10-jpeg"}
    assert evidence.scaled(claim, dataclasses.replace(wide, preset=other))
    assert not evidence.scaled(claims.get("c08-original"), experiments.get("s31-relu-original"))


@pytest.mark.parametrize(
    ("compare", "paper", "own", "sign"),
    [("ratio", 6, 0, 1), ("ratio", 0.5, 0, -1), ("ratio", 1, -1, -1), ("difference", 0.5, 0, 1),
     ("difference", -0.5, 0, -1), ("difference", 0, 1, 1), ("difference", None, -1, -1)],
)  # fmt: skip
def test_the_printed_size_has_the_sign(rows, compare, paper, own, sign):
    claim = dataclasses.replace(rows["c23"], compare=compare, paper_value=paper, expected_sign=own)
    assert claim.sign == sign


def test_names_of_claims_are_those_of_the_ledger():
    assert study.load_claims is study.load_claims
    with pytest.raises(ValueError, match=r"no claim 'c99' in claims\.csv"):
        claims.get("c99")
