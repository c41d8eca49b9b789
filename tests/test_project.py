"""The project keeps its own rules: section map, guesses, notebooks, what git ignores, mutations."""

import ast
import dataclasses
import importlib
import json
import pydoc
import re
import subprocess
from pathlib import Path

import mutations
import pytest

import alexnet_repro
from alexnet_repro import study
from alexnet_repro.config import RunConfig
from alexnet_repro.model import paper_net

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "book").glob("*.ipynb"))
PARAMETERS = {
    "mode": "load", "seeds": None, "epochs": None, "device": None, "data_root": None,
    "out_dir": None,
}  # fmt: skip


def test_package_docstring_maps_sections_to_modules_that_name_them():
    rows = re.findall(r"^§(\S+)\s{2,}.*?\s{2,}([\w., ]+)$", alexnet_repro.__doc__, re.M)
    assert len(rows) == alexnet_repro.__doc__.count("\n§") >= 9
    named = set()
    for section, modules in rows:
        for module in modules.split(", "):
            doc = importlib.import_module(f"alexnet_repro.{module}").__doc__
            assert f"§{section}" in doc, f"{module} does not name §{section}"
            named.add((module, section))
    assert ("layers.norms", "3.3") in named
    assert ("training.optim", "5") in named


def test_git_ignores_no_file_of_the_project():
    """A pattern such as "data/" would take alexnet_repro/data out of every clone."""
    if not (ROOT / ".git").exists():
        pytest.skip("no checkout: nothing says what git ignores")
    command = (
        "git ls-files --others --ignored --exclude-standard -- alexnet_repro tests book".split()
    )
    found = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    made = ("__pycache__/", ".ipynb_checkpoints/", "_build/")  # by Python, Jupyter and the book
    assert [line for line in found.splitlines() if not any(m in line for m in made)] == []


def _prose(path: Path) -> str:
    """What a document says outside of its code."""
    text = path.read_text()
    if path.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        text = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def _exists(name: str) -> bool:
    """Is it a module or something in one, of this package or of another?"""
    return any(pydoc.locate(n) is not None for n in (f"alexnet_repro.{name}", name))


DOCUMENTS = (
    *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "runs/README")),
    *sorted((ROOT / "book").glob("*.md")),
    *NOTEBOOKS,
)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: f"{p.parent.name}-{p.name}")
def test_code_and_files_that_prose_names_exist(path):
    """Names like `spec.trace` and files like `study/claims.csv`, from the package or the top."""
    for name in re.findall(r"(?<!\})`(\w[\w/]*(?:\.\w+)+)(?:\([^`]*\))?`", _prose(path)):
        if re.search(r"\.(py|cpp|csv|toml|md|txt|yml|lock|cff|ipynb)$", name):
            places = (ROOT, ROOT / "alexnet_repro", path.parent)
            assert any((place / name).is_file() for place in places), name
        elif not name.endswith(".html"):
            assert name[0].isupper() or _exists(name), name


def test_a_name_that_is_gone_is_seen():
    for name in (
        "spec.trace",
        "alexnet_repro.training.optim",
        "augment.RGBPCA.fit",
        "torch.nn.ReLU",
    ):
        assert _exists(name)
    for name in ("layer_tables.network", "spec.tracing", "dropout.to_inverted"):
        assert not _exists(name)


def numbers(text: str) -> set[str]:
    """The guesses and deviations that a text names: G1, D7."""
    return set(re.findall(r"\b([GD]\d{1,2})\b", text))


def test_every_guess_and_deviation_stands_in_the_code_and_on_the_page():
    listed = re.findall(r"^([GD]\d+)$", (ROOT / "book/deviations.md").read_text(), re.M)
    assert len(listed) == len(set(listed))
    for kind in "GD":  # none was taken out, none is left out
        found = [name for name in listed if name[0] == kind]
        assert found == [f"{kind}{i + 1}" for i in range(len(found))]
    files = [p for p in (ROOT / "alexnet_repro").rglob("*") if p.suffix in (".py", ".toml")]
    assert set().union(*(numbers(path.read_text()) for path in files)) == set(listed)
    for path in NOTEBOOKS:  # what a page names is listed
        assert numbers(path.read_text()) <= set(listed), path.name


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_keeps_the_rules(path):
    cells = json.loads(path.read_text())["cells"]
    code = [c for c in cells if c["cell_type"] == "code"]
    assert all(c["outputs"] == [] and c["execution_count"] is None for c in code)
    tagged = [c for c in code if "parameters" in c["metadata"]["tags"]]
    assert tagged == [code[0]]
    assert len(code) <= 5  # the parameters and at most four
    for cell in code:
        assert {"hide-input", "remove-input"} & set(cell["metadata"]["tags"])
    body = ast.parse("".join(code[0]["source"])).body
    found = {s.targets[0].id: ast.literal_eval(s.value) for s in body}
    assert found == PARAMETERS
    assert "page.parameters(globals())" in "".join(code[1]["source"])


def test_toc_holds_every_page():
    toc = (ROOT / "book/_toc.yml").read_text()
    listed = set(re.findall(r"(?:root|file): (\S+)", toc))
    pages = {p.stem for p in (ROOT / "book").iterdir() if p.suffix in (".md", ".ipynb")}
    assert listed == pages


