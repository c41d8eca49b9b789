"""§2 Named parts of prepared sets: which images they hold, by hand, and what is refused."""

import numpy as np
import pytest

from alexnet_repro import data, paths
from alexnet_repro.data import prepared, sets, views
from alexnet_repro.errors import InputError, MissingError


def write(root, name, classes, counts, side=2):
    """A prepared set whose image number i of a split holds i in its first four pixels' bytes."""
    generator = np.random.default_rng(0)
    (root / "writing").mkdir(parents=True)
    for s, (split, n) in enumerate(counts.items()):
        images = np.full((n, 3, side, side), 7 * s, np.uint8)
        images[:, 0].reshape(n, -1)[:, :4] = np.arange(n, dtype=">u4").view(np.uint8).reshape(n, 4)
        labels = generator.permutation(np.arange(n) % classes)
        np.save(root / "writing" / f"{split}-images.npy", images)
        np.save(root / "writing" / f"{split}-labels.npy", labels)
    names = [f"c{i:03}" for i in range(classes)]
    prepared.finish(root / "writing", root / name, names, "made", [])
    return root


def numbers(found):
    """Split (0 the first) and number of each image."""
    flat = np.ascontiguousarray(found.images[:, 0].reshape(len(found), -1)[:, :4])
    return found.images[:, 1, 0, 0] // 7, flat.view(">u4")[:, 0].astype(int)


@pytest.fixture(scope="module")
def cifar(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sets, "KNOWN", {})  # these are not CIFAR's pixels
        root = tmp_path_factory.mktemp("cifar")
        return write(root, "cifar10-jpeg", 10, {"train": 50_000, "test": 10_000})


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sets, "KNOWN", {})
        root = tmp_path_factory.mktemp("tiny")
        return write(root, "tiny-imagenet-100", 100, {"train": 50_000, "val": 5_000})


def test_the_matched_parts_of_cifar(cifar):
    found = {s: data.load("cifar10-matched", s, cifar) for s in ("train", "val", "test")}
    want = {
        "train": [(0, i) for i in range(20_000)],
        "val": [(0, i) for i in range(20_000, 30_000)],
        "test": [(0, i) for i in range(30_000, 50_000)] + [(1, i) for i in range(10_000)],
    }
    whole = {s: np.load(cifar / "cifar10-jpeg" / f"{s}-labels.npy") for s in ("train", "test")}
    for split, part in found.items():
        where, number = numbers(part)
        assert list(zip(where.tolist(), number.tolist(), strict=True)) == want[split]
        labels = [whole[("train", "test")[s]][i] for s, i in want[split]]
        assert part.labels.tolist() == labels
        assert (part.name, part.split, len(part.classes)) == ("cifar10-matched", split, 10)
        assert len(part) == sets.KNOWN["cifar10-matched"].images[split]
        assert part.sha256 == prepared.array_sha256(part.images, part.labels)
        # mean and deviation are those of the pool, in plain arithmetic
        pool = np.load(cifar / "cifar10-jpeg" / "train-images.npy")[:20_000].astype(np.float64)
        assert np.allclose(part.mean.values, pool.mean(0), atol=1e-4)
        assert part.std == pytest.approx((pool - pool.mean(0)).std(), rel=1e-6)
    assert len({part.sha256 for part in found.values()}) == 3
    assert prepared.scored_split("cifar10-matched", cifar) == "test"


def test_twenty_classes_of_tiny_imagenet(tiny):
    labels = {s: np.load(tiny / "tiny-imagenet-100" / f"{s}-labels.npy") for s in ("train", "val")}
    pool, test = set(), set()
    for c in range(20):
        of_class = [i for i in range(50_000) if labels["train"][i] == c]
        assert len(of_class) == 500
        pool |= {(0, i) for i in of_class[:400]}
        test |= {(0, i) for i in of_class[400:]}
    test |= {(1, i) for i in range(5_000) if labels["val"][i] < 20}
    for split, want in (("train", pool), ("test", test)):
        part = data.load("tiny-20", split, tiny)
        where, number = numbers(part)
        pairs = list(zip(where.tolist(), number.tolist(), strict=True))
        assert (len(pairs), set(pairs)) == (len(want), want)
        assert len(want) == sets.KNOWN["tiny-20"].images[split]
        assert pairs == sorted(pairs)  # the stored order
        assert [labels[("train", "val")[s]][i] for s, i in pairs] == part.labels.tolist()
        assert np.bincount(part.labels).tolist() == [400 if split == "train" else 150] * 20
        assert part.classes == tuple(f"c{i:03}" for i in range(20))
    assert prepared.scored_split("tiny-20", tiny) == "test"


def test_no_image_stands_in_two_splits(cifar, tiny):
    for name, root in (("cifar10-matched", cifar), ("tiny-20", tiny)):
        seen = []
        for split in views.VIEWS[name].splits:
            where, number = numbers(data.load(name, split, root))
            seen += zip(where.tolist(), number.tolist(), strict=True)
        assert len(seen) == len(set(seen)) == sum(sets.KNOWN[name].images.values())


def test_what_is_refused(cifar, tiny, tmp_path):
    with pytest.raises(InputError, match="'cifar10-matched' has no split 'valid'; it has train, v"):
        data.load("cifar10-matched", "valid", cifar)
    with pytest.raises(InputError, match="'tiny-20' has no split 'val'; it has train, test"):
        data.load("tiny-20", "val", tiny)
    with pytest.raises(
        MissingError, match=r"no prepared data set 'cifar10-jpeg' in .* data cifar1"
    ):
        data.load("cifar10-matched", "train", tmp_path)
    with pytest.raises(
        InputError, match="cifar10-matched is cut from cifar10-jpeg when it is open"
    ):
        write(tmp_path / "new", "cifar10-matched", 10, {"train": 20})


def test_a_view_is_a_part_of_what_the_study_knows():
    for name, part in views.VIEWS.items():
        base, known = sets.KNOWN[part.of], sets.KNOWN[name]
        assert set(known.images) == set(part.splits)
        assert known.classes == part.classes <= base.classes
        assert sum(known.images.values()) * base.classes == sum(base.images.values()) * part.classes
    assert sets.scored(sets.KNOWN["cifar10-matched"]) == 30_000
    assert sets.scored(sets.KNOWN["cifar10-matched"], "val") == 10_000
    assert sets.scored(sets.KNOWN["tiny-20"], "val") == 0


@pytest.mark.skipif(
    not (paths.data_root() / "cifar10-jpeg" / "meta.json").is_file(), reason="needs cifar10-jpeg"
)
@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_the_sums_of_the_matched_parts(split):
    assert (
        data.load("cifar10-matched", split).sha256 == (sets.KNOWN["cifar10-matched"].sha256[split])
    )
