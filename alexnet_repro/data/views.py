"""§2 Named data sets that are a fixed part of a prepared one. Nothing is written. No torch.

A view is cut when it is opened, from a set whose every byte was verified; its mean image and
deviation are those of its own training images, its sums those of its own arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from alexnet_repro.data.arrays import array_sha256, mean_and_std
from alexnet_repro.data.dataset import DataSet, MeanImage
from alexnet_repro.data.stored import Prepared
from alexnet_repro.errors import InputError

Labels = Mapping[str, np.ndarray]  # by split of the prepared set
Places = dict[str, dict[str, np.ndarray]]  # the view's split -> that of the set -> image numbers


@dataclass(frozen=True)
class Part:
    """Of which prepared set a view is a part, and of which splits; its classes; its images."""

    of: str
    splits: tuple[str, ...]
    classes: int
    places: Callable[[Labels], Places]


def _matched(labels: Labels) -> Places:
    """10,000 images are drawn from `train` for a run; `test` is large, so that its noise is small.

    The stored order is shuffled once, when the set is prepared: slices are random draws.
    """
    train = np.arange(len(labels["train"]))
    return {
        "train": {"train": train[:20_000]},
        "val": {"train": train[20_000:30_000]},
        "test": {"train": train[30_000:], "test": np.arange(len(labels["test"]))},
    }


def _first_twenty(labels: Labels) -> Places:
    """Of each of 20 classes 400 training images; the other 100, with 50 of `val`, are the test."""
    train, val = labels["train"], labels["val"]
    rank = np.empty(len(train), np.int64)  # of an image among those of its class, as stored
    for c in np.unique(train):
        rank[train == c] = np.arange((train == c).sum())
    kept = train < 20
    return {
        "train": {"train": np.flatnonzero(kept & (rank < 400))},
        "test": {"train": np.flatnonzero(kept & (rank >= 400)), "val": np.flatnonzero(val < 20)},
    }


VIEWS: dict[str, Part] = {
    "cifar10-matched": Part("cifar10-jpeg", ("train", "val", "test"), 10, _matched),
    "tiny-20": Part("tiny-imagenet-100", ("train", "test"), 20, _first_twenty),
}


def cut(name: str, split: str, base: Prepared) -> DataSet:
    """One split of a view, from the prepared set that it is a part of.

    Images are copied (test of cifar10-matched: 92 MB). Raises ValueError for a split that the view
    does not have, and as Prepared.
    """
    part = VIEWS[name]
    if split not in part.splits:
        raise InputError(
            f"data set {name!r} has no split {split!r}; it has {', '.join(part.splits)}"
        )
    stored = {s: base.split(s) for s in base.meta["splits"]}
    places = part.places({s: labels for s, (_, labels, _) in stored.items()})
    arrays = [
        [np.concatenate([stored[s][i][at] for s, at in places[which].items()]) for i in (0, 1)]
        for which in (("train", split) if split != "train" else ("train",))
    ]
    mean, std = mean_and_std(arrays[0][0])
    images, labels = arrays[-1]
    return DataSet(
        name, split, images, labels, base.classes[: part.classes], MeanImage(mean), std,
        array_sha256(images, labels),
    )  # fmt: skip
