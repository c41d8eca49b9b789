"""Imports run one way: no arrow up, no circle, no torch where the reading half stands."""

import ast
import graphlib
import re

import house
import pytest

FLOOR = {name: i for i, (name, _) in enumerate(house.FLOORS)}
# the only places where a room of the reading half may call for torch, or for a room that has it:
# something is trained or computed there
BRIDGES = {"study.experiments", "study.records", "demos.components"}
WITH_TORCH = {"layers", "model", "augment", "training", "towers"}


def test_every_module_stands_on_a_floor():
    assert {house.room(m) for m in house.modules() if m} == set(FLOOR)


@pytest.mark.parametrize("name", FLOOR)
def test_no_arrow_runs_back_up(name):
    assert {t for t in house.arrows()[name] if FLOOR[t] <= FLOOR[name]} == set()


def test_no_circle_of_modules():
    faces = {m for m, path in house.modules().items() if path.name == "__init__.py"}
    graph = {m: targets - faces for m, targets in house.graph().items() if m not in faces}
    graphlib.TopologicalSorter(graph).prepare()  # CycleError names the circle


def _reached(start: str) -> set[str]:
    """What is imported, directly or not, when a module is imported."""
    known, found, todo = house.modules(), set(), [start]
    while todo:
        module = todo.pop()
        # importing a.b runs a/__init__.py first
        for name in {module, house.room(module) if "." in module else module}:
            for target in house.imports(known[name], at_start=True):
                if target not in found:
                    found.add(target)
                    todo += [target] if target in known else []
    return found


@pytest.mark.parametrize("name", [m for m in house.modules() if m])
def test_torch_is_out_of_reach_of_the_reading_half(name):
    reading = set(FLOOR) - WITH_TORCH - {"demos"}
    if house.room(name) in reading or name == "demos.components":
        assert "torch" not in _reached(name)
    else:
        assert name.startswith("demos") or house.room(name) in WITH_TORCH


def test_only_the_bridges_call_for_torch_later():
    for name, path in house.modules().items():
        if house.room(name) in ("spec", "study", "pages"):
            later = house.imports(path) - house.imports(path, at_start=True)
            rooms = {house.room(t) for t in later}
            assert name in BRIDGES or not rooms & {"torch", *WITH_TORCH}, name


def test_imports_inside_functions_are_seen():
    """The check itself: a module made here with an import in a function."""
    code = "def f():\n    from alexnet_repro.study import claims\n    import torch\n"
    nodes = [n for n in house._nodes(ast.parse(code), False) if isinstance(n, ast.Import)]
    assert [a.name for n in nodes for a in n.names] == ["torch"]
    assert not [
        n
        for n in house._nodes(ast.parse(code), True)
        if isinstance(n, (ast.Import, ast.ImportFrom))
    ]


def test_the_drawing_in_contributing_is_the_house():
    text = (house.ROOT / "CONTRIBUTING.md").read_text()
    assert text == house.document(), "make it again: python tests/house.py"
    assert text.index(house.BEGIN) < 600  # it opens with the house
    assert len(re.findall(r"^\| §\d", text, re.M)) == 10


@pytest.mark.parametrize(
    "folder", sorted(p.parent.name for p in house.PACKAGE.glob("*/__init__.py"))
)
def test_a_folders_docstring_is_the_map_of_its_files(folder):
    path = house.PACKAGE / folder / "__init__.py"
    words = set(re.findall(r"\w+", ast.get_docstring(ast.parse(path.read_text()))))
    files = {p.stem for p in path.parent.glob("[a-z]*.py")}
    assert files <= words, f"{folder}: its map lacks {sorted(files - words)}"
