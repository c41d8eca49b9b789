"""The landing page's counts, against claims.csv and the ledger page counted another way."""

import collections
import csv
import re
from pathlib import Path

import pytest

from alexnet_repro.pages import ledger_tables, tables
from alexnet_repro.study import verdicts

ROOT = Path(__file__).resolve().parents[2]
# no answer to the claim: nothing ran, not enough of it, it cannot tell, or nothing to measure
OPEN = {"not run", "no verdict", "unclear", "not in regime", "definition"}
BADGE = re.compile(r'class="verdict ([\w-]+)">')


@pytest.fixture(scope="module")
def landing():
    return ledger_tables.landing().data


@pytest.fixture(scope="module")
def rows():
    with open(ROOT / "alexnet_repro/study/claims.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def words():
    """How often each word stands in the ledger, one row a figure."""
    found = BADGE.findall(ledger_tables.ledger().data)
    return collections.Counter(word.replace("-", " ") for word in found)


def test_sentence_counts_claims_figures_and_answers(landing, rows, words):
    numbers = re.search(
        r"makes (\d+) claims, which print (\d+) figures\. (\d+) of the figures are decided", landing
    )
    decided = sum(count for word, count in words.items() if word not in OPEN)
    claims = {re.match(r"c\d+", row["claim_id"])[0] for row in rows}
    assert [int(n) for n in numbers.groups()] == [len(claims), len(rows), decided]
    assert sum(words.values()) == len(rows)


def test_pills_count_every_word(landing, words):
    pills = re.findall(r'class="verdict ([\w-]+)">(?:(?!<b>).)*<b>(\d+)</b>', landing)
    assert {word.replace("-", " "): int(count) for word, count in pills} == dict(words)


def test_every_figure_of_ours_is_shown_once(landing, rows):
    """In a row of its own, or folded under another one of its claim."""
    folded = sum(int(n) for n in re.findall(r"and (\d+) more figures", landing))
    shown = len(re.findall(r"<tr><td", landing)) + folded
    without = len(re.findall(r'data-label="measured"><div>–</div>', ledger_tables.ledger().data))
    assert 0 < without < len(rows)
    assert shown == len(rows) - without


def test_every_word_has_a_glyph_and_its_own_look():
    css = (ROOT / "book/_assets/book.css").read_text()
    for word in verdicts.MEANING:
        assert tables.GLYPHS[word]
        # grey is the look of every badge; definition is nothing but that
        assert word == "definition" or f".{word.replace(' ', '-')}" in css, word
    assert len(set(tables.GLYPHS.values())) == len(tables.GLYPHS)
