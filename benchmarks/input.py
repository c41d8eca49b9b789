"""Input: images a second alone, and the share of the training time that it takes.

An epoch as it is trained against the same epoch with all batches ready before it starts. No goal;
the share should be near zero.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from side_by_side import PAIRS, SMALL, agree, save, seconds

from alexnet_repro import data
from alexnet_repro.augment import on_cpu
from alexnet_repro.config import RunConfig
from alexnet_repro.training import loop, setup
from alexnet_repro.training.diagnose import StuckWarning

# net, images, side, batch, threads, what the run changes
CASES = [
    ("18pct", 1024, 32, 128, 1, {}),
    ("mini-alexnet", 1024, 32, 128, 1, {"crop": 24, "flip": True}),
    ("alexnet", 64, 256, 32, 2, {"crop": 224, "flip": True, "colour_noise": "original"}),
]


def drawn(count: int, side: int) -> data.DataSet:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 3, side, side), dtype=np.uint8)
    mean = data.MeanImage(np.full((3, side, side), 127, np.float32))
    labels = rng.integers(0, 10, count)
    return data.DataSet("drawn", "train", images, labels, tuple("abcdefghij"), mean, 70.0, "")


def prepared(
    name: str, count: int, side: int, batch: int, threads: int, changes: dict
) -> setup.Run:
    """A run of that net on drawn images, ready for loop._epoch."""
    warnings.simplefilter("ignore", StuckWarning)  # drawn labels teach nothing
    torch.set_num_threads(threads)
    training = drawn(count, side)
    config = RunConfig(
        net=name, init="modern", pixels="standardised", lr=1e-4, weight_decay=5e-4,
        bias_lr_factor=2.0, batch=batch, threads=threads, **changes,
    )  # fmt: skip
    return setup.of_data(config, 0, training, training)


def measure(name: str, count: int, side: int, batch: int, threads: int, changes: dict) -> dict:
    run = prepared(name, count, side, batch, threads, changes)
    supply = on_cpu.supply
    ready: list = []

    def keep(items, device):
        ready.extend(items)
        return ready

    def epoch(source) -> None:
        on_cpu.supply = source
        try:
            loop._epoch(run, 0)
        finally:
            on_cpu.supply = supply

    epoch(keep)  # warms up and makes the batches
    first, ready = ready, []
    epoch(keep)
    agree(*([images for images, _ in batches] for batches in (ready, first)), within=0)

    def drain(items, device):
        return [None for _ in items][:0]

    alone = min(seconds(lambda: epoch(drain)) for _ in range(3)) / count
    shares = []
    for i in range(PAIRS):
        order = [("made", supply), ("ready", lambda items, device: ready)]
        took = {n: seconds(lambda s=s: epoch(s)) for n, s in (order if i % 2 else order[::-1])}
        shares.append(1 - took["ready"] / took["made"])
    low, median, high = np.quantile(shares, [0.25, 0.5, 0.75]).tolist()
    row = {
        "net": name, "images a second alone": 1 / alone, "share of an epoch": median,
        "quartiles": [low, high], "shares": shares, "threads": threads,
    }  # fmt: skip
    print(
        f"{name}: {1 / alone:,.0f} images/s of input alone (no goal), share of an epoch "
        f"{100 * median:.1f} % ({100 * low:.1f} to {100 * high:.1f}, {PAIRS} pairs)"
    )
    return row


def main() -> None:
    cases = [(n, 8, s, 4, t, c) for n, _, s, _, t, c in CASES[:2]] if SMALL else CASES
    save("input", [measure(*case) for case in cases])


if __name__ == "__main__":
    main()
