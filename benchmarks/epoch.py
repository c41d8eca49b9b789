"""One training epoch of the four-layer CIFAR-10 net, against ImageFolder and DataLoader.

The same net and batch, one torch thread each; ours has its images in memory, is
channels last and does not decay biases. Images of the drawn data set (32x32), as PNG files for
ImageFolder, so that decoding is what it is for a user. Evaluation is left out on both sides.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from side_by_side import SMALL, agree, compare, in_plain_python, save, serve
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from alexnet_repro import model
from alexnet_repro.config import RunConfig
from alexnet_repro.data import embedded
from alexnet_repro.training import loop, setup

COUNT = 200 if SMALL else 1024


def ours(precision: str):
    whole = embedded.generate("train")
    config = RunConfig(
        net="18pct", init="modern", pixels="standardised", lr=0.001, weight_decay=0.004,
        bias_lr_factor=2.0, precision=precision,
    )  # fmt: skip
    few = replace(whole, images=whole.images[:COUNT], labels=whole.labels[:COUNT])
    run = setup.of_data(config, 0, few, few)
    return lambda: loop._epoch(run, 0)


def stock(folder: str):
    training = embedded.generate("train")
    net = model.build("18pct", init="modern")
    sgd = torch.optim.SGD(net.parameters(), 0.001, 0.9, weight_decay=0.004)
    for i in range(COUNT):
        place = Path(folder) / str(training.labels[i])
        place.mkdir(exist_ok=True)
        Image.fromarray(training.images[i].transpose(1, 2, 0)).save(place / f"{i}.png")
    steps = [
        v2.ToImage(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize([0.5] * 3, [0.25] * 3),
    ]
    files = ImageFolder(folder, v2.Compose(steps))
    loader = torch.utils.data.DataLoader(files, batch_size=128, shuffle=True)

    def work() -> None:
        net.train()
        for images, labels in loader:
            loss = F.cross_entropy(net(images), labels)
            sgd.zero_grad(set_to_none=True)
            loss.backward()
            sgd.step()

    def same_images() -> None:
        """Both have the same images; their nets start apart."""
        order = sorted(range(COUNT), key=lambda i: (training.labels[i], f"{i}.png"))  # by name
        assert [label for _, label in files.samples] == training.labels[order].tolist()
        pixels = torch.from_numpy(training.images[order]).float()
        agree(torch.stack([image for image, _ in files]), (pixels / 255 - 0.5) / 0.25)

    return work, same_images


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        loader, same_images = stock(folder)
        sides = {"ours": ours("fp32"), "bf16": ours("bf16"), "stock": loader}
        if serve(sides):
            return
        same_images()
        against = "ImageFolder + DataLoader + torch.optim.SGD"
        name, goals = f"epoch of {COUNT} images", {"against": against, "ship": 2, "stretch": 2.8}
        half = {"against": f"{against}, fp32", "ship": 3, "stretch": 4}
        rows = [
            compare(f"{name}, fp32", sides["ours"], sides["stock"], **goals),
            in_plain_python(f"{name}, fp32", __file__, **goals),
            compare(f"{name}, bf16", sides["bf16"], sides["stock"], **half),
        ]
        if not SMALL:
            rows.append(in_plain_python(f"{name}, bf16", __file__, "bf16", **half))
    save("epoch", rows)


if __name__ == "__main__":
    main()
