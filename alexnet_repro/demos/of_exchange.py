"""§3.2 Two processes against one, and weights and nets that leave this library or come to it."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch

from alexnet_repro import model, spec, towers
from alexnet_repro.model import onnx_export
from alexnet_repro.model.layouts import LAYOUTS, from_layout
from alexnet_repro.spec import peers, traffic
from alexnet_repro.towers import processes, two_towers
from alexnet_repro.training import diagnose


def two_processes() -> pd.DataFrame:
    """§3.2 The scaled net in two columns, four steps in float64, by one process and by two.

    Columns what, one process, two processes: losses; bytes that a column sends in a step (computed
    from the spec; counted when sent); the largest difference of the first gradients and of the
    final weights, over the largest value. (In float32 a unit near zero may round to the other side
    of its ReLU after some steps, and the two then part.)
    """
    generator = torch.Generator().manual_seed(0)
    net = model.build(
        traffic.per_column(spec.get("mini-alexnet")), init="modern", generator=generator
    ).double()
    labels = torch.randint(10, (4, 16), generator=generator)
    images = torch.randn(4, 16, 3, 24, 24, generator=generator).double()
    batches = list(zip(images, labels, strict=True))
    one, two = two_towers.run_one_process(net, batches), towers.run_two_processes(net, batches)
    rows: list[tuple[str, float | None, float]] = [
        (f"loss of step {i + 1}", a, b)
        for i, (a, b) in enumerate(zip(one.losses, two.losses, strict=True))
    ]
    computed = int(traffic.exchange(net.spec, 16, 8)["bytes"].sum())
    sent = sum(r["bytes"] for r in two.bytes_sent if (r["step"], r["column"]) == (0, 0))
    rows.append(("bytes a column sends a step (computed | counted)", computed, sent))
    worst = processes.differences(two, one)
    rows.append(("largest difference of the first gradients", None, worst["gradients"]))
    rows.append(("largest difference of the final weights", None, worst["weights"]))
    return pd.DataFrame(rows, columns=["what", "one process", "two processes"])


def layouts() -> pd.DataFrame:
    """Which tensor of a peer's file is which layer. Columns layout, layer, theirs, note."""
    rows = [
        (layout, row.layer, row.theirs, row.note)
        for layout, found in LAYOUTS.items()
        for row in found
    ]
    return pd.DataFrame(rows, columns=["layout", "layer", "theirs", "note"])


def exports() -> pd.DataFrame:
    """Nets run by another program on the same weights and images.

    Columns net, by, difference (largest, over the largest score; no unit).
    """
    generator = torch.Generator().manual_seed(0)
    rows = []
    theirs = _torchvision(generator)
    ours = from_layout(theirs.state_dict(), "torchvision").eval()
    images = diagnose.probe_images(2, 224, "standardised")
    with torch.inference_mode():
        a, b = theirs(images), ours(images)
    rows.append(("torchvision", "torchvision", ((a - b).abs().max() / a.abs().max()).item()))
    with tempfile.TemporaryDirectory() as folder:
        for name in ("18pct", "conv-local-11pct", "mini-alexnet, original order"):
            net = model.build(_spec(name), init="modern", generator=generator).eval()
            images = diagnose.probe_images(4, net.spec.input_size, "standardised")
            path = Path(folder) / "net.onnx"
            onnx_export.to_onnx(net, path)
            with torch.inference_mode():
                scale = net(images).abs().max().item()
            rows.append((name, "onnxruntime", onnx_export.check_onnx(net, path, images) / scale))
    return pd.DataFrame(rows, columns=["net", "by", "difference"])


def _torchvision(generator: torch.Generator) -> torch.nn.Module:
    from torchvision.models import alexnet

    net = alexnet(weights=None).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(0, 0.02, generator=generator)
    return net


def _spec(name: str) -> spec.Spec:
    """A net by name; "mini-alexnet, original order" has the scaled widths in layers-145's order."""
    if name in spec.NETWORKS or name in peers.PEERS:
        return spec.NETWORKS.get(name) or peers.get(name)
    mini = {r.name: r for r in spec.get("mini-alexnet").layers}
    rows = []
    for row in spec.get("alexnet-original").layers:
        small = mini.get(row.name, row)
        rows.append(
            replace(
                row, out=small.out, size=small.size, stride=small.stride, padding=small.padding
            )
        )  # fmt: skip
    return replace(spec.get("mini-alexnet"), name=name, layers=tuple(rows))
