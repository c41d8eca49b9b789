"""§5 Training on 256 embedded images: a hand-written loop, broken runs, pairs, divergence."""

import signal
import subprocess
import sys
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from alexnet_repro import data, model, training
from alexnet_repro.augment import View, on_cpu
from alexnet_repro.config import RunConfig
from alexnet_repro.data import embedded, prepared
from alexnet_repro.study import RunRecord
from alexnet_repro.training import evaluate, loop

PLAIN = RunConfig(
    data="tiny", net="18pct-plain", init="modern", pixels="standardised", lr=0.02,
    bias_lr_factor=2.0, weight_decay=0.004, batch=96, epochs=3, lr_drops=(2,),
)  # fmt: skip
MINI = PLAIN.replace(net="mini-alexnet", crop=24, flip=True, train_eval_images=50)  # and dropout
CONFIGS, SEED = {"plain": PLAIN, "mini": MINI}, 7
KILLED = """
import os, pathlib, signal
from alexnet_repro import config
from alexnet_repro.training import loop, optim
step, calls = optim.PaperSGD.step, []
def killed_at_the_fifth(self):  # in the middle of the second epoch
    calls.append(os.kill(os.getpid(), signal.SIGKILL) if len(calls) == 4 else step(self))
optim.PaperSGD.step = killed_at_the_fifth
loop.train(config.RunConfig(**%r), %r, checkpoint=pathlib.Path(%r), data_root=%r, quiet=True)
"""


def write(root, first):
    """A prepared data set "tiny": 256 and 60 embedded images from number `first`."""
    (root / "writing").mkdir()
    for split, n in (("train", 256), ("test", 60)):
        for part in ("images", "labels"):
            whole = getattr(embedded.generate(split), part)
            np.save(root / "writing" / f"{split}-{part}.npy", whole[first : first + n])
    prepared.finish(root / "writing", root / "tiny", list(embedded.CLASSES), "embedded", [])
    return root


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write(tmp_path_factory.mktemp("data"), 0)


@pytest.fixture(scope="module")
def run(root):
    return partial(training.train, seed=SEED, data_root=root, quiet=True)


@pytest.fixture(scope="module")
def unbroken(run):
    return {name: run(config) for name, config in CONFIGS.items()}


def stored(root, split):
    """Pixels as §2 and the configurations want them, and labels, by plain arithmetic."""
    x, first = (np.load(root / "tiny" / f"{s}-images.npy") * 1.0 for s in (split, "train"))
    x = (x - first.mean(0)) / (first - first.mean(0)).std()
    return torch.tensor(x).float(), torch.tensor(np.load(root / "tiny" / f"{split}-labels.npy"))


def assert_identical(a, b):
    assert (a.curve, a.metrics, a.data_sha256) == (b.curve, b.metrics, b.data_sha256)
    ours, theirs = a.net.state_dict(), b.net.state_dict()
    assert [n for n in ours if not torch.equal(ours[n], theirs[n])] == []


def test_equals_a_hand_written_loop(unbroken, root):
    x, y = stored(root, "train")
    net = model.build("18pct-plain", init="modern", generator=loop.stream(SEED, "weights"))
    start = [p.detach().clone() for p in net.parameters()]
    velocity = [torch.zeros_like(p) for p in start]
    for epoch, rate in enumerate([0.02, 0.02, 0.002]):
        order = torch.randperm(256, generator=loop.stream(SEED, "order", epoch))
        for some in order.split(96):  # 96 + 96 + 64: the last batch is smaller, not left out
            grads = torch.autograd.grad(F.cross_entropy(net(x[some]), y[some]), net.parameters())
            for i, (p, g) in enumerate(zip(net.parameters(), grads, strict=True)):
                eps, decay = (2 * rate, 0.0) if p.dim() == 1 else (rate, 0.004)
                velocity[i] = 0.9 * velocity[i] - decay * eps * p.data - eps * g
                p.data += velocity[i]
    found = unbroken["plain"].net.parameters()
    for p, want, before in zip(found, net.parameters(), start, strict=True):
        assert (p - want).norm() < 1e-3 * (want - before).norm()


@torch.inference_mode()
def test_curve_and_metrics_are_those_of_the_trained_net(unbroken, root):
    run = unbroken["plain"]
    curve, metrics, net = pd.DataFrame(run.curve), run.metrics, run.net.eval()
    places = curve[["split", "epoch", "step"]].to_numpy().tolist()
    assert places == [*(["train", e, 3 * e] for e in range(4)), ["test", 3, 9]]
    assert curve.lr[1:4].tolist() == pytest.approx([0.02, 0.02, 0.002])
    assert curve.top1_error[3] + 0.05 < curve.top1_error[1] < curve.top1_error[0]  # it learns
    assert (metrics["train_images"], metrics["test_images"]) == (256, 60)
    assert not any(name.startswith("ten_crop") for name in metrics)
    for split, prefix, row in (("train", "train_", 3), ("test", "", 4)):
        x, y = stored(root, split)
        scores, names = net(x), ["loss", "top1_error", "top5_error"]
        ranks = (scores > scores.gather(1, y[:, None])).sum(1)
        found = [metrics[prefix + name] for name in names]
        assert found[0] == pytest.approx(F.cross_entropy(scores, y).item(), rel=1e-4)
        assert found[1:] == [(ranks >= k).sum().item() / len(y) for k in (1, 5)]
        assert curve.loc[row, names].tolist() == found


