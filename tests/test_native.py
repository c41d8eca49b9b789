"""What is said where a C++ source does not compile: the compiler's own words, in a line."""

import logging

import pytest

from alexnet_repro import native

FAKE = """#!/bin/sh
[ "$1" = --version ] && echo "a compiler 1.0" && exit 0
echo "made.cpp: In function 'int f()':" >&2
echo "made.cpp:3:5: error: 'x' was not declared in this scope" >&2
echo "made.cpp:9:9: error: another" >&2
exit 1
"""


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A source of a package in tmp_path, and a cache of its own; the compiler's log is returned."""
    monkeypatch.setattr(native, "PACKAGE", tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    native.library.cache_clear()
    yield tmp_path / "made.cpp"
    native.library.cache_clear()


def _line(caplog) -> str:
    with caplog.at_level(logging.WARNING, logger="alexnet_repro.native"):
        assert native.library("made") is None
    (record,) = caplog.records
    return record.getMessage()


def test_the_first_error_of_the_compiler_stands_in_the_log(made, monkeypatch, caplog):
    fake = made.with_name("fake-c++")
    fake.write_text(FAKE)
    fake.chmod(0o755)
    monkeypatch.setenv("CXX", str(fake))
    made.write_text("")
    assert _line(caplog) == (
        "made.cpp: not compiled, going on without, more slowly "
        "(made.cpp:3:5: error: 'x' was not declared in this scope)"
    )


def test_a_real_compiler_is_heard(made, compiler, caplog):
    made.write_text('extern "C" int f() { return\n  no_such_name; }\n')
    line = _line(caplog)
    assert "made.cpp:2:" in line
    assert "no_such_name" in line
    assert "\n" not in line


def test_without_a_compiler_the_line_says_which_was_not_found(made, monkeypatch, caplog):
    made.write_text("")
    monkeypatch.setenv("CXX", "/nonexistent/c++")
    assert "No such file or directory: '/nonexistent/c++'" in _line(caplog)
