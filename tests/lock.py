"""The versions that resolved together, written down: constraints.txt, requirements.lock, conda.

python tests/lock.py   # or `make lock`, after `make test` with the versions that are to be kept

pyproject.toml alone says what is needed and within which bounds. From it and from what is installed
here, three files are made: constraints.txt (every version, for `pip install --constraint`),
requirements.lock (the same with the sums of the files, for `pip install --require-hashes`, on this
Python and platform) and environment.yml (the bounds, for conda). Nothing is upgraded.
"""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = ("train", "book", "onnx", "dev")  # those that "all" is made of, in this order
# names that conda-forge spells differently
CONDA = {"torch": "pytorch", "matplotlib": "matplotlib-base", "seaborn": "seaborn-base"}


def direct() -> list[Requirement]:
    """What pyproject.toml asks for: the base, then each extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    assert extras["all"] == [f"{project['name']}[{','.join(EXTRAS)}]"]
    texts = [*project["dependencies"], *(text for name in EXTRAS for text in extras[name])]
    return [Requirement(text) for text in texts]


def needed(requirements: list[Requirement]) -> dict[str, importlib.metadata.Distribution]:
    """Every installed package that the requirements lead to, by its canonical name."""
    found: dict[str, importlib.metadata.Distribution] = {}
    seen, todo = set(), [(r, frozenset(r.extras)) for r in requirements]
    while todo:
        requirement, extras = todo.pop()
        name = canonicalize_name(requirement.name)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        found[name] = importlib.metadata.distribution(name)
        for text in found[name].requires or ():
            inner = Requirement(text)
            if applies(inner, extras):
                todo.append((inner, frozenset(inner.extras)))
    return found


def applies(requirement: Requirement, extras: frozenset[str]) -> bool:
    """Is it wanted on this machine, by a package that was asked for with these extras?"""
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": e}) for e in (extras or {""}))


def constraints() -> str:
    """constraints.txt: name==version, in the order of the names."""
    found = needed(direct()).values()
    lines = sorted((f"{d.metadata['Name']}=={d.version}" for d in found), key=str.lower)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    head = f"# The set that resolved together and that CI uses (Python {version}): `make lock`"
    return "\n".join([head, *lines]) + "\n"


def environment() -> str:
    """environment.yml: the names and bounds of pyproject.toml, as conda-forge spells them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [
        "# conda env create -f environment.yml; made from pyproject.toml by `make lock`",
        f"name: {project['name']}",
        "channels: [conda-forge]",
        "dependencies:",
        f"  - python{project['requires-python']}",
    ]
    for requirement in direct():
        bounds = ",".join(sorted(map(str, requirement.specifier), reverse=True))
        names.append(f"  - {CONDA.get(requirement.name, requirement.name)}{bounds}")
    return "\n".join([*names, "  - pip", "  - pip:", "      - --no-deps --editable .", ""])


def lock(pins: str) -> str:
    """requirements.lock: what pip would install of these pins, with the sum of each file.

    Asks the package index, installs nothing.
    """
    with tempfile.TemporaryDirectory() as folder:
        report, pinned = Path(folder, "report.json"), Path(folder, "pins.txt")
        pinned.write_text(pins)
        command = f"{sys.executable} -m pip install --quiet --dry-run --ignore-installed".split()
        command += ["--constraint", str(pinned), "--report", str(report), ".[all]"]
        subprocess.run(command, cwd=ROOT, check=True)
        found = json.loads(report.read_text())["install"]
    lines = []
    for item in found:
        if "archive_info" in item["download_info"]:  # the project itself is a folder
            meta, sums = item["metadata"], item["download_info"]["archive_info"]["hashes"]
            lines.append(f"{meta['name']}=={meta['version']} --hash=sha256:{sums['sha256']}")
    head = [
        "# The files of constraints.txt on Linux x86-64, for the Python named there: `make lock`",
        "# pip install --require-hashes --no-deps -r requirements.lock",
    ]
    return "\n".join([*head, *sorted(lines, key=str.lower), ""])


def main() -> int:
    """Make all three, then write them: all or none."""
    pins = constraints()
    files = {
        "constraints.txt": pins,
        "requirements.lock": lock(pins),
        "environment.yml": environment(),
    }
    for name, text in files.items():
        (ROOT / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
