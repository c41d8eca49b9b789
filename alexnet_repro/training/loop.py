"""§5 The training loop: set up, epochs, final scores. Read from `train` downwards."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from alexnet_repro import data
from alexnet_repro.augment import on_cpu, seen
from alexnet_repro.augment.seen import stream
from alexnet_repro.config import RunConfig
from alexnet_repro.layers import PaperDropout
from alexnet_repro.model import PaperNet
from alexnet_repro.training import checkpoints, measures
from alexnet_repro.training.diagnose import StuckWarning
from alexnet_repro.training.history import History
from alexnet_repro.training.memory import keep_memory
from alexnet_repro.training.optim import set_rate
from alexnet_repro.training.scoring import evaluate
from alexnet_repro.training.setup import Run, set_up

WATCH = 10  # updates between two looks at the loss


@dataclass
class Result:
    """What a run leaves: metrics, the curve's rows, the net, where they come from."""

    metrics: dict[str, Any] = field(default_factory=dict)
    curve: list[dict[str, Any]] = field(default_factory=list)
    net: PaperNet | None = None
    data_sha256: dict[str, str] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)


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

    What it sets stays for all that follows in this process: torch's threads, what 32-bit products
    are on CUDA devices and, under glibc, that freed memory is kept (see `keep_memory`).
    """
    keep_memory()
    with History(config.device, config.threads) as history:
        run = set_up(config, seed, data_root)
        result = Result(net=run.net, data_sha256=run.data_sha256)
        identity = {
            "config": config.decides(), "seed": seed, "data": run.data_sha256,
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
            _score_training(run, result.curve, 0, config.lr)
        for epoch in range(start, config.epochs):
            if _finished(result, config):
                break
            _train_epoch(run, result, epoch, quiet)
            if checkpoint:
                done = epoch + 1
                checkpoints.save(checkpoint, identity, done, parts, result.curve, result.metrics)
        _final_scores(run, result)
        result.provenance = {**history.provenance(), "data_sha256": run.data_sha256}
    return result


def _finished(result: Result, config: RunConfig) -> bool:
    reached = 0 < config.stop_at_train_error >= result.curve[-1]["top1_error"]
    return reached or result.metrics.get("diverged", False)


def _train_epoch(run: Run, result: Result, epoch: int, quiet: bool) -> None:
    """Rates, one pass over the training split, and the rows of the curve after it."""
    config, curve, done = run.config, result.curve, epoch + 1
    lr = _set_rates(run, epoch)
    if 0 < config.colour_noise_epochs <= epoch:
        run.components = None
    finite = _epoch(run, epoch, quiet)
    if config.validation_images:
        found = _score(run, run.held_out)
        curve.append(_row(done * run.updates, done, "validation", found, lr))
        run.plateau.step(found["top1_error"])
    _score_training(run, curve, done, lr)
    if not (finite and math.isfinite(curve[-1]["loss"])):
        result.metrics["diverged"] = True


def _set_rates(run: Run, epoch: int) -> float:
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


def _epoch(run: Run, epoch: int, quiet: bool = True) -> bool:
    """One pass over the training split in a fresh order; False if the loss stopped being finite."""
    config, net, seed = run.config, run.net, run.seed
    net.train()
    masks = stream(seed, "dropout", epoch, config.replica)
    for module in net.modules():
        if isinstance(module, PaperDropout):
            module.generator = masks
    batches = seen.batches(
        config, seed, epoch, run.training, run.count, run.view, run.components, run.held
    )
    bar = tqdm(
        on_cpu.supply(batches, torch.device(run.view.device)), f"epoch {epoch + 1}/{config.epochs}",
        total=run.updates, unit="batch", disable=quiet, leave=False,
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


def _final_scores(run: Run, result: Result) -> None:
    """§6 The metrics: all training images, all test images, and ten crops where it saw crops."""
    last, final = _score(run, run.training, limit=run.count), _score(run, run.test)
    at = result.curve[-1]
    split = "val" if run.config.scored_split == "val" else "test"
    result.curve.append(_row(at["step"], at["epoch"], split, final, 0))
    found = {**_named("train_", last), **_named("", final)}
    if run.config.crop:
        ten = _score(run, run.test, views=10)
        found |= _named("ten_crop_", ten)
        found |= {name: ten[name] for name in ten if name.startswith("views")}
    bf16 = run.config.precision == "bf16"
    with torch.autocast(run.view.device.type, torch.bfloat16, enabled=bf16):
        found |= measures.bite_of_norm1(run.net, run.test, run.view)
    result.metrics = {
        # a loss that is not finite, now or in training
        "diverged": result.metrics.get("diverged", False) or None in found.values(),
        "epochs": at["epoch"],
        "train_images": last["images"],
        "test_images": final["images"],
        **found,
    }


def _score_training(run: Run, curve: list[dict[str, Any]], done: int, lr: float) -> None:
    """Append the training error after `done` epochs, by evaluation with the weights as they are."""
    limit = min(run.config.train_eval_images or run.count, run.count)
    found = _score(run, run.training, limit=limit)
    curve.append(_row(done * run.updates, done, "train", found, lr))


def _score(run: Run, images: data.DataSet, **options: Any) -> dict[str, float]:
    """Evaluate in the precision of the training."""
    return evaluate(
        run.net, images, run.view, autocast=run.config.precision == "bf16", **options
    )  # fmt: skip


def _row(step: int, epoch: int, split: str, found: dict[str, float], lr: float) -> dict[str, Any]:
    """A row of the curve; step counts updates."""
    errors = {k: found[k] for k in ("loss", "top1_error", "top5_error")}
    return {"step": step, "epoch": epoch, "split": split, **errors, "lr": lr}


def _named(prefix: str, found: dict[str, float]) -> dict[str, float | None]:
    """Loss and errors under prefixed names; a loss that is not finite becomes None for JSON."""
    loss = found["loss"] if math.isfinite(found["loss"]) else None
    errors = {f"{prefix}{k}": found[k] for k in ("top1_error", "top5_error")}
    return {f"{prefix}loss": loss, **errors}
