"""What each command does: parsed options -> exit code. Each imports what it alone needs."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from pathlib import Path
from typing import Any

from alexnet_repro import paths
from alexnet_repro.errors import InputError


def list_experiments(options: argparse.Namespace) -> int:
    """Experiments, their arms, how many of their records are there."""
    from alexnet_repro import study
    from alexnet_repro.study import records

    counted = paths.REPOSITORY is not None
    for experiment in study.load_experiments().values():
        pairs = [(arm, seed) for arm in experiment.arms for seed in experiment.seeds]
        there = sum(records.record_path(experiment.name, a, s).exists() for a, s in pairs)
        print(f"{experiment.name}: {experiment.purpose}")
        print(f"    arms {', '.join(experiment.arms)}; seeds {list(experiment.seeds)}")
        have = f"records {there} of {len(pairs)}; " if counted else ""
        print(f"    {have}cost: {experiment.cost}")
    if not counted:
        print(f"no records are counted: they lie in the repository, {paths.PACKAGE} is a copy")
    return 0


def prepare_data(options: argparse.Namespace) -> int:
    """Prepare a data set; say what it holds and what was left out."""
    from alexnet_repro import data
    from alexnet_repro.data import placing, prepared, sources

    root = options.root or prepared.default_root()
    out = root / placing.plain(options.name)
    if options.name == "embedded":
        raise InputError("the embedded data set is generated when it is used; nothing to prepare")
    _check_writable(root)
    if options.source:
        data.prepare(
            options.source,
            out,
            side=options.side,
            skip_bad=options.skip_bad,
            convert=options.convert,
            force=options.force,
        )
    elif options.name == "cifar10":
        sources.from_torchvision(out, root / "downloads", force=options.force)
    else:
        raise InputError(
            f"only cifar10 has a download; give {options.name} a --source (folder, zip or tar)"
        )
    meta = json.loads((out / "meta.json").read_text())
    counts = ", ".join(f"{v['images']:,} {k}" for k, v in meta["splits"].items())
    print(f"{out}: {counts} images, {len(meta['classes'])} classes")
    if meta["skipped"]:
        print(f"skipped {len(meta['skipped'])} files:", *meta["skipped"], sep="\n  ")
    return 0


def _check_writable(folder: Path) -> None:
    """InputError, with the way out, for a data folder that cannot be written; makes nothing."""
    whole = folder.absolute()
    there = next(p for p in (whole, *whole.parents) if p.exists())
    if not (there.is_dir() and os.access(there, os.W_OK)):
        raise InputError(
            f"cannot write data to {folder} ({there} is no folder that can be written); "
            f"set ALEXNET_DATA or give --root FOLDER"
        )


def run_experiments(options: argparse.Namespace) -> int:
    """Train what has no record yet, side by side or in this process."""
    from alexnet_repro.study import experiments, launch, records

    if options.workers < 1:
        raise InputError(f"--workers wants at least 1, got {options.workers}")
    out = options.out
    if out is None:
        paths.need_repository("`run` without --out", ", or give --out FOLDER")
        out = records.RUNS
    work = launch.jobs(options.names, options.arms, options.seeds, out)
    where = {"device": options.device, "step": options.step}
    if not options.here:
        failed = launch.run(work, workers=options.workers, out=out, **where)
        for (name, arm, seed), reason in failed:
            print(f"failed: {name} {arm} seed {seed}: {reason}", file=sys.stderr)
        return 1 if failed else 0
    quiet = not sys.stderr.isatty()  # a bar is for eyes; the launcher passes on whole lines
    for name, arm, seed in work:
        experiment = experiments.get(name)
        config = experiment.config(arm, out).replace(**{k: v for k, v in where.items() if v})
        record = experiments.compute(experiment, arm, seed, config, out, quiet=quiet)
        print(f"{name} {arm} seed {seed}: test error {record.metrics['top1_error']:.4f}")
    return 0


def diagnose_net(options: argparse.Namespace) -> int:
    """How much of a net depends on the image, before any training."""
    import torch

    from alexnet_repro import model
    from alexnet_repro.training import diagnose

    generator = torch.Generator().manual_seed(options.seed)
    net = model.build(options.net, init=options.init, generator=generator)
    if options.bias is not None:
        diagnose.lower_biases(net, options.bias)
    images = diagnose.probe_images(4, net.spec.input_size, options.pixels)
    table = diagnose.image_share(net, images)
    loss, gradient = diagnose.first_loss(net, images)
    classes = int(net(images[:1]).shape[1])
    hidden = next(r.name for r in net.spec.layers if r.kind == "fc")
    share = float(table.set_index("layer")["share"][hidden])
    print("share: how much of a layer's activity depends on the image")
    print(table.to_string(index=False, float_format=lambda v: f"{v:.4g}"))
    print(f"first loss {loss:.4f}; equal scores give ln {classes} = {math.log(classes):.4f}")
    print(f"length of conv1's first gradient {gradient:.3g}")
    print(f"{share:.2g} of {hidden} depends on the image: {diagnose.advice(share)}")
    return 0


def compute_components(options: argparse.Namespace) -> int:
    """Compute the numbers of the component pages again."""
    from alexnet_repro.demos import components

    if options.out is None:
        paths.need_repository("`components` without --out", ", or give --out FOLDER")
    for name in options.names or components.DEMONSTRATIONS:
        print(components.write(name, options.out or components.FOLDER))
    return 0


def run_chapters(options: argparse.Namespace) -> int:
    """Run pages of the book; one line a page."""
    from alexnet_repro.pages import chapters
    from alexnet_repro.study import experiments

    parameters = {"mode": options.mode}
    for name, value in options.parameters:
        if name == "mode":
            raise InputError("the mode is set by --mode, not by -p")
        parameters[name] = _value(name, value)
    out = options.out or experiments.SCRATCH / "chapters"
    found = chapters.run(
        chapters.names(options.pages), parameters, out=out, workers=options.workers
    )
    for outcome in found:
        print(f"{outcome.seconds:7.1f} s  {outcome.state:9}  {outcome.page}  {outcome.reason}")
    failed = sum(o.state == "failed" for o in found)
    print(f"{len(found)} pages, {failed} failed; in {out / options.mode}")
    return 1 if failed else 0


def _value(name: str, text: str) -> Any:
    """A parameter's value: JSON, or a plain word such as cuda. InputError for broken JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        if text.lstrip().startswith(("[", "{", '"')):
            raise InputError(f"-p {name}: not JSON ({error}), got {text!r:.80}") from error
    return text


def print_scoreboard(options: argparse.Namespace) -> int:
    """Every claim with its verdict, and how many of each."""
    from alexnet_repro import study

    paths.need_repository("`scoreboard`")
    board = study.scoreboard()
    counts = board["verdict"].value_counts()
    shown = board[board["verdict"] != "not run"] if options.decided else board
    columns = "claim paper original measured low high n verdict p holm setting".split()
    shown = shown[columns]
    print(shown.to_string(index=False, na_rep="-", float_format=lambda v: f"{v:.6g}"))
    print("; ".join(f"{word}: {count}" for word, count in counts.items()))
    return 0
