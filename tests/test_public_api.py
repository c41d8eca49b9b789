"""What others build on changes only on purpose."""

import ast
import importlib
import inspect
import json
import re
from pathlib import Path

import pytest

# What a package's face hands on, and the signatures that others may count on (None: not promised).
FACES: dict[str, dict[str, str | None]] = {
    "spec": {
        "NETWORKS": None,
        "Layer": "name, kind, out=0, size=1, stride=1, padding=0, groups=1, std=0.01, bias=0.0, "
        "ceil=True, alpha=0.0001, beta=0.75, k=2.0, alpha_over_n=False, inverted=False, decay=None"
        ", p=0.5",
        "Spec": "name, source, layers, input_size=224, *, columns=1, scaled=False, "
        "nonlinearity='relu', in_channels=3",
        "get": "name",
        "trace": "spec, input_size=None",
    },
    "data": {
        "DataSet": "name, split, images, labels, classes, mean, std, sha256",
        "MeanImage": "values",
        "load": "name, split, root=None",
        "prepare": "source, out, *, side=None, skip_bad=False, convert=False, force=False",
    },
    "layers": {
        "CeilConv2d": None,
        "LocalResponseNorm": "size=5, alpha=0.0001, beta=0.75, k=2.0, *, alpha_over_n=False, "
        "groups=1, path='auto'",
        "LocallyConnected2d": "c, out, size, padding, out_side",
        "OverlappingMaxPool": "z=3, s=2, *, ceil_mode=True",
        "PaperDropout": "p=0.5",
        "WithinMapNorm": "size=5, alpha=0.001, beta=0.75, k=1.0, *, alpha_over_n=True, path='auto'",
    },
    "model": {
        "PaperNet": None,
        "activations": "net, images, names=None",
        "alexnet": "reading='paper', *, num_classes=1000, generator=None",
        "build": "spec, *, nonlinearity=None, num_classes=None, init='original', generator=None, "
        "init_scale='printed', init_bias=1.0",
        "initialise": "net, reading, generator=None, *, scale='printed', bias_factor=1.0",
    },
    "augment": {
        "Draws": "top, left, flip",
        "RGBPCA": "eigenvalues, eigenvectors",
        "View": "whole, scale, crop, device, matching=False",
        "apply_crops": "images, draws, crop_size",
        "draw_crops": "n, image_size, crop_size, generator, *, flip=True, chunk=1",
        "ten_crop": "images, crop_size",
    },
    "training": {
        "DivideByTenOnPlateau": "optimizer, *, drops=3, patience, min_improvement",
        "PaperSGD": "params, lr, momentum=0.9, weight_decay=0.0005",
        "evaluate": "net, data, view, *, limit=0, views=1, batch=500, autocast=False",
        "keep_memory": "",
        "ten_crop_probabilities": "net, images, view",
        "topk_error": "scores, labels, k",
        "train": "config, seed, *, checkpoint=None, data_root=None, quiet=False",
    },
    "towers": {
        "TwoTowers": "net, devices=('cpu', 'cpu')",
        "run_two_processes": "net, batches, *, backend='gloo', devices=('cpu', 'cpu'), "
        "timeout=60.0, **options",
    },
    "study": {
        "RunRecord": "experiment, arm, seed, config, metrics, provenance, curve",
        "load_claims": None,
        "load_experiments": None,
        "load_runs": None,
        "run_or_load": "name, mode='load', *, seeds=None, arms=None, epochs=None, device=None, "
        "data_root=None, out_dir=None, quiet=False",
        "scoreboard": None,
        "verdict": "claim, runs=(), root=None",
    },
}  # fmt: skip
# Modules that stand beside the faces because they load more: all their public names.
MODULES: dict[str, dict[str, str | None]] = {
    "errors": {
        "nearest": "name, known",
        **dict.fromkeys(("InputError", "MissingError", "ExistsError", "PackageError")),
    },
    "model.weights": {
        "save": "net, path",
        "load": "path",
        "read": "path",
        **dict.fromkeys(("FORMAT", "FLOATS")),
    },
    "model.layouts": {
        "from_layout": "state, layout, *, printed_dropout=False",
        "to_layout": "net, layout",
        **dict.fromkeys(("Mapped", "LAYOUTS")),
    },
    "model.onnx_export": {
        "to_onnx": "net, path, *, batch='dynamic'",
        "check_onnx": "net, path, images",
    },
    "model.inverted": {"to_inverted": "net", "from_inverted": "net"},
    "spec.traffic": {
        "exchange": "spec, batch, bytes_per_number=4",
        "full_connectivity": "spec, batch, bytes_per_number=4",
        "data_parallel": "spec, bytes_per_number=4",
        **dict.fromkeys(("COLUMNS", "SCORES", "per_column", "meetings")),
    },
    "spec.peers": {"differences": "", **dict.fromkeys(("PEERS", "CAFFE_NORM", "WORDS", "get"))},
    "training.ensemble": {
        "average": "probabilities, weights=None",
        "search_weights": "probabilities, labels, *, k=5, step=0.05",
    },
    "training.diagnose": {
        "image_share": "net, images",
        "advice": "share",
        **dict.fromkeys(
            "PIXELS PHOTOGRAPHS STARTS DROWNED StuckWarning probe_images first_loss lower_biases "
            "StuckWatch".split()
        ),
    },
    "training.optim": {
        "PaperSGD": "params, lr, momentum=0.9, weight_decay=0.0005",
        "DivideByTenOnPlateau": "optimizer, *, drops=3, patience, min_improvement",
        "Plateau": None,
        "parameter_groups": "net, lr, weight_decay, bias_lr_factor=2.0, *, by_layer=False",
        "set_rate": "optimizer, lr, layer=None",
    },
}  # fmt: skip
API = {**FACES, **MODULES}
ROOT = Path(__file__).resolve().parent.parent


