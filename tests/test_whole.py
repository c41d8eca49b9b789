"""Files appear whole or not at all, and nothing stays beside them."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from alexnet_repro import whole


def test_the_old_file_stands_until_the_end_and_nothing_is_left(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with path.open() as reading:  # who reads meanwhile has the old file to its end
        with whole.replacing(path) as temporary:
            temporary.write_text("new")
            assert (path.read_text(), temporary.parent) == ("old", tmp_path)
        assert (path.read_text(), reading.read()) == ("new", "old")
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_an_error_all_is_as_it_was(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write():
        with whole.replacing(str(path)) as temporary:
            temporary.write_text("half of the n")
            raise error

    with pytest.raises(error):
        write()
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a.txt": "old"}


def test_an_error_before_anything_is_written_is_the_one_that_is_told(tmp_path):
    with pytest.raises(ZeroDivisionError), whole.replacing(tmp_path / "a.txt"):
        raise ZeroDivisionError
    with pytest.raises(FileNotFoundError), whole.replacing(tmp_path / "a.txt"):
        pass  # nothing was written: no empty file comes of it
    assert not list(tmp_path.iterdir())


def test_two_threads_do_not_write_to_one_temporary(tmp_path):
    path, meet = tmp_path / "a.txt", threading.Barrier(2, timeout=30)

    def write(text):
        with whole.replacing(path) as temporary:
            temporary.write_text(text)
            meet.wait()
            assert temporary.read_text() == text
            meet.wait()
        done.append(text)

    done = []
    threads = [threading.Thread(target=write, args=(text,)) for text in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == ["one", "two"]
    assert path.read_text() in done


def test_text_is_utf_8_with_the_ends_of_lines_that_it_has(tmp_path):
    whole.write_text(tmp_path / "a", "é\n")
    assert (tmp_path / "a").read_bytes() == b"\xc3\xa9\n"


KILLED = """
import os, signal, sys
from alexnet_repro import whole
with whole.replacing(sys.argv[1]) as temporary:
    temporary.write_text("half of the n")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_goes_with_the_next(tmp_path):
    path, other = tmp_path / "a[1].txt", tmp_path / "b.txt"
    for target in (path, other):
        command = [sys.executable, "-c", KILLED, target]
        assert subprocess.run(command).returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 2
    with whole.replacing(path) as temporary:  # this one is at work: a second leaves it alone
        temporary.write_text("slow")
        fast = threading.Thread(target=whole.write_text, args=(path, "fast"))
        fast.start()
        fast.join()
        assert temporary.exists()
    left = [p.name for p in tmp_path.iterdir() if p != path]
    assert path.read_text() == "slow"
    assert len(left) == 1  # of another file: nobody's business here
    assert left[0].startswith(".b.txt.")
    assert str(os.getpid()) not in left[0]
