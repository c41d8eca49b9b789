"""§3.5 Every constant of a row is honoured by the module, and by trace, or refused by name."""

from dataclasses import fields, replace

import pytest
import torch
from by_hand import counted

from alexnet_repro import model, spec
from alexnet_repro.errors import InputError
from alexnet_repro.spec import Layer, Spec, rows
from alexnet_repro.training import optim

OTHER = {  # a value that is neither the default nor that of the rows below
    "out": 6, "size": 7, "stride": 3, "padding": 2, "groups": 4, "std": 0.5, "bias": 0.25,
    "ceil": False, "alpha": 0.3, "beta": 0.6, "k": 3.0, "alpha_over_n": True, "inverted": True,
    "decay": 0.7, "p": 0.2,
}  # fmt: skip
WEIGHTS = {"std", "bias", "decay"}
NORM = {"size", "alpha", "beta", "k", "alpha_over_n"}
# kind -> a row of it, behind a convolution of four maps of 9x9, and the constants that it has
KINDS = {
    "conv": (Layer("x", "conv", 4, 4, 2, 1, 2),
             WEIGHTS | {"out", "size", "stride", "padding", "groups", "ceil"}),
    "local": (Layer("x", "local", 4, 3, padding=1), WEIGHTS | {"out", "size", "padding"}),
    "fc": (Layer("x", "fc", 4), WEIGHTS | {"out"}),
    "act": (Layer("x", "act"), set()),
    "lrn": (Layer("x", "lrn", 0, 3, alpha=0.1), NORM | {"groups"}),
    "mapnorm": (Layer("x", "mapnorm", 0, 3, alpha=0.1), NORM),
    "maxpool": (Layer("x", "maxpool", 0, 4, 2), {"size", "stride", "ceil"}),
    "avgpool": (Layer("x", "avgpool", 0, 4, 2), {"size", "stride", "ceil"}),
    "dropout": (Layer("x", "dropout"), {"inverted", "p"}),
}  # fmt: skip
FIELDS = [f.name for f in fields(Layer)][2:]


def small(row):
    return Spec("small", "test", (Layer("first", "conv", 4), row, Layer("end", "fc", 3)), 9)


def seen(net_spec):
    """All that a row can change: shapes, first weights, outputs at test and in training, decay."""
    net = model.build(net_spec, generator=torch.Generator().manual_seed(0))
    maps = 3 * torch.randn(2, 4, 9, 9, generator=torch.Generator().manual_seed(1))
    x = net.get_submodule("x")
    if net_spec.layers[1].kind == "fc":
        maps = maps.flatten(1)
    found = [*x.parameters(), x.eval()(maps)]
    torch.manual_seed(2)
    found.append(x.train()(maps))
    decays = {r.name: r.decay or 0.0 for r in net_spec.layers if r.kind in rows.WEIGHT_KINDS}
    groups = optim.parameter_groups(net, 0.1, decays)
    return found, [(g["layer"], g["weight_decay"]) for g in groups]


def test_the_table_has_every_kind_and_every_constant():
    assert set(KINDS) == set(rows.READS)
    assert set(OTHER) == set(FIELDS)
    for row, _ in KINDS.values():
        for name, value in OTHER.items():
            assert value not in (getattr(row, name), getattr(Layer("x", "act"), name))


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_a_constant_changes_what_the_layer_does_or_is_refused(kind, name):
    row, honoured = KINDS[kind]
    if name not in honoured:
        message = rf"layer 'x' has {name} = {OTHER[name]}, which kind {kind} does not read"
        with pytest.raises(InputError, match=message):
            replace(row, **{name: OTHER[name]})
        return
    changed = small(replace(row, **{name: OTHER[name]}))
    (before, decays), (after, other_decays) = seen(small(row)), seen(changed)
    same = len(before) == len(after) and all(
        a.shape == b.shape and torch.equal(a, b) for a, b in zip(before, after, strict=True)
    )
    assert same == (name == "decay")
    assert (decays == other_decays) == (name != "decay")
    # trace says of the changed row what its module does
    told = spec.trace(changed).set_index("layer").loc["x"]
    assert tuple(after[-1].shape[1:]) == told["shape"]
    sizes = {k: p.numel() for k, p in model.build(changed).get_submodule("x").named_parameters()}
    assert (sizes.get("weight", 0), sizes.get("bias", 0)) == (told["weights"], told["biases"])


