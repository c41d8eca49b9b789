"""Every page's text as a reader gets it, by running its cells here, without Sphinx or a kernel.

`python page_text.py FOLDER [PARAMETERS [PAGE ...]]` prints JSON: page -> [typed, shown].
Typed: markdown without glued places, and the strings in the code. Shown: markdown with them filled
in, and outputs. FOLDER holds book/, alexnet_repro/ and runs/; nothing else is read.
"""

import ast
import html
import json
import re
import sys
from pathlib import Path

GLUED = re.compile(r"\{glue:text\}`([^`]+)`")
PARTS = re.compile(r"<svg.*?</svg>|href=\"data:[^\"]*\"|src=\"data:[^\"]*\"", re.S)


def plain(text: str) -> str:
    """HTML without tags, pictures and data, but with what stands for a picture."""
    spoken = re.findall(r'(?:aria-label|alt)="([^"]*)"', text)
    text = re.sub(r"<[^>]+>", " ", PARTS.sub(" ", text))
    return html.unescape(" ".join([*spoken, text]))


TEXTS: list[str] = []
GLUE: dict[str, str] = {}


def show(*things, raw=False, metadata=None, **_):
    """In place of IPython.display.display: keeps what cells show, and what they glue by name."""
    for thing in things:
        if raw and metadata and "scrapbook" in metadata:
            (value,) = [v for k, v in thing.items() if k.endswith("text/plain")]
            GLUE[metadata["scrapbook"]["name"]] = str(ast.literal_eval(value))
        elif thing is not None:
            TEXTS.append(plain(getattr(thing, "data", None) or str(thing)))


def run(code: list[str], parameters: dict) -> None:
    """Run a page's cells in one namespace; TEXTS and GLUE are then what it shows and glues."""
    TEXTS.clear(), GLUE.clear()
    names: dict = {"__name__": "__main__"}
    defaults, *code = code
    exec(defaults, names)
    names.update(parameters)
    for cell in code:
        tree = ast.parse(cell)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "page", "exec"), names)
        if last is not None:
            show(eval(compile(ast.Expression(last.value), "page", "eval"), names))


def page(path: Path, parameters: dict) -> tuple[str, str]:
    """What is typed in a page and what it shows."""
    if path.suffix == ".md":
        return path.read_text(), path.read_text()
    cells = json.loads(path.read_text())["cells"]
    code = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
    text = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    strings = [n.value for cell in code for n in ast.walk(ast.parse(cell))
               if isinstance(n, ast.Constant) and isinstance(n.value, str)]  # fmt: skip
    run(code, parameters)
    filled = GLUED.sub(lambda m: GLUE[m[1]], text)
    return "\n".join([GLUED.sub(" ", text), *strings]), "\n".join([filled, *TEXTS])


if __name__ == "__main__":
    root = Path(sys.argv[1]).resolve()
    sys.path.insert(0, str(root))
    import IPython.display  # replaced before the library binds it

    IPython.display.display = show
    pages = sorted(p for p in (root / "book").iterdir() if p.suffix in (".ipynb", ".md"))
    pages = [p for p in pages if p.stem in sys.argv[3:] or not sys.argv[3:]]
    import alexnet_repro

    assert Path(alexnet_repro.__file__).is_relative_to(root)
    given = json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}
    print(json.dumps({p.stem: page(p, given) for p in pages}))
