"""Local response normalisation, forward and backward, against torch.nn's: ratios side by side.

Prints one line a shape and writes runs/benchmarks/lrn.json. torch.nn divides alpha by n, so it gets
5e-4 where ours has the printed 1e-4, and the two are checked to agree before they are timed.
"""

from __future__ import annotations

import json
import os
import time

import numpy as np
import torch
from torch import Tensor, nn

from alexnet_repro import records
from alexnet_repro.layers import LocalResponseNorm

SHAPES = [(128, 96, 55, 55), (128, 256, 27, 27), (128, 24, 24, 24)]
PAIRS = 7


def seconds(layer: nn.Module, x: Tensor, grad: Tensor) -> float:
    x.grad = None
    began = time.perf_counter()
    layer(x).backward(grad)
    return time.perf_counter() - began


def compare(shape: tuple[int, ...], pairs: int) -> dict:
    generator = torch.Generator().manual_seed(0)
    x = 50 * torch.randn(shape, generator=generator)
    x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
    grad = torch.ones_like(x)
    ours, stock = LocalResponseNorm(), nn.LocalResponseNorm(5, 5e-4, 0.75, 2.0)
    torch.testing.assert_close(ours(x), stock(x), rtol=1e-4, atol=1e-4)
    seconds(ours, x, grad), seconds(stock, x, grad)
    ratios = [seconds(stock, x, grad) / seconds(ours, x, grad) for _ in range(pairs)]
    quartiles = np.quantile(ratios, [0.25, 0.5, 0.75])
    return {"shape": list(shape), "ratios": ratios, "quartiles": quartiles.tolist()}


def main() -> None:
    pairs = int(os.environ.get("BENCH_PAIRS", PAIRS))
    small = os.environ.get("BENCH_SMALL") == "1"
    rows = []
    for shape in SHAPES:
        row = compare((2, *shape[1:]) if small else shape, pairs)
        rows.append(row)
        low, median, high = row["quartiles"]
        print(
            f"LRN {row['shape']}: torch.nn takes {median:.2f}x our time "
            f"(quartiles {low:.2f} to {high:.2f}, {pairs} pairs)"
        )
    if not small:
        out = records.RUNS / "benchmarks" / "lrn.json"
        out.parent.mkdir(exist_ok=True)
        origin = records.provenance("cpu", torch.get_num_threads())
        out.write_text(json.dumps({"rows": rows, "provenance": origin}, indent=1) + "\n")


if __name__ == "__main__":
    main()
