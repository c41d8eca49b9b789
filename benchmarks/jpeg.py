"""JPEG files to a prepared set of 256x256, against Pillow one after another; rescaling alone.

The files are drawn and have the size of ILSVRC's usual ones. The floor is decoding alone, at full
size, on all cores.
"""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from side_by_side import SMALL, agree, compare, save, seconds

from alexnet_repro import data
from alexnet_repro.data import decoding

COUNT = 8 if SMALL else 200


def picture(i: int) -> bytes:
    """A smooth drawing with noise: 500 x 375, or lying on its side."""
    width, height = (500, 375) if i % 3 else (375, 500)
    rng = np.random.default_rng(i)
    small = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8))
    pixels = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC), np.float32)
    noisy = np.clip(pixels + rng.normal(0, 8, pixels.shape), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(noisy).save(file, "JPEG", quality=90)
    return file.getvalue()


def by_pillow(files: list[Path]) -> np.ndarray:
    """What a user would write: open, shorter side to 256, centre."""
    out = np.empty((len(files), 3, 256, 256), np.uint8)
    for i, path in enumerate(files):
        image = Image.open(path).convert("RGB")
        scale = 256 / min(image.size)
        image = image.resize(tuple(max(256, round(s * scale)) for s in image.size))
        left, top = ((s - 256) // 2 for s in image.size)
        out[i] = np.asarray(image.crop((left, top, left + 256, top + 256))).transpose(2, 0, 1)
    return out


def rescaling() -> dict:
    """Decoded pixels of one size to another, in one thread."""
    pixels = np.array(Image.open(io.BytesIO(picture(1))))
    times = 1 if SMALL else 50

    def ours() -> None:
        for _ in range(times):
            decoding._rescaled(pixels, 256)

    def pillow() -> None:
        for _ in range(times):
            np.asarray(Image.fromarray(pixels).resize((341, 256))).transpose(2, 0, 1).copy()

    theirs = np.asarray(Image.fromarray(pixels).resize((341, 256))).transpose(2, 0, 1)
    agree(decoding._rescaled(pixels, 256), theirs[..., 42 : 42 + 256], within=0.02)
    return compare(
        f"rescale 500x375 to 341x256, {times} times", ours, pillow, against="Pillow", ship=2,
        stretch=3,
    )  # fmt: skip


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "source" / "train" / "one"
        folder.mkdir(parents=True)
        for i in range(COUNT):
            (folder / f"{i:04}.jpg").write_bytes(picture(i))
        files = sorted(folder.iterdir())

        def decoding_alone() -> float:
            took = seconds(lambda: [Image.open(f).convert("RGB") for f in files])
            return took / (os.cpu_count() or 1)

        def ours() -> None:
            data.prepare(Path(name) / "source", Path(name) / "out", force=True)

        found = np.stack([decoding.decode(f.read_bytes(), f.name, 256) for f in files])
        agree(found, by_pillow(files), within=0.05)  # the scale and the filter are not the same
        row = compare(
            f"{COUNT} JPEG files to 256x256", ours, lambda: by_pillow(files),
            against="Pillow, one after another", ship=1.5, stretch=2,
            floor=decoding_alone,
        )  # fmt: skip
    save("jpeg", [row, rescaling()])


if __name__ == "__main__":
    main()
