"""§2 A prepared set comes to its place whole; a kill, a full disk or --force lose nothing."""

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from image_files import coded, noise, solid, write

from alexnet_repro import cli, data
from alexnet_repro.data import placing, sources

ROOT = Path(__file__).resolve().parents[2]


def python(code, *arguments):
    """Run code in a process of its own; its exit status and what it wrote."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TQDM_DISABLE": "1"}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.fixture
def other(tmp_path):
    """An archive of another set: one image more."""
    return write(tmp_path / "other.zip", {**coded(), "train/bee/9.png": solid(1, 1, 1)}, "zip")


KILLED = """
import os, pathlib, shutil, signal, sys
from alexnet_repro import data
from alexnet_repro.data import prepared, sources
where = sys.argv[3]
calls = []
def killing(module, name, number, before):
    real = getattr(module, name)
    def call(*arguments, **options):
        calls.append(name)
        if calls.count(name) == number and before:
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*arguments, **options)
        if calls.count(name) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(module, name, call)
if where == "writing":
    killing(prepared, "mean_and_std", 1, True)
elif where == "removing":
    def half(path, *arguments, **options):
        (pathlib.Path(path) / "meta.json").unlink(missing_ok=True)
        os.kill(os.getpid(), signal.SIGKILL)
    shutil.rmtree = half
else:
    number, when = where.split()
    killing(pathlib.Path, "rename", int(number), when == "before")
