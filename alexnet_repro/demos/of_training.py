"""§4.1 §5 §6 Augmentation, optimiser, initialisation, averages: the numbers of one figure each."""

from __future__ import annotations

from functools import cache
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F

from alexnet_repro import augment, data, model
from alexnet_repro.augment import View, cropping
from alexnet_repro.config import RunConfig
from alexnet_repro.training import PaperSGD, diagnose, topk_error, train
from alexnet_repro.training.ensemble import average, search_weights

# The ImageNet components that the second release of the original stores (grey levels; columns).
IMAGENET = augment.RGBPCA(
    torch.tensor([19.720833, 37.093889, 121.780061], dtype=torch.float64) ** 2,
    torch.tensor(
        [
            [0.41796, -0.71258, -0.56351],
            [-0.81698, -0.02354, -0.57618],
            [0.39731, 0.70120, -0.59200],
        ],
        dtype=torch.float64,
    ),
)
NETS = 3


def crops() -> pd.DataFrame:
    """§4.1 Where a batch of 128 images is cut: one draw an image, and one for 32 (original).

    Columns draws ("each image", "32 images"), top, left (pixels, 0..32), flip.
    """
    rows = []
    for label, chunk in (("each image", 1), ("32 images", 32)):
        found = augment.draw_crops(128, 256, 224, torch.Generator().manual_seed(0), chunk=chunk)
        drawn = zip(found.top.tolist(), found.left.tolist(), found.flip.tolist(), strict=True)
        rows += [(label, *draw) for draw in drawn]
    return pd.DataFrame(rows, columns=["draws", "top", "left", "flip"])


def colour_noise() -> pd.DataFrame:
    """§4.1 What 200 draws add to red, green and blue, in grey levels, in each reading.

    Columns reading, red, green, blue, length (of the shift). ImageNet's components.
    """
    alphas = IMAGENET.draw(200, torch.Generator().manual_seed(0))
    readings: dict[str, dict[str, Any]] = {
        "printed, pixels in 0..1": {"reading": "paper"},
        "original code": {"reading": "original"},
        "printed, pixels in 0..255": {"reading": "paper", "unit": 1.0},
    }
    rows = []
    for label, options in readings.items():
        for shift in IMAGENET.shift(alphas, **options):
            rows.append((label, *shift.tolist(), shift.norm().item()))
    return pd.DataFrame(rows, columns=["reading", "red", "green", "blue", "length"])


def update_rule() -> pd.DataFrame:
    """§5 Size of each update under a constant gradient of 1; the rate drops by ten before step 40.

    Columns rule ("printed", "torch.optim.SGD"), update (number, from 1), size.
    """
    rows = []
    for rule, optimiser in (
        ("printed", lambda w: PaperSGD([w], 0.01, 0.9, 0.0)),
        ("torch.optim.SGD", lambda w: torch.optim.SGD([w], 0.01, 0.9)),
    ):
        weight = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
        steps = optimiser(weight)
        for update in range(1, 121):
            if update == 40:
                steps.param_groups[0]["lr"] /= 10
            before = weight.item()
            weight.grad = torch.ones_like(weight)
            steps.step()
            rows.append((rule, update, before - weight.item()))
    return pd.DataFrame(rows, columns=["rule", "update", "size"])


def initialisation() -> pd.DataFrame:
    """§5 How much of each layer depends on the image at the initial weights, by recipe.

    Columns recipe, layer, share, loss and gradient (length, of conv1's weights) at the start.
    """
    recipes = [
        ("original: 0.03 in conv3-5", "centred", "original", 1.0),
        ("paper: 0.01, biases 1", "centred", "paper", 1.0),
        ("paper, biases 0.1 (Caffe)", "centred", "paper", 0.1),
        ("original, standardised pixels", "standardised", "original", 1.0),
        ("paper, standardised pixels", "standardised", "paper", 1.0),
        ("paper, pixels in 0..1", "unit", "paper", 1.0),
    ]
    rows = []
    for label, pixels, init, bias in recipes:
        net = model.build("alexnet", init=init, generator=torch.Generator().manual_seed(0))
        diagnose.lower_biases(net, bias)
        images = diagnose.probe_images(4, 224, pixels)
        loss, gradient = diagnose.first_loss(net, images)
        for row in diagnose.image_share(net, images).itertuples():
            rows.append((label, row.layer, row.share, loss, gradient))
    return pd.DataFrame(rows, columns=["recipe", "layer", "share", "loss", "gradient"])


def averages() -> pd.DataFrame:
    """§4.1 Two views of one image for which probabilities and scores pick different classes.

    Columns what ("view 1", "view 2", "mean of the outputs", "softmax of the mean score"), then the
    probability of each of three classes.
    """
    scores = torch.tensor([[4.0, 0.0, 3.0], [0.0, 1.5, 1.5]], dtype=torch.float64)
    views = scores.softmax(1)
    found = [views[0], views[1], views.mean(0), scores.mean(0).softmax(0)]
    labels = ["view 1", "view 2", "mean of the outputs", "softmax of the mean score"]
    rows = [(label, *p.tolist()) for label, p in zip(labels, found, strict=True)]
    return pd.DataFrame(rows, columns=["what", "class A", "class B", "class C"])


def ensembles() -> pd.DataFrame:
    """§6 Three nets that differ in their seed, one by one and together, on embedded images.

    Weights are searched on the first 250 test images, errors are of the last 250. Columns what,
    error (top-1, fraction) and weight (of a net in the weighted mean).
    """
    probabilities, labels = _trained_probabilities()
    weights = search_weights(probabilities[:, :250], labels[:250], k=1)
    left, true = probabilities[:, 250:], labels[250:]
    total = sum(weights)
    rows: list[tuple[str, float, float | None]] = []
    for m in range(NETS):
        rows.append((f"net {m + 1}", topk_error(left[m], true, 1), weights[m] / total))
    rows.append(("mean", topk_error(average(left), true, 1), None))
    rows.append(("weighted mean", topk_error(average(left, weights), true, 1), None))
    return pd.DataFrame(rows, columns=["what", "error", "weight"])


@cache
def _trained_probabilities() -> tuple[torch.Tensor, torch.Tensor]:
    """Of the embedded test images: NETS x N x classes, and N labels."""
    config = RunConfig(
        net="mini-alexnet", init="modern", pixels="standardised", crop=24, flip=True, lr=0.01,
        bias_lr_factor=2.0, epochs=2, train_eval_images=100, batch=32,
    )  # fmt: skip
    test = data.load("embedded", "test")
    view = View.of(data.load("embedded", "train"), 24, True)
    images = cropping.center_crop(torch.from_numpy(test.images.copy()), 24)
    found = []
    for seed in range(NETS):
        net = train(config, seed, quiet=True).net
        assert net is not None
        with torch.inference_mode():
            found.append(F.softmax(net.eval()(view(images)), 1))
    return torch.stack(found), torch.from_numpy(test.labels)
