"""§2 The data sets that the study names: their images, classes and sums. No torch.

A prepared set under one of these names must have these counts, and these sums where they are known
(of the arrays, as arrays.array_sha256 takes them). A set under another name is nobody's: it can be
trained on and earns no verdict.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class KnownSet:
    """What a set of that name must hold."""

    classes: int
    images: dict[str, int]  # split -> images
    sha256: dict[str, str] = field(default_factory=dict)  # split -> sum, where it is known


KNOWN: dict[str, KnownSet] = {
    "cifar10-jpeg": KnownSet(
        10,
        {"train": 50_000, "test": 10_000},
        {
            "train": "c408cfd7f8a29b797cc670166c945b62297c35ffbacdd080e81f2e7850d28611",
            "test": "e895b8e85e3b17146ad90af45c196010154bad54b450f4ffa861e3feba39904a",
        },
    ),
    "cifar10-matched": KnownSet(  # a view of cifar10-jpeg
        10,
        {"train": 20_000, "val": 10_000, "test": 30_000},
        {
            "train": "30c897a2fc796cf6d5dbb93590ca2b33fefc1fe101fcd8b689309f2b920a1d5d",
            "val": "7ae3e9e6b8a23115af09968512949206d5feff8734faf1099f0a460a1142df2e",
            "test": "82f2d90da187015863dc525a46aeb16cc58e346279346f9e64d2547de4759e21",
        },
    ),
    "cifar10": KnownSet(10, {"train": 50_000, "test": 10_000}),
    "tiny-imagenet-100": KnownSet(100, {"train": 50_000, "val": 5_000}),
    "tiny-20": KnownSet(20, {"train": 8_000, "test": 3_000}),  # a view of tiny-imagenet-100
    "tiny-imagenet-200": KnownSet(200, {"train": 100_000, "val": 10_000}),
    "ilsvrc-2010": KnownSet(1000, {"train": 1_261_406, "val": 50_000, "test": 150_000}),
    "ilsvrc-2012": KnownSet(1000, {"train": 1_281_167, "val": 50_000}),
}

# What the paper's own runs of a claim were made on; of every claim that is not named: ImageNet.
_CIFAR = ("cifar10", "cifar10-jpeg")
_IMAGENET = ("ilsvrc-2010", "ilsvrc-2012")
_OF_CLAIM = {"c08": _CIFAR, "c09": _CIFAR, "c13": _CIFAR}


def of_the_paper(claim_id: str) -> tuple[str, ...]:
    """The data sets on which a claim such as "c08-original" stands in the paper's full setting."""
    return _OF_CLAIM.get(claim_id.split("-")[0], _IMAGENET)


def scored(known: KnownSet, split: str = "test") -> int:
    """Images that a run on the set is scored on: its test split, or val where it has none.

    split: the configuration's scored_split; "val" is val alone, 0 where there is none.
    """
    if split == "val":
        return known.images.get("val", 0)
    return known.images.get("test", known.images.get("val", 0))
