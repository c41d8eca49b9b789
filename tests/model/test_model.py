"""§3.2 §3.5 §5 Module against spec and the paper's arithmetic; columns; initial weights."""

import pytest
import torch
from by_hand import PARAMETERS, counted

from alexnet_repro import model, spec
from alexnet_repro.model import paper_net
from alexnet_repro.training import diagnose, steps

MINI = {"paper": {}, "original": {"conv3": 0.03, "conv4": 0.03, "conv5": 0.03}}
FAN_IN = {
    "conv1": 75, "conv2": 12 * 25, "conv3": 48 * 9, "conv4": 32 * 9, "conv5": 32 * 9,
    "fc6": 48 * 9, "fc7": 256, "fc8": 256,
}  # fmt: skip
ONES = ("conv2", "conv4", "conv5", "fc6", "fc7")  # §5: bias 1


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@torch.inference_mode()
@pytest.mark.parametrize("name", spec.NETWORKS)
def test_module_and_trace_agree(name):
    net = model.build(name, generator=seeded()).eval()
    rows = spec.trace(net.spec).set_index("layer")
    side = net.spec.input_size
    found = model.activations(net, torch.randn(1, 3, side, side, generator=seeded()))
    assert [n for n in found if n != "flatten"] == list(rows.index)
    for layer, row in rows.iterrows():
        assert tuple(found[layer].shape) == (1, *row["shape"]), layer
        sizes = {n: p.numel() for n, p in net.get_submodule(str(layer)).named_parameters()}
        assert (sizes.get("weight", 0), sizes.get("bias", 0)) == (row["weights"], row["biases"])
    assert set(sizes) == {"weight", "bias"}  # the last layer's
    assert found[rows.index[-1]].isfinite().all()
    assert counted(net) == PARAMETERS[name] == rows[["weights", "biases"]].sum().sum()


