"""§4.1 What the net sees of the training images in an epoch: their order, crops and colours.

Everything random in a training is drawn here or from `stream`, on the CPU: the device of a run
decides nothing but how its sums are rounded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from alexnet_repro.augment import colour, cropping, on_cpu, on_device
from alexnet_repro.augment.view import View
from alexnet_repro.config import RunConfig
from alexnet_repro.data import DataSet
from alexnet_repro.errors import InputError


def stream(seed: int, purpose: str, epoch: int = 0, replica: int = 0) -> torch.Generator:
    """A generator that depends on these alone, on the CPU on every machine.

    Arms with the same seed see the same order and the same crops, and a resumed run draws what an
    unbroken one would have drawn, with no generator state to save.
    """
    words = f"{seed}/{purpose}/{epoch}" + (f"/{replica}" if replica else "")
    digest = hashlib.sha256(words.encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def subset(training: DataSet, n: int, seed: int) -> DataSet:
    """n of the training images, drawn without replacement, in the order drawn; 0: all, as stored.

    The mean image, the deviation and the sum stay those of the whole set; replicas of a seed have
    the same images. Raises ValueError for more images than there are.
    """
    if n > len(training):
        raise InputError(
            f"train_images is {n}, {training.name} has {len(training)} training images"
        )
    if not n:
        return training
    drawn = torch.randperm(len(training), generator=stream(seed, "subset"))[:n].numpy()
    return replace(training, images=training.images[drawn], labels=training.labels[drawn])


def batches(
    config: RunConfig,
    seed: int,
    epoch: int,
    training: DataSet,
    count: int,
    view: View,
    components: colour.RGBPCA | None,
    held: Tensor | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """The first `count` training images once, in a fresh order, and their labels.

    Images n x 3 x crop x crop float32 and labels n int64, on the view's device; the last batch may
    be smaller. components: of the colour noise, if there is any. held: all training images on the
    device, if they lie there.
    """
    replica = config.replica
    order = torch.randperm(count, generator=stream(seed, "order", epoch, replica))
    crops = stream(seed, "crops", epoch, replica)
    colours = stream(seed, "colours", epoch, replica)
    for index in order.split(config.batch):
        labels = torch.from_numpy(training.labels[index.numpy()]).to(view.device)
        if held is not None:
            images, index_there = held, index
        else:
            images, index_there = torch.from_numpy(training.images[index.numpy()]), None
        yield _seen(images, view, components, config, crops, colours, index_there), labels


def _seen(
    images: Tensor,
    view: View,
    components: colour.RGBPCA | None,
    config: RunConfig,
    crops: torch.Generator,
    colours: torch.Generator,
    index: Tensor | None = None,
) -> Tensor:
    """§4.1 What the net sees of a training batch: cut, mirrored, centred, lit.

    images: n x 3 x H x W uint8 (0..255) on the CPU; with index (n, int64), all training images,
    N x 3 x H x W, on the view's device. crops, colours: what the draws of this batch are taken
    from. components: None for no colour noise. Returns n x 3 x crop x crop float32 on the view's
    device: grey levels minus the mean, or that divided by the view's scale. Raises InputError for a
    crop that does not fit.
    """
    n, side = len(images if index is None else index), images.shape[-1]
    still = cropping.center_draws(n, side, view.crop)
    draws = still
    if config.crop or config.flip:
        draws = cropping.draw_crops(
            n, side, view.crop, crops, flip=config.flip, chunk=config.crop_chunk
        )
    if config.crop_position == "centre":
        draws = cropping.Draws(still.top, still.left, draws.flip)
    mean = (
        cropping.matching_mean(view.whole.cpu(), draws, view.crop) if view.matching else view.mean
    )
    shift = None
    divisors: tuple[float, ...] = () if view.scale == 1 else (view.scale,)
    if components is not None:
        reading = config.colour_noise
        shift = components.shift(components.draw(n, colours), reading=reading).float()
        divisors = ((colour.ORIGINAL_DIVISOR,) if reading == "original" else ()) + divisors
    if index is not None:
        return on_device.batch(
            images, index, draws, view.crop, mean, shift=shift, divisors=divisors
        )
    mean = mean.cpu()
    x = on_cpu.batch(images, draws, view.crop, mean, shift=shift, divisors=divisors)
    return x.to(view.device)
