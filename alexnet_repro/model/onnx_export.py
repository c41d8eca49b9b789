"""§3.5 Nets as ONNX files, and how far onnxruntime's scores are from torch's.

Needs the packages of the extra `onnx`.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from alexnet_repro.errors import InputError
from alexnet_repro.model.paper_net import PaperNet, evaluating
from alexnet_repro.whole import replacing


def _need(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"ONNX wants the package {name}: pip install 'alexnet-repro[onnx]'"
        ) from error


def to_onnx(net: PaperNet, path: str | Path, *, batch: int | str = "dynamic") -> None:
    """Write the net as it evaluates, one file with its weights, whole or not at all.

    Input "images" batch x 3 x S x S of the net's dtype, S = spec.input_size; output "scores"
    batch x classes. batch: "dynamic", any number of images, or a number of images. The net's mode
    stays what it was. Raises ImportError where onnx or onnxscript is missing, ValueError for
    another batch.
    """
    if batch != "dynamic" and not (isinstance(batch, int) and batch > 0):
        raise InputError(f"batch wants 'dynamic' or a number of images >= 1, got {batch!r}")
    for name in ("onnx", "onnxscript"):
        _need(name)
    like = next(net.parameters())
    # from an example of one image torch would conclude that the batch is always one
    n, side = batch if isinstance(batch, int) else 2, net.spec.input_size
    images = torch.zeros(n, net.spec.in_channels, side, side, device=like.device, dtype=like.dtype)
    with replacing(path) as temporary, evaluating(net), torch.no_grad():
        torch.onnx.export(
            net,
            (images,),
            temporary,
            input_names=["images"],
            output_names=["scores"],
            dynamic_shapes=({0: "batch"},) if batch == "dynamic" else None,
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def check_onnx(net: PaperNet, path: str | Path, images: Tensor) -> float:
    """The largest difference between the scores of the file, by onnxruntime on the CPU, and ours.

    images: N x 3 x S x S float32, as the net wants them. Raises ImportError where onnxruntime is
    missing and RuntimeError where the two give scores of different shapes.
    """
    session = _need("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])
    with evaluating(net), torch.no_grad():
        ours = net(images).cpu()
    theirs = torch.as_tensor(session.run(["scores"], {"images": images.cpu().numpy()})[0])
    if theirs.shape != ours.shape:
        raise RuntimeError(f"{path} gives scores {tuple(theirs.shape)}, ours {tuple(ours.shape)}")
    return (theirs - ours).abs().max().item()
