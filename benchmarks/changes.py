"""What each change won: an epoch as it is trained, against the same with one change taken back.

No goal. The CIFAR-10 net 18pct on one thread and the full net on all of them, drawn images, each
variant in a process of its own. bf16 is timed only where the processor computes in it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F
from input import prepared
from side_by_side import SMALL, Apart, agree, in_turn, save, serve
from torch import Tensor, nn

from alexnet_repro import augment
from alexnet_repro.augment import on_cpu
from alexnet_repro.layers import LocalResponseNorm, WithinMapNorm
from alexnet_repro.training import loop, setup
from alexnet_repro.training.optim import parameter_groups
from alexnet_repro.training.steps import loss_of

LIT = {"crop": 224, "flip": True, "colour_noise": "original"}
# net, images, side, batch, threads, what the run changes
CASES = [
    ("18pct", 384, 32, 128, 1, {}),
    ("alexnet", 24, 256, 12, torch.get_num_threads(), LIT),
]
if SMALL:
    CASES = [("mini-alexnet", 8, 32, 4, 1, {**LIT, "crop": 24})]


class Plain(nn.Module):
    """The norm within a map in torch's operations."""

    def __init__(self, norm: WithinMapNorm) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        n = self.norm
        means = F.avg_pool2d(x * x, n.size, 1, n.size // 2, count_include_pad=True)
        return x * (1 + n.alpha * means).pow(-n.beta)


def stock_norms(run: setup.Run) -> None:
    for name, module in list(run.net.named_children()):
        if isinstance(module, LocalResponseNorm):
            n = module.size
            setattr(run.net, name, nn.LocalResponseNorm(n, n * module.alpha, module.beta, module.k))
        elif isinstance(module, WithinMapNorm):
            setattr(run.net, name, Plain(module))


def usual_layout(run: setup.Run) -> None:
    run.net.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]


def one_by_one(run: setup.Run) -> None:
    groups = parameter_groups(run.net, 1e-4, 5e-4)
    run.optimizer = torch.optim.SGD(groups, 1e-4, 0.9, foreach=False)  # type: ignore[assignment]


def in_several_passes(images, draws, crop_size, mean, *, shift=None, divisors=()) -> Tensor:
    """augment.on_cpu.batch as the plain functions do it."""
    x = augment.apply_crops(images, draws, crop_size).float() - mean
    if shift is not None:
        x = x + shift[:, :, None, None]
    for divisor in divisors:
        x = x / divisor
    return x


def slow(module: object, name: str, function: Callable) -> Callable:
    """A context in which module.name is that function."""

    @contextmanager
    def taken_back() -> Iterator[None]:
        kept = getattr(module, name)
        setattr(module, name, function)
        try:
            yield
        finally:
            setattr(module, name, kept)

    return taken_back


@contextmanager
def as_it_is() -> Iterator[None]:
    yield


# what stands in the place of a change: the change, what to do to a run before, around each epoch
INSTEAD: dict[str, tuple[str, Callable, Callable]] = {
    "torch's operations": ("norms in C++", stock_norms, as_it_is),
    "NCHW": ("channels last", usual_layout, as_it_is),
    "torch.optim.SGD, one by one": ("update in one pass", one_by_one, as_it_is),
    "several passes": (
        "batches in one pass", lambda run: None, slow(on_cpu, "batch", in_several_passes),
    ),
    "by a second thread meanwhile": (
        "batches made in turn", lambda run: None,
        slow(on_cpu, "supply", lambda items, device: on_cpu.ahead(items)),
    ),
}  # fmt: skip


class Epoch:
    """One more epoch at each call."""

    def __init__(self, run: setup.Run, around: Callable) -> None:
        self.run, self.around = run, around

    def __call__(self) -> None:
        with self.around():
            loop._epoch(self.run, 0)

    def outcome(self) -> list[float]:
        """How far one more epoch moves each parameter."""
        start = [p.detach().clone() for p in self.run.net.parameters()]
        self()
        pairs = zip(self.run.net.parameters(), start, strict=True)
        return [float((p.detach() - before).norm()) for p, before in pairs]


def epoch(case: tuple, instead: str) -> Epoch:
    """One epoch, with one change taken back; with "bf16", in bf16."""
    run = prepared(*case[:-1], {**case[-1], "precision": "bf16" if instead == "bf16" else "fp32"})
    around: Callable = as_it_is
    if instead in INSTEAD:
        _, before, around = INSTEAD[instead]
        before(run)
        run.loss_of = loss_of(run.net)

    return Epoch(run, around)


def measure(net: str) -> list[dict]:
    """A row a change: seconds with it and without it, round by round."""
    half = SMALL or torch.cpu._is_avx512_bf16_supported()
    case = next(c for c in CASES if c[0] == net)
    sides = {
        name: epoch(case, name) if SMALL and name in INSTEAD else Apart(__file__, f"{net}/{name}")
        for name in ("ours", *INSTEAD, "python", *(["bf16"] if half else []))
    }
    pairs = [(change, name, "ours", name) for name, (change, *_) in INSTEAD.items()]
    pairs.append(("allocator settings", "plain Python", "ours", "python"))
    if half:
        pairs.append(("bf16", "32-bit numbers", "bf16", "ours"))
    moved = {name: side.outcome() for name, side in sides.items()}  # does not count
    for name in sides:  # as far as the numbers' digits allow
        agree(moved[name], moved["ours"], within=0.2 if name == "bf16" else 1e-2)
    took = in_turn(sides)
    for side in sides.values():
        if isinstance(side, Apart):
            side.close()
    rows = []
    for change, instead, ours, other in pairs:
        both = [list(pair) for pair in zip(took[ours], took[other], strict=True)]
        low, median, high = np.quantile([b / a for a, b in both], [0.25, 0.5, 0.75]).tolist()
        print(
            f"{net}, {change}: {instead} takes {median:.2f}x the time "
            f"({low:.2f} to {high:.2f}, {len(both)} rounds; no goal)",
            flush=True,
        )
        rows.append({
            "net": net, "change": change, "instead": instead, "seconds": both, "median": median,
            "quartiles": [low, high],
        })  # fmt: skip
    return rows


def main() -> None:
    if len(sys.argv) > 1:
        net, _, instead = sys.argv[1].partition("/")
        side = {sys.argv[1]: epoch(next(c for c in CASES if c[0] == net), instead)}
        serve(side, stock=[f"{net}/python"])
        return
    save("changes", [row for case in CASES for row in measure(case[0])])


if __name__ == "__main__":
    main()