sources.prepare(sys.argv[1], sys.argv[2], force=True)
"""


@pytest.mark.parametrize(
    ("where", "then"),
    [
        ("writing", 12), ("1 before", 12), ("1 after", 12), ("2 before", 12), ("2 after", 13),
        ("removing", 13),
    ],
)  # fmt: skip
@pytest.mark.parametrize("first", ["load", "prepare"])
def test_a_kill_leaves_the_old_set_or_the_new(prepare, tmp_path, other, where, then, first):
    prepare(coded())
    made = tmp_path / "out" / "made"
    done = python(KILLED, other, made, where)
    assert done.returncode == -signal.SIGKILL, done.stderr
    if first == "load":
        assert len(data.load("made", "train", made.parent)) == then
    else:  # the set that is there is seen
        with pytest.raises(FileExistsError, match="made exists already; add --force"):
            data.prepare(other, made)
    assert len(data.load("made", "train", made.parent)) == then
    data.prepare(other, made, force=True)
    assert len(data.load("made", "train", made.parent)) == 13
    assert [p.name for p in made.parent.iterdir()] == ["made"]  # what was left has been swept


def test_a_kill_of_a_first_preparation_is_swept_by_the_next(prepare, tmp_path, other):
    made = tmp_path / "out" / "made"
    assert python(KILLED, other, made, "writing").returncode == -signal.SIGKILL
    assert [p.name for p in made.parent.iterdir()] != []
    with pytest.raises(FileNotFoundError, match="no prepared data set 'made'"):
        data.load("made", "train", made.parent)
    assert len(prepare(coded())["train"]) == 12
    assert [p.name for p in made.parent.iterdir()] == ["made"]


def test_two_preparations_of_a_name_do_not_meet(tmp_path, other):
    made = tmp_path / "out" / "made"
    with placing.workplace(made, False) as folder:
        (folder / "under way").touch()
        with pytest.raises(ValueError, match="made is being prepared by another process; wait"):
            data.prepare(other, made)
        data.prepare(other, made.with_name("another"))  # another name, at the same time
        assert (folder / "under way").exists()
    assert [p.name for p in made.parent.iterdir()] == ["another"]


def test_a_set_that_came_meanwhile_is_not_replaced(tmp_path, other, monkeypatch):
    made = tmp_path / "out" / "made"

    def members(source, **options):  # while the first lists its files, a second prepares the set
        monkeypatch.setattr(sources.archives, "members", found)
        data.prepare(write(tmp_path / "first.zip", coded(), "zip"), made)
        return found(source, **options)

    found = sources.archives.members
    monkeypatch.setattr(sources.archives, "members", members)
    with pytest.raises(FileExistsError, match="exists already"):
        data.prepare(other, made)
    assert len(data.load("made", "train", made.parent)) == 12


def tree(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", ".hidden", "-x", "a\nb", "a\0b"])
def test_a_name_that_is_no_plain_word_touches_nothing(tmp_path, other, name, capsys):
    root = tmp_path / "root"
    shutil.copytree(other.parent, root / "keep")
    before = tree(root)
    arguments = ["data", f"--root={root}", "--source", str(other), "--force", "--", name]
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert f"a data set's name is a plain word, got {name!r}" in error
    assert len(error.splitlines()) == 1
    assert tree(root) == before
    with pytest.raises(ValueError, match="a data set's name is a plain word"):
        data.load(name, "train", root)


def test_force_replaces_nothing_but_a_prepared_set(prepare, tmp_path, other):
    made = tmp_path / "out" / "made"

    def refused(text):
        before = tree(tmp_path / "out")
        with pytest.raises(FileExistsError, match=text):
            data.prepare(other, made, force=True)
        assert tree(tmp_path / "out") == before

    made.mkdir(parents=True)
    refused("no prepared set is in it; move it away yourself")
    (made / "thesis.tex").touch()
    refused("made is not replaced: 'thesis.tex' is not of a prepared set; move it away yourself")
    (made / "thesis.tex").rename(made / "meta.json")  # somebody else's meta.json
    refused("no prepared set is in it")
    shutil.rmtree(made)
    made.touch()
    refused("made exists and is no folder; move it away")
    made.unlink()
    prepare(coded())
    (made / "notes.txt").touch()
    refused("'notes.txt' is not of a prepared set")
    (made / "notes.txt").unlink()
    made.rename(tmp_path / "elsewhere")
    made.symlink_to(tmp_path / "elsewhere")
    refused("is no folder; move it away")
    made.unlink()
    (tmp_path / "elsewhere").rename(made)
    (made / "meta.json").write_text("{")  # a damaged set may be made again
    data.prepare(other, made, force=True)
    assert len(data.load("made", "train", made.parent)) == 13


@pytest.mark.parametrize("place", ["made/in", "made", ".", "..", ".made.old", ".made.writing/x"])
@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_source_and_target_do_not_overlap(prepare, tmp_path, place, kind):
    made = tmp_path / "out" / "made"
    prepare(coded())
    source = made.parent / place
    if kind == "folder":
        write(source, coded(), "folder")
    else:
        source = source / "source.zip"
        source.parent.mkdir(parents=True, exist_ok=True)
        write(source, coded(), "zip")
        if place in (".", ".."):  # an archive beside the set does no harm
            assert data.prepare(source, made, force=True) == made
            assert source.exists()
            return
    before = tree(tmp_path)
    with pytest.raises(ValueError, match=r"source .* and the target .*made overlap; move one"):
        data.prepare(source, made, force=True)
    assert tree(tmp_path) == before


def test_space_is_taken_before_anything_is_written(tmp_path):
    array = placing.create(tmp_path / "a.npy", (100, 3, 32, 32))
    assert os.stat(tmp_path / "a.npy").st_blocks * 512 >= 100 * 3 * 32 * 32  # no holes
    assert (array == 0).all()
    array[:] = 7
    array.flush()
    assert (np.load(tmp_path / "a.npy") == 7).all()


@pytest.mark.parametrize("number", [None, errno.EOPNOTSUPP, errno.EINVAL])
def test_space_is_taken_without_the_system_call_too(tmp_path, monkeypatch, number):
    def none(*_):
        raise OSError(number, "not here")

    if number is None:
        monkeypatch.delattr(os, "posix_fallocate")
    else:
        monkeypatch.setattr(os, "posix_fallocate", none)
    placing.create(tmp_path / "a.npy", (500, 3, 32, 32))
    assert os.stat(tmp_path / "a.npy").st_blocks * 512 >= 500 * 3 * 32 * 32
    assert np.load(tmp_path / "a.npy").shape == (500, 3, 32, 32)


def test_a_disk_that_fills_is_one_line_and_leaves_nothing(prepare, tmp_path, monkeypatch, other):
    prepare(coded())

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match=r"no space for \d\d,\d\d\d bytes .*-images.npy'"):
        data.prepare(other, tmp_path / "out" / "made", force=True)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["made"]
    assert len(data.load("made", "train", tmp_path / "out")) == 12


FULL = """
import shutil, sys, types
from alexnet_repro import cli
shutil.disk_usage = lambda _: types.SimpleNamespace(free=2**40)  # and then others take the space
sys.exit(cli.main(["data", "made", "--source", sys.argv[1], "--root", sys.argv[2], *sys.argv[3:]]))
"""


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one mebibyte."""
    place = tmp_path / "disk"
    place.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", place], check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a small file system is not allowed here")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_full_disk_for_real(tmp_path, small_disk):
    files = {f"train/ant/{i}.png": noise(64, 64) for i in range(100)}  # 1,228,800 bytes of pixels
    done = python(FULL, write(tmp_path / "in.zip", files, "zip"), small_disk)
    assert done.returncode == 1
    assert "no space for 1,228,800 bytes" in done.stderr
    assert list(small_disk.iterdir()) == []


def test_skipping_bad_files_needs_no_second_copy(tmp_path, small_disk):
    files = {f"train/ant/{i}.png": noise(64, 64) for i in range(60)}  # 737,280 bytes
    source = write(tmp_path / "in.zip", {**files, "train/ant/bad.png": b"bad"}, "zip")
    done = python(FULL, source, small_disk, "--skip-bad")
    assert done.returncode == 0, done.stderr
    assert len(data.load("made", "train", small_disk)) == 60


def test_the_rows_that_are_kept(tmp_path):
    array = placing.create(tmp_path / "a.npy", (23, 1, 2, 2))
    array[:] = np.arange(23, dtype=np.uint8)[:, None, None, None]
    array.flush()
    kept = np.array([0, 3, 4, 7, 8, 9, 15, 22])
    placing.keep_rows(tmp_path / "a.npy", kept, chunk=3)
    found = np.load(tmp_path / "a.npy")
    assert found.shape == (8, 1, 2, 2)
    assert found[:, 0, 1, 1].tolist() == kept.tolist()
    assert os.stat(tmp_path / "a.npy").st_size == found.nbytes + 128  # numpy's head, then no more
