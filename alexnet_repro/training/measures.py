"""§3.3 §4.1 §6.1 What is measured on a trained net, beside its errors.

The bite of a normalisation (does it do anything?), colour in the kernels of conv1 by column, whose
neighbours an image has in the last hidden layer, and the error by number of views.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from alexnet_repro.augment import View
from alexnet_repro.augment.cropping import center_crop
from alexnet_repro.data import DataSet
from alexnet_repro.errors import InputError
from alexnet_repro.layers import LocalResponseNorm
from alexnet_repro.model import PaperNet, activations
from alexnet_repro.model.paper_net import evaluating
from alexnet_repro.spec import shapes
from alexnet_repro.training.scoring import VIEWS, topk_error

BITTEN = 500, 1 << 25  # of these images at most, and of so many activities (134 MB)


@torch.no_grad()
def lrn_bite(net: PaperNet, images: Tensor, layer: str) -> dict[str, float]:
    """§3.3 Median and mean, over activities, of alpha * (sum of a^2 in the window) / k.

    images: N x 3 x S x S float, as the net sees them; layer: the name of a local response
    normalisation. Every activity at its input counts, zeros too. At a bite far below 1 the layer
    only multiplies by k^-beta. Raises ValueError for a layer that is no such normalisation.
    """
    names = [name for name, _ in net.named_children()]
    norm = getattr(net, layer) if layer in names else None
    if not isinstance(norm, LocalResponseNorm):
        norms = [n for n, m in net.named_children() if isinstance(m, LocalResponseNorm)]
        raise InputError(
            f"{net.spec.name} has no local response normalisation {layer!r}; "
            f"it has {', '.join(norms) or 'none'}"
        )
    at = names.index(layer)
    with evaluating(net):
        before = activations(net, images, names[at - 1 : at])[names[at - 1]] if at else images
    bite = _alpha(norm) * _energy(before.float(), norm) / norm.k
    return {"median": _median(bite), "mean": bite.mean(dtype=torch.float64).item()}


def bite_of_norm1(net: PaperNet, data: DataSet, view: View) -> dict[str, float]:
    """§3.3 lrn_bite_norm1: the median bite of the first normalisation on a split's first images.

    Of 500 centre crops, or as many as BITTEN allows where the maps are large. Empty for a net
    without a local response normalisation called norm1, and where activities are not finite.
    """
    if not isinstance(getattr(net, "norm1", None), LocalResponseNorm):
        return {}
    side = view.crop
    table = shapes.trace(net.spec, side).set_index("layer")
    n = min(BITTEN[0], max(1, BITTEN[1] // math.prod(table.loc["norm1", "shape"])))
    images = view(center_crop(torch.from_numpy(data.images[:n].copy()), side))
    median = lrn_bite(net, images, "norm1")["median"]
    return {"lrn_bite_norm1": median} if math.isfinite(median) else {}


def _alpha(norm: LocalResponseNorm) -> float:
    return norm.alpha / norm.size if norm.alpha_over_n else norm.alpha


def _energy(a: Tensor, norm: LocalResponseNorm) -> Tensor:
    """Sum of squares over each activity's window of channels: N x C x H x W, the same shape."""
    before, after = norm._reach()
    squares = a.square().unflatten(1, (norm.groups, -1))
    padded = F.pad(squares, (0, 0, 0, 0, before, after))
    return padded.unfold(2, before + after + 1, 1).sum(-1).flatten(1, 2)


