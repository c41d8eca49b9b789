"""§2 From the bytes of image files to square arrays, by a thread a core.

Pillow decodes, torch rescales: five times as fast as Pillow, and pixels that torchvision's own
resize gives to the bit. Only images that need rescaling need torch; no other resampler steps in,
whose roundings would be others and whose prepared set would have another sum.
"""

from __future__ import annotations

import io
import os
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from PIL import Image

from alexnet_repro.data.archives import LIMIT, shown
from alexnet_repro.errors import InputError, PackageError

MAX_PIXELS = 2**26  # of one image, as stored and rescaled: 200 MB of RGB
PNG = b"\x89PNG\r\n\x1a\n"
AHEAD = 8  # images decoded ahead for each core
SKIP = "; add --skip-bad to leave such files out"


def decode(content: bytes, name: str, side: int, *, convert: bool = False) -> np.ndarray:
    """§2 One file's bytes -> 3 x side x side uint8: shorter side rescaled, centre cut out.

    Raises ValueError naming the file when it is truncated, no JPEG or PNG, larger than LIMIT bytes
    or MAX_PIXELS, so long that it would be larger than that when rescaled, or not RGB (unless
    convert); PackageError for one that must be rescaled where torch is not installed.
    """
    try:
        if len(content) > LIMIT:
            raise InputError(f"more than {LIMIT:,} bytes")
        if content.startswith(PNG):
            _check_png(content)
        # by name: Pillow would also start Ghostscript for an EPS that is called .jpg
        image: Image.Image = Image.open(io.BytesIO(content), formats=("JPEG", "PNG"))
        _check_size(image.size, side)
        mode = image.mode
        if mode != "RGB" and not convert:
            raise InputError(f"colour mode {mode}, wanted RGB; add --convert to convert such files")
        image.draft("RGB", (side, side))
        image.load()
        pixels = np.array(image if image.mode == "RGB" else _rgb(image))
    except Image.UnidentifiedImageError as error:  # its own text shows an address in memory
        raise InputError(f"{shown(name)}: not a JPEG or PNG file{SKIP}") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{shown(name)}: {shown(error)}{SKIP}") from error
    if pixels.shape[:2] != (side, side):
        return _rescaled(pixels, side)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _check_size(size: tuple[int, int], side: int) -> None:
    w, h = size
    long = round(max(w, h) * side / min(w, h)) if w and h else 0
    for pixels, when in ((w * h, ""), (long * side, f", rescaled to side {side}")):
        if pixels > MAX_PIXELS:
            raise InputError(f"{w} x {h} pixels{when}: more than {MAX_PIXELS:,} in all")


def _check_png(content: bytes) -> None:
    """Every chunk's CRC up to the end chunk: Pillow passes over those of the pixels."""
    at, kind = len(PNG), b""
    while kind != b"IEND":
        size = int.from_bytes(content[at : at + 4])
        kind, end = content[at + 4 : at + 8], at + 8 + size
        if len(content) < end + 4:
            raise InputError("image file is truncated")
        if zlib.crc32(content[at + 4 : end]) != int.from_bytes(content[end : end + 4]):
            raise InputError(f"the checksum of its {kind!r} chunk is wrong")
        at = end + 4


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grey, which Pillow would cut off at 255
        grey = np.asarray(image).astype(np.uint32)
        image = Image.fromarray(((grey * 255 + 32767) // 65535).astype(np.uint8))
    return image.convert("RGB")


def _rescaled(pixels: np.ndarray, side: int) -> np.ndarray:
    """H x W x 3 uint8, shorter side rescaled, centre cut out -> 3 x side x side."""
    scale = side / min(pixels.shape[:2])
    h, w = (max(side, round(n * scale)) for n in pixels.shape[:2])
    top, left = (h - side) // 2, (w - side) // 2
    whole = pixels.transpose(2, 0, 1)
    if (h, w) != pixels.shape[:2]:
        whole = _resized(pixels, h, w)
    return np.ascontiguousarray(whole[:, top : top + side, left : left + side])


def _resized(pixels: np.ndarray, h: int, w: int) -> np.ndarray:
    """H x W x 3 uint8 -> 3 x h x w uint8, cubic, with antialiasing."""
    try:
        import torch  # not before an image needs it: the book is built without
    except ImportError as error:
        raise PackageError(
            f"images of {pixels.shape[1]} x {pixels.shape[0]} pixels are rescaled to {w} x {h} by "
            f"torch, which is not here ({error}): pip install 'alexnet-repro[train]', or give "
            f"images that need no rescaling"
        ) from error
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    return torch.nn.functional.interpolate(x, (h, w), mode="bicubic", antialias=True)[0].numpy()


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
