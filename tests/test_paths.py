"""Where things lie: in a checkout, and in a copy installed from a wheel."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from alexnet_repro import origin, paths, study
from alexnet_repro.data import prepared
from alexnet_repro.demos import components
from alexnet_repro.pages import chapters
from alexnet_repro.study import experiments, ledger, records

ROOT = Path(__file__).resolve().parent.parent


def test_in_a_checkout_everything_stands_beside_the_package(monkeypatch, tmp_path):
    assert paths.REPOSITORY == ROOT
    assert (paths.PACKAGE, records.RUNS) == (ROOT / "alexnet_repro", ROOT / "runs")
    assert chapters.BOOK == ledger.BOOK == ROOT / "book"
    assert experiments.SCRATCH == ROOT / ".scratch"
    assert components.FOLDER == ROOT / "runs" / "components"
    monkeypatch.delenv("ALEXNET_DATA", raising=False)
    assert prepared.default_root() == ROOT / "data"
    monkeypatch.setenv("ALEXNET_DATA", str(tmp_path))
    assert prepared.default_root() == tmp_path


def test_without_a_home_the_temporary_folder_serves(monkeypatch):
    monkeypatch.setattr(paths.platformdirs, "user_data_dir", lambda *_, **__: "~/.local/share/x")
    folder = paths._user_folder()  # nobody's home is known: no folder named "~"
    assert folder.is_absolute()
    assert "~" not in str(folder)


def test_an_installed_copy_has_no_commit_in_whose_repository_it_may_lie(monkeypatch, tmp_path):
    name = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init"], [*name, "commit", "--allow-empty", "--message", "theirs"]):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True, capture_output=True)
    monkeypatch.setattr(origin, "PACKAGE", tmp_path / "site-packages")
    (tmp_path / "runs").mkdir()  # a checkout of ours would have it
    assert re.fullmatch(r"[0-9a-f]{40}", origin.git_state()["commit"])
    monkeypatch.setattr(origin, "REPOSITORY", None)
    assert origin.git_state() == {"commit": None, "dirty": None}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder that holds what the wheel installs, as site-packages does."""
    pytest.importorskip("setuptools")
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copy(ROOT / "pyproject.toml", folder)
    for name in ("README.md", "LICENSE"):  # it names them
        (folder / name).touch()
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "alexnet_repro", folder / "alexnet_repro", ignore=ignore)
    build = "from setuptools import build_meta; build_meta.build_wheel('dist')"
    subprocess.run([sys.executable, "-c", build], cwd=folder, check=True, capture_output=True)
    [wheel] = (folder / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def files(folder):
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def test_the_wheel_holds_every_file_of_the_package(site):
    wanted = {name for name in files(ROOT / "alexnet_repro") if "__pycache__" not in name}
    assert files(site / "alexnet_repro") == wanted
    assert {"study/claims.csv", "study/experiments.toml", "layers/norms.cpp", "py.typed"} <= wanted


@pytest.fixture
def installed(site, tmp_path):
    """A function that runs Python with the installed copy, from a foreign folder, without torch.

    Returns exit status, output and the lines of stderr. Nothing may be written into the copy.
    """
    before, hidden = files(site), tmp_path / "hidden"
    (tmp_path / "cwd").mkdir()
    hidden.mkdir()
    for name in ("torch", "torchvision"):
        text = f"raise ModuleNotFoundError('No module named {name}', name={name!r})\n"
        (hidden / f"{name}.py").write_text(text)
    path = os.pathsep.join([str(hidden), str(site)])
    given = {"PYTHONPATH": path, "HOME": str(tmp_path / "home"), "PYTHONDONTWRITEBYTECODE": "1"}
    given = {**os.environ, **given}
    for name in ("ALEXNET_DATA", "XDG_DATA_HOME"):
        given.pop(name, None)

    def run(*arguments, **changes):
        done = subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path / "cwd", env={**given, **changes},
            capture_output=True, text=True,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr.splitlines()

    yield run
    assert files(site) == before
    assert list((tmp_path / "cwd").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["scoreboard"], "`scoreboard`"),
        (["chapters"], "running chapters"),
        (["components", "averages"], "`components` without --out"),
        (["run", "s34-pooling"], "`run` without --out"),
    ],
)
def test_what_needs_the_repository_says_so(installed, arguments, what):
    status, out, [line] = installed("-m", "alexnet_repro", *arguments)
    assert (status, out) == (2, "")
    assert line.startswith(f"alexnet-repro: {what} needs the repository, and ")
    assert "clone" in line


def test_the_list_does_not_count_records_that_lie_elsewhere(installed):
    status, out, error = installed("-m", "alexnet_repro", "list")
    assert (status, error) == (0, [])
    assert "s34-pooling: " in out
    assert "records 0 of" not in out


@pytest.mark.parametrize(
    "arguments",
    [["data", "cifar10"], ["diagnose"], ["run", "s34-pooling", "--here", "--out", "../out"]],
    ids=lambda a: a[0],
)
def test_what_is_not_installed_is_named_with_the_cure(installed, arguments):
    status, out, [line] = installed("-m", "alexnet_repro", *arguments)
    assert (status, out) == (2, "")
    assert "pip install 'alexnet-repro[train]'" in line
    assert re.search("not installed|No module named", line)


def test_data_and_runs_of_an_installed_copy_lie_with_the_user(installed, site, tmp_path):
    git = ["git", "-C", str(site.parent), "-c", "user.name=a", "-c", "user.email=a@b"]
    for line in ("init -q", "commit -q --allow-empty -m other"):  # somebody else's repository
        subprocess.run([*git, *line.split()], check=True)
    show = "from alexnet_repro.data import prepared; "
    show += "from alexnet_repro.study import claims, experiments, records; "
    show += "print(prepared.default_root(), experiments.SCRATCH, records.RUNS, sep='\\n'); "
    show += "print(len(claims.load_claims()), records.git_state())"
    status, out, error = installed("-c", show)
    assert (status, error) == (0, [])
    *folders, last = out.splitlines()
    assert all(Path(f).is_relative_to(tmp_path / "home") for f in folders)
    assert [Path(f).name for f in folders] == ["data", "scratch", "runs"]
    assert len(set(folders)) == 3
    assert not (tmp_path / "home").exists()  # asking makes nothing
    assert last == f"{len(study.load_claims())} {{'commit': None, 'dirty': None}}"


def test_a_home_that_cannot_be_written(installed):
    status, _, [line] = installed("-m", "alexnet_repro", "data", "cifar10", HOME="/dev/null")
    assert status == 2
    assert "cannot write data to /dev/null" in line
    assert "set ALEXNET_DATA or give --root" in line
    status, out, _ = installed("-m", "alexnet_repro", "list", HOME="/dev/null")
    assert (status, "s34-pooling" in out) == (0, True)
