"""§2 From the bytes of image files to square arrays, by a thread a core.

Rescaling and cutting are one step of Pillow; done one after the other they round otherwise.
"""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from PIL import Image

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
            raise ValueError(f"colour mode {mode}, wanted RGB; add --convert to convert such files")
        image.draft("RGB", (side, side))
        image.load()
        image = image if image.mode == "RGB" else image.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{name}: {error}{SKIP}") from error
    if image.size != (side, side):
        box = _centre(*image.size, side)
        image = image.resize((side, side), Image.Resampling.BICUBIC, box)
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))


def _centre(width: int, height: int, side: int) -> tuple[float, float, float, float]:
    """The part of an image that rescaling its shorter side and cutting the centre out keeps."""
    scale = side / min(width, height)
    w, h = max(side, round(width * scale)), max(side, round(height * scale))
    left, top = (w - side) // 2, (h - side) // 2
    x, y = width / w, height / h
    return left * x, top * y, (left + side) * x, (top + side) * y


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
