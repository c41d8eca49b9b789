"""§5 The share of a layer that depends on the image, by hand; and the watch for ln C."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from alexnet_repro import cli, model, training
from alexnet_repro.config import RunConfig
from alexnet_repro.data import embedded
from alexnet_repro.spec import Layer, Spec
from alexnet_repro.training import diagnose, loop, setup

LINE = Spec("line", "test", (Layer("fc1", "fc", 2), Layer("relu1", "act")), 1, in_channels=1)


@pytest.fixture
def line():
    """Two units that see one pixel: 2 x + 4 and -x + 3."""
    net = model.build(LINE, init="paper")
    with torch.no_grad():
        net.fc1.weight.copy_(torch.tensor([[2.0], [-1.0]]))
        net.fc1.bias.copy_(torch.tensor([4.0, 3.0]))
    return net


def test_share_by_hand(line):
    images = torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1)
    # activities 6, 2 (deviation sqrt 8) and 2, 4 (sqrt 2); mean of absolute values 14 / 4
    found = diagnose.image_share(line, images)
    assert found["layer"].tolist() == ["fc1"]
    assert found["activity"][0] == pytest.approx(3.5)
    assert found["share"][0] == pytest.approx((math.sqrt(8) + math.sqrt(2)) / 2 / 3.5)


def test_no_part_of_equal_images_is_image(line):
    found = diagnose.image_share(line, torch.ones(3, 1, 1, 1))
    assert found["share"][0] == 0


def test_share_wants_two_images(line):
    with pytest.raises(ValueError, match=r"at least 2 images, got \(1, 1, 1, 1\)"):
        diagnose.image_share(line, torch.ones(1, 1, 1, 1))


def test_first_loss_by_hand(line):
    images = torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1)
    scores = [[6.0, 2.0], [2.0, 4.0]]  # labels 0 and 1
    chance = [math.exp(a) / (math.exp(a) + math.exp(b)) for a, b in scores]
    right = [chance[0], 1 - chance[1]]
    wanted = -(math.log(right[0]) + math.log(right[1])) / 2
    slope = [(chance[0] - 1) / 2 * 1 + chance[1] / 2 * -1, 0.0]
    slope[1] = -slope[0]
    loss, length = diagnose.first_loss(line, images)
    assert loss == pytest.approx(wanted)
    assert length == pytest.approx(math.hypot(*slope))
    assert all(p.grad is None for p in line.parameters())


@pytest.mark.parametrize(
    ("pixels", "init", "low", "high"),
    [  # shares at fc6 of recipes that are known to start, to start late, and to sit at ln 1000
        ("centred", "original", 0.1, 0.5),
        ("centred", "paper", 0.01, 0.05),
        ("standardised", "paper", 0.0001, 0.002),
    ],
)
def test_recipes_of_the_full_net(pixels, init, low, high):
    net = model.alexnet(generator=torch.Generator().manual_seed(0))
    model.initialise(net, init, torch.Generator().manual_seed(0))
    table = diagnose.image_share(net, diagnose.probe_images(4, 224, pixels)).set_index("layer")
    assert low < table["share"]["fc6"] < high


def test_advice_names_cures_below_the_rules_of_thumb():
    assert "start at once" in diagnose.advice(0.2)
    assert "slow start" in diagnose.advice(0.02)
    assert "drowned" in diagnose.advice(0.0004)
    assert all("0.03 in conv3-5" in diagnose.advice(share) for share in (0.02, 0.0004))


def test_probe_images_have_the_contrast_they_say():
    wanted = {"centred": (0, 70), "standardised": (0, 1), "unit": (0.5, 70 / 255)}
    for pixels, (mean, deviation) in wanted.items():
        images = diagnose.probe_images(6, 40, pixels)
        assert images.shape == (6, 3, 40, 40)
        assert images.mean().item() == pytest.approx(mean, abs=1e-3)
        assert images.std().item() == pytest.approx(deviation, rel=0.01)
    with pytest.raises(ValueError, match=r"pixels wants one of centred.*got 'raw'"):
        diagnose.probe_images(2, 8, "raw")


def test_watch_tells_once_after_enough_updates_in_a_row():
    watch = diagnose.StuckWatch(1000, patience=30)
    near, far = math.log(1000) + 0.009, math.log(1000) + 0.02
    told = [watch.update(loss, 10) for loss in (near, near, far, near, near, near, near, near)]
    assert told == [False] * 5 + [True] + [False] * 2


def test_training_warns_when_the_loss_sits_at_ln_c(monkeypatch):
    monkeypatch.setattr(loop, "WATCH", 1)
    rng = np.random.default_rng(0)
    full = embedded.generate("train")
    labels = rng.integers(0, 10, 150)  # nothing to learn
    few = replace(full, images=full.images[:150], labels=labels)
    monkeypatch.setattr(embedded, "generate", lambda split: few)
    config = RunConfig(net="80sec", lr=0.0, batch=5, train_eval_images=5)
    monkeypatch.setattr(setup, "StuckWatch", lambda classes: diagnose.StuckWatch(classes, 20))
    with pytest.warns(
        diagnose.StuckWarning, match=r"at ln 10 = 2.3026.*20 updates.*of fc4 depends"
    ):
        training.train(config, 0, quiet=True)


def test_command(capsys):
    assert cli.main(["diagnose", "--net", "80sec", "--pixels", "unit"]) == 0
    out = capsys.readouterr().out
    assert "ln 10 = 2.3026" in out
    assert "of fc4 depends on the image" in out
    assert cli.main(["diagnose", "--net", "80s"]) == 2
    assert "no net called '80s'" in capsys.readouterr().err
