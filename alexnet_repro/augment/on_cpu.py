"""§4.1 A training batch cut, mirrored, centred and lit in one pass, and the next one ahead.

Same numbers, bit for bit, as augment.apply_crops, View and RGBPCA.apply one after another, which
read and write the whole batch once each. batches.cpp does it row by row; where it cannot be
compiled, numpy does, a block of images at a time while it is in the processor's cache.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from alexnet_repro import native, routes
from alexnet_repro.augment import cropping
from alexnet_repro.errors import InputError

CACHED = 1 << 18  # numbers in a block, 1 MB of float32
T = TypeVar("T")


def batch(
    images: Tensor,
    draws: cropping.Draws,
    crop_size: int,
    mean: Tensor,
    *,
    shift: Tensor | None = None,
    divisors: tuple[float, ...] = (),
) -> Tensor:
    """N x C x H x W uint8 -> N x C x crop_size x crop_size float32, contiguous, on the CPU.

    (cut and mirrored image - mean + shift) divided by each of divisors in turn. mean: C x crop x
    crop for all, or N x C x crop x crop. shift: N x C, grey levels (RGBPCA.shift). Raises
    ValueError for other shapes and for crops that do not fit.
    """
    if images.dtype != torch.uint8 or images.dim() != 4 or images.device.type != "cpu":
        raise InputError(
            f"batch wants N x C x H x W uint8 on the CPU (0..255), got {tuple(images.shape)} of "
            f"{images.dtype} on {images.device}"
        )
    n, c = images.shape[:2]
    cropping.check_draws(draws, n, images.shape, crop_size)
    size = (c, crop_size, crop_size)
    if mean.shape not in (size, (n, *size)) or (shift is not None and shift.shape != (n, c)):
        raise InputError(
            f"batch wants a mean of {size}, or one for each of {n} images, and a shift of "
            f"{(n, c)}; got {tuple(mean.shape)} and {None if shift is None else tuple(shift.shape)}"
        )
    mean = mean.to("cpu", torch.float32).contiguous()
    shift = None if shift is None else shift.to("cpu", torch.float32).contiguous()
    # not channels last: writing that costs more here than the first convolution's own conversion
    out = torch.empty(n, c, crop_size, crop_size)
    kernel = native.library("augment/batches")
    routes.note("batches", "native" if kernel else "numpy")
    if kernel:
        arrays = [
            images.contiguous(), mean, shift, torch.tensor(divisors, dtype=torch.float32),
            draws.top.long().contiguous(), draws.left.long().contiguous(),
            draws.flip.bool().contiguous(), out,
        ]  # fmt: skip
        sizes = (n, c, *images.shape[2:], crop_size, len(divisors))
        kernel.batch(
            *(ctypes.c_void_p(None if a is None else a.data_ptr()) for a in arrays),
            *map(ctypes.c_int64, sizes),
            ctypes.c_bool(mean.dim() == 4),
            torch.get_num_threads(),
        )
    else:
        _in_numpy(images, draws, mean, shift, divisors, out)
    return out


def _in_numpy(
    images: Tensor,
    draws: cropping.Draws,
    mean: Tensor,
    shift: Tensor | None,
    divisors: tuple[float, ...],
    out: Tensor,
) -> None:
    """The batch into out, N x C x crop x crop float32; the other arguments are checked ones."""
    n, c, side, _ = out.shape
    step = max(1, CACHED // (c * side**2))
    source, centre, whole = images.numpy(), mean.numpy(), out.numpy()
    colours = None if shift is None else shift.numpy()[:, :, None, None]
    places = list(zip(draws.top.tolist(), draws.left.tolist(), draws.flip.tolist(), strict=True))
    cut = np.empty((min(step, n), c, side, side), np.uint8)
    for start in range(0, n, step):
        block = slice(start, min(start + step, n))
        for i, (y, x, flip) in enumerate(places[block]):
            crop = source[start + i, :, y : y + side, x : x + side]
            cut[i] = crop[..., ::-1] if flip else crop
        seen = whole[block]
        seen[...] = cut[: len(seen)]
        seen -= centre if mean.dim() == 3 else centre[block]
        if colours is not None:
            seen += colours[block]
        for divisor in divisors:
            seen /= np.float32(divisor)


def supply(items: Iterable[T], device: torch.device) -> Iterator[T]:
    """The batches, for a net on that device: on a GPU each is made while the last one is used.

    On a CPU a second thread took as much from those that train as it gave; all make the next batch.
    """
    return iter(items) if device.type == "cpu" else ahead(items)


def ahead(items: Iterable[T]) -> Iterator[T]:
    """The same items in the same order, each made by a second thread while the last one is used."""
    end = object()
    made = iter(items)
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(next, made, end)
        while (item := following.result()) is not end:
            following = pool.submit(next, made, end)
            yield item  # type: ignore[misc]
