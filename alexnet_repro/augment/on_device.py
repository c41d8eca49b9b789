"""§5 Training images that lie on the accelerator: batches are cut, mirrored and lit there.

Only indices and draws cross over for a batch, in place of its pixels. The numbers of on_cpu.batch,
which does it on the CPU; on GPUs a division may round the other way.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from alexnet_repro import routes
from alexnet_repro.augment.cropping import Draws, check_draws


def hold(images: np.ndarray, device: torch.device) -> Tensor | None:
    """All images (N x C x H x W uint8) on a CUDA device, if half of its free memory holds them.

    None where they do not fit, and on the CPU, where they stay memory-mapped.
    """
    if device.type != "cuda" or 2 * images.nbytes > torch.cuda.mem_get_info(device)[0]:
        return None
    return torch.from_numpy(np.array(images)).to(device)  # a copy: the file is read-only


def batch(
    images: Tensor,
    index: Tensor,
    draws: Draws,
    crop_size: int,
    mean: Tensor,
    *,
    shift: Tensor | None = None,
    divisors: tuple[float, ...] = (),
) -> Tensor:
    """Images number index, n x C x crop_size x crop_size float32, on the device of images.

    images: N x C x H x W uint8. The other arguments are those of on_cpu.batch and may lie on the
    CPU. Raises ValueError for crops that do not fit.
    """
    check_draws(draws, len(index), images.shape, crop_size)
    device = images.device
    routes.note("batches", "device")
    place = torch.arange(crop_size, device=device)
    index, top, left, flip = (t.to(device) for t in (index, draws.top, draws.left, draws.flip))
    rows = top[:, None] + place
    columns = left[:, None] + torch.where(flip[:, None], crop_size - 1 - place, place)
    cut = images[index[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    x = cut.permute(0, 3, 1, 2).float() - mean.to(device)
    if shift is not None:
        x += shift.to(device)[:, :, None, None]
    for divisor in divisors:
        x /= divisor
    return x
