"""§5 What the keys of the trial change in a training: images, replicas, start, rows, scores."""

from functools import partial

import numpy as np
import pytest
import torch

from alexnet_repro import data, training
from alexnet_repro.augment import View, seen, ten_crop
from alexnet_repro.augment.seen import stream
from alexnet_repro.config import RunConfig
from alexnet_repro.data import embedded, prepared
from alexnet_repro.errors import InputError
from alexnet_repro.spec import choices
from alexnet_repro.training import measures, setup

TINY = RunConfig(
    data="tiny", net="matched-half", init_scale="fan-in", crop=28, flip=True, lr=0.01, batch=64,
    epochs=1, train_images=128, train_eval_images=50,
)  # fmt: skip
SEED = 3


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A prepared set "tiny": 256, 60 and 40 embedded images."""
    root = tmp_path_factory.mktemp("data")
    (root / "writing").mkdir()
    whole = {split: embedded.generate(split) for split in ("train", "test")}
    for split, of, first, n in (
        ("train", "train", 0, 256), ("test", "test", 0, 60), ("val", "test", 60, 40),
    ):  # fmt: skip
        for part in ("images", "labels"):
            some = getattr(whole[of], part)[first : first + n]
            np.save(root / "writing" / f"{split}-{part}.npy", some)
    prepared.finish(root / "writing", root / "tiny", list(embedded.CLASSES), "embedded", [])
    return root


@pytest.fixture(scope="module")
def run(root):
    return partial(training.train, data_root=root, quiet=True)


@pytest.fixture(scope="module")
def usual(run):
    return run(TINY, SEED)


def start_of(root, seed=SEED, **changes):
    """Weights, images and first batch of a run before its first update."""
    whole = setup.set_up(TINY.replace(**changes), seed, root)
    batch = next(seen.batches(
        whole.config, seed, 0, whole.training, whole.count, whole.view, whole.components
    ))  # fmt: skip
    return whole, torch.cat([p.flatten() for p in whole.net.parameters()]), batch


def test_a_subset_is_drawn_by_the_seed_without_replacement(root):
    pool = data.load("tiny", "train", root)
    wanted = torch.randperm(256, generator=stream(SEED, "subset"))
    for n in (1, 64, 128, 256):
        found = seen.subset(pool, n, SEED)
        assert np.array_equal(found.images, pool.images[wanted[:n].numpy()])
        assert np.array_equal(found.labels, pool.labels[wanted[:n].numpy()])
        assert len(set(wanted[:n].tolist())) == n
        assert (found.mean, found.std, found.sha256) == (pool.mean, pool.std, pool.sha256)
    other = seen.subset(pool, 128, SEED + 1)
    assert not np.array_equal(other.labels, seen.subset(pool, 128, SEED).labels)
    assert seen.subset(pool, 0, SEED) is pool
    with pytest.raises(InputError, match="train_images is 257, tiny has 256 training images"):
        seen.subset(pool, 257, SEED)


def test_it_is_the_subset_that_is_trained_and_scored(usual, root):
    pool = data.load("tiny", "train", root)
    mine = seen.subset(pool, 128, SEED)
    metrics = usual.metrics
    assert (metrics["train_images"], metrics["test_images"]) == (128, 60)
    assert [r["step"] for r in usual.curve] == [0, 2, 2]  # 128 images in batches of 64
    view = View.of(pool, 28, False)
    again = training.evaluate(usual.net, mine, view)
    assert metrics["train_top1_error"] == again["top1_error"]
    assert metrics["train_loss"] == pytest.approx(again["loss"])
    assert usual.data_sha256["train"] == pool.sha256  # the sum that can be looked up: the pool's
    assert start_of(root, validation_images=28, plateau_patience=1)[0].count == 100


def test_with_more_drawn_and_the_rest_held_out_the_same_images_are_trained_on(root):
    usual, _, batch = start_of(root)
    watched, _, other = start_of(root, train_images=160, validation_images=32, plateau_patience=1)
    assert watched.count == usual.count == 128
    assert np.array_equal(watched.training.images[:128], usual.training.images)
    assert all(map(torch.equal, batch, other))


def test_mean_and_colours_are_those_of_the_whole_set(root):
    whole = start_of(root, colour_noise="paper")[0]
    pool = np.load(root / "tiny" / "train-images.npy").astype(np.float64)
    assert np.allclose(whole.view.whole.numpy(), pool.mean(0), atol=1e-4)
    pixels = pool.transpose(1, 0, 2, 3).reshape(3, -1)  # grey levels
    values = np.linalg.eigvalsh(np.cov(pixels))
    assert np.allclose(sorted(whole.components.eigenvalues.tolist()), values, rtol=1e-3)


def test_a_replica_has_the_same_images_and_all_else_of_its_own(root, usual, run):
    first, weights, (images, _) = start_of(root)
    same, its, (others, _) = start_of(root, replica=1)
    assert np.array_equal(first.training.images, same.training.images)
    assert not torch.equal(weights, its)
    assert not torch.equal(images, others)
    # order, crops, colours and masks each have a stream of their own
    for purpose in ("weights", "order", "crops", "colours", "dropout"):
        draws = {torch.rand(1, generator=stream(SEED, purpose, 0, r)).item() for r in range(5)}
        assert len(draws) == 5
    assert torch.equal(
        torch.rand(5, generator=stream(SEED, "order", 2)),
        torch.rand(5, generator=stream(SEED, "order", 2, 0)),
    )
    assert run(TINY.replace(replica=1), SEED).metrics != usual.metrics
    again = run(TINY.replace(replica=0), SEED)
    assert (again.metrics, again.curve) == (usual.metrics, usual.curve)


def test_a_pilot_leaves_the_test_images_alone(run, root, monkeypatch):
    opened = []
    load = data.load
    monkeypatch.setattr(data, "load", lambda *a: opened.append(a[1]) or load(*a))
    found = run(TINY.replace(scored_split="val"), SEED)
    assert set(opened) == {"train", "val"}
    assert set(found.data_sha256) == {"train", "val"}
    assert found.metrics["test_images"] == 40
    assert [r["split"] for r in found.curve] == ["train", "train", "val"]
    val = training.evaluate(
        found.net, load("tiny", "val", root), View.of(load("tiny", "train", root), 28, False)
    )
    assert found.metrics["top1_error"] == val["top1_error"]
    with pytest.raises(InputError, match="no split 'val'"):
        run(TINY.replace(data="embedded", scored_split="val", train_images=0), SEED)


def test_the_start_is_the_configurations(root):
    def deviation(whole, layer):
        return whole.net.get_parameter(f"{layer}.weight").std().item()

    grown, printed = start_of(root)[0], start_of(root, init_scale="printed")[0]
    # fan-in of conv2 is 25 * 6 here and 25 * 48 in the paper's net
    assert deviation(grown, "conv2") / deviation(printed, "conv2") == pytest.approx(8**0.5, 1e-4)
    low = start_of(root, init_std_middle="0.01")[0]
    assert deviation(grown, "conv4") / deviation(low, "conv4") == pytest.approx(3, 1e-4)
    assert deviation(grown, "fc6") == deviation(low, "fc6")
    for factor in (1.0, 0.1, 0.0):
        net = start_of(root, init_bias=factor)[0].net
        assert (net.conv2.bias == factor).all()
        assert (net.conv1.bias == 0).all()


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({"dropout": 0}, lambda net: not hasattr(net, "drop6")),
        ({"dropout": 0.25}, lambda net: net.drop7.p == 0.25),
        ({"lrn": "none"}, lambda net: not hasattr(net, "norm1")),
        ({"lrn": "k-only"}, lambda net: net.norm1.alpha == 0),
        ({"lrn_alpha_over_n": "yes"}, lambda net: net.norm2.alpha_over_n),
        ({"lrn_per_column": "yes"}, lambda net: net.norm2.groups == 2),
        ({"within_map_norm": "yes"}, lambda net: getattr(net, "mapnorm2", net.norm1).alpha == 1e-3),
        (
            {"relu_after_pool1": "yes"},
            lambda net: [n for n, _ in net.named_children()][1:3] == ["norm1", "pool1"],
        ),
    ],
    ids=lambda x: next(iter(x)) if isinstance(x, dict) else "",
)  # fmt: skip
def test_a_choice_changes_the_net_that_is_trained(run, usual, changes, differs):
    found = run(TINY.replace(**changes), SEED)
    assert differs(found.net)
    assert not differs(usual.net)
    assert found.metrics["train_loss"] != usual.metrics["train_loss"]


def test_lrn_as_printed_is_what_the_net_has(run, usual):
    assert run(TINY.replace(lrn="printed"), SEED).metrics == usual.metrics
    assert run(TINY.replace(dropout=0.5), SEED).metrics == usual.metrics
    paper = {**choices.PAPER, "init_std_middle": "0.03"}
    assert run(TINY.replace(**paper), SEED).metrics == usual.metrics


def test_k_alone_is_a_constant(run):
    found = run(TINY.replace(lrn="k-only"), SEED)
    x = torch.randn(2, 12, 5, 5)
    assert torch.allclose(found.net.norm1(x), x * 2**-0.75)
    assert found.metrics["lrn_bite_norm1"] == 0


def test_the_bite_of_norm1_stands_in_the_record(usual, run, root):
    pool, test = (data.load("tiny", s, root) for s in ("train", "test"))
    x = torch.from_numpy(test.images[:, :, 2:30, 2:30] - pool.mean.values[:, 2:30, 2:30]).float()
    a = usual.net.relu1(usual.net.conv1(x)).detach().double().square()
    windows = [a[:, max(0, i - 2) : i + 3].sum(1) for i in range(12)]
    want = (1e-4 * torch.stack(windows, 1) / 2).quantile(0.5).item()
    assert usual.metrics["lrn_bite_norm1"] == pytest.approx(want, rel=1e-4)
    for changes in ({"lrn": "none"}, {"net": "18pct-plain", "init_scale": "printed", "crop": 0}):
        assert "lrn_bite_norm1" not in run(TINY.replace(**changes), SEED).metrics


def test_the_bite_takes_fewer_images_where_maps_are_large(usual, root, monkeypatch):
    test, view = (
        data.load("tiny", "test", root),
        View.of(data.load("tiny", "train", root), 28, False),
    )
    assert (
        measures.bite_of_norm1(usual.net, test, view)["lrn_bite_norm1"]
        == (usual.metrics["lrn_bite_norm1"])
    )
    taken = []
    bite = measures.lrn_bite
    monkeypatch.setattr(
        measures, "lrn_bite", lambda n, x, name: taken.append(len(x)) or bite(n, x, name)
    )
    monkeypatch.setattr(measures, "BITTEN", (500, 7 * 12 * 28 * 28 + 1))
    measures.bite_of_norm1(usual.net, test, view)
    assert taken == [7]


def test_errors_by_views_stand_in_the_record(usual, run, root):
    test, view = (
        data.load("tiny", "test", root),
        View.of(data.load("tiny", "train", root), 28, False),
    )
    views = ten_crop(torch.from_numpy(test.images.copy()), 28)
    each = usual.net.eval()(view(views.flatten(0, 1))).log_softmax(1).unflatten(0, (60, 10))
    labels = torch.from_numpy(test.labels)
    for n, places in ((2, [4, 9]), (5, [0, 1, 2, 3, 4])):
        wrong = each[:, places].exp().mean(1).argmax(1) != labels
        assert usual.metrics[f"views{n}_top1_error"] == wrong.double().mean().item()
    whole = TINY.replace(crop=0, net="18pct-plain", init_scale="printed")
    assert not [name for name in run(whole, SEED).metrics if "views" in name]


def test_a_diverged_run_has_no_bite(run):
    with np.errstate(all="ignore"):
        found = run(TINY.replace(lr=1e30), SEED)
    assert found.metrics["diverged"]
    assert "lrn_bite_norm1" not in found.metrics
