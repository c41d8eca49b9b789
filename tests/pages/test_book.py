"""The book builds without a warning, loads nothing from outside, and its links lead somewhere."""

import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
JUPYTER_BOOK = str(Path(sys.executable).with_name("jupyter-book"))


class Page(HTMLParser):
    def __init__(self, path: Path):
        super().__init__()
        self.ids, self.links, self.loads, self.images = set(), [], [], []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids.add(attrs.get("id"))
        if tag == "a" and "href" in attrs:
            self.links.append(attrs["href"])
        if tag in ("img", "script") and "src" in attrs:
            self.loads.append(attrs["src"])
        if tag == "link" and attrs.get("rel") in ("stylesheet", "icon", "preload"):
            self.loads.append(attrs["href"])
        if tag == "img" and "logo" not in attrs.get("class", ""):
            self.images.append(attrs.get("alt"))


def _build(folder: Path) -> subprocess.CompletedProcess:
    """The book of this checkout built in a copy, with torch hidden from the kernels."""
    for name in ("book", "alexnet_repro", "runs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "_config.yml", folder)
    hidden = folder / "hidden"
    hidden.mkdir()
    (hidden / "torch.py").write_text('raise ImportError("the book must not need torch")\n')
    path = os.pathsep.join([str(hidden), str(folder)])
    command = [JUPYTER_BOOK, "build", "book/", "-W", "--keep-going"]
    environment = {**os.environ, "PYTHONPATH": path, "SOURCE_DATE_EPOCH": "1"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    folder = tmp_path_factory.mktemp("book")
    done = _build(folder)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder / "_build" / "html"


def test_nothing_is_loaded_from_outside_and_every_load_is_there(html):
    for path in html.glob("*.html"):
        for load in Page(path).loads:
            parts = urlsplit(load)
            assert parts.scheme in ("", "data"), f"{path.name} loads {load}"
            if not parts.scheme:
                assert (path.parent / unquote(parts.path)).exists(), f"{path.name}: {load}"


def test_links_within_the_book_lead_somewhere(html):
    pages = {p.name: Page(p) for p in html.glob("*.html")}
    assert len(pages) >= 10
    for name, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or link in ("", "#"):
                continue
            target = unquote(parts.path) or name
            assert (html / target).exists(), f"{name}: {link}"
            if parts.fragment and target in pages:
                assert parts.fragment in pages[target].ids, f"{name}: {link}"


def test_images_and_figures_have_text(html):
    figures = 0
    for path in html.glob("*.html"):
        assert all(Page(path).images), path.name
        text = path.read_text()
        for svg in re.findall(r'<figure class="plot".*?<svg ([^>]*)>', text, re.S):
            assert 'role="img"' in svg
            assert re.search(r'aria-label="[^"]{20,}"', svg)
            figures += 1
    assert figures >= 7


def test_landing_shows_the_scoreboard_of_the_ledger(html):
    from alexnet_repro import study

    counts = study.scoreboard()["verdict"].value_counts()
    text = (html / "index.html").read_text()
    for word, count in counts.items():
        kind = word.replace(" ", "-")
        assert re.search(rf'class="verdict {kind}">.*?</span> <b>{count}</b>', text), word


def test_scaled_numbers_are_called_scaled(html):
    for name in ("index", "3.4-pooling", "4.1-ten-crops"):
        rows = re.findall(r"<tr>.*?</tr>", (html / f"{name}.html").read_text(), re.S)
        pooled = [r for r in rows if "points" in r and "n = " in r]
        assert pooled
        assert all("scaled" in r for r in pooled)


def test_provenance_is_at_the_foot_of_each_claim_page(html):
    for name in ("3.1-relu", "3.4-pooling", "4.1-ten-crops"):
        text = (html / f"{name}.html").read_text()
        assert re.search(r'class="provenance">\d+ runs on cifar10-jpeg', text)


@pytest.mark.parametrize(("source", "good"), [("1 / 0", False), ("1 / 1", True)])
def test_a_failing_cell_stops_the_build(tmp_path, source, good):
    (tmp_path / "book").mkdir()
    shutil.copytree(ROOT / "book/_assets", tmp_path / "book/_assets")
    shutil.copy(ROOT / "book/references.bib", tmp_path / "book")
    config = (ROOT / "_config.yml").read_text()
    lines = [line for line in config.splitlines() if "local_extensions" not in line]
    (tmp_path / "_config.yml").write_text("\n".join(lines))
    (tmp_path / "book/_toc.yml").write_text("format: jb-book\nroot: page\n")
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "source": source, "outputs": []}
    title = {"cell_type": "markdown", "id": "b", "metadata": {}, "source": "# Page"}
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    notebook = {"cells": [title, {**cell, "execution_count": None}], "metadata": kernel}
    notebook |= {"nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "book/page.ipynb").write_text(json.dumps(notebook))
    command = [JUPYTER_BOOK, "build", "book/"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.returncode == 0) is good
