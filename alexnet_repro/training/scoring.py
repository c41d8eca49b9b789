"""§6 Top-1 and top-5 error on every image of a split, from one view or ten."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexnet_repro import augment
from alexnet_repro.augment import cropping
from alexnet_repro.augment.view import View
from alexnet_repro.data import DataSet
from alexnet_repro.errors import InputError
from alexnet_repro.model.paper_net import evaluating

# §4.1 which of the views of augment.ten_crop make an average of so many
VIEWS: dict[int, tuple[int, ...]] = {
    1: (4,),  # the centre
    2: (4, 9),  # and its mirror
    5: (0, 1, 2, 3, 4),  # corners and centre
    10: tuple(range(10)),
}


def wrong_at_k(scores: Tensor, labels: Tensor, k: int) -> Tensor:
    """N x C scores, N labels -> N bool: is the label outside the k highest scores?

    Ties go to the lower class index, as in the original. A row with a score that is not finite
    counts as wrong. Raises ValueError unless 1 <= k <= C.
    """
    n, c = scores.shape
    if labels.shape != (n,) or not 1 <= k <= c:
        raise InputError(
            f"top-k error wants N x C scores, N labels and 1 <= k <= C; got {tuple(scores.shape)}, "
            f"{tuple(labels.shape)}, k={k}"
        )
    own = scores.gather(1, labels[:, None])
    earlier = torch.arange(c, device=scores.device) < labels[:, None]
    ahead = (scores > own) | ((scores == own) & earlier)
    return (ahead.sum(1) >= k) | ~scores.isfinite().all(1)


def topk_error(scores: Tensor, labels: Tensor, k: int) -> float:
    """§6 Fraction of rows whose label is outside the k highest scores (see wrong_at_k)."""
    return wrong_at_k(scores, labels, k).sum().item() / len(labels)


def batches(data: DataSet, size: int, limit: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
    """uint8 images and labels in stored order; the last batch may be smaller."""
    n = limit or len(data)
    for i in range(0, n, size):
        end = min(i + size, n)
        yield torch.from_numpy(data.images[i:end].copy()), torch.from_numpy(data.labels[i:end])


@torch.inference_mode()
def evaluate(
    net: nn.Module,
    data: DataSet,
    view: View,
    *,
    limit: int = 0,
    views: int = 1,
    batch: int = 500,
    autocast: bool = False,
) -> dict[str, float]:
    """§6 Loss (mean negative log-probability), top-1 and top-5 error of a split.

    limit: score the first n images only, 0: all. views: 1, the centre crop, or 10 (§4.1), whose
    softmax outputs are averaged. Returns loss, top1_error, top5_error (fractions) and images; with
    ten views views2_top1_error and views5_top1_error too, from two and five of them (VIEWS). Raises
    AssertionError when it did not score as many images as it was given.
    """
    if views not in (1, 10):
        raise InputError(f"evaluate wants 1 or 10 views, got {views}")
    loss, wrong1, wrong5, scored = 0.0, 0, 0, 0
    fewer = {2: 0, 5: 0} if views == 10 else {}
    with evaluating(net):
        for images, labels in batches(data, batch if views == 1 else max(1, batch // 10), limit):
            labels = labels.to(view.device)
            with torch.autocast(view.device.type, torch.bfloat16, enabled=autocast):
                if views == 1:
                    scores = net(view(cropping.center_crop(images, view.crop)))
                    logs = F.log_softmax(scores.float(), 1)
                else:
                    each = _log_probabilities_of_ten(net, images, view)
                    logs = _mean_of_ten(each)
            for n in fewer:
                mean = each[:, VIEWS[n]].logsumexp(1)  # less log n, which ranks the same
                fewer[n] += int(wrong_at_k(mean, labels, 1).sum())
            loss += F.nll_loss(logs, labels, reduction="sum").item()
            wrong1 += int(wrong_at_k(logs, labels, 1).sum())
            wrong5 += int(wrong_at_k(logs, labels, min(5, logs.shape[1])).sum())
            scored += len(labels)
    expected = limit or len(data)
    if scored != expected:
        raise AssertionError(f"scored {scored} images of {expected}")
    return {
        "loss": loss / scored,
        "top1_error": wrong1 / scored,
        "top5_error": wrong5 / scored,
        "images": scored,
        **{f"views{n}_top1_error": wrong / scored for n, wrong in fewer.items()},
    }


@torch.inference_mode()
def ten_crop_probabilities(net: nn.Module, images: Tensor, view: View) -> Tensor:
    """§4.1 uint8 N x C x H x W -> N x classes: mean of the softmax outputs over ten crops."""
    return _mean_of_ten(_log_probabilities_of_ten(net, images, view)).exp()


def _log_probabilities_of_ten(net: nn.Module, images: Tensor, view: View) -> Tensor:
    """N x 10 x classes, in ten_crop's order."""
    crops = augment.ten_crop(images, view.crop)
    mean = augment.ten_crop(view.whole[None], view.crop)[0] if view.matching else None
    logs = F.log_softmax(net(_flat(view(crops, mean))).float(), 1)
    return logs.unflatten(0, (len(images), 10))


def _mean_of_ten(each: Tensor) -> Tensor:
    # in log space, where the probabilities of a very sure net do not underflow
    return each.logsumexp(1) - math.log(10)


def _flat(views: Tensor) -> Tensor:
    return views.flatten(0, 1).contiguous(memory_format=torch.channels_last)
