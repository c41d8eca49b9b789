"""§3.1 §3.2 §3.5 Torch modules from specs."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from alexnet_repro import spec as specs
from alexnet_repro.errors import InputError
from alexnet_repro.layers import (
    CeilConv2d,
    LocallyConnected2d,
    LocalResponseNorm,
    OverlappingMaxPool,
    PaperDropout,
    WithinMapNorm,
)
from alexnet_repro.model.initialisation import initialise

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


class PaperNet(nn.Sequential):
    """A network whose children bear the paper's layer names; `spec` says what it is.

    Input N x 3 x S x S float, raw pixels (0..255) minus the mean unless the run says otherwise;
    output N x classes, scores before the softmax. spec.num_classes is the number of classes that it
    was built with.
    """

    spec: specs.Spec
    nonlinearity: str

    def forward(self, input: Tensor) -> Tensor:
        """Scores of a batch. Raises ValueError as check_images, in training for 0..1 pixels too."""
        check_images(self, input)
        return super().forward(input)


def check_images(net: PaperNet, images: Tensor) -> None:
    """Raise ValueError, saying what was given, for images that the net cannot mean.

    Another dtype or shape than N x 3 x S x S float; a side whose maps do not fit the fully
    connected layers; in training mode, pixels that all lie in 0..1.
    """
    spec = net.spec
    wanted = f"{spec.name} wants float images N x {spec.in_channels} x S x S, S = {spec.input_size}"
    got = f"got {tuple(images.shape)} of {images.dtype}"
    if images.dim() != 4 or images.shape[1] != spec.in_channels or not images.is_floating_point():
        raise InputError(f"{wanted}; {got}")
    if torch.compiler.is_compiling():
        return  # what follows reads values
    if images.shape[2] != images.shape[3] or not _fits(spec, images.shape[2]):
        raise InputError(f"{wanted} or another that gives maps of the same sizes; {got}")
    if net.training and images.numel():
        low, high = (x.item() for x in images[0].aminmax())
        if low >= 0 and high <= 1:  # the first image is suspect
            low, high = (x.item() for x in images.aminmax())
        if low >= 0 and 0 < high <= 1:
            raise InputError(
                f"{spec.name} wants pixels in 0..255 minus their mean (or standardised); {got}, "
                f"all in {low:.3g} to {high:.3g}: multiply by 255 and subtract the mean image"
            )


@functools.cache
def _fits(spec: specs.Spec, side: int) -> bool:
    """Are the weights of the net, made for spec.input_size, right for this side?"""
    try:
        found, wanted = (specs.trace(spec, s)[["weights", "biases"]] for s in (side, None))
    except ValueError:
        return False
    return found.equals(wanted)


def build(
    spec: specs.Spec | str,
    *,
    nonlinearity: str | None = None,
    num_classes: int | None = None,
    init: str = "original",
    generator: torch.Generator | None = None,
    init_scale: str = "printed",
    init_bias: float = 1.0,
) -> PaperNet:
    """§3.5 The module that a spec (or the name of one) describes, initialised (§5).

    num_classes: in place of the spec's; net.spec then says so too. init, init_scale and init_bias:
    see initialise. Every shape and count equals that of trace(net.spec). Raises ValueError for an
    unknown name, for num_classes < 1 and as initialise.
    """
    if isinstance(spec, str):
        spec = specs.get(spec)
    if num_classes is not None:
        spec = spec.with_classes(num_classes)
    nonlinearity = nonlinearity or spec.nonlinearity
    if nonlinearity not in ACTIVATIONS:
        raise InputError(f"no nonlinearity {nonlinearity!r}; there are {', '.join(ACTIVATIONS)}")
    net = PaperNet()
    net.spec, net.nonlinearity = spec, nonlinearity
    shapes = specs.trace(spec)["shape"].tolist()
    shape: tuple[int, ...] = (spec.in_channels, spec.input_size, spec.input_size)
    for layer, out_shape in zip(spec.layers, shapes, strict=True):
        if layer.kind == "fc" and len(shape) == 3:
            net.add_module("flatten", nn.Flatten())
        if hasattr(net, layer.name):
            raise InputError(f"{spec.name}: a layer cannot be called {layer.name!r}; rename it")
        net.add_module(layer.name, _module(layer, shape, out_shape, nonlinearity))
        shape = out_shape
    initialise(net, init, generator, scale=init_scale, bias_factor=init_bias)
    return net


def _module(
    layer: specs.Layer, inputs: tuple[int, ...], outputs: tuple[int, ...], nonlinearity: str
) -> nn.Module:
    """The module of one row. inputs, outputs: of one image, C x H x W, or units alone."""
    match layer.kind:
        case "conv":
            kind = CeilConv2d if layer.ceil else nn.Conv2d
            return kind(
                inputs[0], layer.out, layer.size, layer.stride, layer.padding, groups=layer.groups
            )
        case "local":
            return LocallyConnected2d(inputs[0], layer.out, layer.size, layer.padding, outputs[1])
        case "fc":
            return nn.Linear(math.prod(inputs), layer.out)
        case "act":
            return ACTIVATIONS[nonlinearity]()
        case "lrn":
            return LocalResponseNorm(
                layer.size, layer.alpha, layer.beta, layer.k,
                alpha_over_n=layer.alpha_over_n, groups=layer.groups,
            )  # fmt: skip
        case "mapnorm":
            return WithinMapNorm(
                layer.size, layer.alpha, layer.beta, layer.k, alpha_over_n=layer.alpha_over_n
            )
        case "maxpool":
            return OverlappingMaxPool(layer.size, layer.stride, ceil_mode=layer.ceil)
        case "avgpool":
            # without padding, torch divides by the pixels inside the map, as the original does
            return nn.AvgPool2d(layer.size, layer.stride, ceil_mode=layer.ceil)
        case "dropout":
            return nn.Dropout(layer.p) if layer.inverted else PaperDropout(layer.p)
    raise AssertionError(f"rows.READS has kind {layer.kind!r}, build has not")


def alexnet(
    reading: str = "paper", *, num_classes: int = 1000, generator: torch.Generator | None = None
) -> PaperNet:
    """§3.5 The paper's network, as printed ("paper") or as the released code ran it ("original").

    Input N x 3 x 224 x 224, raw pixels 0..255 minus the mean image; output N x num_classes scores.
    """
    names = {"paper": "alexnet", "original": "alexnet-original"}
    if reading not in names:
        raise InputError(f"reading wants 'paper' or 'original', got {reading!r}")
    return build(names[reading], num_classes=num_classes, init=reading, generator=generator)


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while; each module's own mode comes back, whatever happens."""
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def activations(net: PaperNet, images: Tensor, names: list[str] | None = None) -> dict[str, Tensor]:
    """Outputs of the named layers (default: all), keyed by the paper's names (conv1 ... fc8).

    images: as PaperNet wants them. Maps are N x C x H x W, the fully connected layers N x units.
    Raises InputError for a name that is none and for images that check_images refuses.
    """
    known = [name for name, _ in net.named_children()]
    for name in names or []:
        if name not in known:
            raise InputError(f"no layer {name!r} in {net.spec.name}; layers: {', '.join(known)}")
    check_images(net, images)
    found = {}
    x = images
    for name, module in net.named_children():
        x = module(x)
        if names is None or name in names:
            found[name] = x
    return found
