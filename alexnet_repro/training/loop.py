"""§5 One training loop: configuration -> data -> net -> PaperSGD -> metrics and curve."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from alexnet_repro import augment, data, model
from alexnet_repro.augment import View, on_cpu, on_device, seen
from alexnet_repro.augment.seen import stream
from alexnet_repro.config import RunConfig
from alexnet_repro.data import prepared
from alexnet_repro.errors import InputError
from alexnet_repro.layers import PaperDropout
from alexnet_repro.training import checkpoints
from alexnet_repro.training.diagnose import StuckWarning, StuckWatch
from alexnet_repro.training.history import History
from alexnet_repro.training.optim import PaperSGD, Plateau, parameter_groups, set_rate
from alexnet_repro.training.scoring import evaluate
from alexnet_repro.training.steps import Loss, loss_of, set_tf32

WATCH = 10  # updates between two looks at the loss


@dataclass
class Result:
    """What a run leaves: metrics, the curve's rows, the net, where they come from."""

    metrics: dict[str, Any] = field(default_factory=dict)
    curve: list[dict[str, Any]] = field(default_factory=list)
    net: model.PaperNet | None = None
    data_sha256: dict[str, str] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)


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


@dataclass
class _Whole(_Run):
    """What all epochs together need, and the scores between and after them."""

    plateau: Plateau = field(kw_only=True)
    test: data.DataSet = field(kw_only=True)
    result: Result = field(kw_only=True)

    def score(self, images: data.DataSet, **options: Any) -> dict[str, float]:
        """Evaluate in the precision of the training."""
        autocast = self.config.precision == "bf16"
        return evaluate(self.net, images, self.view, autocast=autocast, **options)


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
    unbroken run's bit for bit on the same machine, thread count and kind of step. A damaged one is
    set aside. A loss that is not finite ends training: metrics["diverged"] is then True. Raises
    ValueError for a checkpoint of another run or of other code.
    """
    with History(config.device, config.threads) as history:
        run = _set_up(config, seed, data_root, quiet)
        result, sums = run.result, run.result.data_sha256
        identity = {
            "config": config.decides(), "seed": seed, "data": sums,
            "code": history.origin["code_sha256"],
        }  # fmt: skip
        parts = {
            "net": run.net, "optimizer": run.optimizer, "plateau": run.plateau, "history": history,
        }  # fmt: skip
        start, saved = checkpoints.resume(checkpoint, identity, parts)
        if saved:
            result.curve, result.metrics = saved["curve"], saved["metrics"]
            history.goes_on(start)
        else:
            _score(run, 0, 0, config.lr)
        for epoch in range(start, config.epochs):
            if _finished(result, config):
                break
            _train_epoch(run, epoch)
            if checkpoint:
                epochs = epoch + 1
                checkpoints.save(checkpoint, identity, epochs, parts, result.curve, result.metrics)
        _final_scores(run)
        result.provenance = {**history.provenance(), "data_sha256": sums}
    return result


def _set_up(config: RunConfig, seed: int, data_root: Path | str | None, quiet: bool) -> _Whole:
    """Data, net and update rule, before the first update."""
    _set_arithmetic(config)
    training = data.load(config.data, "train", data_root)
    test = data.load(config.data, prepared.scored_split(config.data, data_root), data_root)
    if config.validation_images >= len(training):
        raise InputError(
            f"validation_images is {config.validation_images} of {len(training)} training images"
        )
    view = View.of(
        training, config.crop, config.pixels == "standardised", config.device,
        mean_part=config.mean_part,
    )  # fmt: skip
    lit = config.colour_noise != "none"
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
    return _Whole(
        config, seed, net, PaperSGD(groups, config.lr, config.momentum), training, view,
        augment.RGBPCA.fit(training.images) if lit else None, StuckWatch(len(training.classes)),
        quiet, loss_of(net, config.step), on_device.hold(training.images, view.device),
        plateau=Plateau(drops=3, patience=config.plateau_patience or 1, min_improvement=0.0),
        test=test,
        result=Result(net=net, data_sha256={"train": training.sha256, test.split: test.sha256}),
    )  # fmt: skip


def _set_arithmetic(config: RunConfig) -> None:
    """Threads, and what 32-bit products are on CUDA devices, for all that follows."""
    torch.set_num_threads(config.threads)
    set_tf32(config.precision == "tf32")


def _train_epoch(run: _Whole, epoch: int) -> None:
    """Rates, one pass over the training split, and the rows of the curve after it."""
    config, curve = run.config, run.result.curve
    lr = _set_rates(run, epoch)
    if 0 < config.colour_noise_epochs <= epoch:
        run.components = None
    finite = _epoch(run, epoch)
    steps = (epoch + 1) * -(-run.count // config.batch)
    if config.validation_images:
        found = run.score(_last(run.training, config.validation_images))
        curve.append(_row(steps, epoch + 1, "validation", found, lr))
        run.plateau.step(found["top1_error"])
    _score(run, epoch + 1, steps, lr)
    if not (finite and math.isfinite(curve[-1]["loss"])):
        run.result.metrics["diverged"] = True


def _set_rates(run: _Whole, epoch: int) -> float:
    """§5 The one owner of the rate: set it for an epoch, and return that of the weights.

    Divided by ten for each drop of the schedule and each that the plateau has counted so far.
    """
    config = run.config
    drops = run.plateau.dropped + sum(epoch >= drop for drop in config.lr_drops)
    lr = config.lr / 10**drops
    set_rate(run.optimizer, lr)
    if 0 < config.conv1_frozen_from <= epoch:
        set_rate(run.optimizer, 0.0, "conv1")
    return lr


def _epoch(run: _Run, epoch: int) -> bool:
    """One pass over the training split in a fresh order; False if the loss stopped being finite."""
    config, net, seed = run.config, run.net, run.seed
    net.train()
    masks = stream(seed, "dropout", epoch)
    for module in net.modules():
        if isinstance(module, PaperDropout):
            module.generator = masks
    batches = seen.batches(
        config, seed, epoch, run.training, run.count, run.view, run.components, run.held
    )
    bar = tqdm(
        on_cpu.supply(batches, torch.device(run.view.device)),
        f"epoch {epoch + 1}/{config.epochs}",
        total=-(-run.count // config.batch), unit="batch", disable=run.quiet, leave=False,
    )  # fmt: skip
    loss = torch.zeros(())
    for i, (images, labels) in enumerate(bar):
        with torch.autocast(images.device.type, torch.bfloat16, enabled=config.precision == "bf16"):
            loss = run.loss_of(images, labels)
        if i % 50 == 0 and not loss.isfinite():
            return False
        if i % WATCH == 0 and run.watch.update(loss.item(), WATCH):
            warnings.warn(run.watch.message(net, images), StuckWarning, stacklevel=4)
        run.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        run.optimizer.step()
    return bool(loss.isfinite())


def _score(run: _Whole, epoch: int, step: int, lr: float) -> None:
    """Append the training error, measured by evaluation with the weights as they now are."""
    limit = min(run.config.train_eval_images or run.count, run.count)
    found = run.score(run.training, limit=limit)
    run.result.curve.append(_row(step, epoch, "train", found, lr))


def _final_scores(run: _Whole) -> None:
    """§6 The metrics: all training images, all test images, and ten crops where it saw crops."""
    result = run.result
    last, final = run.score(run.training, limit=run.count), run.score(run.test)
    at = result.curve[-1]
    result.curve.append(_row(at["step"], at["epoch"], "test", final, 0))
    found = {**_named("train_", last), **_named("", final)}
    if run.config.crop:
        found |= _named("ten_crop_", run.score(run.test, views=10))
    result.metrics = {
        # a loss that is not finite, now or in training
        "diverged": result.metrics.get("diverged", False) or None in found.values(),
        "epochs": at["epoch"],
        "train_images": last["images"],
        "test_images": final["images"],
        **found,
    }


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
