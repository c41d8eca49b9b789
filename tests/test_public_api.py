"""What others build on changes only on purpose."""

import ast
import importlib
import inspect

import pytest

API = {
    "layers": {
        "LocalResponseNorm": "size=5, alpha=0.0001, beta=0.75, k=2.0, *, "
        "alpha_over_n=False, groups=1, path='auto'",
        "WithinMapNorm": "size=5, alpha=0.001, beta=0.75, k=1.0, *, alpha_over_n=True, path='auto'",
        "OverlappingMaxPool": "z=3, s=2, *, ceil_mode=True",
        "PaperDropout": "p=0.5",
    },
    "spec": {
        "trace": "spec, input_size=None",
        "NETWORKS": None,
        "WEIGHT_KINDS": None,
        "Layer": None,
        "Spec": None,
        "get": "name",
        "out_size": "layer, side",
    },
    "rows": {
        "Layer": "name, kind, out=0, size=1, stride=1, padding=0, groups=1, std=0.01, bias=0.0, "
        "ceil=True, alpha=0.0001, beta=0.75, k=2.0, alpha_over_n=False, inverted=False, decay=None",
        "Spec": "name, source, layers, input_size=224, *, columns=1, scaled=False, "
        "nonlinearity='relu', in_channels=3",
    },
    "errors": {"InputError": None, "MissingError": None, "ExistsError": None},
    "sets": {"KnownSet": None, "KNOWN": None},
    "model": {
        "build": "spec, *, nonlinearity=None, num_classes=None, init='original', generator=None",
        "alexnet": "reading='paper', *, num_classes=1000, generator=None",
        "activations": "net, images, names=None",
        "initialise": "net, reading, generator=None",
        "evaluating": "net",
    },
    "augment": {
        "draw_crops": "n, image_size, crop_size, generator, *, flip=True, chunk=1",
        "apply_crops": "images, draws, crop_size",
        "ten_crop": "images, crop_size",
        "RGBPCA": "eigenvalues, eigenvectors",
    },
    "data": {"load": "name, split, root=None", "MeanImage": "values"},
    "sources": {"prepare": "source, out, *, side=None, skip_bad=False, convert=False, force=False"},
    "optim": {
        "PaperSGD": "params, lr, momentum=0.9, weight_decay=0.0005",
        "DivideByTenOnPlateau": "optimizer, *, drops=3, patience, min_improvement",
        "parameter_groups": "net, lr, weight_decay, bias_lr_factor=2.0, *, by_layer=False",
        "set_rate": "optimizer, lr, layer=None",
    },
    "dropout": {"to_inverted": "net", "from_inverted": "net"},
    "ensemble": {
        "average": "probabilities, weights=None",
        "search_weights": "probabilities, labels, *, k=5, step=0.05",
    },
    "diagnose": {"image_share": "net, images", "advice": "share"},
    "weights": {
        "save": "net, path",
        "load": "path",
        "read": "path",
        "from_layout": "state, layout, *, printed_dropout=False",
        "to_layout": "net, layout",
    },
    "onnx_export": {
        "to_onnx": "net, path, *, batch='dynamic'",
        "check_onnx": "net, path, images",
    },
    "towers": {
        "TwoTowers": "net, devices=('cpu', 'cpu')",
        "run_one_process": "net, batches, *, device='cpu', **options",
        "run_two_processes": "net, batches, *, backend='gloo', devices=('cpu', 'cpu'), "
        "timeout=60.0, **options",
    },
    "traffic": {
        "exchange": "spec, batch, bytes_per_number=4",
        "full_connectivity": "spec, batch, bytes_per_number=4",
        "data_parallel": "spec, bytes_per_number=4",
    },
    "peers": {"PEERS": None, "differences": ""},
    "evaluate": {
        "topk_error": "scores, labels, k",
        "ten_crop_probabilities": "net, images, view",
        "evaluate": "net, data, view, *, limit=0, views=1, batch=500, autocast=False",
    },
    "claims": {"load_claims": None, "verdict": "claim, runs=(), root=None", "scoreboard": None},
    "experiments": {
        "load_experiments": None,
        "run_or_load": "name, mode='load', *, seeds=None, arms=None, epochs=None, device=None, "
        "data_root=None, out_dir=None, quiet=False",
    },
    "records": {"RunRecord": None, "load_runs": None},
}

# Public names beside those above: not promised, but a new one is made on purpose, too.
ALSO = {
    "layers": "CeilConv2d LocallyConnected2d",
    "rows": "WEIGHT_KINDS READS decayed",
    "model": "ACTIVATIONS PaperNet check_images",
    "augment": "ORIGINAL_DIVISOR Draws center_draws matching_mean check_draws center_crop",
    "data": "FORMAT DataSet default_root mean_and_std array_sha256 finish",
    "sources": "ENDINGS SPLITS SHUFFLE_SEED from_torchvision",
    "diagnose": "PIXELS PHOTOGRAPHS STARTS DROWNED StuckWarning probe_images first_loss "
    "lower_biases StuckWatch",
    "weights": "FORMAT FLOATS Mapped LAYOUTS",
    "towers": "main",
    "traffic": "COLUMNS SCORES per_column meetings",
    "peers": "CAFFE_NORM WORDS get",
    "evaluate": "wrong_at_k View batches",
    "claims": "FILE BOOK COLUMNS UNITS COMPARES SETTINGS ClaimError Claim get committed_runs",
    "experiments": "FILE SCRATCH MODES Experiment get check_seeds chosen_rate load_run compute",
    "records": "SCHEMA CURVE PACKAGE RUNS RecordError record_path git_state provenance "
    "code_digest peak_memory_bytes",
}


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


@pytest.mark.parametrize("module", API)
def test_no_name_is_new_or_gone(module):
    found = names_of(importlib.import_module(f"alexnet_repro.{module}"))
    known = {*API[module], *ALSO.get(module, "").split()}
    new, gone = sorted(found - known), sorted(known - found)
    assert not new, (
        f"{module}: new public names {new}; put them in API or ALSO, or make it _private"
    )
    assert not gone, f"{module}: {gone} went away"


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
