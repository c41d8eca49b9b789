"""§5 Schedules in the training loop: ten times less on a plateau, conv1 frozen at the end."""

import pytest
import torch

from alexnet_repro import training
from alexnet_repro.config import RunConfig
from alexnet_repro.training import loop

BASE = RunConfig(
    net="18pct-plain", init="modern", pixels="standardised", lr=0.01, epochs=4, batch=50,
    train_eval_images=50,
)  # fmt: skip


pytestmark = pytest.mark.usefixtures("few_images")


@pytest.fixture
def errors(monkeypatch):
    """A function that plays validation errors, one an epoch, and returns what was scored."""

    def play(wanted):
        scored, left = [], list(wanted)

        def evaluate(net, data, view, **options):
            scored.append(len(data))
            error = left.pop(0) if len(data) == 60 and left else 0.7
            return {"loss": 2.0, "top1_error": error, "top5_error": 0.1, "images": len(data)}

        monkeypatch.setattr(loop, "evaluate", evaluate)
        return scored

    return play


def test_plateau_drops_the_rate_on_the_held_out_images(errors):
    errors([0.5, 0.4, 0.4, 0.4])
    config = BASE.replace(plateau_patience=1, validation_images=60, epochs=5)
    curve = training.train(config, 0, quiet=True).curve
    seen = [row for row in curve if row["split"] == "validation"]
    assert [row["lr"] for row in seen[:4]] == pytest.approx([0.01, 0.01, 0.01, 0.001])
    assert seen[4]["lr"] == pytest.approx(0.0001)
    assert [row["step"] for row in seen] == [3, 6, 9, 12, 15]  # 140 images, 50 a batch


def test_a_plateau_drops_the_rate_three_times_at_most(errors):
    errors([0.5] * 6)
    config = BASE.replace(plateau_patience=1, validation_images=60, epochs=6)
    curve = training.train(config, 0, quiet=True).curve
    seen = [row["lr"] for row in curve if row["split"] == "validation"]
    assert seen == pytest.approx([1e-2, 1e-2, 1e-3, 1e-4, 1e-5, 1e-5])


def test_held_out_images_are_the_last_and_are_not_trained_on(monkeypatch):
    scored = []
    evaluate = loop.evaluate

    def spy(net, data, view, **options):
        scored.append((data.split, len(data), options.get("limit", 0), data.labels[:3].tolist()))
        return evaluate(net, data, view, **options)

    monkeypatch.setattr(loop, "evaluate", spy)
    orders = []
    randperm = torch.randperm
    monkeypatch.setattr(
        torch, "randperm", lambda n, **k: orders.append(n) or randperm(n, **k)
    )  # fmt: skip
    config = BASE.replace(plateau_patience=2, validation_images=60, epochs=1)
    result = training.train(config, 0, quiet=True)
    assert orders == [140]
    labels = loop.data.load("embedded", "train").labels
    assert ("train", 60, 0, labels[140:143].tolist()) in scored
    assert result.metrics["train_images"] == 140


def test_resumed_plateau_goes_on_where_it_was(errors, tmp_path, monkeypatch):
    config = BASE.replace(plateau_patience=1, validation_images=60)
    played = [0.5, 0.5, 0.5, 0.5]
    errors(played)
    whole = training.train(config, 0, quiet=True)
    broken = tmp_path / "run.pt"
    errors(played[:2])
    epoch, calls = loop._epoch, []

    def stop(run, number, quiet):
        calls.append(number)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return epoch(run, number, quiet)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "_epoch", stop)
        with pytest.raises(KeyboardInterrupt):
            training.train(config, 0, checkpoint=broken, quiet=True)
    errors(played[2:])
    again = training.train(config, 0, checkpoint=broken, quiet=True)
    assert [r["lr"] for r in again.curve] == [r["lr"] for r in whole.curve]
    for name, value in again.net.state_dict().items():
        assert torch.equal(value, whole.net.state_dict()[name]), name


def test_frozen_conv1_stops_and_the_rest_learns():
    run = {
        n: training.train(BASE.replace(epochs=n, conv1_frozen_from=1), 0, quiet=True)
        for n in (1, 4)
    }
    free = training.train(BASE.replace(epochs=4), 0, quiet=True).net

    def moved(a, b, name):
        return (a.get_parameter(name) - b.get_parameter(name)).norm().item()

    frozen = moved(run[4].net, run[1].net, "conv1.weight")
    assert frozen < 0.7 * moved(free, run[1].net, "conv1.weight")  # it coasts for some updates
    assert moved(run[4].net, run[1].net, "conv3.weight") > 0.5 * moved(
        free, run[1].net, "conv3.weight"
    )
    one_epoch = training.train(BASE.replace(epochs=1), 0, quiet=True).net
    for name, value in one_epoch.state_dict().items():  # grouping by layer changes no number
        assert torch.equal(value, run[1].net.state_dict()[name]), name


def test_keys_that_go_together():
    with pytest.raises(ValueError, match="go together, got 2 and 0"):
        RunConfig(plateau_patience=2)
    with pytest.raises(ValueError, match="validation_images is 200 of 200"):
        training.train(BASE.replace(plateau_patience=1, validation_images=200), 0, quiet=True)
