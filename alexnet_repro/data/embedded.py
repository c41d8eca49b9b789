"""§2 The embedded data set: ten classes of procedural colour images, made from a seed. No torch.

Synthetic: it shows that the machinery works and earns no verdict. Classes differ in orientation,
frequency, colour and shape, so that kernels, crops, reflections and colour noise have something to
act on: gratings (four orientations in two frequencies), discs, squares, rings, crosses, each with
its class's colour plus noise, random phase, place and contrast.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from alexnet_repro.data import arrays
from alexnet_repro.data.dataset import DataSet, MeanImage
from alexnet_repro.errors import InputError

CLASSES = (
    "grating-0", "grating-45", "grating-90", "grating-135", "fine-grating-0", "fine-grating-90",
    "disc", "square", "ring", "cross",
)  # fmt: skip
SIDE = 32
COUNTS = {"train": 2000, "test": 500}
SEED = 2012


@cache
def generate(split: str) -> DataSet:
    """One split ("train" or "test") as a data.DataSet; the same arrays at every call."""
    if split not in COUNTS:
        raise InputError(f"the embedded data set has no split {split!r}; it has train, test")
    images, labels = _draw(split)
    mean, std = arrays.mean_and_std(_draw("train")[0])
    digest = arrays.array_sha256(images, labels)
    return DataSet("embedded", split, images, labels, CLASSES, MeanImage(mean), std, digest)


@cache
def _draw(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images, N x 3 x SIDE x SIDE uint8 (0..255), and labels, N int64 in 0..9."""
    n = COUNTS[split]
    rng = np.random.default_rng([SEED, list(COUNTS).index(split)])
    labels = rng.permutation(np.arange(n) % len(CLASSES)).astype(np.int64)
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    pattern = np.zeros((n, SIDE, SIDE), np.float32)
    hue = np.zeros((n, 3), np.float32)
    for i, label in enumerate(labels):
        pattern[i] = _pattern(int(label), x, y, rng)
        hue[i] = 0.6 * np.cos(2 * np.pi * (label / len(CLASSES) + np.array([0, 1, 2]) / 3))
    hue += rng.normal(0, 0.5, hue.shape)
    contrast = rng.uniform(25, 70, (n, 1, 1, 1))
    brightness = rng.normal(0, 20, (n, 1, 1, 1))
    noise = rng.normal(0, 30, (n, 3, SIDE, SIDE))
    colour = (1 + hue)[:, :, None, None]
    images = 120 + brightness + contrast * colour * pattern[:, None] + noise
    return np.clip(images, 0, 255).round().astype(np.uint8), labels


def _pattern(label: int, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One image's grey pattern in -1..1, SIDE x SIDE; x, y: each pixel's column and row, so too."""
    if label < 6:
        angle = np.pi * (label * 45 if label < 4 else (label - 4) * 90) / 180
        angle += rng.normal(0, 0.08)
        waves = rng.uniform(2.5, 4) if label < 4 else rng.uniform(7, 9)
        phase = rng.uniform(0, 2 * np.pi)
        along = x * np.cos(angle) + y * np.sin(angle)
        return np.sin(2 * np.pi * waves * along / SIDE + phase)
    u, v = x - rng.uniform(10, 22), y - rng.uniform(10, 22)
    radius = rng.uniform(6, 10)
    distance = np.hypot(u, v)
    square = np.maximum(abs(u), abs(v))
    if label == 6:
        inside = distance < radius
    elif label == 7:
        inside = square < radius * 0.89  # the disc's area, so that area does not give it away
    elif label == 8:
        inside = abs(distance - radius) < 2
    else:
        inside = (np.minimum(abs(u), abs(v)) < 2) & (square < radius)
    return np.where(inside, 1.0, -0.3)