def test_norm_within_a_map_by_hand():
    # k = 2, alpha not divided: 1 / (2 + 0.1 * 9)^0.75, where the module once had 1 and 0.1 / 9
    row = Layer("x", "mapnorm", 0, 3, alpha=0.1)
    x = torch.ones(1, 4, 9, 9)
    found = model.build(small(row)).x(x)[0, 0, 4, 4].item()
    assert found == pytest.approx(2.9**-0.75) == pytest.approx(0.450, abs=5e-4)
    usual = replace(row, k=1.0, alpha_over_n=True)
    found = model.build(small(usual)).x(x)[0, 0, 4, 4].item()
    assert found == pytest.approx(1.1**-0.75) == pytest.approx(0.931, abs=5e-4)


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("blur", {}, r"layer 'x' has an unknown kind 'blur'; there are conv, local"),
        ("conv", {"out": 0}, r"layer 'x' wants out an integer >= 1, got 0"),
        ("conv", {"out": 4, "stride": 0}, "stride an integer >= 1, got 0"),
        ("conv", {"out": 4.0}, "out an integer >= 1, got 4.0"),
        ("conv", {"out": True}, "out an integer >= 1, got True"),
        ("conv", {"out": 4, "padding": -1}, "padding an integer >= 0, got -1"),
        ("conv", {"out": 4, "ceil": 1}, "ceil true or false, got 1"),
        ("fc", {"out": 4, "std": -0.1}, "std a finite number >= 0, got -0.1"),
        ("fc", {"out": 4, "std": "0.1"}, "std a finite number >= 0, got '0.1'"),
        ("fc", {"out": 4, "bias": float("nan")}, "bias a finite number, got nan"),
        ("fc", {"out": 4, "decay": -1.0}, "decay a finite number >= 0, got -1.0"),
        ("dropout", {"p": 1.0}, r"p a number with 0 <= p < 1, got 1.0"),
        ("dropout", {"p": -0.1}, r"p a number with 0 <= p < 1, got -0.1"),
        ("lrn", {"k": 0.0}, "k a number > 0, got 0.0"),
        ("mapnorm", {"size": 4}, "wants an odd size, got 4"),
        ("maxpool", {"size": 2, "stride": 3}, "a stride of at most its size, 2, got 3"),
        ("act", {"out": False}, "has out = False, which kind act does not read; it reads nothing"),
    ],
)  # fmt: skip
def test_values_that_cannot_be_meant_are_refused(kind, changes, message):
    with pytest.raises(InputError, match=message):
        Layer("x", kind, **changes)


def test_nets_that_cannot_be_meant_are_refused():
    fc = Layer("a", "fc", 2)
    for layers, changes, message in [
        ([fc], {}, "net 'n' wants a tuple of Layer rows, got list"),
        ((fc, fc), {}, "net 'n' has two layers called a"),
        ((Layer("a", "act"),), {}, "net 'n' has no layer with weights: conv, local, fc"),
        ((fc,), {"input_size": 0}, "wants input_size an integer >= 1, got 0"),
        ((fc,), {"columns": 1.5}, "wants columns an integer >= 1, got 1.5"),
        ((fc,), {"scaled": "no"}, "wants scaled true or false, got 'no'"),
        ((fc,), {"nonlinearity": None}, "wants a nonlinearity in letters, got None"),
    ]:
        with pytest.raises(InputError, match=message):
            Spec("n", "test", layers, **changes)
    with pytest.raises(InputError, match="layer 'a b': wanted a name of letters, digits and _"):
        Layer("a b", "act")
    with pytest.raises(InputError, match="n: a layer cannot be called 'flatten'"):
        model.build(Spec("n", "test", (fc, Layer("flatten", "act")), 2))
    for after in (Layer("b", "conv", 2), Layer("b", "lrn"), Layer("b", "maxpool")):
        with pytest.raises(InputError, match=r"n: b \(\w+\) wants maps, but follows a fully conn"):
            model.build(Spec("n", "test", (fc, after), 2))
    norm = Spec("n", "test", (Layer("c", "conv", 4), Layer("b", "lrn", groups=3)), 2)
    with pytest.raises(InputError, match="n: b normalises 4 channels in 3 groups"):
        spec.trace(norm)


@pytest.mark.parametrize("name", ["alexnet", "18pct", "conv-local-11pct-v2"])
def test_the_spec_of_a_net_has_its_number_of_classes(name):
    with torch.device("meta"):
        net = model.build(name, num_classes=7)
    assert net.spec.num_classes == net.spec.layers[-1].out == 7
    assert spec.get(name).num_classes != 7
    table = spec.trace(net.spec)
    assert table["shape"].iloc[-1] == (7,)
    assert counted(net) == table[["weights", "biases"]].sum().sum()
    for wrong in (0, -1, 2.5):
        with pytest.raises(InputError, match=rf"wants out an integer >= 1, got {wrong}"):
            model.build(name, num_classes=wrong)


