"""§5 One training loop: configuration -> data -> net -> PaperSGD -> metrics and curve."""

from __future__ import annotations

import hashlib
import math
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from alexnet_repro import augment, augment_fast, checkpoints, data, model, resident
from alexnet_repro.config import RunConfig
from alexnet_repro.diagnose import StuckWarning, StuckWatch
from alexnet_repro.errors import InputError
from alexnet_repro.evaluate import View, evaluate
from alexnet_repro.layers import PaperDropout
from alexnet_repro.optim import DivideByTenOnPlateau, PaperSGD, parameter_groups, set_rate
from alexnet_repro.steps import Loss, loss_of, set_tf32

WATCH = 10  # updates between two looks at the loss


@dataclass
class Result:
    """What a run leaves: final metrics, the curve's rows, the trained net, the data's checksum."""

    metrics: dict[str, Any] = field(default_factory=dict)
    curve: list[dict[str, Any]] = field(default_factory=list)
    net: model.PaperNet | None = None
    data_sha256: dict[str, str] = field(default_factory=dict)


@dataclass
class _Run:
    """What one epoch needs of a run."""

    config: RunConfig
    seed: int
    net: model.PaperNet
    optimizer: PaperSGD
    training: data.DataSet
    view: View
    components: augment.RGBPCA | None
    watch: StuckWatch
    quiet: bool
    loss_of: Loss
    held: torch.Tensor | None = None  # the training images, where they lie on the device

    @property
    def count(self) -> int:
        """Training images that are not held out."""
        return len(self.training) - self.config.validation_images


def stream(seed: int, purpose: str, epoch: int = 0, device: str = "cpu") -> torch.Generator:
    """A generator that depends on seed, purpose and epoch alone.

    Arms with the same seed see the same order and the same crops, and a resumed run draws what an
    unbroken one would have drawn, with no generator state to save.
    """
    digest = hashlib.sha256(f"{seed}/{purpose}/{epoch}".encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:7], "big"))


