"""§4.1 Crops, reflections and the ten crops: drawn in one place, applied in another."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Draws:
    """Where to cut each image, and whether to mirror it. Each of length N."""

    top: Tensor  # int64, pixels
    left: Tensor  # int64, pixels
    flip: Tensor  # bool


def draw_crops(
    n: int, image_size: int, crop_size: int, generator: torch.Generator, *, flip: bool = True
) -> Draws:
    """§4.1 One uniform crop position and one fair reflection for each of n images.

    A 256-pixel image has 33 x 33 positions for a 224-pixel crop. The original code shared one draw
    among 32 consecutive images; here each image has its own (D3).
    """
    span = _span(image_size, crop_size) + 1
    top, left = (torch.randint(span, (n,), generator=generator) for _ in range(2))
    # drawn even where it is not used: arms with and without reflections see the same places
    mirrored = (torch.rand(n, generator=generator) < 0.5) & flip
    return Draws(top, left, mirrored)


def apply_crops(images: Tensor, draws: Draws, crop_size: int) -> Tensor:
    """Cut and mirror: N x C x H x W, any dtype -> N x C x crop_size x crop_size, same dtype."""
    n, _, h, w = images.shape
    if len(draws.top) != n:
        raise ValueError(f"{len(draws.top)} draws for {n} images")
    for size in (h, w):
        _span(size, crop_size)
    steps = torch.arange(crop_size)
    rows = draws.top[:, None] + steps
    cols = draws.left[:, None] + torch.where(draws.flip[:, None], steps.flip(0), steps)
    index = torch.arange(n)
    return images.permute(0, 2, 3, 1)[
        index[:, None, None], rows[:, :, None], cols[:, None, :]
    ].permute(0, 3, 1, 2)


def center_crop(images: Tensor, crop_size: int) -> Tensor:
    """... x H x W -> ... x crop_size x crop_size, the centre; an odd rest goes right and bottom."""
    h, w = images.shape[-2:]
    top, left = _span(h, crop_size) // 2, _span(w, crop_size) // 2
    return images[..., top : top + crop_size, left : left + crop_size]


def ten_crop(images: Tensor, crop_size: int) -> Tensor:
    """§4.1 N x C x H x W -> N x 10 x C x crop_size x crop_size.

    Top left, top right, bottom left, bottom right, centre, then their mirrors in the same order.
    """
    s = crop_size
    views = [
        images[..., :s, :s],
        images[..., :s, -s:],
        images[..., -s:, :s],
        images[..., -s:, -s:],
        center_crop(images, s),
    ]
    return torch.stack([*views, *(v.flip(-1) for v in views)], 1)


def _span(image_size: int, crop_size: int) -> int:
    if not 1 <= crop_size <= image_size:
        raise ValueError(f"a {crop_size}-pixel crop does not fit an image of {image_size} pixels")
    return image_size - crop_size
