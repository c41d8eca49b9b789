"""The peers' nets against facts about them that are written out here, and against torch."""

import by_hand
import pytest
import torch
import torchvision
from torch import nn

from alexnet_repro import model, spec
from alexnet_repro.layers import PaperDropout
from alexnet_repro.spec import peers, shapes

NORM_POOL = "conv1 relu1 norm1 pool1 conv2 relu2 norm2 pool2"
POOL_NORM = "conv1 relu1 pool1 norm1 conv2 relu2 pool2 norm2"
PLAIN = "conv1 relu1 pool1 conv2 relu2 pool2"
MIDDLE = " conv3 relu3 conv4 relu4 conv5 relu5 pool5 "
AFTER = "fc6 relu6 drop6 fc7 relu7 drop7 fc8"
BEFORE = "drop5 fc6 relu6 drop6 fc7 relu7 fc8"
ORDERS = {
    "torchvision": PLAIN + MIDDLE + BEFORE, "caffe-alexnet": NORM_POOL + MIDDLE + AFTER,
    "caffenet": POOL_NORM + MIDDLE + AFTER, "dansuh17": NORM_POOL + MIDDLE + BEFORE,
    "longrootchen": PLAIN + MIDDLE + AFTER, "theano-alexnet": POOL_NORM + MIDDLE + AFTER,
}  # fmt: skip
# coefficient of the sum of squares (alpha, or alpha / 5), k
NORMS = {
    "caffe-alexnet": (2e-5, 1.0), "caffenet": (2e-5, 1.0), "dansuh17": (2e-5, 2.0),
    "theano-alexnet": (1e-4, 2.0),
}  # fmt: skip
# conv1 ... conv5, fc6, fc7, fc8
BIASES = {
    "torchvision": (0, 0, 0, 0, 0, 0, 0, 0),
    "caffe-alexnet": (0, 0.1, 0, 0.1, 0.1, 0.1, 0.1, 0),
    "caffenet": (0, 1, 0, 1, 1, 1, 1, 0),
    "dansuh17": (0, 1, 0, 1, 1, 0, 0, 0),
    "longrootchen": (0, 1, 0, 1, 1, 1, 1, 1),
    "theano-alexnet": (0, 0.1, 0, 0.1, 0, 0.1, 0.1, 0),
}
GROUPED = ("caffe-alexnet", "caffenet", "theano-alexnet")


def weight_rows(name):
    return [r for r in peers.get(name).layers if r.kind in ("conv", "fc")]


def test_every_line_gives_the_number_beside_it():
    table = peers.differences()
    assert [row["peer"] for row in table] == list(by_hand.PEERS)
    names = {"peers": peers, "spec": shapes}
    for row in table:
        assert row["parameters"] == by_hand.PEERS[row["peer"]]
        assert eval(row["line"], names) == by_hand.PEERS[row["peer"]]
        begin = ORDERS.get(row["peer"], NORM_POOL).split(" conv2")[0].split()
        assert eval(row["order_line"], names) == begin
        assert row["order"] in (", ".join(begin), "as the paper")


def test_the_table_tells_where_a_peer_departs():
    paper, *others = peers.differences()
    assert "as the paper" not in paper.values()
    found = {row["peer"]: row for row in others}

    def agree(key):
        return {name for name, row in found.items() if row[key] == "as the paper"}

    assert agree("filters") == set(by_hand.PEERS) - {"paper", "torchvision"}
    assert agree("groups") == set(GROUPED)
    assert agree("order") == {"caffe-alexnet", "dansuh17"}
    assert agree("LRN") == {"theano-alexnet"}
    assert agree("dropout") == {"theano-alexnet"}
    assert agree("input") == agree("accuracy") == agree("recipe") == agree("start") == set()
    assert found["torchvision"]["filters"] == "64-192-384-256-256"
    assert found["torchvision"]["dropout"] == "inverted, on pool5 and relu6"
    assert found["caffenet"]["LRN"] == "alpha 0.0001 / 5, k 1"
    assert found["torchvision"]["accuracy"] == "56.522 / 79.066, centre"


@pytest.mark.parametrize("name", peers.PEERS)
def test_rows_say_what_the_peer_runs(name):
    net = peers.get(name)
    rows = {r.name: r for r in net.layers}
    assert list(rows) == ORDERS[name].split()
    widths = (64, 192, 384, 256, 256) if name == "torchvision" else (96, 256, 384, 384, 256)
    assert [r.out for r in weight_rows(name)] == [*widths, 4096, 4096, 1000]
    groups = 2 if name in GROUPED else 1
    assert [rows[f"conv{i}"].groups for i in range(1, 6)] == [1, groups, 1, groups, groups]
    assert tuple(r.bias for r in weight_rows(name)) == BIASES[name]
    for row in net.layers:
        if row.kind == "lrn":
            alpha = row.alpha / row.size if row.alpha_over_n else row.alpha
            assert (alpha, row.k) == pytest.approx(NORMS[name])
            assert (row.size, row.beta, row.groups) == (5, 0.75, 1)
    assert net.input_size == (224 if name == "torchvision" else 227)
    sides = spec.trace(net).set_index("layer")["shape"]
    assert [sides[n][1] for n in ("conv1", "pool1", "pool2", "pool5")] == [55, 27, 13, 6]


@pytest.mark.parametrize("name", peers.PEERS)
def test_modules_are_those_of_torch_where_the_peer_has_them(name):
    with torch.device("meta"):
        net = model.build(peers.get(name))
    assert {type(m) for n, m in net.named_children() if n.startswith("conv")} == {nn.Conv2d}
    drops = {type(m) for n, m in net.named_children() if n.startswith("drop")}
    assert drops == {PaperDropout if name == "theano-alexnet" else nn.Dropout}
    ceil = name.startswith("caffe")
    assert all(m.ceil_mode is ceil for m in net.modules() if isinstance(m, nn.MaxPool2d))
    assert by_hand.counted(net) == by_hand.PEERS[name]


def test_torchvision_itself_has_as_many_and_draws_as_widely():
    with torch.device("meta"):
        theirs = torchvision.models.alexnet(weights=None)
    assert by_hand.counted(theirs) == by_hand.PEERS["torchvision"]
    rows = {r.name: r.std for r in weight_rows("torchvision")}
    torch.manual_seed(0)
    conv = [m for m in theirs.features if isinstance(m, nn.Conv2d)]
    for name, module in zip(
        rows, [*conv, nn.Linear(9216, 100), nn.Linear(4096, 100)], strict=False
    ):
        module = module.to_empty(device="cpu")
        module.reset_parameters()
        assert rows[name] == pytest.approx(module.weight.std().item(), rel=0.02)
    assert rows["fc8"] == rows["fc7"]  # 4096 inputs both
    for name in ("fc6", "fc7", "fc8"):
        assert {r.name: r.std for r in weight_rows("dansuh17")}[name] == rows[name]
    for name in ("caffe-alexnet", "caffenet", "theano-alexnet"):
        stds = [r.std for r in weight_rows(name)]
        assert stds == [0.01] * 5 + [0.005] * 2 + [0.01]


def test_unknown_peers_are_named_and_torch_stays_out(imported_by):
    with pytest.raises(ValueError, match=r"no peer called 'vgg'; peers: torchvision, caffe-alex"):
        peers.get("vgg")
    code = "from alexnet_repro.spec import peers; peers.differences()"
    assert not {"torch", "torchvision"} & imported_by(code)