def names_of(module) -> set[str]:
    """What a module's file defines, or hands on by __all__, under a name without underscore."""
    found = set(getattr(module, "__all__", ()))
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)}
    return {name for name in found if not name.startswith("_")}


@pytest.mark.parametrize("face", FACES)
def test_a_face_hands_on_what_is_promised_and_no_more(face):
    loaded = importlib.import_module(f"alexnet_repro.{face}")
    assert sorted(loaded.__all__) == sorted(FACES[face])
    files = {p.stem for p in (ROOT / "alexnet_repro" / face).glob("[a-z]*.py")}
    mapped = set(re.findall(r"\b[a-z_0-9]+\b", loaded.__doc__))
    assert files <= mapped, f"{face}: its map lacks {sorted(files - mapped)}"


@pytest.mark.parametrize("module", MODULES)
def test_no_name_is_new_or_gone(module):
    found = names_of(importlib.import_module(f"alexnet_repro.{module}"))
    new, gone = sorted(found - set(MODULES[module])), sorted(set(MODULES[module]) - found)
    assert not new, f"{module}: new public names {new}; put them into MODULES or make them _private"
    assert not gone, f"{module}: {gone} went away"


def test_documents_import_what_is_public():
    """README, CONTRIBUTING and the pages' prose: faces and the modules above, nothing else."""
    files = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "book").glob("*.md")]
    texts = [path.read_text() for path in files]
    for path in (ROOT / "book").glob("*.ipynb"):
        cells = json.loads(path.read_text())["cells"]
        texts += ["".join(c["source"]) for c in cells if c["cell_type"] == "markdown"]
    found = (re.findall(r"^from alexnet_repro\S* import .*$", text, re.M) for text in texts)
    lines = [line for some in found for line in some]
    assert len(lines) >= 3
    for line in lines:
        where, names = re.match(r"from (\S+) import ([\w, ]+)", line).groups()
        where = where.removeprefix("alexnet_repro").removeprefix(".")
        for name in names.split(", "):
            whole = f"{where}.{name}".removeprefix(".")
            assert whole in API or name in API.get(where, {}), line


def test_a_new_name_is_seen_in_every_form(tmp_path, monkeypatch):
    text = (
        "import os\ndef f(): pass\nclass C: pass\nA = B = 1\nD: int = 2\nE, (F, _G) = 1, (2, 3)\n"
    )
    (tmp_path / "made.py").write_text(f"{text}__all__ = ['g', 'f']\ndef _h(): pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert names_of(importlib.import_module("made")) == set("fCABDEFg")


def _plain(function) -> str:
    parameters = inspect.signature(function).parameters.values()
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in parameters]
    return str(inspect.Signature(bare))[1:-1]


@pytest.mark.parametrize("module", API)
def test_names_and_signatures(module):
    loaded = importlib.import_module(f"alexnet_repro.{module}")
    for name, signature in API[module].items():
        thing = getattr(loaded, name)
        if signature is not None:
            assert _plain(thing) == signature


@pytest.mark.parametrize("module", API)
def test_public_names_are_documented(module):
    loaded = importlib.import_module(f"alexnet_repro.{module}")
    for name, thing in vars(loaded).items():
        if not name.startswith("_") and getattr(thing, "__module__", "") == loaded.__name__:
            assert thing.__doc__, f"{module}.{name} has no docstring"
