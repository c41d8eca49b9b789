"""§2 Image files that ask for too much, are of another kind, or have more bits than eight."""

import io
import shutil
import subprocess
import sys
import zlib

import numpy as np
import pytest
from image_files import coded, encode, noise, solid
from PIL import Image

from alexnet_repro.data import decoding
from alexnet_repro.errors import InputError


def png(w, h, depth=8, colour=2, rows=None):
    """A PNG file by hand, black unless rows are given: its head may claim any size."""

    def chunk(kind, content):
        head = len(content).to_bytes(4) + kind + content
        return head + zlib.crc32(kind + content).to_bytes(4)

    size = w.to_bytes(4) + h.to_bytes(4) + bytes([depth, colour, 0, 0, 0])
    if rows is None:
        rows = bytes(h * (1 + 3 * w)) if w * h <= 10**6 else b""
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", size)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


PEAK = """
import resource, sys
import torch  # what rescales; its own memory does not count
from alexnet_repro.data import decoding
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    decoding.decode(open(sys.argv[1], "rb").read(), "bomb.png", 256)
except ValueError:
    pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize(
    ("w", "h", "text"),
    [
        (60000, 1, "60000 x 1 pixels, rescaled to side 256: more than 67,108,864 in all"),
        (1, 10000, "1 x 10000 pixels, rescaled to side 256: more than 67,108,864 in all"),
        (12000, 12000, "12000 x 12000 pixels: more than 67,108,864 in all"),
        (60000, 60000, "could be decompression bomb"),
    ],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_an_image_bomb_is_refused_before_it_takes_memory(tmp_path, w, h, text):
    content = png(w, h)
    assert len(content) < 300
    with pytest.raises(ValueError, match=rf"^bomb.png: .*{text}.*; add --skip-bad"):
        decoding.decode(content, "bomb.png", 256)
    (tmp_path / "bomb").write_bytes(content)
    kilobytes = subprocess.check_output(
        [sys.executable, "-W", "ignore", "-c", PEAK, tmp_path / "bomb"]
    )
    assert int(kilobytes) < 50_000


@pytest.mark.filterwarnings("error")  # Pillow only warns of what is twice its limit
def test_the_largest_image_is_still_read(monkeypatch):
    monkeypatch.setattr(decoding, "MAX_PIXELS", 64 * 40)
    assert decoding.decode(noise(64, 40), "x.png", 8).shape == (3, 8, 8)
    with pytest.raises(ValueError, match=r"^x.png: 40 x 65 pixels: more than 2,560 in all"):
        decoding.decode(noise(65, 40), "x.png", 8)
    assert decoding.decode(noise(40, 5), "x.png", 17).shape == (3, 17, 17)  # 136 x 17 at most
    with pytest.raises(ValueError, match=r"^x.png: 5 x 40 pixels, rescaled to side 18: more"):
        decoding.decode(noise(40, 5), "x.png", 18)


def test_a_file_of_too_many_bytes_is_refused(prepare, tmp_path, monkeypatch):
    large = encode(np.random.default_rng(0).integers(0, 256, (64, 64, 3)))
    assert max(map(len, coded().values())) < 5000 < len(large)
    for module in ("alexnet_repro.data.archives.LIMIT", "alexnet_repro.data.decoding.LIMIT"):
        monkeypatch.setattr(module, 5000)
    for kind in ("folder", "zip", "tar.xz"):
        with pytest.raises(ValueError, match=r"^train/bee/9.png: more than 5,000 bytes; add --sk"):
            prepare({**coded(), "train/bee/9.png": large}, kind)
        found = prepare({**coded(), "train/bee/9.png": large}, kind, skip_bad=True)
        assert len(found["train"]) == 12
        shutil.rmtree(tmp_path / "out")


EPS = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 32 32
%%EndComments
showpage
%%EOF
"""


@pytest.mark.parametrize("form", ["EPS", "GIF", "BMP", "TIFF", "WEBP", "PPM", "ICO"])
def test_only_jpeg_and_png_are_opened(form, monkeypatch):
    started = []
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *_, **__: started.append(1))
    monkeypatch.setattr("PIL.EpsImagePlugin.has_ghostscript", lambda: True)
    file = io.BytesIO()
    if form == "EPS":
        file.write(EPS)
    else:
        Image.new("RGB", (32, 32), (1, 2, 3)).save(file, form)
    assert Image.open(io.BytesIO(file.getvalue())).format == form  # Pillow would open it
    with pytest.raises(
        ValueError, match=r"^x.jpg: not a JPEG or PNG file; add --skip-bad"
    ) as caught:
        decoding.decode(file.getvalue(), "x.jpg", 32, convert=True)
    assert " at 0x" not in str(caught.value)
    assert not started


def test_sixteen_bits_of_grey_are_scaled():
    values = [0, 128, 129, 257, 30000, 32768, 65278, 65535]
    rows = b"".join(b"\0" + v.to_bytes(2) * 8 for v in values)
    content = png(8, 8, depth=16, colour=0, rows=rows)
    with pytest.raises(ValueError, match=r"colour mode I.*, wanted RGB; add --convert"):
        decoding.decode(content, "x.png", 8)
    found = decoding.decode(content, "x.png", 8, convert=True)
    wanted = [0, 0, 1, 1, 117, 128, 254, 255]  # 255 v / 65535, rounded: 116.7, 127.5
    assert found[0, :, 0].tolist() == wanted
    assert (found == np.array(wanted)[None, :, None]).all()


def test_every_bit_of_a_png_is_under_a_checksum():
    content = noise(4, 4)
    whole = decoding.decode(content, "x.png", 4)
    for at in range(8, len(content)):
        for bit in range(0, 8, 3):
            changed = bytearray(content)
            changed[at] ^= 1 << bit
            with pytest.raises(InputError, match=r"^x.png: .*; add --skip-bad"):
                decoding.decode(bytes(changed), "x.png", 4)
    for n in range(len(content)):
        with pytest.raises(InputError, match=r"^x.png: .*; add --skip-bad"):
            decoding.decode(content[:n], "x.png", 4)
    assert (decoding.decode(content, "x.png", 4) == whole).all()


def test_a_broken_image_is_one_line_whatever_is_broken():
    content = noise(24, 24, form="JPEG")
    lines = 0
    for at in range(0, len(content), 3):
        changed = bytearray(content)
        changed[at] ^= 0xFF
        try:
            decoding.decode(bytes(changed), "x.jpg", 24)
        except InputError as error:
            lines += len(str(error).splitlines())
            continue
        lines += 1
    assert lines == len(range(0, len(content), 3))


@pytest.mark.parametrize("side", [0, -1, 8193])
def test_a_side_that_cannot_be_meant(prepare, tmp_path, side):
    with pytest.raises(ValueError, match=f"side wants 1 to 8192 pixels, got {side}"):
        prepare({"ant/1.png": solid(1, 1, 1)}, side=side)
    assert not (tmp_path / "out").exists()
