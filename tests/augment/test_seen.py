"""§4.1 §5 What the net sees of a training batch, image by image, and when colour noise ends."""

import pytest
import torch

from alexnet_repro import augment, data, training
from alexnet_repro.augment import View, seen
from alexnet_repro.config import RunConfig
from alexnet_repro.training import loop, ten_crop_probabilities


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("crop_position", "centre"),
        ("crop_chunk", 32),
        ("mean_part", "matching"),
        ("colour_noise", "paper"),
        ("colour_noise", "original"),
    ],
)
def test_what_the_net_sees_follows_the_key(key, value):
    config = RunConfig(crop=24, flip=True, **{key: value})
    training = data.load("embedded", "train")
    view = View.of(training, 24, False, mean_part=config.mean_part)
    raw = torch.from_numpy(training.images[:64])
    noise = augment.RGBPCA.fit(training.images[:100]) if "noise" in key else None

    def streams():
        return [torch.Generator().manual_seed(s) for s in (1, 2)]

    shown = seen._seen(raw, view, noise, config, *streams())
    crops, colours = streams()
    draws = augment.draw_crops(64, 32, 24, crops, chunk=config.crop_chunk)
    alphas = noise.draw(64, colours) if noise else None
    for i in range(64):
        top, left = int(draws.top[i]), int(draws.left[i])
        if key == "crop_position":
            top = left = 4
        cut = raw[i, :, top : top + 24, left : left + 24].float()
        cut = cut.flip(-1) if draws.flip[i] else cut
        mean = torch.from_numpy(training.mean.values)
        part = mean[:, 4:28, 4:28]
        if key == "mean_part":
            part = mean[:, top : top + 24, left : left + 24]
            part = part.flip(-1) if draws.flip[i] else part
        wanted = cut - part
        if noise:
            scale = noise.eigenvalues / 255 if value == "paper" else noise.eigenvalues.sqrt()
            shift = (noise.eigenvectors * (alphas[i] * scale)).sum(1)
            wanted = (wanted + shift[:, None, None].float()) / (1.1 if value == "original" else 1)
        torch.testing.assert_close(shown[i], wanted)
    if key == "crop_chunk":
        assert draws.top[:32].unique().numel() == draws.top[32:].unique().numel() == 1


@pytest.mark.parametrize(("until", "epochs"), [(0, [0, 1, 2]), (1, [0])])
def test_colour_noise_ends_after_its_epochs(monkeypatch, until, epochs):
    noisy = []

    def epoch(run, number, quiet):
        if run.components is not None:
            noisy.append(number)
        return True

    monkeypatch.setattr(loop, "_epoch", epoch)
    config = RunConfig(
        colour_noise="original", colour_noise_epochs=until, epochs=3, train_eval_images=10
    )
    training.train(config, 0, quiet=True)
    assert noisy == epochs


@pytest.mark.parametrize("part", ["central", "matching"])
def test_ten_crops_lose_the_named_part_of_the_mean(part):
    training = data.load("embedded", "train")
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 24 * 24, 10))
    with torch.no_grad():
        net[1].weight.normal_(0, 0.01, generator=torch.Generator().manual_seed(0))
    view = View.of(training, 24, False, mean_part=part)
    raw = torch.from_numpy(training.images[:5]).float()
    mean = torch.from_numpy(training.mean.values)
    total = torch.zeros(5, 10)
    for top, left in [(0, 0), (0, 8), (8, 0), (8, 8), (4, 4)]:
        at = (top, left) if part == "matching" else (4, 4)
        cut = raw[:, :, top : top + 24, left : left + 24]
        lost = mean[:, at[0] : at[0] + 24, at[1] : at[1] + 24]
        for mirrored in (False, True):
            x = cut.flip(-1) - (lost.flip(-1) if part == "matching" else lost)
            total += net(x if mirrored else cut - lost).softmax(1)
    found = ten_crop_probabilities(net, raw.to(torch.uint8), view)
    torch.testing.assert_close(found, total / 10)


def test_every_epoch_and_every_replica_has_an_order_of_its_own():
    """Labels say the order: the same for the same draw, another for any other."""
    images = data.load("embedded", "train")
    config = RunConfig(batch=500)
    view = View.of(images, 0, False)

    def labels(seed=0, epoch=0, replica=0):
        made = config.replace(replica=replica)
        parts = seen.batches(made, seed, epoch, images, 500, view, None)
        return torch.cat([part for _, part in parts])

    first = labels()
    assert torch.equal(first, labels())
    for other in (labels(seed=1), labels(epoch=1), labels(replica=1)):
        assert not torch.equal(first, other)
        assert torch.equal(first.sort().values, other.sort().values)  # each image once
