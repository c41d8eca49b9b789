"""Ten-crop evaluation against one centre crop: how much more it costs (10x the work, less decode).

Printed as the cost of ten crops over that of one; less is better, so the goals are upper bounds.
"""

from __future__ import annotations

import numpy as np
import torch
from side_by_side import SMALL, compare, save

from alexnet_repro import data, model
from alexnet_repro.evaluate import View, evaluate

COUNT = 4 if SMALL else 60


def main() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (COUNT, 3, 256, 256), dtype=np.uint8)
    mean = data.MeanImage(np.full((3, 256, 256), 120, np.float32))
    labels = rng.integers(0, 1000, COUNT)
    split = data.DataSet("drawn", "test", images, labels, tuple("ab"), mean, 70.0, "")
    view = View.of(split, 224, False)
    net = model.alexnet(generator=torch.Generator().manual_seed(0))
    net = net.to(memory_format=torch.channels_last)
    row = compare(
        f"{COUNT} images of 256x256", lambda: evaluate(net, split, view, batch=60),
        lambda: evaluate(net, split, view, views=10, batch=60),
        against="ten crops (cost; the centre crop is 'ours')", ship=8.5, stretch=7.5, lower=True,
    )  # fmt: skip
    save("ten_crop", [row])


if __name__ == "__main__":
    main()
