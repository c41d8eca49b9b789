"""§3.1 §3.2 §3.3 §3.4 §4.2 The layers at work: each function returns the numbers of one figure."""

from __future__ import annotations

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from alexnet_repro import model
from alexnet_repro.data import embedded
from alexnet_repro.layers import LocalResponseNorm, OverlappingMaxPool, PaperDropout, WithinMapNorm
from alexnet_repro.training import diagnose

LEVELS = [float(f"{10 ** (i / 8):.4g}") for i in range(29)]  # 1 to 3162
COLUMNS_OF = ("alexnet", "alexnet-per-column", "alexnet-original", "alexnet-ungrouped")


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def order() -> pd.DataFrame:
    """§3.1 §3.3 ReLU before LRN (text) or after (original conv1), by size of the responses.

    Columns deviation (of normal responses, before either), alpha ("printed", "original"), ratio:
    median over positive responses of ReLU(LRN(a)) / LRN(ReLU(a)).
    """
    unit = torch.randn(1, 48, 27, 27, generator=_generator())
    positive = unit > 0
    rows = []
    for alpha in ("printed", "original"):
        norm = LocalResponseNorm(alpha_over_n=alpha == "original")
        for level in LEVELS:
            a = unit * level
            late, early = F.relu(norm(a)), norm(F.relu(a))
            rows.append((level, alpha, (late / early)[positive].median().item()))
    return pd.DataFrame(rows, columns=["deviation", "alpha", "ratio"])


def normalisation() -> pd.DataFrame:
    """§3.3 What is left of an activity when all its neighbours are as active.

    Columns activity, reading, factor (output over input, in 0..1).
    """
    readings = {
        "printed": LocalResponseNorm(),
        "original": LocalResponseNorm(alpha_over_n=True),
        "Caffe (k = 1)": LocalResponseNorm(k=1.0, alpha_over_n=True),
        "within the map": WithinMapNorm(),
    }
    rows = []
    for reading, norm in readings.items():
        for level in LEVELS:
            out = norm(torch.full((1, 9, 9, 9), level))[0, 4, 4, 4].item()
            rows.append((level, reading, out / level))
    return pd.DataFrame(rows, columns=["activity", "reading", "factor"])


def pooling() -> pd.DataFrame:
    """§3.4 How much pooled maps change when the image moves, by kind of pooling.

    The first 100 embedded training images. Columns pooling, shift (pixels to the right), change
    (root mean square of the change over the deviation of the pooled maps; 0 means none).
    """
    images = torch.from_numpy(embedded.generate("train").images[:100].copy()).float()
    kinds = {
        "max 3×3, stride 2": OverlappingMaxPool(),
        "max 2×2, stride 2": OverlappingMaxPool(2, 2),
        "average 3×3, stride 2": torch.nn.AvgPool2d(3, 2, ceil_mode=True),
    }
    rows = []
    for kind, pool in kinds.items():
        still = pool(images[..., :24])
        for shift in range(5):
            moved = pool(images[..., shift : shift + 24])
            change = (moved - still).square().mean().sqrt() / still.std()
            rows.append((kind, shift, change.item()))
    return pd.DataFrame(rows, columns=["pooling", "shift", "change"])


@torch.no_grad()
def reach() -> pd.DataFrame:
    """§3.2 §3.5 What a change in the first column's conv1 maps reaches, layer by layer.

    Columns net, layer, own and other: the share of the maps (or units) of the first and of the
    second column that change. At the initial weights, one image of 224 pixels.
    """
    images = diagnose.probe_images(2, 224)[:1]
    rows = []
    for name in COLUMNS_OF:
        net = model.build(name, init="original", generator=_generator()).eval()
        before, after = images, images
        for layer, module in net.named_children():
            before, after = module(before), module(after)
            if layer == "conv1":
                half = after.shape[1] // 2
                after = torch.cat([after[:, :half] * 1.5 + 1, after[:, half:]], 1)
            if layer == "flatten":
                continue
            own, other = _changed(before, after)
            rows.append((name, layer, own, other))
    return pd.DataFrame(rows, columns=["net", "layer", "own", "other"])


def _changed(before: Tensor, after: Tensor) -> tuple[float, float]:
    changed = (before != after)[0].flatten(1).any(1) if before.dim() == 4 else (before != after)[0]
    own, other = changed.chunk(2)
    return own.float().mean().item(), other.float().mean().item()


@torch.no_grad()
def dropout() -> pd.DataFrame:
    """§4.2 The input of one unit of the next layer under 400 masks, and at test.

    Columns kind ("training", one row a mask; "test", outputs times 0.5; "test without the factor")
    and value (the unit's input, no unit).
    """
    hidden = F.relu(torch.randn(1, 4096, generator=_generator(1)))
    weights = 0.01 * torch.randn(4096, generator=_generator(2)).abs()
    drop = PaperDropout()
    drop.generator = _generator(3)
    rows = [("training", (drop(hidden) @ weights).item()) for _ in range(400)]
    rows.append(("test", (drop.eval()(hidden) @ weights).item()))
    rows.append(("test without the factor", (hidden @ weights).item()))
    return pd.DataFrame(rows, columns=["kind", "value"])
