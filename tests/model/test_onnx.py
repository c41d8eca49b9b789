"""Nets as ONNX: onnxruntime gives torch's scores, for every kind and order of layers."""

import itertools
import sys

import pytest
import torch
from by_hand import narrow

from alexnet_repro import model, spec
from alexnet_repro.model import inverted, onnx_export
from alexnet_repro.spec import peers

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

NETS = {**spec.NETWORKS, **peers.PEERS}
EXPORTED = (
    "alexnet", "alexnet-original", "alexnet-without-conv2", "18pct", "80sec", "conv-local-11pct-v2",
    "mini-alexnet-nonoverlap", "matched-tiny", "torchvision", "caffenet",
)  # fmt: skip


def made(name, **options):
    generator = torch.Generator().manual_seed(0)
    return model.build(narrow(NETS[name]), init="modern", generator=generator, **options)


def images(net, n):
    side = net.spec.input_size
    return 60 * torch.randn(n, 3, side, side, generator=torch.Generator().manual_seed(n))


def sights(net):
    """What the exporter can meet: each constant of each kind of layer, and what follows what."""
    fields = ("size", "stride", "ceil", "groups", "alpha_over_n", "inverted")
    found = {(r.kind, field, getattr(r, field)) for r in net.layers for field in fields}
    return found | set(itertools.pairwise(r.kind for r in net.layers))


def test_the_nets_below_have_all_that_any_net_has():
    covered = set().union(*(sights(NETS[name]) for name in EXPORTED))
    assert covered == set().union(*map(sights, NETS.values()))


@pytest.mark.parametrize("name", EXPORTED)
def test_onnxruntime_gives_the_same_scores(name, tmp_path, capfd):
    net = made(name)
    path = tmp_path / "net.onnx"
    onnx_export.to_onnx(net, path)
    assert net.training
    assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]
    x = images(net, 3)
    with torch.inference_mode():
        size = net.eval()(x).abs().max().item()
    net.train()
    assert 0 <= onnx_export.check_onnx(net, path, x) < 5e-6 * size
    assert net.training
    assert onnx_export.check_onnx(net.eval(), path, x[:1]) < 5e-6 * size
    assert not net.training
    assert capfd.readouterr() == ("", "")


def test_names_shapes_and_a_fixed_batch(tmp_path):
    import onnxruntime

    net = made("18pct", nonlinearity="tanh", num_classes=7)
    onnx_export.to_onnx(net, tmp_path / "net.onnx", batch=1)
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    (one,), (two,) = session.get_inputs(), session.get_outputs()
    assert (one.name, one.shape) == ("images", [1, 3, 32, 32])
    assert (two.name, two.shape) == ("scores", [1, 7])
    assert onnx_export.check_onnx(net, tmp_path / "net.onnx", images(net, 1)) < 1e-5
    for batch in (0, "many", 2.0):
        with pytest.raises(
            ValueError, match=rf"batch wants 'dynamic' or a number .*, got '?{batch}"
        ):
            onnx_export.to_onnx(net, tmp_path / "net.onnx", batch=batch)


def test_the_check_sees_a_difference(tmp_path):
    net = made("80sec")
    onnx_export.to_onnx(net, tmp_path / "net.onnx")
    with torch.no_grad():
        net.fc10.bias[3] += 0.5
    found = onnx_export.check_onnx(net, tmp_path / "net.onnx", images(net, 2))
    assert found == pytest.approx(0.5, abs=1e-3)
    with pytest.raises(RuntimeError, match=r"gives scores \(2, 10\), ours \(2, 7\)"):
        onnx_export.check_onnx(made("80sec", num_classes=7), tmp_path / "net.onnx", images(net, 2))


def test_both_forms_of_dropout_export_to_the_same_function(tmp_path):
    net = made("mini-alexnet")
    onnx_export.to_onnx(net, tmp_path / "net.onnx")
    inverted.to_inverted(net)
    x = images(net, 2)
    with torch.inference_mode():
        size = net.eval()(x).abs().max().item()
    assert onnx_export.check_onnx(net, tmp_path / "net.onnx", x) < 5e-6 * size


def test_a_failed_export_leaves_the_old_file_and_the_mode(tmp_path, monkeypatch):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"old")

    def fail(net, args, name, **options):
        name.write_bytes(b"half")
        assert not net.training
        raise RuntimeError("no such operator")

    monkeypatch.setattr(torch.onnx, "export", fail)
    net = made("80sec")
    with pytest.raises(RuntimeError, match="no such operator"):
        onnx_export.to_onnx(net, path)
    assert net.training
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("missing", ["onnx", "onnxscript", "onnxruntime"])
def test_missing_packages_are_named_with_the_cure(missing, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    net = made("80sec")
    given = (net, tmp_path / "net.onnx", *([images(net, 1)] if missing == "onnxruntime" else []))
    function = onnx_export.check_onnx if missing == "onnxruntime" else onnx_export.to_onnx
    with pytest.raises(ImportError, match=rf"{missing}: pip install 'alexnet-repro\[onnx\]'"):
        function(*given)
