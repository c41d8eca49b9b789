"""What may be typed after `alexnet-repro`, and what its help says."""

from __future__ import annotations

import argparse
from pathlib import Path

from alexnet_repro.cli import commands


def build() -> argparse.ArgumentParser:
    """Every command with its options; `command` of what is parsed is the function to call."""
    parser = argparse.ArgumentParser(
        prog="alexnet-repro", description="A reproduction study of AlexNet (NIPS 2012)."
    )
    added = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, function, help: str, example: str) -> argparse.ArgumentParser:
        command = added.add_parser(
            name,
            help=help,
            description=help,
            epilog=f"example: alexnet-repro {example}",
        )
        command.set_defaults(command=function)
        return command

    add(
        "list",
        commands.list_experiments,
        "list the experiments, their arms and their records",
        "list",
    )

    data = add(
        "data",
        commands.prepare_data,
        "prepare a data set",
        "data cifar10-jpeg --source cifar10.tar.xz",
    )
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
        commands.run_experiments,
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
        "chapters",
        commands.run_chapters,
        "run pages of the book",
        "chapters 3.4-pooling --mode smoke",
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
        "diagnose", commands.diagnose_net,
        "say, before any training, how much of a net depends on the image",
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
        "components", commands.compute_components,
        "compute the numbers of the component pages again", "components update_rule",
    )  # fmt: skip
    components.add_argument("names", nargs="*", help="demonstrations (default: all)")
    components.add_argument("--out", type=Path, help="where records go (runs/components)")

    board = add(
        "scoreboard", commands.print_scoreboard, "print every claim with its verdict", "scoreboard"
    )
    board.add_argument("--decided", action="store_true", help="leave out what nobody has run")
    return parser
