"""Ten crops against one centre crop, from JPEG files to errors; files are decoded once for both.

Printed as the cost of ten crops over that of one; less is better, so the goals are upper bounds.
"""

from __future__ import annotations

import numpy as np
import torch
from jpeg import picture
from side_by_side import SMALL, compare, save

from alexnet_repro import data, model
from alexnet_repro.augment import View
from alexnet_repro.data import decoding
from alexnet_repro.training import evaluate

COUNT = 4 if SMALL else 30


def main() -> None:
    files = [picture(i) for i in range(COUNT)]
    rng = np.random.default_rng(0)
    images = np.empty((COUNT, 3, 256, 256), np.uint8)
    mean = data.MeanImage(np.full((3, 256, 256), 120, np.float32))
    labels = rng.integers(0, 1000, COUNT)
    split = data.DataSet("drawn", "test", images, labels, tuple("ab"), mean, 70.0, "")
    view = View.of(split, 224, False)
    net = model.alexnet(generator=torch.Generator().manual_seed(0))
    net = net.to(memory_format=torch.channels_last)

    def score(views: int):
        def work() -> None:
            for i, file in enumerate(files):
                images[i] = decoding.decode(file, "drawn", 256)
            evaluate(net, split, view, views=views, batch=60)

        return work

    row = compare(
        f"{COUNT} JPEG files to errors, full net, centre crop", score(1), score(10),
        against="ten crops", ship=8.5, stretch=7.5, lower=True,
    )  # fmt: skip
    save("ten_crop", [row])


if __name__ == "__main__":
    main()
