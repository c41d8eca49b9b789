"""§5 Before training: how much of each layer depends on the image. In training: stuck at ln C.

With biases of 1 and small weights, the constant part of the signal can drown the image. The net
then first learns equal scores for all classes and sits at a loss of ln C (6.9078 for 1000).
"""

from __future__ import annotations

import math

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from alexnet_repro.data import embedded
from alexnet_repro.errors import InputError
from alexnet_repro.model import PaperNet, activations
from alexnet_repro.model.paper_net import evaluating
from alexnet_repro.spec.rows import WEIGHT_KINDS

PIXELS = ("centred", "standardised", "unit")
# Rules of thumb, from the shares of recipes that are known to start (0.2) and to sit at ln C.
STARTS, DROWNED = 0.1, 0.01
PHOTOGRAPHS = 70.0  # grey levels: deviation of centred pixels of photographs; drawn ones have less


class StuckWarning(UserWarning):
    """The training loss has stayed at ln C, the loss of equal scores, for hundreds of updates."""


def probe_images(n: int, size: int, pixels: str = "centred") -> Tensor:
    """n embedded images enlarged smoothly to size x size, with the contrast of photographs.

    Returns n x 3 x size x size float32. pixels: "centred", grey levels minus their mean, deviation
    70; "standardised", deviation 1; "unit", mean 0.5, mostly in 0..1. Raises ValueError for
    another word.
    """
    if pixels not in PIXELS:
        raise InputError(f"pixels wants one of {', '.join(PIXELS)}, got {pixels!r}")
    raw = torch.from_numpy(embedded.generate("train").images[:n].copy()).float()
    images = F.interpolate(raw, size=(size, size), mode="bilinear", align_corners=False)
    images = images - images.mean((0, 2, 3), keepdim=True)
    images = images / images.std()
    if pixels == "unit":
        return 0.5 + images * PHOTOGRAPHS / 255
    return images if pixels == "standardised" else images * PHOTOGRAPHS


@torch.no_grad()
def image_share(net: PaperNet, images: Tensor) -> pd.DataFrame:
    """§5 How much of each weight layer's activity depends on the image, before any training.

    images: N x 3 x S x S float, N >= 2, as the net would see them. Returns columns layer, share
    (mean over units of the deviation across images, over the mean absolute activity; no unit) and
    activity (that mean). Runs in evaluation mode. Raises ValueError for fewer than two images.
    """
    if len(images) < 2:
        raise InputError(f"image_share wants at least 2 images, got {tuple(images.shape)}")
    with evaluating(net):
        found = activations(net, images)
    rows = []
    for layer in net.spec.layers:
        if layer.kind in WEIGHT_KINDS:
            x = found[layer.name]
            activity = x.abs().mean().item()
            rows.append((layer.name, x.std(0).mean().item() / max(activity, 1e-30), activity))
    return pd.DataFrame(rows, columns=["layer", "share", "activity"])


def first_loss(net: PaperNet, images: Tensor) -> tuple[float, float]:
    """Loss and length of conv1's gradient at the initial weights, with labels 0, 1, 2, ...

    Dropout is off. The net's gradients are cleared.
    """
    with evaluating(net), torch.enable_grad():
        scores = net(images)
        labels = torch.arange(len(images), device=images.device) % scores.shape[1]
        loss = F.cross_entropy(scores, labels)
        loss.backward()
    first = next(r.name for r in net.spec.layers if r.kind in WEIGHT_KINDS)
    gradient = net.get_submodule(first).weight.grad
    assert isinstance(gradient, Tensor)
    length = gradient.norm().item()
    net.zero_grad(set_to_none=True)
    return loss.item(), length


@torch.no_grad()
def lower_biases(net: PaperNet, value: float) -> None:
    """Set every bias that starts above 0 to value (Caffe: 0.1), in place."""
    for layer in net.spec.layers:
        if layer.kind in WEIGHT_KINDS and layer.bias > 0:
            bias = net.get_submodule(layer.name).bias
            assert isinstance(bias, Tensor)
            bias.fill_(value)


def advice(share: float) -> str:
    """What a share at the first fully connected layer means for training (a rule of thumb)."""
    if share >= STARTS:
        return "the image reaches it: training should start at once"
    cures = "keep pixels in 0..255 minus the mean, 0.03 in conv3-5, or lower the biases (0.1)"
    if share >= DROWNED:
        return f"weak: expect a slow start at ln C; {cures}"
    return f"drowned by the biases: expect to sit at ln C; {cures}"


class StuckWatch:
    """Tells, once, when the loss has stayed within tolerance of ln C for `patience` updates."""

    def __init__(self, classes: int, patience: int = 300, tolerance: float = 0.01) -> None:
        self.target, self.patience, self.tolerance = math.log(classes), patience, tolerance
        self.stayed, self.told = 0, False

    def update(self, loss: float, updates: int = 1) -> bool:
        """loss: the last one; updates: how many were made since the last call."""
        self.stayed = self.stayed + updates if abs(loss - self.target) < self.tolerance else 0
        if self.told or self.stayed < self.patience:
            return False
        self.told = True
        return True

    def message(self, net: PaperNet, images: Tensor) -> str:
        """What to tell the user: where the loss sits, and the share at the first hidden layer."""
        found = image_share(net, images)
        hidden = next(r.name for r in net.spec.layers if r.kind == "fc")
        share = float(found.set_index("layer")["share"][hidden])
        return (
            f"the loss has been at ln {round(math.exp(self.target))} = {self.target:.4f}, that of "
            f"equal scores, for {self.stayed} updates; {share:.2g} of {hidden} depends on the "
            f"image: {advice(share)}. See `alexnet-repro diagnose`."
        )
