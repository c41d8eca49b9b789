"""What the book's extension calls outdated, and what it writes into a page's head."""

import importlib.util
import shutil
import types
from pathlib import Path

import pytest
from docutils import nodes

from alexnet_repro.study import records

ROOT = Path(__file__).resolve().parents[2]
PAGES = {"index": "index.ipynb", "3.4-pooling": "3.4-pooling.ipynb", "how-to-run": "how-to-run.md"}


@pytest.fixture
def extension():
    spec = importlib.util.spec_from_file_location("book_ext", ROOT / "book/_ext/book_ext.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A copy of two records, of a demonstration and of a benchmark, where the records are read."""
    for name in ("s34-pooling/overlap-seed0", "s34-pooling/overlap-seed1", "components/order",
                 "benchmarks/lrn"):  # fmt: skip
        for path in records.RUNS.glob(f"{name}.*"):
            (tmp_path / path.parent.name).mkdir(exist_ok=True)
            shutil.copy(path, tmp_path / path.parent.name)
    monkeypatch.setattr(records, "RUNS", tmp_path)
    return tmp_path


@pytest.fixture
def again(extension):
    """A function that builds again: the pages that are then out of date."""
    env = types.SimpleNamespace(found_docs=set(PAGES), doc2path=lambda name: PAGES[name])

    def build():
        return sorted(extension.outdated(None, env, set(), set(), set()))

    build()
    return build


NOTEBOOKS = ["3.4-pooling", "index"]


def test_nothing_is_outdated_when_nothing_changed(runs, again):
    assert again() == []
    for path in runs.rglob("*.json"):
        path.touch()
    assert again() == []


@pytest.mark.parametrize(
    "name",
    ["s34-pooling/overlap-seed0.json", "s34-pooling/overlap-seed0.csv", "components/order.json",
     "benchmarks/lrn.json"],
)  # fmt: skip
def test_a_changed_record_or_curve_runs_every_notebook_again(runs, again, name):
    path = runs / name
    path.write_bytes(path.read_bytes().replace(b"1", b"2", 1))
    assert again() == NOTEBOOKS
    assert again() == []  # once


def test_a_record_more_or_less_and_two_exchanged_are_changes(runs, again):
    one, two = (runs / f"s34-pooling/overlap-seed{k}.csv" for k in (0, 1))
    kept = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(kept)
    assert again() == NOTEBOOKS
    one.unlink()
    assert again() == NOTEBOOKS
    one.write_bytes(kept)
    assert again() == NOTEBOOKS


def test_a_record_in_another_folder_is_a_change(runs, again):
    (runs / "s4-ablations").mkdir()
    (runs / "components/order.json").rename(runs / "s4-ablations/order.json")
    assert again() == NOTEBOOKS


def test_changed_code_runs_every_notebook_again(runs, again, monkeypatch):
    monkeypatch.setattr(records, "code_digest", lambda: "other")
    assert again() == NOTEBOOKS


def test_an_environment_from_before_the_extension_is_outdated(runs, extension):
    env = types.SimpleNamespace(found_docs=set(PAGES), doc2path=lambda name: PAGES[name])
    assert sorted(extension.outdated(None, env, set(), set(), set())) == NOTEBOOKS


def test_title_and_first_paragraph_are_escaped(extension):
    document = nodes.section("", nodes.paragraph("", 'a "quoted" <b> & more'))
    titles = {"p": nodes.title("", 'LRN <"5" & 3>')}
    app = types.SimpleNamespace(env=types.SimpleNamespace(titles=titles))
    context = {"title": "LRN &lt;<em>5</em>"}
    extension.page(app, "p", "", context, document)
    head = context["metatags"]
    assert 'content="LRN &lt;&quot;5&quot; &amp; 3&gt;"' in head
    assert 'content="a &quot;quoted&quot; &lt;b&gt; &amp; more"' in head
    assert head.count("<") == head.count("<meta")


def test_scripts_that_load_from_outside_are_dropped(extension):
    context = {"script_files": ["_static/thebe.js", "https://x/mathjax.js", "_static/theme.js"]}
    extension.page(None, "p", "", context, None)
    assert context == {"script_files": ["_static/theme.js"]}


def test_the_foot_counts_runs_and_names_the_commit(extension, runs, monkeypatch):
    monkeypatch.setattr(records, "git_state", lambda: {"commit": "c" * 40, "dirty": True})
    app = types.SimpleNamespace(config=types.SimpleNamespace(html_theme_options={}))
    extension.footer(app)
    text = app.config.html_theme_options["extra_footer"]
    assert text == f"<p>Commit {'c' * 9}, tree not clean; 2 records.</p>"
