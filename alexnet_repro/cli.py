"""alexnet-repro: list | data | run | diagnose | components | chapters | scoreboard.

Exit codes: 0 done, 1 something failed while running, 2 a mistake in what was asked for, 130 ended
by Ctrl-C, 143 by SIGTERM.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from alexnet_repro import paths
from alexnet_repro.errors import InputError
from alexnet_repro.study import records

# what may be missing in an install -> the extra of pyproject.toml that brings it
EXTRAS = {
    "torch": "train", "torchvision": "train", "PIL": "train", "safetensors": "train",
    "papermill": "book", "IPython": "book", "onnx": "onnx", "onnxruntime": "onnx",
    "onnxscript": "onnx",
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; a user's mistake is one line on stderr and exit code 2."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        return options.command(options)
    except InputError as error:
        print(f"alexnet-repro: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        print(
            f"alexnet-repro: this needs {error.name}, which is not installed: "
            f"pip install 'alexnet-repro[{EXTRAS[error.name]}]'",
            file=sys.stderr,
        )
        return 2
    except OSError as error:
        print(f"alexnet-repro: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nalexnet-repro: interrupted; the same command goes on from here", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="alexnet-repro", description="A reproduction study of AlexNet (NIPS 2012)."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, function, help: str, example: str) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name,
            help=help,
            description=help,
            epilog=f"example: alexnet-repro {example}",
        )
        command.set_defaults(command=function)
        return command

    add("list", _list, "list the experiments, their arms and their records", "list")

    data = add("data", _data, "prepare a data set", "data cifar10-jpeg --source cifar10.tar.xz")
    data.add_argument("name", help="what the prepared set is called, such as cifar10")
    data.add_argument("--source", type=Path, help="folder, zip or tar (default: the download)")
    data.add_argument("--root", type=Path, help="where prepared sets lie (data/)")
    data.add_argument("--side", type=int, help="side of the images, pixels (default: by the files)")
    data.add_argument(
        "--skip-bad", action="store_true", help="leave out unreadable files, list them"
    )
    data.add_argument("--convert", action="store_true", help="turn grey, CMYK, palette into RGB")
    data.add_argument("--force", action="store_true", help="replace a set that is there")

    run = add(
        "run",
        _run,
        "train an experiment's runs that have no record yet",
        "run s34-pooling --workers 2",
    )
    run.add_argument("names", nargs="+", metavar="EXPERIMENT")
    run.add_argument("--arm", action="append", dest="arms", help="only this arm (repeatable)")
    run.add_argument("--seed", action="append", dest="seeds", type=int, help="only this seed")
    run.add_argument("--workers", type=int, default=2, help="processes side by side (default 2)")
    run.add_argument("--out", type=Path, help="where records go and the sweeps lie (runs/)")
    run.add_argument("--device", help="torch device (default: the experiment's)")
    run.add_argument("--step", choices=("eager", "compiled"), help="how (the experiment's)")
    run.add_argument("--here", action="store_true", help="in this process, one after another")

    chapters = add(
        "chapters", _chapters, "run pages of the book", "chapters 3.4-pooling --mode smoke"
    )
    chapters.add_argument("pages", nargs="*", help="page names (default: all)")
    chapters.add_argument("--mode", choices=("load", "train", "smoke"), default="load")
    chapters.add_argument(
        "-p", action="append", nargs=2, dest="parameters", metavar=("NAME", "VALUE"), default=[],
        help='any other parameter; VALUE as JSON, such as -p seeds "[0, 1]"',
    )  # fmt: skip
    chapters.add_argument("--out", type=Path, help="where the run pages go (.scratch/chapters)")
    chapters.add_argument("--workers", type=int, default=2, help="pages side by side (default 2)")

    diagnose = add(
        "diagnose", _diagnose, "say, before any training, how much of a net depends on the image",
        "diagnose --init paper --pixels standardised",
    )  # fmt: skip
    diagnose.add_argument("--net", default="alexnet", help="a name in spec.NETWORKS (alexnet)")
    diagnose.add_argument("--init", choices=("paper", "original", "modern"), default="original")
    diagnose.add_argument(
        "--pixels", choices=("centred", "standardised", "unit"), default="centred",
        help="0..255 minus the mean; that over its deviation; 0..1",
    )  # fmt: skip
    diagnose.add_argument("--bias", type=float, help="initial bias where the net has one (1)")
    diagnose.add_argument("--seed", type=int, default=0, help="of the weights (0)")

    components = add(
        "components", _components, "compute the numbers of the component pages again",
        "components update_rule",
    )  # fmt: skip
    components.add_argument("names", nargs="*", help="demonstrations (default: all)")
    components.add_argument("--out", type=Path, help="where records go (runs/components)")

    board = add("scoreboard", _scoreboard, "print every claim with its verdict", "scoreboard")
    board.add_argument("--decided", action="store_true", help="leave out what nobody has run")
    return parser


def _list(options: argparse.Namespace) -> int:
    from alexnet_repro import study

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


def _data(options: argparse.Namespace) -> int:
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


def _run(options: argparse.Namespace) -> int:
    from alexnet_repro.study import experiments, launch

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


def _diagnose(options: argparse.Namespace) -> int:
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


def _components(options: argparse.Namespace) -> int:
    from alexnet_repro.demos import components

    if options.out is None:
        paths.need_repository("`components` without --out", ", or give --out FOLDER")
    for name in options.names or components.DEMONSTRATIONS:
        print(components.write(name, options.out or components.FOLDER))
    return 0


def _chapters(options: argparse.Namespace) -> int:
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


def _scoreboard(options: argparse.Namespace) -> int:
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
