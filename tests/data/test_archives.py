"""§2 Archives that are damaged, cut, lengthened or odd: the same set or an error, never another."""

import json
import os
import random
import socket
import struct
import tarfile
import zipfile

import pytest
from image_files import coded, noise, solid, write

from alexnet_repro import data
from alexnet_repro.data import sources
from alexnet_repro.errors import InputError

KINDS = ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"]
FILES = coded(without="/cat") | {"notes.txt": b"read and verified as well\n"}


@pytest.fixture(autouse=True)
def _no_bar(monkeypatch):
    monkeypatch.setenv("TQDM_DISABLE", "1")


@pytest.fixture
def prepared(tmp_path):
    """A function of an archive's bytes: what meta.json says of the set, or the error's text."""
    path, made = tmp_path / "source.archive", tmp_path / "out" / "made"

    def run(content, **options):
        path.write_bytes(content)
        try:
            data.prepare(path, made, **{"force": True, **options})
            found = json.loads((made / "meta.json").read_text())
        except InputError as error:  # any other is a fault of the library
            found = str(error)
        assert [p.name for p in made.parent.iterdir()] == ["made"]  # nothing lost, none left
        if isinstance(found, str):
            assert len(found.splitlines()) == 1
            assert " at 0x" not in found
        return found

    return run


@pytest.fixture(params=KINDS)
def archive(request, tmp_path):
    return write(tmp_path / "whole", FILES, request.param).read_bytes()


def test_one_flipped_bit_gives_the_same_set_or_an_error(archive, prepared):
    whole = prepared(archive)
    assert whole["splits"]["train"]["images"] == 8
    random_ = random.Random(0)
    errors = 0
    # all of an archive in small steps: names, sizes, sums, contents, the end
    step = len(archive) / 100
    for i in range(100):
        damaged = bytearray(archive)
        damaged[random_.randrange(int(i * step), int((i + 1) * step))] ^= 1 << random_.randrange(8)
        found = prepared(damaged)
        errors += isinstance(found, str)
        assert isinstance(found, str) or found == whole
    assert errors > 5
    # the good set has stayed, whatever was tried with --force
    assert prepared(archive) == whole