@torch.inference_mode()
def test_columns_meet_only_where_the_paper_says():
    net = model.build("mini-alexnet", init="modern", generator=seeded()).eval()
    x = torch.randn(1, 3, 24, 24, generator=seeded())
    a = model.activations(net, x)["conv1"]

    def after(start, maps, stop):
        """Run from the layer after `start`; return the output of `stop`."""
        names = [n for n, _ in net.named_children()]
        for n in names[names.index(start) + 1 : names.index(stop) + 1]:
            maps = net.get_submodule(n)(maps)
        return maps

    b = a.clone()
    b[:, :10] += 1  # maps 0-9 of column one: the printed norm reaches two further, to map 11
    one, two = after("conv1", a, "conv2"), after("conv1", b, "conv2")
    assert torch.equal(one[:, 24:], two[:, 24:])
    assert (one[:, :24] != two[:, :24]).any((0, 2, 3)).all()
    c = a.clone()
    c[:, 11] += 1  # at the border the printed norm, unlike the original's, crosses the columns
    assert not torch.equal(one[:, 24:], after("conv1", c, "conv2")[:, 24:])
    three, moved = after("conv2", one, "conv3"), after("conv2", two, "conv3")
    assert (three != moved).any((0, 2, 3)).all()  # conv3 sees both columns
    for start, stop in (("conv3", "conv4"), ("conv4", "conv5")):
        p, out = torch.randn(1, 64, 6, 6, generator=seeded()), 64 if stop == "conv4" else 48
        q = p.clone()
        q[:, 32:] += 1
        one, two = after(start, p, stop), after(start, q, stop)
        assert torch.equal(one[:, : out // 2], two[:, : out // 2])
        assert (one[:, out // 2 :] != two[:, out // 2 :]).any((0, 2, 3)).all()


def test_the_original_normalises_each_column_apart():
    for row in spec.get("alexnet-original").layers:
        if row.kind == "lrn":
            width = 96 if row.name == "norm1" else 256
            norm = paper_net._module(row, (width, 1, 1), (width, 1, 1), "relu")
            x = torch.full((1, width, 1, 1), 100.0)
            b = norm(x).flatten()
            end, inner = (100 / (2 + 2e-5 * n * 1e4) ** 0.75 for n in (3, 5))
            for i in (0, width // 2 - 1, width // 2, width - 1):  # both sides of the border
                assert b[i].item() == pytest.approx(end)
            assert b[5].item() == pytest.approx(inner)


def close_to(weight, std):
    """Is that what n draws from N(0, std) look like, within five standard errors?"""
    w, n = weight.detach().double().flatten(), weight.numel()
    assert abs(w.std().item() / std - 1) < 5 / (2 * n) ** 0.5
    assert abs(w.mean().item()) < 5 * std / n**0.5


@pytest.mark.parametrize("reading", ["paper", "original", "modern"])
def test_initial_weights_and_biases(reading):
    net = model.build("mini-alexnet", init=reading, generator=seeded())
    for name, fan_in in FAN_IN.items():
        layer = net.get_submodule(name)
        he = (2 / fan_in) ** 0.5
        close_to(layer.weight, he if reading == "modern" else MINI[reading].get(name, 0.01))
        bias = 1.0 if reading != "modern" and name in ONES else 0.0
        assert (layer.bias == bias).all(), name


def test_initial_weights_of_the_cifar_nets():
    for name, stds in {
        "18pct": {"conv1": 1e-4, "conv2": 0.01, "conv3": 0.01, "fc10": 0.01},
        "80sec": {"conv1": 1e-4, "conv2": 0.01, "conv3": 0.01, "fc4": 0.1, "fc10": 0.1},
        "conv-local-13pct": {"conv1": 1e-4, "conv2": 0.01, "local3": 0.04, "local4": 0.04},
    }.items():
        net = model.build(name, generator=seeded())
        for layer, std in stds.items():
            close_to(net.get_submodule(layer).weight, std)
            assert (net.get_submodule(layer).bias == 0).all()


def test_xavier_for_other_nonlinearities():
    net = model.build("18pct-plain", nonlinearity="tanh", init="modern", generator=seeded())
    for name, fans in {"conv1": 75 + 32 * 25, "conv2": 800 + 800, "fc10": 1024 + 10}.items():
        close_to(net.get_submodule(name).weight, (2 / fans) ** 0.5)
    net = model.build(
        "18pct-plain", nonlinearity="tanh", num_classes=1000, init="modern", generator=seeded()
    )
    close_to(net.fc10.weight, (2 / (1024 + 1000)) ** 0.5)  # the units that it has


def test_the_same_generator_draws_the_same_weights():
    nets = []
    for seed, elsewhere in ((3, 0), (3, 1), (4, 0)):
        torch.manual_seed(elsewhere)  # torch's global generator has no say
        nets.append(model.build("80sec", generator=seeded(seed)).state_dict())
    a, b, c = nets
    assert all(torch.equal(a[n], b[n]) for n in a)
    assert not any(torch.equal(a[n], c[n]) for n in a if n.endswith("weight"))


@torch.inference_mode()
def test_names_nonlinearity_classes_and_average_pooling():
    net = model.build("19pct", nonlinearity="tanh", num_classes=7, init="modern").eval()
    x = torch.randn(2, 3, 32, 32, generator=seeded())
    out = model.activations(net, x)
    assert torch.equal(out["relu1"], out["conv1"].tanh())
    assert torch.equal(out["fc10"], net(x))
    assert out["fc10"].shape == (2, 7)
    assert list(model.activations(net, x, ["pool2", "conv2"])) == ["conv2", "pool2"]
    inside = out["relu2"][:, :, 14:, 14:]  # the last window has 2 x 2 of its pixels in the map
    torch.testing.assert_close(out["pool2"][:, :, 7, 7], inside.sum((2, 3)) / 4)
    edge = out["relu2"][:, :, 4:7, 14:].sum((2, 3)) / 6
    torch.testing.assert_close(out["pool2"][:, :, 2, 7], edge)


def test_errors_say_what_was_given():
    with pytest.raises(ValueError, match=r"no net called 'alexnett'; nets: alexnet,"):
        model.build("alexnett")
    with pytest.raises(ValueError, match=r"no nonlinearity 'gelu'; there are relu, tanh"):
        model.build("80sec", nonlinearity="gelu")
    with pytest.raises(ValueError, match=r"init wants paper, original or modern, got 'he'"):
        model.build("80sec", init="he")
    with pytest.raises(ValueError, match=r"reading wants 'paper' or 'original', got 'torch'"):
        model.alexnet("torch")
    with pytest.raises(ValueError, match=r"no layer 'conv9' in 80sec; layers: conv1, relu1"):
        model.activations(model.build("80sec"), torch.zeros(1, 3, 32, 32), ["conv9"])


def test_alexnet_reads_the_paper_or_the_code():
    orders = {"paper": ["relu1", "norm1", "pool1"], "original": ["norm1", "pool1", "relu1"]}
    for reading, classes, std in (("paper", 1000, 0.01), ("original", 10, 0.03)):
        net = model.alexnet(reading, num_classes=classes, generator=seeded())
        assert [name for name, _ in net.named_children()][1:4] == orders[reading]
        close_to(net.conv3.weight, std)
        close_to(net.fc8.weight, 0.01)
        assert net.fc8.bias.numel() == classes


def test_evaluation_mode_ends_whatever_happens():
    net = model.build("mini-alexnet", init="modern", generator=seeded())
    net.drop7.eval()  # a module's own mode is its own
    modes = [m.training for m in net.modules()]
    with paper_net.evaluating(net):
        assert not any(m.training for m in net.modules())
    assert [m.training for m in net.modules()] == modes
    wrong = torch.zeros(2, 3, 5, 5)
    for ask in (diagnose.image_share, diagnose.first_loss):
        with pytest.raises(ValueError, match="mini-alexnet wants float images"):
            ask(net, wrong)
        assert [m.training for m in net.modules()] == modes
    with pytest.raises(ValueError, match="mini-alexnet wants float images"):
        steps._shapes(net, [net.drop6], wrong)
    assert [m.training for m in net.modules()] == modes
    assert not net.drop6._forward_pre_hooks
