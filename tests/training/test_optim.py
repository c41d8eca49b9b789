"""§5 The update rule against the printed formula in a plain float64 loop."""

import copy

import pytest
import torch
from torch import nn

from alexnet_repro import model, training
from alexnet_repro.config import RunConfig
from alexnet_repro.training import PaperSGD, loop, optim, setup
from alexnet_repro.training.optim import parameter_groups, set_rate

RATES = [0.1, 0.1, 0.1, 0.01, 0.01, 0.001]  # drops before steps 4 and 6
DECAY = 0.05


def quadratic(w):
    """A loss whose gradient is 3 w^2 + 0.5: easy by hand, another at each step."""
    return (w**3 + 0.5 * w).sum()


def printed(w, rates, momentum=0.9, decay=DECAY):
    """v <- 0.9 v - decay eps w - eps g; w <- w + v, number by number; every step's weights."""
    w, v, seen = list(w), [0.0] * len(w), []
    for rate in rates:
        for i in range(len(w)):
            g = 3 * w[i] ** 2 + 0.5
            v[i] = momentum * v[i] - decay * rate * w[i] - rate * g
            w[i] += v[i]
        seen.append(list(w))
    return torch.tensor(seen, dtype=torch.float64)


def descend(optimizer_class, rates, **options):
    w = torch.tensor([0.7, -0.2, 0.4], dtype=torch.float64, requires_grad=True)
    options = {"momentum": 0.9, **options}
    optimizer = optimizer_class([w], lr=rates[0], weight_decay=DECAY, **options)
    seen = []
    for rate in rates:
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        quadratic(w).backward()
        optimizer.step()
        seen.append(w.detach().clone())
    return torch.stack(seen)


def test_equals_the_printed_rule_with_decay_and_drops():
    want = printed([0.7, -0.2, 0.4], RATES)
    torch.testing.assert_close(descend(PaperSGD, RATES), want, rtol=1e-12, atol=1e-12)
    assert not torch.allclose(printed([0.7, -0.2, 0.4], RATES, decay=0.0), want)


@pytest.mark.parametrize("momentum", [0.9, 0.0])
def test_other_devices_and_no_momentum(momentum, monkeypatch):
    want = printed([0.7, -0.2, 0.4], RATES, momentum)
    found = descend(PaperSGD, RATES, momentum=momentum)
    torch.testing.assert_close(found, want, rtol=1e-12, atol=1e-12)
    # what devices without torch's fused rule do
    torch_rule = optim.sgd
    monkeypatch.setattr(
        optim, "sgd", lambda *a, **k: torch_rule(*a, **{**k, "foreach": True, "fused": False})
    )
    found = descend(PaperSGD, RATES, momentum=momentum)
    torch.testing.assert_close(found, want, rtol=1e-12, atol=1e-12)


def test_a_small_rate_keeps_its_digits():
    w = torch.full((1000,), 0.5, requires_grad=True)
    optimizer = PaperSGD([w], lr=1e-7)
    w.grad = torch.full_like(w, 3.0)
    optimizer.step()
    velocity = -1e-7 * (5e-4 * 0.5 + 3)
    torch.testing.assert_close(
        optimizer.state[w]["velocity"], torch.full_like(w, velocity), rtol=1e-6, atol=0
    )


def test_two_steps_by_hand_with_the_default_constants():
    w = torch.tensor([2.0], dtype=torch.float64, requires_grad=True)
    optimizer = PaperSGD([w], lr=0.01)
    w.grad = torch.tensor([3.0], dtype=torch.float64)
    optimizer.step()  # v = -0.0005 * 0.01 * 2 - 0.01 * 3
    assert w.item() == pytest.approx(2 - 0.03001, abs=1e-12)
    optimizer.param_groups[0]["lr"] = 0.001
    w.grad = torch.tensor([1.0], dtype=torch.float64)
    optimizer.step()  # the old velocity keeps its size
    velocity = 0.9 * -0.03001 - 0.0005 * 0.001 * (2 - 0.03001) - 0.001
    assert w.item() == pytest.approx(2 - 0.03001 + velocity, abs=1e-12)


