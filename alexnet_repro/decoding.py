"""§2 From the bytes of image files to square arrays, by a thread a core.

Pillow decodes. torch rescales, in vector instructions; where torch is not installed, Pillow
does, with the same cubic kernel. Their roundings differ by one grey level here and there.
"""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from PIL import Image

from alexnet_repro.errors import InputError

AHEAD = 8  # images decoded ahead for each core
SKIP = "; add --skip-bad to leave such files out"


def decode(content: bytes, name: str, side: int, *, convert: bool = False) -> np.ndarray:
    """§2 One file's bytes -> 3 x side x side uint8: shorter side rescaled, centre cut out.

    Raises ValueError naming the file when it is truncated, not an image, or not RGB (unless
    convert).
    """
    try:
        image: Image.Image = Image.open(io.BytesIO(content))
        mode = image.mode
        if mode != "RGB" and not convert:
            raise InputError(f"colour mode {mode}, wanted RGB; add --convert to convert such files")
        image.draft("RGB", (side, side))
        image.load()
        image = image if image.mode == "RGB" else image.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{name}: {error}{SKIP}") from error
    pixels = np.array(image)
    if pixels.shape[:2] != (side, side):
        return _rescaled(pixels, side)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _rescaled(pixels: np.ndarray, side: int) -> np.ndarray:
    """H x W x 3 uint8, shorter side rescaled, centre cut out -> 3 x side x side."""
    scale = side / min(pixels.shape[:2])
    h, w = (max(side, round(n * scale)) for n in pixels.shape[:2])
    top, left = (h - side) // 2, (w - side) // 2
    try:
        import torch  # not before an image needs it: the book is built without
    except ImportError:
        image = Image.fromarray(pixels).resize((w, h), Image.Resampling.BICUBIC)
        whole = np.asarray(image).transpose(2, 0, 1)
    else:
        x = torch.from_numpy(pixels).permute(2, 0, 1)[None]
        x = torch.nn.functional.interpolate(x, (h, w), mode="bicubic", antialias=True)
        whole = x[0].numpy()
    return np.ascontiguousarray(whole[:, top : top + side, left : left + side])


def decoded_ahead(
    named: Iterable[tuple[str, Callable[[], bytes]]], side: int, *, convert: bool = False
) -> Iterator[tuple[str, Future[np.ndarray]]]:
    """Each named file in the given order, decoded ahead by a thread a core (PIL frees the GIL)."""
    workers = os.cpu_count() or 1
    waiting: deque[tuple[str, Future[np.ndarray]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for name, read in named:
                task = pool.submit(decode, read(), name, side, convert=convert)
                waiting.append((name, task))
                if len(waiting) >= AHEAD * workers:
                    yield waiting.popleft()
            while waiting:
                yield waiting.popleft()
        finally:
            pool.shutdown(cancel_futures=True)
