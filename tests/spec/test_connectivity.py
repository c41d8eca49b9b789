"""§3.2 §3.5 Layer by layer: what a change in one column reaches, forward and in the gradient."""

import pytest
import torch
from by_hand import narrow

from alexnet_repro import model, spec

# Layers whose second half of maps depends on the first half of their input, by the paper's text
# (§3.2: conv3 and the fully connected layers) and, for the printed norm, by its formula (§3.3).
MEET = {
    "alexnet-original": {"conv3", "fc6", "fc7", "fc8"},
    "alexnet-per-column": {"conv3", "fc6", "fc7", "fc8"},
    "alexnet": {"conv3", "fc6", "fc7", "fc8", "norm1", "norm2"},
    "alexnet-ungrouped": {"conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"}
    | {"norm1", "norm2"},
    "alexnet-six-conv": {"conv3", "conv6", "fc6", "fc7", "fc8", "norm1", "norm2"},
    "alexnet-without-conv3": {"conv4", "fc6", "fc7", "fc8", "norm1", "norm2"},
    "alexnet-without-conv4": {"conv3", "fc6", "fc7", "fc8", "norm1", "norm2"},
}  # fmt: skip


def made(name):
    """The net at an eighth of its width, with random weights that let all of it be seen."""
    small = narrow(spec.get(name), maps=8, units=8, side=224)
    net = model.build(small, init="modern", generator=torch.Generator().manual_seed(0))
    return net.double().eval()


@pytest.mark.parametrize("name", MEET)
def test_columns_meet_in_these_layers_and_no_other(name):
    net = made(name)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 3, 224, 224, dtype=torch.float64, generator=generator)
    meet = set()
    for layer, module in net.named_children():
        if layer not in ("conv1", "flatten"):  # conv1 reads colours; flatten keeps the halves
            # where the norm is asked, let its energies be felt
            x = (x * 100 if layer.startswith("norm") else x).detach().requires_grad_()
            half = x.shape[1] // 2
            y = module(x)
            moved = x.detach().clone()
            moved[:, :half] += torch.rand_like(moved[:, :half])
            changed = (module(moved) != y).flatten(2) if y.dim() == 4 else module(moved) != y
            reached = changed[:, y.shape[1] // 2 :].any().item()
            assert changed[:, : y.shape[1] // 2].any(), layer
            weights = torch.rand(y.shape, dtype=y.dtype, generator=generator)
            (y * weights)[:, y.shape[1] // 2 :].sum().backward()
            flows_back = bool((x.grad[:, :half] != 0).any())
            assert flows_back == reached, layer
            if reached:
                meet.add(layer)
            if layer.startswith("norm") and reached:  # only the two maps beside the border
                assert (x.grad[:, : half - 2] == 0).all()
        x = module(x.detach())
    assert meet == MEET[name]


def test_a_change_in_column_one_arrives_in_column_two_at_conv3():
    net = made("alexnet-original")
    x = torch.randn(1, 3, 224, 224, dtype=torch.float64)
    found = model.activations(net, x)
    before = after = found["conv1"]
    after = torch.cat([after[:, :6] + 1, after[:, 6:]], 1)
    names = [n for n, _ in net.named_children()]
    first = None
    for layer in names[names.index("norm1") :]:
        before, after = net.get_submodule(layer)(before), net.get_submodule(layer)(after)
        half = before.shape[1] // 2
        assert not torch.equal(before[:, :half], after[:, :half]), layer
        if first is None and not torch.equal(before[:, half:], after[:, half:]):
            first = layer
    assert first == "conv3"
