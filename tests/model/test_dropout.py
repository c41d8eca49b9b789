"""§4.2 Conversion between printed and inverted dropout: the same function in both modes."""

import pytest
import torch
from torch import nn

from alexnet_repro import model
from alexnet_repro.layers import PaperDropout
from alexnet_repro.model.inverted import from_inverted, to_inverted
from alexnet_repro.spec import Layer, Spec

HIDDEN = (Layer("fc1", "fc", 6), Layer("relu1", "act"), Layer("drop1", "dropout"))
SMALL = Spec("small", "test", (*HIDDEN, Layer("fc2", "fc", 4)), 2)


@pytest.fixture
def nets():
    made = []
    for _ in range(2):
        net = model.build(SMALL, init="modern", generator=torch.Generator().manual_seed(3))
        made.append(net.double())
    return made


def masked(net, x, keep):
    """The net in training mode by hand, with this mask on the hidden layer."""
    hidden = net.relu1(net.fc1(net.flatten(x)))
    inverted = isinstance(net.drop1, nn.Dropout)
    return net.fc2(hidden * keep * (2 if inverted else 1))


def test_same_outputs_at_test_and_under_equal_masks(nets):
    printed, converted = nets
    to_inverted(converted)
    assert isinstance(converted.drop1, nn.Dropout)
    assert converted.spec.layers[2].inverted
    torch.testing.assert_close(converted.fc2.weight, printed.fc2.weight / 2)
    assert torch.equal(converted.fc2.bias, printed.fc2.bias)
    x = torch.randn(5, 3, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(converted.eval()(x), printed.eval()(x))
    keep = (torch.arange(30).reshape(5, 6) % 3 > 0).double()
    torch.testing.assert_close(masked(converted, x, keep), masked(printed, x, keep))


@pytest.mark.parametrize("training", [True, False])
def test_there_and_back_is_the_same_net(nets, training):
    before, net = nets
    net.train(training)
    to_inverted(net)
    from_inverted(net)
    assert isinstance(net.drop1, PaperDropout)
    assert net.drop1.training is training
    assert net.spec == before.spec
    for name, value in net.state_dict().items():
        assert torch.equal(value, before.state_dict()[name]), name


def test_the_masks_of_torch_scale_what_is_kept(nets):
    net = nets[0]
    to_inverted(net)
    net.train()
    out = net.drop1(torch.ones(1000, dtype=torch.float64))
    assert set(out.unique().tolist()) == {0.0, 2.0}


def test_dropout_without_a_reader_is_refused_and_nothing_is_changed():
    rows = (*HIDDEN, Layer("fc2", "fc", 4), Layer("drop2", "dropout"))
    net = model.build(Spec("ends", "test", rows, 2), init="modern")
    before = {k: v.clone() for k, v in net.state_dict().items()}
    with pytest.raises(ValueError, match="drop2 is followed by NoneType, not by a fully"):
        to_inverted(net)
    assert isinstance(net.drop1, PaperDropout)
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