# wc of the original configurations, layer by layer
DECAYS = {
    "18pct": [0.004, 0.004, 0.004, 1.0],  # the last layer's 250 times the others'
    "19pct": [0.004, 0.004, 0.004, 3.0],
    "80sec": [0.004, 0.004, 0.004, 0.03, 0.03],
    "conv-local-13pct": [0.0, 0.0, 0.004, 0.004, 0.004],
    "conv-local-11pct": [0.0, 0.0, 0.004, 0.004, 0.004],
    "conv-local-11pct-v2": [0.0, 0.0, 0.004, 0.004, 0.01],
    "alexnet-six-conv": [0.0005] * 9,
    "alexnet-without-conv2": [0.0005] * 7,
    **{name: [0.0005] * 8 for name in ("alexnet", "alexnet-original", "mini-alexnet")},
    **{f"alexnet-nonoverlap{end}": [0.0005] * 8 for end in ("", "-original")},
}


@pytest.mark.parametrize("name", DECAYS)
def test_each_layers_own_decay_reaches_the_optimiser(name):
    net_spec = spec.get(name)
    assert list(net_spec.decays().values()) == DECAYS[name]
    with torch.device("meta"):
        net = model.build(name)
    groups = optim.parameter_groups(net, 0.001, net.spec.decays())
    found = {id(p): g["weight_decay"] for g in groups for p in g["params"]}
    layers = [net.get_submodule(r.name) for r in net_spec.layers if r.kind in rows.WEIGHT_KINDS]
    assert [found[id(layer.weight)] for layer in layers] == DECAYS[name]
    assert {found[id(layer.bias)] for layer in layers} == {0.0}


def test_a_net_without_decays_of_its_own_is_refused():
    with pytest.raises(InputError, match="18pct-plain: conv1 has no weight decay of its own"):
        spec.get("18pct-plain").decays()


def test_the_norms_of_the_cifar_nets():
    # layers-18pct.cfg: type=rnorm, size=3; layer-params-18pct.cfg: scale=0.00005, pow=.75; the code
    # divides the scale by the places of the window and adds the sum to 1
    norms = [r for r in spec.get("18pct").layers if "norm" in r.name]
    assert [(r.name, r.kind, r.size) for r in norms] == [
        ("norm1", "mapnorm", 3), ("norm2", "mapnorm", 3),
    ]  # fmt: skip
    assert {(r.alpha, r.beta, r.k, r.alpha_over_n) for r in norms} == {(0.00005, 0.75, 1, True)}
    for name in ("18pct-plain", "19pct", "80sec", "conv-local-13pct"):
        assert not [r for r in spec.get(name).layers if "norm" in r.name]


def test_the_norms_of_the_originals_net():
    # layers-145.cfg: cmrnorm of 5, scale 0.0001, twice; rnorm of 5, scale 0.001, after the second
    norms = {r.name: r for r in spec.get("alexnet-original").layers if "norm" in r.name}
    found = {n: (r.kind, r.size, r.alpha, r.beta, r.k) for n, r in norms.items()}
    across = ("lrn", 5, 0.0001, 0.75, 2)
    assert found == {
        "norm1": across, "norm2": across, "mapnorm2": ("mapnorm", 5, 0.001, 0.75, 1),
    }  # fmt: skip
    assert all(r.alpha_over_n for r in norms.values())


def test_the_second_11pct_row_by_row():
    found = spec.get("conv-local-11pct-v2").layers
    order = "conv1 relu1 pool1 norm1 conv2 relu2 norm2 pool2 local3 relu3 local4 relu4 fc10"
    assert [r.name for r in found] == order.split()
    norms = [r for r in found if r.kind == "lrn"]
    assert {(r.size, r.alpha, r.beta, r.k, r.alpha_over_n) for r in norms} == {
        (9, 1e-3, 0.75, 1.0, True)
    }
    by_name = {r.name: r for r in found}
    assert (by_name["local3"].out, by_name["local4"].out) == (64, 32)
    # first version: norm before pooling, nine channels fewer, 32 kernels
    first = {r.name: r for r in spec.get("conv-local-11pct").layers}
    assert [n for n in first] != order.split()
    assert (first["norm1"].size, first["local3"].out) == (5, 32)


def test_the_originals_net_without_overlap():
    table = spec.trace(spec.get("alexnet-nonoverlap-original")).set_index("layer")
    steps = "conv1 pool1 conv2 pool2 conv3 conv4 conv5 pool5".split()
    sides = [table.loc[s, "shape"][1] for s in steps]
    assert sides == [55, 28, 26, 13, 13, 13, 11, 6]
    assert spec.get("alexnet-nonoverlap-original").source == "§3.4, layers-147.cfg"
    assert not [s.name for s in spec.NETWORKS.values() if "layers-147" in s.source][1:]
    # of the original's net only the pools and two paddings are changed
    a, b = (spec.get(n).layers for n in ("alexnet-original", "alexnet-nonoverlap-original"))
    changed = {r.name: s for r, s in zip(a, b, strict=True) if r != s}
    assert set(changed) == {"pool1", "pool2", "pool5", "conv2", "conv5"}
    assert (changed["conv2"].padding, changed["conv5"].padding) == (1, 0)
