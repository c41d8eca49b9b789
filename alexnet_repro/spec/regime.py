"""§5 How near a small experiment is to the paper's: its regime, by arithmetic. No torch.

What training does to a net hangs less on its size than on ratios: parameters to images, crop to
image, noise of the gradient, how long the decay acts. `table` puts them side by side, one column a
setting; `start` gives deviations that start each layer of a narrow net as the wide one starts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alexnet_repro.config import RunConfig
from alexnet_repro.errors import InputError
from alexnet_repro.spec import networks, shapes
from alexnet_repro.spec.rows import WEIGHT_KINDS, Spec

if TYPE_CHECKING:
    import pandas as pd

PRINTED_STD = 0.01  # §5


@dataclass(frozen=True)
class Setting:
    """A configuration, its net, and what it trains on."""

    config: RunConfig
    spec: Spec
    images: int  # that are trained on; those held out are not among them
    classes: int
    side: int  # of the stored images, pixels

    def __post_init__(self) -> None:
        if min(self.images, self.classes, self.side) < 1:
            raise InputError(
                f"a setting wants at least one image, class and pixel, got images={self.images}, "
                f"classes={self.classes}, side={self.side}"
            )
        if self.config.crop > self.side:
            raise InputError(
                f"a crop of {self.config.crop} pixels does not fit images of {self.side}"
            )
        if self.config.plateau_patience:
            raise InputError(
                "regime wants a fixed schedule (lr_drops), got plateau_patience="
                f"{self.config.plateau_patience}: where that drops is known after the run"
            )
        if self.config.momentum >= 1:
            raise InputError(f"regime wants a momentum below 1, got {self.config.momentum}")


def parameters(setting: Setting) -> int:
    """§3.5 Weights and biases of the net, its last layer made for the setting's classes."""
    table = shapes.trace(setting.spec)
    units = setting.spec.layers[-1].out
    total = int(table["weights"].sum() + table["biases"].sum())
    last = int(table["weights"].iloc[-1] + table["biases"].iloc[-1])
    return total - last + last // units * setting.classes


def updates(setting: Setting) -> int:
    """§5 Steps of the optimiser in the whole schedule; an epoch's last batch may be smaller."""
    return setting.config.epochs * _updates_an_epoch(setting)


def _updates_an_epoch(setting: Setting) -> int:
    return -(-setting.images // setting.config.batch)


def noise_scale(setting: Setting) -> float:
    """§5 lr N / (batch (1 - momentum)), at the first rate: how noisy the updates are."""
    c = setting.config
    return c.lr * setting.images / (c.batch * (1 - c.momentum))


def decay(setting: Setting) -> float:
    """§5 Sum over all updates of lr * weight_decay / (1 - momentum), drops of the rate included.

    In e-folds: a weight that the images pull nowhere shrinks to exp(-decay) of its size.
    """
    c = setting.config
    rates = (c.lr / 10 ** sum(epoch >= d for d in c.lr_drops) for epoch in range(c.epochs))
    return math.fsum(rates) * _updates_an_epoch(setting) * c.weight_decay / (1 - c.momentum)


def views(setting: Setting) -> int:
    """§4.1 In how many ways one training image can be seen: places of the crop x reflections."""
    c = setting.config
    places = setting.side - c.crop + 1 if c.crop and c.crop_position == "random" else 1
    return places**2 * (1 + c.flip)


def drops(setting: Setting) -> tuple[float, ...]:
    """§5 Where the rate is divided by ten, in per cent of the schedule."""
    epochs = setting.config.epochs
    return tuple(100 * drop / epochs for drop in setting.config.lr_drops if drop < epochs)


def table(settings: Mapping[str, Setting]) -> pd.DataFrame:
    """§5 The regimes side by side: one column a setting, one row a quantity, unrounded.

    Bare numbers; the drops are a tuple of per cents. What only a trained net shows (the bite of its
    normalisation, its errors) is not here.
    """
    import pandas as pd

    columns = {
        name: {
            "parameters": parameters(s),
            "training images": s.images,
            "parameters per training image": parameters(s) / s.images,
            "training images per class": s.images / s.classes,
            "crop side / image side": (s.config.crop or s.side) / s.side,
            "epochs": s.config.epochs,
            "drops of the rate, % of the schedule": drops(s),
            "updates": updates(s),
            "noise scale": noise_scale(s),
            "decay, e-folds": decay(s),
            "crops x reflections": views(s),
        }
        for name, s in settings.items()
    }
    return pd.DataFrame(columns, dtype=object)


def fan_in(spec: Spec) -> dict[str, int]:
    """§3.5 How many numbers each unit of a weight layer reads, by layer name."""
    rows = shapes.trace(spec)
    rows = rows[rows["kind"].isin(WEIGHT_KINDS)]
    return dict(zip(rows["layer"], (rows["weights"] // rows["biases"]).tolist(), strict=True))


def growth(spec: Spec, reference: str = "alexnet") -> dict[str, float]:
    """§5 sqrt(fan-in in the reference net / fan-in here), by layer name.

    What a deviation is multiplied by so that the layer's responses to inputs of the same size start
    as large as there. Raises ValueError for a layer that the reference does not have.
    """
    wide = fan_in(networks.get(reference))
    found = {}
    for name, narrow in fan_in(spec).items():
        if name not in wide:
            raise InputError(
                f"{spec.name} has a layer {name!r} that {reference} has not; "
                f"it has {', '.join(wide)}"
            )
        found[name] = math.sqrt(wide[name] / narrow)
    return found


def start(spec: Spec, *, reading: str = "original", reference: str = "alexnet") -> dict[str, float]:
    """§5 The paper's initial deviations for a narrower net: sigma sqrt(fan-in there / fan-in here).

    With them each layer's responses to inputs of the same size start as large as in the paper's
    net. reading: "original", 0.03 in conv3 to conv5, or "paper", 0.01 everywhere, as in
    model.initialise. reference: the net that is "there". Returns a deviation by layer name. Raises
    ValueError for another reading and for a layer that the reference does not have.
    """
    if reading not in ("paper", "original"):
        raise InputError(f"start wants reading 'paper' or 'original', got {reading!r}")
    there = networks.get(reference)
    sigma = {r.name: r.std if reading == "original" else PRINTED_STD for r in there.layers}
    return {name: sigma[name] * factor for name, factor in growth(spec, reference).items()}


def starts(
    nets: Mapping[str, Spec], *, reading: str = "original", reference: str = "alexnet"
) -> pd.DataFrame:
    """§5 `start` of several nets: a row a weight layer, a column a net, NaN where it lacks one."""
    import pandas as pd

    order = list(fan_in(networks.get(reference)))
    columns = {
        name: start(spec, reading=reading, reference=reference) for name, spec in nets.items()
    }
    return pd.DataFrame(columns, index=order, dtype=float)
