"""What others measured, against figures typed in here, and the paper's print against its log."""

import csv

import pytest

from alexnet_repro import study
from alexnet_repro.errors import InputError
from alexnet_repro.study import claims, others

# Ten figures: claim, part of the net, part of the data, metric, number.
TYPED = [
    ("c04", "their replication", "ten patches", "top-1 error", 40.5),  # Zeiler and Fergus, Table 2
    ("c04", "BVLC AlexNet, snapshot", "centre", "top-5 accuracy", 80.2),
    ("c06", "paper's entry with the supplied", "test", "top-5 error", 16.422),
    ("c02", "one-column net of 2014", "centre", "top-1 error", 42.548),
    ("c15", "torchvision", "count", "parameters", 61_100_840),
    ("c19", "without all four", "ten patches", "top-5 error", 50.1),
    ("c08", "1.73 tanh(2x/3)", "128 pixels", "top-1 accuracy", 42.3),
    ("c14", "max-pooling 2x2", "128 pixels", "top-1 accuracy", 48.4),
    ("c25", "dropout 0.3", "128 pixels", "log loss", 2.25),
    ("c29", "CaffeNet", "K20", "time for 90 epochs", 9.4),
]
# Nothing that could be used was found for these.
NOTHING = {"c03", "c07", "c16", "c17", "c18", "c20", "c24", "c27", "c31", "c32"}


@pytest.fixture(scope="module")
def rows():
    return others.load_others()


@pytest.fixture
def changed(tmp_path):
    """A function that writes a csv with cells of one row changed and returns the new file."""

    def write(original, index, **cells):
        with open(original, newline="", encoding="utf-8") as f:
            table = list(csv.DictReader(f))
        table[index].update(cells)
        with open(tmp_path / original.name, "w", newline="", encoding="utf-8") as f:
            writer = csv.DictWriter(f, list(table[0]))
            writer.writeheader()
            writer.writerows(table)
        return tmp_path / original.name

    return write


def test_every_figure_of_a_known_claim_is_there(rows):
    assert len(rows) == 257
    every = {f"c{i:02}" for i in range(1, 36)}
    assert {c for row in rows for c in row.claims} == every - NOTHING


@pytest.mark.parametrize(("claim", "net", "data", "metric", "number"), TYPED)
def test_figures_typed_by_hand(claim, net, data, metric, number):
    found = [
        row
        for row in others.of_claim(claim)
        if net in row.net and data in row.data and row.metric == metric
    ]
    assert number in [row.number for row in found]


def test_the_number_is_written_in_the_value_or_the_finding_is_in_words(rows):
    for row in rows:
        if row.unit == "words":
            assert row.number is None
        else:
            assert f"{row.number:g}" in row.value.replace(",", "") or row.number == 61_100_840
    words = [row for row in rows if row.unit == "words"]
    assert {c for row in words for c in row.claims} == {
        *("c08", "c10", "c11", "c14", "c21", "c28", "c29", "c30")
    }


def test_sources_are_named_and_none_is_from_memory(rows):
    for row in rows:
        assert row.source.strip()
        assert row.where.strip()
        text = f"{row.net} {row.difference} {row.source} {row.where}"
        for unchecked in ("memory", "DeCAF", "Hinton", "Howard", "LARS", "Springenberg"):
            assert unchecked not in text
    places = {row.where for row in rows if "caffenet-benchmark" in row.source}
    assert len(places) > 10
    assert all("e47c4ffd" in where for where in places)


def test_what_was_computed_here_is_marked(rows):
    derived = [(row.claims, row.metric, row.number) for row in rows if row.derived]
    # 2 nets averaged, 8 on ImageNetV2, 3 gains, 4 of logs, 1 share of weights, 3 of colour noise,
    # 6 times of 90 epochs
    assert len(derived) == 27
    assert (("c02", "c01", "c22"), "top-1 error, centre minus ten patches", 2.13) in derived


def test_an_accuracy_gives_its_error():
    errors = {(r.net, r.metric): r.error for r in others.of_claim("c04")}
    net = "BVLC AlexNet, snapshot at 360,000 iterations"
    assert errors[net, "top-1 accuracy"] == 42.9
    assert errors[net, "top-5 accuracy"] == 19.8
    assert errors["torchvision AlexNet", "parameters"] is None
    assert errors["MatConvNet's own AlexNet", "top-1 error"] == 41.8