def _median(x: Tensor) -> float:
    """The middle of all values, of an even number the mean of the two; any size."""
    x = x.flatten()
    low = x.kthvalue((len(x) + 1) // 2).values
    high = x.kthvalue(len(x) // 2 + 1).values
    return (low.item() + high.item()) / 2


def colour_share(kernels: Tensor) -> Tensor:
    """§6.1 Share of each kernel's energy that is colour: K x 3 x h x w -> K float64 in 0..1.

    At each pixel the part of (red, green, blue) along grey, (1, 1, 1) / sqrt 3, is luminance, the
    rest colour. A kernel of noise has 2/3. Raises ValueError for other shapes and empty kernels.
    """
    if kernels.dim() != 4 or kernels.shape[1] != 3:
        raise InputError(f"colour_share wants kernels K x 3 x h x w, got {tuple(kernels.shape)}")
    w = kernels.detach().double()
    whole = w.square().sum((1, 2, 3))
    if not (whole > 0).all() or not whole.isfinite().all():
        raise InputError("colour_share wants finite kernels, none of them all zero")
    luminance = w.sum(1).square().sum((1, 2)) / 3
    return (1 - luminance / whole).clamp(0, 1)


@dataclass(frozen=True)
class ColumnColour:
    """Mean colour share of each column's kernels, and how often chance splits them so far apart."""

    columns: tuple[float, float]
    p: float

    @property
    def difference(self) -> float:
        """Second column minus first. Which is which is chance: the paper says so too."""
        return self.columns[1] - self.columns[0]


def column_colour(
    kernels: Tensor, generator: torch.Generator, permutations: int = 9999
) -> ColumnColour:
    """§6.1 Do the two columns divide colour between them? Against kernels dealt out at random.

    kernels: K x 3 x h x w of conv1, K even; the first half are the first column's, as the groups
    of conv2 read them. p: share of random deals, the true one among them, whose columns differ at
    least as much either way; at least 1 / (permutations + 1). Raises ValueError as colour_share.
    """
    share = colour_share(kernels).cpu()
    half = len(share) // 2
    if len(share) % 2 or not half or permutations < 1:
        raise InputError(
            f"column_colour wants an even number of kernels and permutations >= 1, "
            f"got {len(share)} and {permutations}"
        )
    random = torch.rand(permutations, len(share), generator=generator).argsort(1)
    deals = share[torch.cat([torch.arange(len(share))[None], random])]  # the true one first
    first, second = deals[:, :half].mean(1), deals[:, half:].mean(1)
    apart = (second - first).abs()
    p = (apart >= apart[0]).double().mean().item()
    return ColumnColour((first[0].item(), second[0].item()), p)


def neighbour_agreement(
    queries: Tensor,
    labels: Tensor,
    gallery: Tensor,
    gallery_labels: Tensor,
    k: int = 6,
    *,
    chunk: int = 500,
) -> float:
    """§6.1 Share of the k nearest gallery images (Euclidean) that have the query's label.

    queries: N x ..., gallery: M x ..., numbers of any type, flattened: activities of the last
    hidden layer, or pixels. No query should be in the gallery. Of equal distances any may win.
    chunk: queries whose distances are held at a time. Raises ValueError for shapes that do not fit.
    """
    q, g = queries.flatten(1).double(), gallery.flatten(1).double()
    fits = q.shape[1] == g.shape[1] and len(labels) == len(q) and len(gallery_labels) == len(g)
    if not fits or not len(q) or not 1 <= k <= len(g):
        raise InputError(
            "neighbour_agreement wants queries N x D, N labels, gallery M x D, M labels, "
            f"1 <= k <= M; got {tuple(queries.shape)}, {len(labels)}, {tuple(gallery.shape)}, "
            f"{len(gallery_labels)}, k={k}"
        )
    length = g.square().sum(1)
    agreed = 0
    for i in range(0, len(q), chunk):
        # squared distance less the query's own square, which ranks the same
        distances = length - 2 * q[i : i + chunk] @ g.T
        nearest = distances.topk(k, largest=False).indices
        agreed += int((gallery_labels[nearest] == labels[i : i + chunk, None]).sum())
    return agreed / (len(q) * k)


def error_by_views(logs: Tensor, labels: Tensor, k: int = 1) -> dict[int, float]:
    """§4.1 Top-k error from the mean softmax of 1, 2, 5 and 10 views, a fraction each.

    logs: N x 10 x C log-probabilities of the views in augment.ten_crop's order; labels: N. 1: the
    centre; 2: with its mirror; 5: corners and centre; 10: all. Raises ValueError for other shapes,
    and for scores before the softmax.
    """
    if logs.dim() != 3 or logs.shape[1] != 10 or len(labels) != len(logs) or not len(logs):
        raise InputError(
            f"error_by_views wants log-probabilities N x 10 x C and N labels, "
            f"got {tuple(logs.shape)} and {tuple(labels.shape)}"
        )
    total = logs.float().logsumexp(2)
    if (total.abs() > 1e-2).any():
        raise InputError(
            "error_by_views wants log-probabilities, got rows whose probabilities sum to "
            f"{total.min().exp():.3g} to {total.max().exp():.3g}; take log_softmax first"
        )
    # the mean in log space, where the probabilities of a very sure net do not underflow
    means = {n: logs[:, at].logsumexp(1) - math.log(n) for n, at in VIEWS.items()}
    return {n: topk_error(mean, labels, k) for n, mean in means.items()}
