"""§4.1 Crops, reflections and ten crops: drawn in one place, applied in another."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from alexnet_repro.errors import InputError


@dataclass(frozen=True)
class Draws:
    """Where to cut each image, and whether to mirror it. Each of length N."""

    top: Tensor  # int64, pixels
    left: Tensor  # int64, pixels
    flip: Tensor  # bool


def draw_crops(
    n: int,
    image_size: int,
    crop_size: int,
    generator: torch.Generator,
    *,
    flip: bool = True,
    chunk: int = 1,
) -> Draws:
    """§4.1 One uniform crop position and one fair reflection for each of n images.

    A 256-pixel image has 33 x 33 positions for a 224-pixel crop. chunk: how many consecutive images
    share one draw, 32 in the original code; by default each image has its own (D3).
    Raises ValueError for a crop that does not fit and for chunk < 1.
    """
    if chunk < 1:
        raise InputError(f"draw_crops wants chunk >= 1, got {chunk}")
    span, draws = _span(image_size, crop_size) + 1, -(-n // chunk)
    top, left = (torch.randint(span, (draws,), generator=generator) for _ in range(2))
    # drawn even where it is not used: arms with and without reflections see the same places
    mirrored = (torch.rand(draws, generator=generator) < 0.5) & flip
    return Draws(*(d.repeat_interleave(chunk)[:n] for d in (top, left, mirrored)))


def center_draws(n: int, image_size: int, crop_size: int) -> Draws:
    """The centre crop of each of n images, unmirrored, in the form of draw_crops."""
    start = torch.full((n,), _span(image_size, crop_size) // 2)
    return Draws(start, start, torch.zeros(n, dtype=torch.bool))


def matching_mean(mean: Tensor, draws: Draws, crop_size: int) -> Tensor:
    """§2 The mean image cut and mirrored as each image is: C x H x W -> N x C x crop x crop.

    The original subtracts the central part of the mean from every crop instead.
    """
    return apply_crops(mean.expand(len(draws.top), *mean.shape), draws, crop_size)


def check_draws(draws: Draws, n: int, shape: torch.Size, crop_size: int) -> None:
    """Raise ValueError for another number of draws than n, or crops that leave ... x H x W."""
    h, w = shape[-2:]
    if len(draws.top) != n or not 1 <= crop_size <= min(h, w):
        raise InputError(f"{len(draws.top)} draws, {crop_size}-pixel crops for {n} of {h}x{w}")
    for name, places, side in (("top", draws.top, h), ("left", draws.left, w)):
        if n and (places.min() < 0 or places.max() > side - crop_size):
            raise InputError(
                f"{crop_size}-pixel crops of {h}x{w} have {name} in 0..{side - crop_size}, "
                f"got {int(places.min())} to {int(places.max())}"
            )


def apply_crops(images: Tensor, draws: Draws, crop_size: int) -> Tensor:
    """Cut and mirror: N x C x H x W, any dtype -> N x C x crop_size x crop_size, same dtype.

    Raises ValueError for another shape (channels last too), a crop that does not fit, and another
    number of draws.
    """
    _want_images(images, "apply_crops", crop_size)
    n, c = images.shape[:2]
    if len(draws.top) != n:
        raise InputError(f"{len(draws.top)} draws for {n} images")
    out = images.new_empty((n, c, crop_size, crop_size))
    drawn = zip(draws.top.tolist(), draws.left.tolist(), draws.flip.tolist(), strict=True)
    for i, (top, left, flip) in enumerate(drawn):
        cut = images[i, :, top : top + crop_size, left : left + crop_size]
        out[i] = cut.flip(-1) if flip else cut
    return out


def center_crop(images: Tensor, crop_size: int) -> Tensor:
    """... x H x W -> ... x crop_size x crop_size, the centre; an odd rest goes right and bottom."""
    h, w = images.shape[-2:]
    top, left = _span(h, crop_size) // 2, _span(w, crop_size) // 2
    return images[..., top : top + crop_size, left : left + crop_size]


def ten_crop(images: Tensor, crop_size: int) -> Tensor:
    """§4.1 N x C x H x W -> N x 10 x C x crop_size x crop_size.

    Top left, top right, bottom left, bottom right, centre, then their mirrors in the same order.
    Raises ValueError, as apply_crops, for another shape and for a crop that does not fit.
    """
    _want_images(images, "ten_crop", crop_size)
    s = crop_size
    views = [
        images[..., :s, :s],
        images[..., :s, -s:],
        images[..., -s:, :s],
        images[..., -s:, -s:],
        center_crop(images, s),
    ]
    return torch.stack([*views, *(v.flip(-1) for v in views)], 1)


def _want_images(images: Tensor, who: str, crop_size: int) -> None:
    if images.dim() != 4 or images.shape[1] > 4:
        raise InputError(
            f"{who} wants images N x C x H x W with at most 4 channels, got {tuple(images.shape)} "
            f"of {images.dtype}"
        )
    for size in images.shape[2:]:
        _span(size, crop_size)


def _span(image_size: int, crop_size: int) -> int:
    if not 1 <= crop_size <= image_size:
        raise InputError(f"a {crop_size}-pixel crop does not fit an image of {image_size} pixels")
    return image_size - crop_size
