"""What others build on changes only on purpose."""

import importlib
import inspect

import pytest

API = {
    "layers": {
        "LocalResponseNorm": "size=5, alpha=0.0001, beta=0.75, k=2.0, *, "
        "alpha_over_n=False, groups=1, path='auto'",
        "WithinMapNorm": "size=5, alpha=0.001, beta=0.75, *, path='auto'",
        "OverlappingMaxPool": "z=3, s=2, *, ceil_mode=True",
        "PaperDropout": "p=0.5",
    },
    "spec": {"trace": "spec, input_size=None", "NETWORKS": None},
    "model": {
        "build": "spec, *, nonlinearity=None, num_classes=None, init='original', generator=None",
        "alexnet": "reading='paper', *, num_classes=1000, generator=None",
        "activations": "net, images, names=None",
        "initialise": "net, reading, generator=None",
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
    "claims": {"load_claims": None, "verdict": "claim, runs=()", "scoreboard": None},
    "experiments": {
        "load_experiments": None,
        "run_or_load": "name, mode='load', *, seeds=None, arms=None, epochs=None, device=None, "
        "data_root=None, out_dir=None, quiet=False",
    },
    "records": {"RunRecord": None, "load_runs": None},
}


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