def test_configuration_keys_that_fail_in_silence_are_spelt_right():
    text = (ROOT / "_config.yml").read_text()
    assert "execute_notebooks: force" in text
    assert "raise_on_error: true" in text


def test_a_run_can_ask_for_every_nonlinearity_that_a_net_can_have():
    (field,) = (f for f in dataclasses.fields(RunConfig) if f.name == "nonlinearity")
    assert set(field.metadata["choices"]) == set(paper_net.ACTIVATIONS)


def test_every_experiment_has_a_page():
    for experiment in study.load_experiments().values():
        assert experiment.page in {path.stem for path in NOTEBOOKS}, experiment.name


def test_every_figure_is_on_a_page():
    """Functions of the two modules of figures that neither a page nor another function calls."""
    pages = "\n".join(path.read_text() for path in NOTEBOOKS)
    for module in ("figures", "component_figures"):
        text = (ROOT / f"alexnet_repro/pages/{module}.py").read_text()
        for name in re.findall(r"^def ([a-z]\w*)\(", text, re.M):
            used = f"{module}.{name}(" in pages or len(re.findall(rf"\b{name}\(", text)) > 1
            assert used, f"no page calls {module}.{name}"


def test_readme_names_commands_that_exist():
    readme = (ROOT / "README.md").read_text()
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M)
    for target in re.findall(r"^make (\w+)", readme, re.M):
        assert target in targets
    for target in ("reproduce", "test", "book", "chapters", "bench", "lock", "clean"):
        assert re.search(rf"^{target}:.*## \w+", (ROOT / "Makefile").read_text(), re.M)


# modules without a rule that a changed constant or sign could break
NOTHING_TO_CHANGE = {
    "errors.py": "kinds of errors, no more",
    "__main__.py": "calls the command line",
    "towers/__main__.py": "calls two_towers.main",
}


def test_every_mutation_still_fits_the_code():
    assert len(mutations.MUTATIONS) >= 300
    assert [why for why in map(mutations.misfit, mutations.MUTATIONS) if why] == []


def test_no_mutation_is_there_twice():
    changes = [(m.file, m.old, m.new) for m in mutations.MUTATIONS]
    assert len(set(changes)) == len(changes)


def test_every_module_has_a_mutation():
    package = ROOT / mutations.PACKAGE
    modules = {p.relative_to(package).as_posix() for p in package.rglob("*.py")}
    faces = {name for name in modules if name.endswith("__init__.py")}  # they only import
    others = {p.relative_to(package).as_posix() for p in package.rglob("*.cpp")}
    changed = {m.file for m in mutations.MUTATIONS}
    assert sorted(modules - faces - changed | others - changed) == sorted(NOTHING_TO_CHANGE)


def test_what_once_survived_is_in_the_list():
    """Changes that were found by hand and that no test of that time noticed: none is dropped."""
    notes = re.findall(r"^# survived once: (.+)\n- ", mutations.FILE.read_text(), re.M)
    assert len(notes) >= 18
    for what in (
        "the same crops every epoch", "the same dropout masks every epoch",
        "mean_part ignored in training", "bf16 off", "tf32 always on",
        "conv1 frozen at a hundredth of the rate", "the sign of c21", "the arms of c25",
        "the sign of the printed value of c23", "c02 in the full setting",
        "processes without end", "a code digest that ignores contents",
        "a chapter digest that ignores records", ">= and <= swapped in a bound",
        "the wrong ring in a sweep figure", "the landing page's count",
        "the synthetic check on one arm only", "validation rows in epochs_to",
    ):  # fmt: skip
        assert what in notes


def test_a_mistake_in_the_list_of_mutations_is_named():
    one, two = mutations.load("a.py: test_a b/test_b::test_x\n- x\n- y\n+ z\n# why\n- + b\n+\n")
    tests = ("tests/test_a.py", "tests/b/test_b.py::test_x")
    assert (one.old, one.new, one.tests) == ("x\ny", "z", tests)
    assert (two.old, two.new, two.line, str(two.path)) == ("+ b", "", 6, "alexnet_repro/a.py")
    for text, why in [
        ("- x\n+ y\n", "line 1: wanted a file"), ("a.py: test_a\n- x\n", "line 2: wanted a file"),
        ("a.py\n", "line 1: wanted 'file: tests', got 'a.py'"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=why):
            mutations.load(text)
    file, there, tests = "model/initialisation.py", "math.sqrt(2 / fan_in)", ("tests/test_cli.py",)
    assert mutations.misfit(mutations.Mutation(file, tests, there, "1", 1)) == ""
    for changed, why in [
        ({"file": "none.py"}, "no such file"), ({"old": "no such line"}, "0 times, wanted once"),
        ({"new": there}, "changes nothing"), ({"tests": ("tests/none.py::one",)}, "no tests/none"),
    ]:  # fmt: skip
        given = {"file": file, "tests": tests, "old": there, "new": "1", "line": 1, **changed}
        assert why in mutations.misfit(mutations.Mutation(**given))


def test_a_sample_of_the_mutations_depends_on_its_seed_alone():
    some = mutations.chosen([], 5, "a")
    assert len(set(some)) == 5
    assert some == mutations.chosen([], 5, "a") != mutations.chosen([], 5, "b")
    assert mutations.chosen(["norms.cpp"], 0, "") == [
        m for m in mutations.MUTATIONS if m.file.endswith("norms.cpp")
    ]