def test_equals_torch_at_a_constant_rate_and_not_after_a_drop():
    constant = [0.1] * 5
    torch.testing.assert_close(descend(PaperSGD, constant), descend(torch.optim.SGD, constant))
    ours, theirs = descend(PaperSGD, RATES), descend(torch.optim.SGD, RATES)
    torch.testing.assert_close(ours[:3], theirs[:3])
    moved = [(run[3] - run[2]).abs() for run in (ours, theirs)]
    assert (moved[0] > 3 * moved[1]).all()  # the drop is felt about ten steps later


def test_state_dict_brings_back_the_velocity():
    torch.manual_seed(0)
    net, x = nn.Linear(4, 3).double(), torch.randn(8, 4, dtype=torch.float64)

    def steps(net, optimizer, n):
        for _ in range(n):
            optimizer.zero_grad()
            net(x).square().sum().backward()
            optimizer.step()

    optimizer = PaperSGD(parameter_groups(net, 0.01, 0.1), 0.01)
    steps(net, optimizer, 3)
    twin = copy.deepcopy(net)
    other = PaperSGD(parameter_groups(twin, 0.5, 0.0, 7.0), 0.5, 0.1)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    fresh = copy.deepcopy(net)
    steps(net, optimizer, 3)
    steps(twin, other, 3)
    steps(fresh, PaperSGD(parameter_groups(fresh, 0.01, 0.1), 0.01), 3)
    assert torch.equal(net.weight, twin.weight)
    assert torch.equal(net.bias, twin.bias)
    assert not torch.allclose(net.weight, fresh.weight)  # without the velocity it goes elsewhere


def test_parameters_without_a_gradient_stay():
    still, moves = (torch.ones(2, requires_grad=True) for _ in range(2))
    moves.grad = torch.ones(2)
    optimizer = PaperSGD([still, moves], lr=0.5)
    optimizer.step()
    assert torch.equal(still, torch.ones(2))
    torch.testing.assert_close(moves.detach(), torch.full((2,), 1 - 0.5 - 0.0005 * 0.5))
    PaperSGD([still], lr=0.5).step()  # a group without any gradient
    assert torch.equal(still, torch.ones(2))


def test_parameter_groups_spare_the_biases():
    net = nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU(), nn.Linear(2, 5))
    weights, biases = parameter_groups(net, 0.01, 0.004)
    assert [p.shape for p in weights["params"]] == [(2, 3, 1, 1), (5, 2)]
    assert [p.shape for p in biases["params"]] == [(2,), (5,)]
    assert (weights["lr"], weights["weight_decay"]) == (0.01, 0.004)
    assert (biases["lr"], biases["weight_decay"]) == (0.02, 0.0)
    assert parameter_groups(net, 0.01, 0.004, 1.0)[1]["lr"] == 0.01
    for p in net.parameters():
        torch.nn.init.ones_(p)
        p.grad = torch.ones_like(p)
    PaperSGD([weights, biases], 0.01).step()
    torch.testing.assert_close(net[2].weight, torch.full((5, 2), 1 - 0.01 - 0.01 * 0.004))
    torch.testing.assert_close(net[2].bias, torch.full((5,), 1 - 0.02))


def test_errors_say_what_was_given():
    w = torch.ones(1, requires_grad=True)
    for wrong in ((-0.1, 0.9, 0.0), (0.1, -0.9, 0.0), (0.1, 0.9, -0.5)):
        with pytest.raises(ValueError, match="PaperSGD wants.* got " + ", ".join(map(str, wrong))):
            PaperSGD([w], *wrong)
    with pytest.raises(ValueError, match=r"PaperSGD.step takes no closure"):
        PaperSGD([w], 0.1).step(lambda: 0.0)


def test_groups_by_layer_bear_layer_and_factor():
    net = model.build("mini-alexnet", init="modern")
    groups = parameter_groups(net, 0.1, 0.5, 2.0, by_layer=True)
    assert [g["layer"] for g in groups[:8]] == [g["layer"] for g in groups[8:]]
    wanted = "conv1 conv2 conv3 conv4 conv5 fc6 fc7 fc8"
    assert [g["layer"] for g in groups[:8]] == wanted.split()
    for group in groups:
        [parameter] = group["params"]
        bias = parameter.dim() == 1
        assert (group["lr"], group["weight_decay"]) == ((0.2, 0.0) if bias else (0.1, 0.5))
        assert parameter is net.get_parameter(f"{group['layer']}.{'bias' if bias else 'weight'}")


