"""The configuration of one run: every key with its default, unit, check and help."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from alexnet_repro.errors import InputError, nearest

# Keys that say where a run computes, not what: two records may differ in them and still agree but
# for rounding. Nothing is drawn on a device (augment.seen.stream).
EXECUTION_KEYS = ("step", "device", "threads")
YES_NO = ("", "yes", "no")  # of a choice that is the net's own where it is empty


def _key(
    default: Any, help: str, unit: str = "", choices: tuple = (), low: float | None = None
) -> Any:
    meta = {"help": help, "unit": unit, "choices": choices, "low": low}
    return dataclasses.field(default=default, metadata=meta)


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides a run's result, and the three keys that decide how it runs."""

    data: str = _key("embedded", "name of the prepared data set")
    net: str = _key("18pct-plain", "a name in spec.NETWORKS")
    nonlinearity: str = _key("relu", "§3.1", choices=("relu", "tanh", "sigmoid"))
    init: str = _key(
        "original", "§5, see model.initialise", choices=("paper", "original", "modern")
    )
    pixels: str = _key(
        "centred",
        "0..255 minus the mean image, or that divided by its standard deviation",
        choices=("centred", "standardised"),
    )
    crop: int = _key(0, "§4.1 side of the random training crop; 0: whole image", "pixels", low=0)
    crop_position: str = _key(
        "random", "§4.1 where training crops are cut", choices=("random", "centre")
    )
    crop_chunk: int = _key(
        1, "§4.1 consecutive images that share a crop; the original: 32", "images", low=1
    )
    flip: bool = _key(False, "§4.1 random horizontal reflections in training")
    mean_part: str = _key(
        "central",
        "§2 the part of the mean image that a crop loses: the central one, as in the original, or "
        "the one at the crop's own place",
        choices=("central", "matching"),
    )
    colour_noise: str = _key(
        "none", "§4.1 see augment.RGBPCA; 0..1 pixels", choices=("none", "paper", "original")
    )
    colour_noise_epochs: int = _key(
        0, "§4.1 epochs with colour noise, the original ends it early; 0: all", "epochs", low=0
    )
    lr: float = _key(0.01, "§5 learning rate of the weights", "per update", low=0)
    bias_lr_factor: float = _key(1.0, "learning rate of the biases over that of the weights", low=0)
    momentum: float = _key(0.9, "§5", low=0)
    weight_decay: float = _key(0.0, "§5, on weights only, biases get none", low=0)
    decay: str = _key(
        "one",
        "§5 weight_decay in every layer, or each layer's own, as the net's rows have it from the "
        "original configuration",
        choices=("one", "layers"),
    )
    batch: int = _key(128, "§5", "images", low=1)
    epochs: int = _key(1, "passes over the training split", "epochs", low=1)
    lr_drops: tuple[int, ...] = _key((), "§5 divide the rate by ten after these epochs", "epochs")
    plateau_patience: int = _key(
        0,
        "§5 divide by ten, three times at most, when the validation error has not improved for "
        "this many epochs; 0: do not watch it",
        "epochs",
        low=0,
    )
    validation_images: int = _key(
        0, "last n training images, held out to watch the plateau on", "images", low=0
    )
    conv1_frozen_from: int = _key(
        0, "§5 epoch from which conv1 learns no more (original: 72); 0: never", "epochs", low=0
    )
    stop_at_train_error: float = _key(
        0.0, "stop after the first epoch with a training error at or below this", "fraction", low=0
    )
    train_eval_images: int = _key(
        0, "first n training images scored after each epoch; 0: all", "images", low=0
    )
    train_images: int = _key(
        0,
        "a subset of so many training images, drawn by the seed without replacement; a smaller one "
        "is a part of a larger one; mean, deviation and colours are those of the whole set; 0: all",
        "images",
        low=0,
    )
    scored_split: str = _key(
        "test",
        "what the trained net is scored on: the test split (val where a set has no other), or val, "
        "for pilots and sweeps that must leave the test images alone",
        choices=("test", "val"),
    )
    replica: int = _key(
        0, "another initialisation, order and crops on the seed's own subset", "runs", low=0
    )
    init_scale: str = _key(
        "printed",
        "§5 deviations as they stand, or times sqrt(fan-in in the paper's net / fan-in here)",
        choices=("printed", "fan-in"),
    )
    init_std_middle: str = _key(
        "",
        "§5 deviation in conv3 to conv5: 0.01 as printed, 0.03 as coded; empty: the net's rows",
        choices=("", "0.01", "0.03"),
    )
    init_bias: float = _key(1.0, "§5 initial biases over the printed ones", low=0)
    dropout: float = _key(
        -1.0, "§4.2 probability of a zero, 0: no dropout; -1: the net's own", "probability", low=-1
    )
    lrn: str = _key(
        "net",
        "§3.3 the net's own, with the printed constants, none, or k alone (alpha 0)",
        choices=("net", "printed", "none", "k-only"),
    )
    lrn_alpha_over_n: str = _key(
        "", "§3.3 alpha divided by n, as the original has it; empty: the net's own", choices=YES_NO
    )
    lrn_per_column: str = _key(
        "", "§3.3 normalised within each column, as coded; empty: the net's own", choices=YES_NO
    )
    relu_after_pool1: str = _key(
        "", "§3.3 conv, norm, pool, ReLU, as coded; empty: the net's own", choices=YES_NO
    )
    within_map_norm: str = _key(
        "", "the original's second norm before pool2; empty: the net's own", choices=YES_NO
    )
    precision: str = _key(
        "fp32",
        "bf16 means autocast; tf32: 32-bit numbers, products of 10 bits, CUDA only",
        choices=("fp32", "tf32", "bf16"),
    )
    step: str = _key(
        "eager", "forward and backward pass as calls or compiled", choices=("eager", "compiled")
    )
    device: str = _key("cpu", "torch device")
    threads: int = _key(1, "of torch", "threads", low=1)

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            object.__setattr__(self, f.name, _checked(f, getattr(self, f.name)))
        if bool(self.plateau_patience) != bool(self.validation_images):
            raise InputError(
                "plateau_patience and validation_images go together, got "
                f"{self.plateau_patience} and {self.validation_images}"
            )
        if self.decay == "layers" and self.weight_decay:
            raise InputError(
                f"decay 'layers' takes each layer's own, so weight_decay must be 0, got "
                f"{self.weight_decay}"
            )
        if self.dropout != -1 and not 0 <= self.dropout < 1:
            raise InputError(
                f"dropout wants a probability with 0 <= p < 1, or -1 for the net's own, "
                f"got {self.dropout:g}"
            )
        own = (self.init_scale, self.init_std_middle, self.init_bias)
        if self.init == "modern" and own != ("printed", "", 1):
            raise InputError(
                f"init 'modern' has deviations and biases of its own: init_scale 'printed', "
                f"init_std_middle '' and init_bias 1 go with it, got {own[0]!r}, {own[1]!r} and "
                f"{own[2]:g}"
            )
        if self.init == "paper" and self.init_std_middle == "0.03":
            raise InputError(
                "init 'paper' has 0.01 everywhere; init_std_middle '0.03' wants init 'original'"
            )
        if self.precision == "tf32" and not self.device.startswith("cuda"):
            raise InputError(f"precision 'tf32' wants a CUDA device, got device {self.device!r}")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> RunConfig:
        """Make a configuration from a mapping; an unknown key raises ValueError naming it."""
        known = [f.name for f in dataclasses.fields(cls)]
        for name in values:
            if name not in known:
                raise InputError(f"unknown configuration key {name!r}; {nearest(name, known)}")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """All keys with their values; tuples become lists, as JSON has them."""
        return {
            k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()
        }

    def replace(self, **changes: Any) -> RunConfig:
        """A copy with some keys changed; unknown keys raise as in from_dict."""
        return self.from_dict({**self.to_dict(), **changes})

    def decides(self) -> dict[str, Any]:
        """The keys that decide a result: all but where it runs. Compared for staleness."""
        return {k: v for k, v in self.to_dict().items() if k not in EXECUTION_KEYS}


def _checked(f: dataclasses.Field, value: Any) -> Any:
    """Return value in the type of the key's default, or raise ValueError saying what was given."""
    want = type(f.default)
    if want is float and type(value) is int:
        value = float(value)
    if want is tuple and isinstance(value, (list, tuple)):
        value = tuple(value)
        if any(type(v) is not int for v in value):
            raise InputError(f"configuration key {f.name!r} wants integers, got {value!r}")
    if type(value) is not want:
        raise InputError(
            f"configuration key {f.name!r} wants {want.__name__}, "
            f"got {value!r} ({type(value).__name__})"
        )
    choices, low = f.metadata["choices"], f.metadata["low"]
    if choices and value not in choices:
        raise InputError(
            f"configuration key {f.name!r} wants one of {', '.join(choices)}, got {value!r}"
        )
    if low is not None and not value >= low:
        raise InputError(f"configuration key {f.name!r} wants at least {low}, got {value!r}")
    return value
