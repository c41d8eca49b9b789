"""§5 One training loop: configuration -> data -> net -> PaperSGD -> metrics and curve."""

from __future__ import annotations

import hashlib
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from tqdm import tqdm

from alexnet_repro import augment, data, model
from alexnet_repro.config import RunConfig
from alexnet_repro.evaluate import View, evaluate
from alexnet_repro.layers import PaperDropout
from alexnet_repro.optim import PaperSGD, parameter_groups


@dataclass
class Result:
    """What a run leaves: final metrics, the curve's rows, the trained net, the data's checksum."""

    metrics: dict[str, Any] = field(default_factory=dict)
    curve: list[dict[str, Any]] = field(default_factory=list)
    net: model.PaperNet | None = None
    data_sha256: dict[str, str] = field(default_factory=dict)


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
    unbroken run's bit for bit on the same machine and thread count. A loss that is not finite ends
    training: metrics["diverged"] is then True. Raises ValueError for a checkpoint of another run.
    """
    torch.set_num_threads(config.threads)
    training = data.load(config.data, "train", data_root)
    test = data.load(config.data, "test", data_root)
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
    optimizer = PaperSGD(
        parameter_groups(net, config.lr, config.weight_decay, config.bias_lr_factor),
        config.lr,
        config.momentum,
    )
    result = Result(net=net, data_sha256={"train": training.sha256, "test": test.sha256})
    identity = {"config": config.decides(), "seed": seed, "data": result.data_sha256}
    start = _resume(checkpoint, identity, net, optimizer, result)
    if start == 0:
        _score(result, net, training, view, config, 0, 0, config.lr)

    for epoch in range(start, config.epochs):
        if _finished(result, config):
            break
        lr = config.lr / 10 ** sum(epoch >= drop for drop in config.lr_drops)
        for group, factor in zip(optimizer.param_groups, (1.0, config.bias_lr_factor), strict=True):
            group["lr"] = lr * factor
        noisy = not config.colour_noise_epochs or epoch < config.colour_noise_epochs
        finite = _epoch(
            net, optimizer, training, view, components if noisy else None, config, seed, epoch,
            quiet,
        )  # fmt: skip
        steps = (epoch + 1) * -(-len(training) // config.batch)
        _score(result, net, training, view, config, epoch + 1, steps, lr)
        if not (finite and math.isfinite(result.curve[-1]["loss"])):
            result.metrics["diverged"] = True
        if checkpoint:
            _save(checkpoint, identity, epoch + 1, net, optimizer, result)

    autocast = config.precision == "bf16"
    last = evaluate(net, training, view, autocast=autocast)
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


def _epoch(net, optimizer, training, view, components, config, seed, epoch, quiet) -> bool:
    """One pass over the training split in a fresh order; False if the loss stopped being finite."""
    net.train()
    masks = stream(seed, "dropout", epoch, config.device)
    for module in net.modules():
        if isinstance(module, PaperDropout):
            module.generator = masks
    order = torch.randperm(len(training), generator=stream(seed, "order", epoch))
    crops, colours = stream(seed, "crops", epoch), stream(seed, "colours", epoch)
    bar = tqdm(
        range(0, len(order), config.batch), f"epoch {epoch + 1}/{config.epochs}",
        unit="batch", disable=quiet, leave=False,
    )  # fmt: skip
    loss = torch.zeros(())
    for i in bar:
        index = order[i : i + config.batch].numpy()
        images = torch.from_numpy(training.images[index])
        labels = torch.from_numpy(training.labels[index]).to(view.device)
        images = _seen(images, view, components, config, crops, colours)
        with torch.autocast(view.device.type, torch.bfloat16, enabled=config.precision == "bf16"):
            loss = F.cross_entropy(net(images), labels)
        if i % (50 * config.batch) == 0 and not loss.isfinite():
            return False
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return bool(loss.isfinite())


def _seen(images, view, components, config, crops, colours) -> torch.Tensor:
    """What the net sees of a training batch: cut, mirrored, centred, lit."""
    mean = noise = None
    if config.crop or config.flip:
        draws = augment.draw_crops(
            len(images), images.shape[-1], view.crop, crops,
            flip=config.flip, chunk=config.crop_chunk,
        )  # fmt: skip
        if config.crop_position == "centre":
            still = augment.center_draws(len(images), images.shape[-1], view.crop)
            draws = augment.Draws(still.top, still.left, draws.flip)
        images = augment.apply_crops(images, draws, view.crop)
        if view.matching:
            mean = augment.matching_mean(view.whole.cpu(), draws, view.crop).to(view.device)
    if components is not None:
        alphas = components.draw(len(images), colours)

        def noise(x):
            return components.apply(x, alphas, reading=config.colour_noise)

    return view(images, mean, noise)


def _score(result, net, training, view, config, epoch, step, lr) -> None:
    """Append the training error, measured by evaluation with the weights as they now are."""
    found = evaluate(
        net, training, view,
        limit=min(config.train_eval_images, len(training)), autocast=config.precision == "bf16",
    )  # fmt: skip
    result.curve.append(_row(step, epoch, "train", found, lr))


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


def _save(path: Path, identity, epoch, net, optimizer, result) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {
        "identity": identity,
        "epoch": epoch,
        "net": net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "curve": result.curve,
        "metrics": result.metrics,
    }
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")  # two processes may run it
    torch.save(state, temporary)
    os.replace(temporary, path)


def _resume(path: Path | None, identity, net, optimizer, result) -> int:
    """Load a checkpoint of this very run; return the number of epochs already done."""
    if path is None or not path.exists():
        return 0
    state = torch.load(path, weights_only=True, map_location="cpu")
    if state["identity"] != identity:
        raise ValueError(
            f"{path} is the checkpoint of another configuration; delete it to start anew"
        )
    net.load_state_dict(state["net"])
    optimizer.load_state_dict(state["optimizer"])
    result.curve, result.metrics = state["curve"], state["metrics"]
    return state["epoch"]
