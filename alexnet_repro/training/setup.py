"""§5 What a run works with: a configuration becomes data, a net, its update rule, its draws."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from alexnet_repro import augment, data, model, spec
from alexnet_repro.augment import View, on_device, seen
from alexnet_repro.augment.seen import stream
from alexnet_repro.config import RunConfig
from alexnet_repro.data import prepared
from alexnet_repro.errors import InputError
from alexnet_repro.spec import choices
from alexnet_repro.training.diagnose import StuckWatch
from alexnet_repro.training.optim import PaperSGD, Plateau, parameter_groups
from alexnet_repro.training.steps import Loss, loss_of, set_tf32


@dataclass
class Run:
    """What training needs, before the first update and from then on."""

    config: RunConfig
    seed: int
    training: data.DataSet
    test: data.DataSet
    view: View
    components: augment.RGBPCA | None  # of the colour noise
    held: torch.Tensor | None  # the training images, where they lie on the device
    net: model.PaperNet
    loss_of: Loss
    optimizer: PaperSGD
    plateau: Plateau
    watch: StuckWatch

    @property
    def count(self) -> int:
        """Training images that are not held out."""
        return len(self.training) - self.config.validation_images

    @property
    def updates(self) -> int:
        """Updates in an epoch; the last batch may be smaller."""
        return -(-self.count // self.config.batch)

    @property
    def held_out(self) -> data.DataSet:
        """The last training images, which only the plateau is watched on."""
        images, labels = self.training.images[self.count :], self.training.labels[self.count :]
        return replace(self.training, images=images, labels=labels)

    @property
    def data_sha256(self) -> dict[str, str]:
        """Split -> digest of its images and labels."""
        return {"train": self.training.sha256, self.test.split: self.test.sha256}


def set_up(config: RunConfig, seed: int, data_root: Path | str | None = None) -> Run:
    """Load the data, draw the first weights, make the update rule.

    Sets torch's threads and what 32-bit products are on CUDA devices, for all that follows. Raises
    InputError for a data set that is not there or has too few images to hold some out.
    """
    _set_arithmetic(config)
    training = data.load(config.data, "train", data_root)
    split = config.scored_split
    if split == "test":  # val where a set has no other
        split = prepared.scored_split(config.data, data_root)
    test = data.load(config.data, split, data_root)
    return of_data(config, seed, training, test)


def _set_arithmetic(config: RunConfig) -> None:
    torch.set_num_threads(config.threads)
    set_tf32(config.precision == "tf32")


def of_data(config: RunConfig, seed: int, training: data.DataSet, test: data.DataSet) -> Run:
    """`set_up` on images that are loaded already; config.data is not looked at.

    training: all of the split, of which train_images may draw some.
    """
    pool, training = training, seen.subset(training, config.train_images, seed)
    if config.validation_images >= len(training):
        raise InputError(
            f"validation_images is {config.validation_images} of {len(training)} training images"
        )
    view = View.of(
        training, config.crop, config.pixels == "standardised", config.device,
        mean_part=config.mean_part,
    )  # fmt: skip
    net = model.build(
        choices.apply(spec.get(config.net), config.to_dict()),
        nonlinearity=config.nonlinearity,
        num_classes=len(training.classes),
        init=config.init,
        generator=stream(seed, "weights", replica=config.replica),
        init_scale=config.init_scale,
        init_bias=config.init_bias,
    )
    net.to(config.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Run(
        config=config,
        seed=seed,
        training=training,
        test=test,
        view=view,
        components=_colours(config, pool),
        held=on_device.hold(training.images, view.device),
        net=net,
        loss_of=loss_of(net, config.step),
        optimizer=_update_rule(config, net),
        plateau=Plateau(drops=3, patience=config.plateau_patience or 1, min_improvement=0.0),
        watch=StuckWatch(len(training.classes)),
    )


def _colours(config: RunConfig, training: data.DataSet) -> augment.RGBPCA | None:
    return None if config.colour_noise == "none" else augment.RGBPCA.fit(training.images)


def _update_rule(config: RunConfig, net: model.PaperNet) -> PaperSGD:
    decay: Any = net.spec.decays() if config.decay == "layers" else config.weight_decay
    frozen = config.conv1_frozen_from > 0  # then a layer is a group, whose rate can be set alone
    groups = parameter_groups(net, config.lr, decay, config.bias_lr_factor, by_layer=frozen)
    return PaperSGD(groups, config.lr, config.momentum)
