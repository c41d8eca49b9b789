"""Requirements, versions, workflows: one source, and files that agree with it."""

import re
import tomllib
from pathlib import Path

import lock
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import alexnet_repro

ROOT = Path(__file__).resolve().parent.parent


def _read(name: str) -> str:
    return (ROOT / name).read_text()


def test_environment_has_the_names_and_bounds_of_pyproject():
    wanted = {lock.CONDA.get(r.name, r.name): r.specifier for r in lock.direct()}
    lines = re.findall(r"^  - ([\w.-]+)(\S*)$", _read("environment.yml"), re.M)
    found = {name: SpecifierSet(bounds) for name, bounds in lines if name not in ("python", "pip")}
    assert found == wanted
    python = tomllib.loads(_read("pyproject.toml"))["project"]["requires-python"]
    assert ("python", python) in lines
    assert lock.environment() == _read("environment.yml"), "make it again: make lock"


def _pins(name: str) -> dict[str, str]:
    lines = [line.split()[0] for line in _read(name).splitlines() if not line.startswith("#")]
    pins = dict(line.split("==") for line in lines)
    assert len(pins) == len(lines)
    return {canonicalize_name(k): v for k, v in pins.items()}


def test_constraints_pin_every_direct_requirement_within_its_bounds():
    pins = _pins("constraints.txt")
    for requirement in lock.direct():
        assert pins[requirement.name] in requirement.specifier, requirement


def test_the_lock_has_the_versions_of_the_constraints_and_a_sum_for_each():
    assert _pins("requirements.lock") == _pins("constraints.txt")
    lines = [line for line in _read("requirements.lock").splitlines() if line[0] != "#"]
    assert all(re.fullmatch(r"\S+==\S+ --hash=sha256:[0-9a-f]{64}", line) for line in lines)


def test_the_pins_fit_each_other():
    """What each package that is here in its pinned version asks for is pinned, in its bounds."""
    pins, checked = _pins("constraints.txt"), 0
    for name, found in lock.needed(lock.direct()).items():
        if pins.get(name) != found.version:
            continue  # an environment of other versions
        for requirement in map(Requirement, found.requires or ()):
            if lock.applies(requirement, frozenset()):
                checked += 1
                pin = pins[canonicalize_name(requirement.name)]
                assert requirement.specifier.contains(pin, prereleases=True), (name, requirement)
    if not checked:
        pytest.skip("nothing is installed in the pinned versions")


def test_a_package_counts_with_its_extras_and_markers():
    assert not lock.applies(Requirement("a; extra == 'more'"), frozenset())
    assert lock.applies(Requirement("a; extra == 'more'"), frozenset({"more"}))
    assert not lock.applies(Requirement("a; python_version < '3'"), frozenset())
    assert lock.applies(Requirement("a; python_version >= '3'"), frozenset({"more"}))


def test_the_version_is_the_same_everywhere():
    version = tomllib.loads(_read("pyproject.toml"))["project"]["version"]
    assert alexnet_repro.__version__ == version
    assert re.findall(r"^version: (\S+)$", _read("CITATION.cff"), re.M) == [version]
    released, date = re.search(r"^## (\S+) \((\S+)\)$", _read("CHANGELOG.md"), re.M).groups()
    assert released == version
    assert re.findall(r"^date-released: (\S+)$", _read("CITATION.cff"), re.M) == [date]


def test_ci_names_files_that_exist():
    """pytest says nothing of an --ignore that fits no file."""
    found = re.findall(r"\btests/[\w/.]+", _read(".ci/run"))
    assert len(found) >= 4
    assert [name for name in found if not (ROOT / name).is_file()] == []


def test_workflows_call_what_there_is():
    found = {p.stem: yaml.safe_load(p.read_text()) for p in (ROOT / ".github/workflows").iterdir()}
    runs = {
        name: [s["run"] for job in flow["jobs"].values() for s in job["steps"] if "run" in s]
        for name, flow in found.items()
    }
    assert runs == {"check": [".ci/run"], "pages": ["make book"]}
    assert (ROOT / ".ci/run").stat().st_mode & 0o100
    assert "untried" in _read(".github/workflows/check.yml").splitlines()[0]
    assert "untried" in _read(".github/workflows/pages.yml").splitlines()[0]