def test_a_frozen_layer_coasts_and_stops_and_others_go_on():
    net = model.build("mini-alexnet", init="modern")
    optimizer = PaperSGD(parameter_groups(net, 0.1, 0.0, by_layer=True), 0.1)
    ones = {name: torch.ones_like(p) for name, p in net.named_parameters()}

    def step():
        before = net.conv1.weight.clone(), net.conv2.weight.clone(), net.conv2.bias.clone()
        for name, p in net.named_parameters():
            p.grad = ones[name].clone()
        optimizer.step()
        after = net.conv1.weight, net.conv2.weight, net.conv2.bias
        return [(a - b).detach().mean().item() for a, b in zip(after, before, strict=True)]

    assert step() == pytest.approx([-0.1, -0.1, -0.2], rel=1e-4)
    set_rate(optimizer, 0.0, "conv1")
    assert step() == pytest.approx([-0.09, -0.19, -0.38], rel=1e-3)  # 0.9 of the old velocity
    assert step() == pytest.approx([-0.081, -0.271, -0.542], rel=1e-3)
    set_rate(optimizer, 0.01)
    assert {g["lr"] for g in optimizer.param_groups} == {0.01, 0.02}


def test_set_rate_names_the_layers_it_knows():
    net = model.build("80sec")
    optimizer = PaperSGD(parameter_groups(net, 0.1, 0.0), 0.1)
    with pytest.raises(ValueError, match=r"no group of layer 'conv1'.*by_layer=True"):
        set_rate(optimizer, 0.0, "conv1")


def test_decay_of_each_layer_by_hand():
    net = model.build("80sec", init="modern")
    decays = {"conv1": 0.0, "conv2": 0.5, "conv3": 0.1, "fc4": 2.0, "fc10": 0.03}
    optimizer = PaperSGD(parameter_groups(net, 0.1, decays), 0.1)
    with torch.no_grad():
        for p in net.parameters():
            p.fill_(1.0)
            p.grad = torch.zeros_like(p)
    optimizer.step()  # without a gradient only decay moves them: 1 - 0.1 * decay * 1
    for layer, decay in decays.items():
        module = net.get_submodule(layer)
        want = torch.full_like(module.weight, 1 - 0.1 * decay)
        torch.testing.assert_close(module.weight.detach(), want)
        assert (module.bias == 1).all()
    set_rate(optimizer, 0.3, "conv2")  # the groups are by layer
    for wrong in ({"conv1": 0.0}, {**decays, "fc11": 1.0}):
        with pytest.raises(ValueError, match=r"a number for each of conv1, conv2.*, got conv1"):
            parameter_groups(net, 0.1, wrong)


@pytest.mark.parametrize(
    ("keys", "decays"),
    [
        ({"decay": "layers"}, {"conv1": 0.004, "conv2": 0.004, "conv3": 0.004, "fc10": 1.0}),
        ({"weight_decay": 0.25}, {"": 0.25}),
    ],
)
def test_a_run_trains_with_the_decay_of_its_configuration(keys, decays, monkeypatch):
    seen = []

    class Spy(PaperSGD):
        def __init__(self, groups, *rest):
            seen.extend(groups)
            super().__init__(groups, *rest)

    monkeypatch.setattr(setup, "PaperSGD", Spy)
    monkeypatch.setattr(loop, "_epoch", lambda run, epoch, quiet: True)
    training.train(RunConfig(net="18pct", train_eval_images=10, **keys), 0, quiet=True)
    weights = [g for g in seen if g["params"][0].dim() > 1]
    assert {g["layer"]: g["weight_decay"] for g in weights} == decays


def test_one_decay_and_each_layers_own_exclude_each_other():
    with pytest.raises(ValueError, match=r"decay 'layers' .* weight_decay must be 0, got 0.1"):
        RunConfig(net="18pct", decay="layers", weight_decay=0.1)