def test_a_row_of_the_ledger_has_what_its_claim_has():
    assert others.of_claim("c14-top1") == others.of_claim("c14") != []
    assert others.of_claim("c03-sift-top5") == []
    assert all("c14" in row.claims for row in others.of_claim("c14"))
    for wrong in ("c36", "c14-top9", ""):
        with pytest.raises(InputError, match=f"no claim '{wrong}'"):
            others.of_claim(wrong)


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        ("claims", "c36", "claims of claims.csv"),
        ("claims", "", "claims of claims.csv"),
        ("claims", "c04 c04", "claims of claims.csv"),
        ("net", "", "words"),
        ("data", " ", "words"),
        ("metric", "", "words"),
        ("value", "", "words"),
        ("value", "15.351", "a figure of value"),
        ("number", "", "a number"),
        ("number", "fifteen", "a number"),
        ("number", "nan", "a number"),
        ("number", "-15.315", "a number"),
        ("number", "15.3", "a figure of value"),
        ("unit", "percent", "one of %"),
        ("unit", "words", "nothing"),
        ("derived", "no", "yes or nothing"),
        ("difference", "", "words"),
        ("source", "", "words"),
        ("where", "", "words"),
    ],
)
def test_a_wrong_cell_is_refused_with_row_and_column(changed, column, value, text):
    file = changed(others.FILE, 0, **{column: value})
    where = "number" if (column, value) in (("value", "15.351"), ("unit", "words")) else column
    with pytest.raises(InputError, match=f"row 2, column {where}: wanted .*{text}"):
        others.load_others(file)


def test_a_percentage_over_100_is_refused(changed):
    file = changed(others.FILE, 0, value="153.15", number="153.15")
    with pytest.raises(InputError, match="row 2, column number: wanted 0 to 100"):
        others.load_others(file)


def test_wrong_files_are_refused(tmp_path, changed):
    file = tmp_path / "others.csv"
    head = ",".join(others.COLUMNS) + "\n"
    for text, wanted in (
        ("", "columns are None"),
        ("claims,net\n", "columns are"),
        (head, "no rows"),
        (head + "c04,a net\n", "row 2, .*as many fields"),
        (head + "c04," * 12 + "\n", "row 2, .*as many fields"),
    ):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=wanted):
            others.load_others(file)
    with open(others.FILE, newline="", encoding="utf-8") as f:
        first = next(csv.DictReader(f))
    with pytest.raises(InputError, match="two rows say 'top-5 error'"):
        others.load_others(changed(others.FILE, 2, **first))


def test_fifteen_of_sixteen_results_round_to_what_is_printed():
    table = others.print_against_log()
    assert len(table) == 16
    assert list(table[~table.equal].claim) == ["c02-gain-top1"]
    text = {r.claim: (r.printed, r.log, r.rounded) for r in table.itertuples()}
    # typed from the paper and from the notes of runs 145-2010, 145 and 148
    assert text["c01-top5"] == ("17.0", "16.9987", "17.0")
    assert text["c02-gain-top1"] == ("-1.5", "-1.552", "-1.6")
    assert text["c04-1cnn-pre-top1"] == ("39.0", "38.99", "39.0")
    assert text["c12-top5"] == ("-1.2", "-1.152", "-1.2")


@pytest.mark.parametrize(
    ("logged", "rounded", "equal"),
    [
        ("0.1694", "16.9", False),  # 0.17 all the same, to two digits of a fraction
        ("0.1695", "17.0", True),  # half goes away from zero
        ("0.1705", "17.1", False),
    ],
)
def test_the_log_is_rounded_to_the_digits_that_are_printed(changed, logged, rounded, equal):
    names = [c.claim_id for c in study.load_claims()]
    file = changed(claims.FILE, names.index("c01-top5"), code_value=logged)
    row = others.print_against_log(file).set_index("claim").loc["c01-top5"]
    assert (row["rounded"], row["equal"]) == (rounded, equal)


def test_a_statement_without_the_printed_value_is_refused(changed):
    names = [c.claim_id for c in study.load_claims()]
    file = changed(claims.FILE, names.index("c10-top1"), statement="Two GPUs: 1.8 points better")
    with pytest.raises(InputError, match=r"row c10-top1, column statement: .*1\.7"):
        others.print_against_log(file)


def test_reading_them_imports_no_torch(imported_by):
    found = imported_by("from alexnet_repro.study import others\nothers.load_others()")
    assert "alexnet_repro.study.others" in found
    assert not found & {"torch", "torchvision"}
