"""Crop, reflect and light a batch of 128 images of 256x256, against torchvision's v2 per image."""

from __future__ import annotations

import numpy as np
import torch
from side_by_side import SMALL, agree, compare, copying, in_plain_python, save, serve
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from alexnet_repro import augment
from alexnet_repro.augment import on_cpu
from alexnet_repro.demos.of_training import IMAGENET

BATCH = 4 if SMALL else 128


def main() -> None:
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (BATCH, 3, 256, 256), dtype=np.uint8))
    mean = torch.full((3, 224, 224), 120.0)
    generator = torch.Generator().manual_seed(0)

    def ours() -> torch.Tensor:
        draws = augment.draw_crops(BATCH, 256, 224, generator)
        shift = IMAGENET.shift(IMAGENET.draw(BATCH, generator), reading="original").float()
        return on_cpu.batch(images, draws, 224, mean, shift=shift, divisors=(1.1,))

    transform = v2.Compose(
        [v2.RandomCrop(224), v2.RandomHorizontalFlip(), v2.ToDtype(torch.float32)]
    )

    def stock() -> torch.Tensor:
        out = []
        for image in images:
            x = transform(image) - mean
            shift = IMAGENET.shift(IMAGENET.draw(1, generator), reading="original")
            out.append((x + shift[0, :, None, None].float()) / 1.1)
        return torch.stack(out)

    if serve({"ours": ours, "stock": stock}):
        return
    assert ours().shape == stock().shape == (BATCH, 3, 224, 224)
    draws = augment.draw_crops(BATCH, 256, 224, generator)
    shift = IMAGENET.shift(IMAGENET.draw(BATCH, generator), reading="original").float()
    wanted = []  # the same places and colours, by torchvision's functions
    for i, (top, left, flip) in enumerate(zip(draws.top, draws.left, draws.flip, strict=True)):
        x = functional.crop(images[i], int(top), int(left), 224, 224)
        x = functional.to_dtype(functional.horizontal_flip(x) if flip else x, torch.float32)
        wanted.append((x - mean + shift[i, :, None, None]) / 1.1)
    found = on_cpu.batch(images, draws, 224, mean, shift=shift, divisors=(1.1,))
    agree(found, torch.stack(wanted))
    moved = BATCH * 3 * 224 * 224 * (1 + 4)  # read uint8, write float32, once each
    name = f"crop, reflect, light {BATCH} images"
    goals = {
        "against": "torchvision v2 per image", "ship": 4, "stretch": 7,
        "floor": copying(moved),
    }  # fmt: skip
    rows = [compare(name, ours, stock, **goals), in_plain_python(name, __file__, **goals)]
    save("augment", rows)


if __name__ == "__main__":
    main()