@torch.inference_mode()
def test_with_crops_come_ten_crops_and_with_a_limit_the_first_images(unbroken, root):
    found, net = unbroken["mini"], unbroken["mini"].net.eval()
    x, y = stored(root, "train")
    wrong = net(x[:50, :, 4:28, 4:28]).argmax(1) != y[:50]
    assert found.curve[3]["top1_error"] == pytest.approx(wrong.double().mean().item())
    training, test = (data.load("tiny", split, root) for split in ("train", "test"))
    ten = evaluate(net, test, View.of(training, 24, True), views=10)
    assert all(found.metrics[f"ten_crop_{n}"] == ten[n] for n in ("loss", "top1_error"))


@pytest.mark.parametrize("name", CONFIGS)
def test_a_killed_and_resumed_run_is_the_unbroken_one(unbroken, run, root, tmp_path, name):
    path = tmp_path / "deep" / "run-lr0.02.pt"
    script = KILLED % (CONFIGS[name].to_dict(), SEED, str(path), str(root))
    assert subprocess.run([sys.executable, "-c", script]).returncode == -signal.SIGKILL
    assert torch.load(path, weights_only=True)["epoch"] == 1
    assert_identical(run(CONFIGS[name], checkpoint=path), unbroken[name])


def test_a_run_broken_while_it_writes_its_checkpoint(unbroken, run, tmp_path, monkeypatch):
    path, save, calls = tmp_path / "run.pt", torch.save, []

    def half(state, file):
        calls.append(1)
        if len(calls) == 2:
            file.write_bytes(b"half a file")
            raise KeyboardInterrupt
        save(state, file)

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(KeyboardInterrupt):
        run(PLAIN, checkpoint=path)
    assert torch.load(path, weights_only=True)["epoch"] == 1
    assert_identical(run(PLAIN, checkpoint=path), unbroken["plain"])
    monkeypatch.setattr(loop, "_epoch", None)  # a finished run trains no more
    assert_identical(run(PLAIN, checkpoint=path), unbroken["plain"])


def test_the_checkpoint_of_another_run_is_refused(run, tmp_path):
    short, path = MINI.replace(epochs=1), tmp_path / "run.pt"
    run(short, checkpoint=path)
    others = {"config": short.replace(lr=0.03), "seed": 8, "data_root": write(tmp_path, 100)}
    for name, other in others.items():
        with pytest.raises(ValueError, match=r"run.pt is the checkpoint of another configuration"):
            run(**{"config": short, "checkpoint": path, name: other})


@pytest.mark.parametrize("when", [{}, {"batch": 256, "epochs": 1}])  # or at the very last step
def test_a_diverged_run_says_so_and_can_be_saved(run, tmp_path, when):
    config, path = PLAIN.replace(lr=1e30, **when), tmp_path / "run.pt"
    found = run(config, checkpoint=path)
    want = {"diverged": True, "epochs": 1, "loss": None, "top1_error": 1.0, "train_loss": None}
    assert want.items() <= found.metrics.items()
    rest = config.to_dict(), found.metrics, found.provenance, pd.DataFrame(found.curve)
    saved = RunRecord("toy", "arm", SEED, *rest).save(tmp_path)
    assert RunRecord.load(saved).metrics == found.metrics
    assert run(config, checkpoint=path).metrics == found.metrics  # it does not go on


def test_training_stops_after_the_first_epoch_at_or_below_the_error(unbroken, run):
    whole = unbroken["plain"].curve
    reached = whole[1]["top1_error"]  # less than at the start, see above
    found = run(PLAIN.replace(stop_at_train_error=reached))
    assert found.curve[:-1] == whole[:2]
    assert (found.metrics["epochs"], found.metrics["train_top1_error"]) == (1, reached)


def test_two_arms_of_one_seed_see_the_same_images_and_crops(run, root, monkeypatch):
    batch, seen = on_cpu.batch, []

    def spy(images, draws, size, mean, **options):
        crops = batch(images, draws, size, mean, **options)
        seen[-1].append((images.numpy(), crops.numpy().tobytes()))
        return crops

    monkeypatch.setattr(on_cpu, "batch", spy)
    for net, seed in (("mini-alexnet", 1), ("mini-alexnet-nonoverlap", 1), ("mini-alexnet", 2)):
        seen.append([])
        run(MINI.replace(net=net, epochs=2), seed=seed)
    (images, crops), (others, same), (_, different) = (zip(*arm, strict=True) for arm in seen)
    assert crops == same
    assert all((x == y).all() for x, y in zip(images, others, strict=True))
    assert len({*crops, *different}) == 6 + 6  # another seed and another epoch: other batches
    whole = sorted(image.tobytes() for image in np.load(root / "tiny" / "train-images.npy"))
    for epoch in (images[:3], images[3:]):  # each image once an epoch
        assert sorted(image.tobytes() for batch in epoch for image in batch) == whole