def test_a_cut_archive_is_an_error(archive, prepared):
    whole = prepared(archive)
    end = len(
        archive.rstrip(b"\0")
    )  # a plain tar ends with zeros, of which one block must be there
    for i in range(60):
        found = prepared(archive[: end * i // 60])
        assert isinstance(found, str), f"cut to {i} sixtieths: {found}"
    for missing in (1, 4, 8, 12):  # checksums and lengths stand at the end
        assert isinstance(prepared(archive[: end - missing]), str)
    assert prepared(archive) == whole


@pytest.mark.parametrize(
    "more",
    [b"x", b"\n", b"garbage" * 100, FILES["train/ant/0.png"]],
    ids=["x", "line", "text", "png"],
)
def test_what_follows_the_end_is_an_error(archive, prepared, more):
    prepared(archive)
    assert isinstance(prepared(archive + more), str)


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_a_second_archive_behind_the_first_is_an_error(tmp_path, prepared, kind):
    prepared(write(tmp_path / "a", FILES, kind).read_bytes())
    both = write(tmp_path / "a", FILES, kind).read_bytes() * 2
    assert "something follows its end mark" in prepared(both)


def test_a_second_zip_behind_the_first_is_an_error(tmp_path, prepared):
    whole = write(tmp_path / "a", FILES, "zip").read_bytes()
    prepared(whole)
    assert "it does not end with its table of contents" in prepared(whole * 2)


def test_a_tar_without_its_end_mark_is_an_error(tmp_path, prepared):
    whole = write(tmp_path / "a", FILES, "tar").read_bytes()
    prepared(whole)
    last = len(whole.rstrip(b"\0"))
    text = prepared(whole[: -(-last // 512) * 512])
    assert text.startswith(f"{tmp_path}/source.archive is damaged or cannot be read: empty header")


def _entry(archive, field, value):
    """Change a 16-bit field of the first entry of a zip's table of contents."""
    at = archive.index(b"PK\1\2") + field
    return archive[:at] + struct.pack("<H", value) + archive[at + 2 :]


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        (8, 1, "test/ant/0.png is encrypted; unpack it yourself"),
        (10, 99, "That compression method is not supported"),
        (10, 12, "Invalid data stream"),  # bzip2, which it is not
        (6, 99, "zip file version 9.9"),
    ],
)
def test_a_zip_that_cannot_be_read_is_one_line(tmp_path, prepared, field, value, text):
    whole = write(tmp_path / "a", FILES, "zip").read_bytes()
    prepared(whole)
    found = prepared(_entry(whole, field, value))
    assert found.startswith(f"{tmp_path}/source.archive")
    assert text in found


@pytest.mark.parametrize("packed", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_the_sum_of_a_zip_entry_is_compared(tmp_path, prepared, packed):
    large = {"test/ant/0.png": noise(64, 64)}  # more than zipfile reads at least at a time
    with zipfile.ZipFile(tmp_path / "a", "w", packed) as archive:
        for name, content in {**FILES, **large}.items():
            archive.writestr(name, content)
    whole = (tmp_path / "a").read_bytes()
    prepared(whole)
    [crc] = struct.unpack_from("<H", whole, whole.index(b"PK\1\2") + 16)
    assert "Bad CRC-32 for file 'test/ant/0.png'" in prepared(_entry(whole, 16, crc ^ 1))


def test_the_encoding_of_a_zip_name_is_compared(tmp_path, prepared):
    files = {f"{c}/{i}.png": solid(i, 0, 0) for c in ("bée", "cat") for i in range(2)}
    whole = write(tmp_path / "a", files, "zip").read_bytes()
    assert prepared(whole)["classes"] == ["bée", "cat"]
    assert "two encodings of the name" in prepared(_entry(whole, 8, 0))  # "bÃ©e" by cp437


def test_a_zip_with_a_comment_and_one_of_the_large_kind(tmp_path, prepared, monkeypatch):
    whole = prepared(write(tmp_path / "a", FILES, "zip").read_bytes())
    with zipfile.ZipFile(tmp_path / "a", "a") as archive:
        archive.comment = b"by hand"
    assert prepared((tmp_path / "a").read_bytes()) == whole
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 3)  # as with more than 65,535 files
    large = write(tmp_path / "b", FILES, "zip").read_bytes()
    assert b"PK\6\6" in large
    assert prepared(large) == whole
    at = large.index(b"PK\6\6") + 32
    assert "its end counts 12 files, 13 found" in prepared(large[:at] + b"\x0c" + large[at + 1 :])


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_a_link_in_place_of_an_image_is_refused(tmp_path, prepared, kind):
    path = write(tmp_path / "a", FILES, "tar")
    prepared(path.read_bytes())
    with tarfile.open(path, "a") as archive:
        link = tarfile.TarInfo("train/bee/link.png")
        link.type, link.linkname = kind, "train/bee/0.png"
        archive.addfile(link)
    assert "train/bee/link.png is a link or a device, wanted a file" in prepared(path.read_bytes())


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_file_that_is_there_twice_is_refused(tmp_path, prepared, kind):
    path = write(tmp_path / "a", FILES, kind)
    prepared(path.read_bytes())
    if kind == "zip":
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("train/bee/0.png", solid(9, 9, 9))
    else:
        with tarfile.open(path, "a") as archive:
            archive.addfile(tarfile.TarInfo("train/./bee/0.png"))
    assert "the source holds train/bee/0.png twice" in prepared(path.read_bytes())


def test_a_name_of_gigabytes_is_not_read(tmp_path, prepared):
    prepared(write(tmp_path / "a", FILES, "tar").read_bytes())
    for kind in (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE):
        header = tarfile.TarInfo("././@LongLink")
        header.type, header.size = kind, 2**32
        assert "a name of 4,294,967,296 bytes" in prepared(header.tobuf(tarfile.GNU_FORMAT))


def test_what_is_neither_file_nor_folder_is_no_source(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):  # reading either would never end
        with pytest.raises(ValueError, match=rf"{path} is neither a folder nor a file"):
            data.prepare(path, tmp_path / "out" / "made")


@pytest.mark.parametrize("odd", ["pipe", "socket", "broken link", "linked folder"])
def test_a_folder_with_something_odd_for_an_image_is_refused(tmp_path, monkeypatch, odd):
    write(tmp_path / "in", FILES, "folder")
    monkeypatch.chdir(tmp_path / "in/train/bee")  # a socket's path may not be long
    if odd == "pipe":
        os.mkfifo("x.png")
    elif odd == "socket":
        with socket.socket(socket.AF_UNIX) as opened:
            opened.bind("x.png")
    elif odd == "broken link":
        os.symlink("nowhere", "x.png")
    else:
        os.symlink(tmp_path / "in/train/ant", "x")
    text = r"train/bee/x is a link to a folder|train/bee/x.png is a link or a device, wanted a file"
    with pytest.raises(ValueError, match=text):
        data.prepare(tmp_path / "in", tmp_path / "out" / "made")


def test_a_source_that_changes_meanwhile_is_an_error(tmp_path, monkeypatch):
    write(tmp_path / "in", FILES, "folder")
    passes = []

    def members(source, **options):
        passes.append(source)
        if len(passes) == 3:  # listed, looked at for its size, and now read
            (source / "train/bee/3.png").unlink()
        return found(source, **options)

    found = sources.archives.members
    monkeypatch.setattr(sources.archives, "members", members)
    with pytest.raises(ValueError, match=r"in changed while it was read: train/bee/3\.png"):
        data.prepare(tmp_path / "in", tmp_path / "out" / "made")


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_a_newline_in_a_name_stays_one_line(tmp_path, kind):
    files = {**FILES, "train/bee/two\nlines.png": b"bad"}
    with pytest.raises(ValueError, match=r"train/bee/two\\nlines.png': not a JPEG") as caught:
        data.prepare(write(tmp_path / "a\nb", files, kind), tmp_path / "out" / "made")
    assert len(str(caught.value).splitlines()) == 1
    assert " at 0x" not in str(caught.value)
    with pytest.raises(ValueError, match="no such source") as caught:
        data.prepare(tmp_path / "no\nwhere", tmp_path / "out" / "made")
    assert len(str(caught.value).splitlines()) == 1
