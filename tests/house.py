"""The house as its imports make it: which folder imports which, drawn and checked.

python tests/house.py   # writes drawing and sections into CONTRIBUTING.md
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "alexnet_repro"
# from the top down; a room imports from its own and from lower floors only
FLOORS = (
    ("cli", "what is typed in a shell"),
    ("pages", "what the book's pages call"),
    ("demos", "each component at work"),
    ("study", "claims, experiments, records, verdicts"),
    ("towers", "§3.2 two columns on two devices"),
    ("training", "§5 §6 the loop, the optimiser, scoring"),
    ("augment", "§4.1 crops, reflections, colour noise"),
    ("model", "§3.5 §5 nets, first weights, weights in and out"),
    ("layers", "§3.3 §3.4 §4.2 norms, pooling, dropout"),
    ("data", "§2 prepared data sets"),
    ("spec", "§3.2 §3.5 the nets as rows, arithmetic"),
    ("config", "the keys of a run"),
    ("native", "C++ sources, compiled at first use"),
    ("routes", "which of several ways a computation took"),
    ("origin", "where a run comes from: code, machine, versions"),
    ("paths", "where files lie"),
    ("whole", "files written whole or not at all"),
    ("errors", "what is said of wrong input"),
)
SECTIONS, SECTIONS_END = "<!-- sections: made by tests/house.py -->", "<!-- end of sections -->"
BEGIN, END = "<!-- house: made by tests/house.py -->", "<!-- end of house -->"


def modules() -> dict[str, Path]:
    """Every module by its dotted name below the package: "study.claims", "config"."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        found[".".join(parts)] = path
    return found


def room(module: str) -> str:
    """The folder of a module, or the module itself where it stands in none."""
    return {"": "", "__main__": "cli"}.get(module, module.split(".")[0])


def imports(path: Path, *, at_start: bool = False) -> set[str]:
    """What a file imports, dotted; of this package without its name.

    at_start: only what is imported when the module is; else also what its functions import.
    """
    tree = ast.parse(path.read_text())
    known = modules()
    found = set()
    for node in _nodes(tree, at_start):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            own = name.removeprefix("alexnet_repro").removeprefix(".")
            if own == name:
                found.add(name.split(".")[0])
                continue
            while own and own not in known:  # a name that a module or a package's face has
                own = own.rpartition(".")[0]
            found.add(own)
    return found


def _nodes(tree: ast.AST, at_start: bool):
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue  # never run
        yield node
        inside = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        if not (at_start and inside):
            yield from _nodes(node, at_start)


def graph() -> dict[str, set[str]]:
    """Module -> the package's modules that it imports, anywhere in its source."""
    known = modules()
    return {m: {i for i in imports(p) if i in known} - {m} for m, p in known.items()}


def arrows() -> dict[str, set[str]]:
    """Room -> rooms that it imports."""
    found: dict[str, set[str]] = {name: set() for name, _ in FLOORS}
    for module, targets in graph().items():
        if module:
            found.setdefault(room(module), set()).update(room(t) for t in targets if t)
    return {name: targets - {name} for name, targets in found.items()}


def drawing() -> str:
    """The house as text: floor by floor, what stands there and which rooms it calls."""
    found = arrows()
    files: dict[str, list[str]] = {}
    for module in modules():
        if "." in module:
            files.setdefault(room(module), []).append(module.split(".", 1)[1])
    lines = []
    for name, what in FLOORS:
        lines.append(f"{name + ('/' if name in files else '.py'):11}{what}")
        if name in files:
            lines += _wrapped("files: ", files[name])
        lower = [other for other, _ in FLOORS if other in found[name]]
        lines += _wrapped("calls: ", lower) if lower else []
    return "\n".join(lines)


def _wrapped(head: str, words: list[str], width: int = 88) -> list[str]:
    lines, line = [], " " * 11 + head
    for word in words:
        if len(line) + len(word) > width:
            lines.append(line.rstrip())
            line = " " * (11 + len(head))
        line += word + " "
    return [*lines, line.rstrip()]


def sections() -> str:
    """The package's map of sections as a table: files, tests and pages of each."""
    doc = ast.get_docstring(ast.parse((PACKAGE / "__init__.py").read_text())) or ""
    lines = ["| § | what | files | tests | pages |", "|---|---|---|---|---|"]
    for number, what, names in re.findall(r"^(§\S+)\s{2,}(.*?)\s{2,}([\w., ]+)$", doc, re.M):
        paths = [modules()[name].relative_to(PACKAGE) for name in names.split(", ")]
        files = [f"`{path}`".replace("/__init__.py", "/") for path in paths]
        tests = dict.fromkeys(f"`tests/{path.parts[0]}/`" for path in paths)
        pages = [f"`{p.name}`" for p in sorted((ROOT / "book").glob(f"{number[1:]}-*.ipynb"))]
        cells = (number, what, ", ".join(files), ", ".join(tests), ", ".join(pages))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def document() -> str:
    """CONTRIBUTING.md as it should be: what stands between the marks is made anew."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    house = f"```text\n{drawing()}\n```"
    for begin, made, end in ((BEGIN, house, END), (SECTIONS, sections(), SECTIONS_END)):
        before, rest = text.split(begin)
        text = f"{before}{begin}\n{made}\n{end}{rest.split(end)[1]}"
    return text


def main() -> int:
    """Write the drawing and the sections between their marks in CONTRIBUTING.md."""
    (ROOT / "CONTRIBUTING.md").write_text(document())
    return 0


if __name__ == "__main__":
    sys.exit(main())