def train(
    config: RunConfig,
    seed: int,
    *,
    checkpoint: Path | None = None,
    data_root: Path | str | None = None,
    quiet: bool = False,
) -> Result:
    """§5 Train one net and score it on every image of the test split.

    checkpoint: file to go on from if it is there, rewritten after each epoch; the result equals an
    unbroken run's bit for bit on the same machine, thread count and kind of step. A loss that is
    not finite ends training: metrics["diverged"] is then True. Raises ValueError for a checkpoint
    of another run.
    """
    torch.set_num_threads(config.threads)
    set_tf32(config.precision == "tf32")
    training = data.load(config.data, "train", data_root)
    test = data.load(config.data, data.scored_split(config.data, data_root), data_root)
    view = View.of(
        training, config.crop, config.pixels == "standardised", config.device,
        mean_part=config.mean_part,
    )  # fmt: skip
    components = None
    if config.colour_noise != "none":
        components = augment.RGBPCA.fit(training.images)
    net = model.build(
        config.net,
        nonlinearity=config.nonlinearity,
        num_classes=len(training.classes),
        init=config.init,
        generator=stream(seed, "weights"),
    )
    net.to(config.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    groups = parameter_groups(
        net, config.lr, net.spec.decays() if config.decay == "layers" else config.weight_decay,
        config.bias_lr_factor,
        by_layer=config.conv1_frozen_from > 0,
    )  # fmt: skip
    optimizer = PaperSGD(groups, config.lr, config.momentum)
    plateau = DivideByTenOnPlateau(
        optimizer, patience=config.plateau_patience or 1, min_improvement=0.0
    )
    held_out = config.validation_images
    if held_out >= len(training):
        raise InputError(f"validation_images is {held_out} of {len(training)} training images")
    watch = StuckWatch(len(training.classes))
    run = _Run(
        config, seed, net, optimizer, training, view, components, watch, quiet,
        loss_of(net, config.step), resident.hold(training.images, view.device),
    )  # fmt: skip
    result = Result(net=net, data_sha256={"train": training.sha256, test.split: test.sha256})
    identity = {"config": config.decides(), "seed": seed, "data": result.data_sha256}
    parts = {"net": net, "optimizer": optimizer, "plateau": plateau}
    start, saved = checkpoints.resume(checkpoint, identity, parts)
    if saved:
        result.curve, result.metrics = saved["curve"], saved["metrics"]
    else:
        _score(result, run, 0, 0, config.lr)

    for epoch in range(start, config.epochs):
        if _finished(result, config):
            break
        drops = plateau.dropped + sum(epoch >= drop for drop in config.lr_drops)
        lr = config.lr / 10**drops
        set_rate(optimizer, lr)
        if 0 < config.conv1_frozen_from <= epoch:
            set_rate(optimizer, 0.0, "conv1")
        if 0 < config.colour_noise_epochs <= epoch:
            run.components = None
        finite = _epoch(run, epoch)
        steps = (epoch + 1) * -(-run.count // config.batch)
        if held_out:
            found = evaluate(net, _last(training, held_out), view)
            result.curve.append(_row(steps, epoch + 1, "validation", found, lr))
            plateau.step(found["top1_error"])
        _score(result, run, epoch + 1, steps, lr)
        if not (finite and math.isfinite(result.curve[-1]["loss"])):
            result.metrics["diverged"] = True
        if checkpoint:
            checkpoints.save(checkpoint, identity, epoch + 1, parts, result.curve, result.metrics)

    autocast = config.precision == "bf16"
    last = evaluate(net, training, view, limit=run.count, autocast=autocast)
    final = evaluate(net, test, view, autocast=autocast)
    result.curve.append(_row(result.curve[-1]["step"], result.curve[-1]["epoch"], "test", final, 0))
    result.metrics = {
        "diverged": result.metrics.get("diverged", False),
        "epochs": result.curve[-1]["epoch"],
        "train_images": last["images"],
        "test_images": final["images"],
        **_named("train_", last),
        **_named("", final),
    }
    if config.crop:
        ten = evaluate(net, test, view, views=10, autocast=autocast)
        result.metrics |= _named("ten_crop_", ten)
    return result


def _epoch(run: _Run, epoch: int) -> bool:
    """One pass over the training split in a fresh order; False if the loss stopped being finite."""
    config, net, seed = run.config, run.net, run.seed
    net.train()
    masks = stream(seed, "dropout", epoch, config.device)
    for module in net.modules():
        if isinstance(module, PaperDropout):
            module.generator = masks
    order = torch.randperm(run.count, generator=stream(seed, "order", epoch))
    crops, colours = stream(seed, "crops", epoch), stream(seed, "colours", epoch)

    def batch(i: int) -> tuple[torch.Tensor, torch.Tensor]:
        index = order[i : i + config.batch]
        labels = torch.from_numpy(run.training.labels[index.numpy()]).to(run.view.device)
        if run.held is not None:
            images, index_there = run.held, index
        else:
            images, index_there = torch.from_numpy(run.training.images[index.numpy()]), None
        seen = _seen(images, run.view, run.components, config, crops, colours, index_there)
        return seen, labels

    starts = range(0, len(order), config.batch)
    bar = tqdm(
        augment_fast.supply(map(batch, starts), torch.device(run.view.device)),
        f"epoch {epoch + 1}/{config.epochs}",
        total=len(starts), unit="batch", disable=run.quiet, leave=False,
    )  # fmt: skip
    loss = torch.zeros(())
    for i, (images, labels) in enumerate(bar):
        with torch.autocast(images.device.type, torch.bfloat16, enabled=config.precision == "bf16"):
            loss = run.loss_of(images, labels)
        if i % 50 == 0 and not loss.isfinite():
            return False
        if i % WATCH == 0 and run.watch.update(loss.item(), WATCH):
            warnings.warn(run.watch.message(net, images), StuckWarning, stacklevel=3)
        run.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        run.optimizer.step()
    return bool(loss.isfinite())


def _seen(images, view, components, config, crops, colours, index=None) -> torch.Tensor:
    """What the net sees of a training batch: cut, mirrored, centred, lit; on the view's device.

    images: the batch (uint8), or, with index, all of them on the device.
    """
    n, side = len(images if index is None else index), images.shape[-1]
    still = augment.center_draws(n, side, view.crop)
    draws = still
    if config.crop or config.flip:
        draws = augment.draw_crops(
            n, side, view.crop, crops, flip=config.flip, chunk=config.crop_chunk
        )
    if config.crop_position == "centre":
        draws = augment.Draws(still.top, still.left, draws.flip)
    mean = augment.matching_mean(view.whole.cpu(), draws, view.crop) if view.matching else view.mean
    shift, divisors = None, () if view.scale == 1 else (view.scale,)
    if components is not None:
        reading = config.colour_noise
        shift = components.shift(components.draw(n, colours), reading=reading).float()
        divisors = ((augment.ORIGINAL_DIVISOR,) if reading == "original" else ()) + divisors
    if index is not None:
        return resident.batch(images, index, draws, view.crop, mean, shift=shift, divisors=divisors)
    mean = mean.cpu()
    x = augment_fast.batch(images, draws, view.crop, mean, shift=shift, divisors=divisors)
    return x.to(view.device)


def _score(result: Result, run: _Run, epoch: int, step: int, lr: float) -> None:
    """Append the training error, measured by evaluation with the weights as they now are."""
    limit = min(run.config.train_eval_images or run.count, run.count)
    bf16 = run.config.precision == "bf16"
    found = evaluate(run.net, run.training, run.view, limit=limit, autocast=bf16)
    result.curve.append(_row(step, epoch, "train", found, lr))


def _last(training: data.DataSet, n: int) -> data.DataSet:
    return replace(training, images=training.images[-n:], labels=training.labels[-n:])


def _row(step: int, epoch: int, split: str, found: dict[str, float], lr: float) -> dict[str, Any]:
    errors = {k: found[k] for k in ("loss", "top1_error", "top5_error")}
    return {"step": step, "epoch": epoch, "split": split, **errors, "lr": lr}


def _named(prefix: str, found: dict[str, float]) -> dict[str, float | None]:
    """Loss and errors under prefixed names; a loss that is not finite becomes None for JSON."""
    loss = found["loss"] if math.isfinite(found["loss"]) else None
    errors = {f"{prefix}{k}": found[k] for k in ("top1_error", "top5_error")}
    return {f"{prefix}loss": loss, **errors}


def _finished(result: Result, config: RunConfig) -> bool:
    reached = 0 < config.stop_at_train_error >= result.curve[-1]["top1_error"]
    return reached or result.metrics.get("diverged", False)
