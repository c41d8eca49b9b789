"""alexnet-repro: list | data | run | chapters | scoreboard.

Exit codes: 0 done, 1 something failed while running, 2 a mistake in what was asked for.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from alexnet_repro import records


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; a user's mistake is one line on stderr and exit code 2."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        return options.command(options)
    except (ValueError, FileNotFoundError, FileExistsError) as error:
        print(f"alexnet-repro: {error}", file=sys.stderr)
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

    run = add("run", _run, "train an experiment's runs that have no record yet",
              "run s34-pooling --workers 2")  # fmt: skip
    run.add_argument("names", nargs="+", metavar="EXPERIMENT")
    run.add_argument("--arm", action="append", dest="arms", help="only this arm (repeatable)")
    run.add_argument("--seed", action="append", dest="seeds", type=int, help="only this seed")
    run.add_argument("--workers", type=int, default=2, help="processes side by side (default 2)")
    run.add_argument("--out", type=Path, default=records.RUNS, help="where records go (runs/)")
    run.add_argument("--device", default="cpu", help="torch device (default cpu)")
    run.add_argument("--here", action="store_true", help="in this process, one after another")
    return parser


def _run(options: argparse.Namespace) -> int:
    from alexnet_repro import experiments, launch

    if options.workers < 1:
        raise ValueError(f"--workers wants at least 1, got {options.workers}")
    work = launch.jobs(options.names, options.arms, options.seeds)
    if not options.here:
        failed = launch.run(work, workers=options.workers, out=options.out)
        for (name, arm, seed), reason in failed:
            print(f"failed: {name} {arm} seed {seed}: {reason}", file=sys.stderr)
        return 1 if failed else 0
    for name, arm, seed in work:
        experiment = experiments.get(name)
        config = experiment.config(arm).replace(device=options.device)
        record = experiments.compute(experiment, arm, seed, config, options.out)
        print(f"{name} {arm} seed {seed}: test error {record.metrics['top1_error']:.4f}")
    return 0
