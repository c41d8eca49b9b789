"""§3.5 Networks as data against the paper's arithmetic, and what may import what."""

import math

import pytest
from by_hand import PARAMETERS

from alexnet_repro import spec
from alexnet_repro.spec import Layer, Spec, arithmetic, shapes
from alexnet_repro.spec.rows import WEIGHT_KINDS

# name: output side, maps, kernel side, input maps that a kernel sees (§3.5, Fig. 2), as printed
CONVS = {
    "conv1": (55, 96, 11, 3), "conv2": (27, 256, 5, 48), "conv3": (13, 384, 3, 256),
    "conv4": (13, 384, 3, 192), "conv5": (13, 256, 3, 192),
}  # fmt: skip
FCS = {"fc6": (6 * 6 * 256, 4096), "fc7": (4096, 4096), "fc8": (4096, 1000)}


def table(name, input_size=None):
    return spec.trace(spec.get(name), input_size).set_index("layer")


@pytest.mark.parametrize("name", ["alexnet", "alexnet-original"])
def test_alexnet_layer_by_layer(name):
    rows = table(name)
    for conv, (side, maps, kernel, seen) in CONVS.items():
        row = rows.loc[conv]
        assert row["shape"] == (maps, side, side)
        assert (row["weights"], row["biases"]) == (kernel * kernel * seen * maps, maps)
        assert row["macs"] == kernel * kernel * seen * maps * side * side
    for fc, (inputs, units) in FCS.items():
        row = rows.loc[fc]
        assert (row["weights"], row["biases"], row["macs"]) == (
            inputs * units,
            units,
            inputs * units,
        )
        assert row["shape"] == (units,)
    assert [rows.loc[f"pool{i}", "shape"][1] for i in (1, 2, 5)] == [27, 13, 6]
    figure2 = [290_400, 186_624, 64_896, 64_896, 43_264, 4096, 4096, 1000]
    assert rows.loc[[*CONVS, *FCS], "neurons"].tolist() == figure2
    assert rows["neurons"].sum() == sum(figure2) == 659_272
    assert rows["macs"].sum() == 724_406_816  # 0.724 thousand million an image


def test_receptive_fields_by_hand():
    # field + (size - 1) * step, then step * stride: conv1 11, 4; pool1 11 + 2 * 4 = 19, 8;
    # conv2 19 + 4 * 8 = 51; pool2 51 + 2 * 8 = 67, 16; conv3, 4, 5 each + 2 * 16; pool5 + 2 * 16
    want = {
        "conv1": (11, 4), "norm1": (11, 4), "pool1": (19, 8), "conv2": (51, 8), "pool2": (67, 16),
        "conv3": (99, 16), "conv4": (131, 16), "conv5": (163, 16), "pool5": (195, 32),
        "fc6": (224, 32),
    }  # fmt: skip
    rows = table("alexnet")
    for name, (field, step) in want.items():
        assert (rows.loc[name, "receptive_field"], rows.loc[name, "step"]) == (field, step), name


@pytest.mark.parametrize("name", spec.NETWORKS)
def test_parameters_of_every_net(name):
    assert arithmetic.parameters(name) == PARAMETERS[name]


def test_both_pooling_arms_have_equal_sizes():
    for overlap, other, sides in [
        ("alexnet", "alexnet-nonoverlap", [55, 27, 27, 13, 13, 13, 13, 6]),
        ("mini-alexnet", "mini-alexnet-nonoverlap", [24, 12, 12, 6, 6, 6, 6, 3]),
        ("matched", "matched-nonoverlap", [28, 14, 14, 7, 7, 7, 7, 3]),
    ]:
        a, b = table(overlap), table(other)
        assert a["shape"].tolist() == b["shape"].tolist()
        steps = "conv1 pool1 conv2 pool2 conv3 conv4 conv5 pool5".split()
        assert [a.loc[s, "shape"][1] for s in steps] == sides
        pools = {r.name: (r.size, r.stride) for r in spec.get(other).layers if r.kind == "maxpool"}
        assert set(pools.values()) == {(2, 2)}
        changed = [
            r.name
            for r, s in zip(spec.get(overlap).layers, spec.get(other).layers, strict=True)
            if r != s
        ]
        assert changed == list(pools)


def test_the_matched_nets():
    """What EVIDENCE's table asks of them; each is `matched` but for what its name says."""
    matched = spec.get("matched")
    assert 40 <= arithmetic.parameters("matched") / 10_000 <= 60  # the paper: 48
    assert 40 <= arithmetic.parameters("matched-narrow") / 10_000 <= 60
    found = {name: net for name, net in spec.NETWORKS.items() if name.startswith("matched")}
    assert len(found) == 11
    for name, net in found.items():
        assert net.scaled, name
        assert "(D1)" in net.source, name
        assert net.num_classes == (20 if name == "matched-tiny" else 10), name
        assert net.input_size / (64 if name == "matched-tiny" else 32) == 0.875 == 224 / 256
        assert table(name)["shape"]["pool5"][1:] == (3, 3), name
        assert net.columns == (1 if name in ("matched-one-column", "matched-ungrouped") else 2)
    tiny = table("matched-tiny")
    assert tiny["shape"].tolist()[:-1] == table("matched")["shape"].tolist()[:-1]
    assert (tiny.loc["conv1", "step"], tiny.loc["conv1", "receptive_field"]) == (2, 5)

    def rows(name):
        return {r.name: r for r in spec.get(name).layers}

    def differing(name):
        return {n for n, row in rows(name).items() if rows("matched").get(n) != row}

    assert differing("matched-ungrouped") == {"conv2", "conv4", "conv5"}
    assert differing("matched-nonoverlap") == {"pool1", "pool2", "pool5"}
    assert differing("matched-tiny") == {"conv1", "fc8"}
    assert differing("matched-narrow") == {"conv1", "conv2", "conv3", "conv4", "conv5"}
    for i, changed in ((2, set()), (3, {"conv4"}), (4, set())):
        name = f"matched-without-conv{i}"
        assert (differing(name), f"conv{i}" in rows(name)) == (changed, False)
    # the paper's footnote, as alexnet-one-gpu: half the kernels but in the last convolution
    for net in ("alexnet", "matched"):
        narrow = {"alexnet": "alexnet-one-gpu", "matched": "matched-one-column"}[net]
        outs, halves = ({r.name: r.out for r in spec.get(n).layers if r.out} for n in (net, narrow))
        assert {n for n in outs if outs[n] == 2 * halves[n]} == {"conv1", "conv2", "conv3", "conv4"}
        assert {n for n in outs if outs[n] == halves[n]} == {"conv5", "fc6", "fc7", "fc8"}
    half, whole, double = (
        [r.out for r in spec.get(f"matched{n}").layers if r.out][:-1]
        for n in ("-half", "", "-double")
    )
    assert [2 * n for n in half] == whole == [n // 2 for n in double]
    assert {r.kind for r in matched.layers} == {r.kind for r in spec.get("alexnet").layers}


def test_order_and_normalisation_of_the_two_readings():
    def start(name):
        return [r.name for r in spec.get(name).layers if r.name.endswith(("1", "2", "5"))]

    paper = "conv1 relu1 norm1 pool1 conv2 relu2 norm2 pool2 conv5 relu5 pool5"
    code = "conv1 norm1 pool1 relu1 conv2 relu2 norm2 mapnorm2 pool2 conv5 pool5 relu5"
    assert start("alexnet") == paper.split()
    assert start("alexnet-original") == code.split()
    for name, divided, groups in [("alexnet", False, 1), ("alexnet-original", True, 2)]:
        norms = [r for r in spec.get(name).layers if r.kind == "lrn"]
        assert {(r.size, r.alpha, r.beta, r.k) for r in norms} == {(5, 1e-4, 0.75, 2.0)}
        assert {(r.alpha_over_n, r.groups) for r in norms} == {(divided, groups)}


@pytest.mark.parametrize(
    ("name", "stds", "biases"),
    [  # initW and initB of the original configurations
        ("alexnet", [0.01, 0.01, 0.03, 0.03, 0.03, 0.01, 0.01, 0.01], [0, 1, 0, 1, 1, 1, 1, 0]),
        ("18pct", [1e-4, 0.01, 0.01, 0.01], [0] * 4),
        ("80sec", [1e-4, 0.01, 0.01, 0.1, 0.1], [0] * 5),
        ("conv-local-13pct", [1e-4, 0.01, 0.04, 0.04, 0.01], [0] * 5),
    ],
)
def test_initial_weights_and_biases(name, stds, biases):
    rows = [r for r in spec.get(name).layers if r.kind in WEIGHT_KINDS]
    assert [r.std for r in rows] == stds
    assert [r.bias for r in rows] == biases


def test_out_size_by_sliding_a_window():
    for side in range(1, 12):
        for size in range(1, 5):
            for stride in range(1, 4):
                for padding in range(2):
                    padded = side + 2 * padding
                    if size > padded:
                        continue
                    inside = [x for x in range(0, padded, stride) if x + size <= padded]
                    # rounded up: one more window where the last one leaves pixels over
                    over = inside[-1] + size < padded
                    for ceil in (False, True):
                        layer = Layer("p", "conv", 1, size, stride, padding, ceil=ceil)
                        assert shapes.out_size(layer, side) == len(inside) + (ceil and over)


def test_errors_say_what_does_not_fit():
    with pytest.raises(ValueError, match="conv1: a 11-pixel window does not fit 10 pixels with"):
        spec.trace(spec.get("alexnet"), 10)
    for out, channels in [(6, 3), (5, 4)]:
        odd = Spec("odd", "test", (Layer("c", "conv", out, groups=2),), in_channels=channels)
        with pytest.raises(ValueError, match=f"odd: c splits {channels} -> {out} channels into 2"):
            spec.trace(odd)
    with pytest.raises(ValueError, match="no net called 'vgg'; nets: alexnet, alexnet-original"):
        spec.get("vgg")


def test_arithmetic_against_the_papers_figures():
    shares = arithmetic.conv_shares("alexnet")
    over = {n: round(100 * s, 2) for n, s in shares.items() if s > 0.01}
    assert over == {"conv3": 1.45, "conv4": 1.09}
    assert arithmetic.compute("largest_conv_share", "alexnet") == pytest.approx(
        885_120 / 60_965_224
    )
    assert arithmetic.compute("neurons conv1", "alexnet") == 290_400
    assert arithmetic.compute("weight_layers", "alexnet") == 8
    assert arithmetic.compute("weight_layers", "alexnet-six-conv") == 9
    assert arithmetic.compute("inputs", "alexnet") == 150_528
    assert 2 ** arithmetic.compute("bits_per_label", "alexnet") == pytest.approx(1000)
    starts = [x for x in range(256) if x + 224 <= 256]
    views = {(top, left, flip) for top in starts for left in starts for flip in (0, 1)}
    assert arithmetic.compute("crops_and_reflections", "alexnet") == len(views) == 2178
    assert arithmetic.compute("test_patches", "alexnet") == 10
    assert not math.isclose(arithmetic.compute("neurons conv1", "alexnet"), 253_440)  # Fig. 2


def test_arithmetic_errors():
    with pytest.raises(
        ValueError, match="no computed metric 'flops'; there are parameters, weights"
    ):
        arithmetic.compute("flops", "alexnet")
    with pytest.raises(ValueError, match="alexnet has no layer 'conv9'"):
        arithmetic.compute("weights conv9", "alexnet")


def test_importing_the_package_loads_nothing_heavy(imported_by):
    found = imported_by("import alexnet_repro")
    assert "alexnet_repro" in found
    assert not found & {"torch", "torchvision", "pandas", "matplotlib", "numpy", "scipy"}


def test_the_reading_half_imports_no_torch(imported_by):
    """The whole of it at once, by what is really loaded; test_house reads the sources."""
    modules = "cli config study.claims study.evidence study.launch study.others study.factorial"
    modules += " data.prepared data.embedded demos.components spec.peers spec.traffic spec.regime"
    modules += " spec.choices data.views"
    modules += " pages.page pages.figures pages.tables pages.run_tables pages.ledger_tables"
    modules += " pages.net_tables pages.performance pages.accelerator_tables pages.chapters"
    modules += " pages.prose pages.component_figures"
    names = [f"alexnet_repro.{m}" for m in modules.split()]
    found = imported_by(
        f"import {', '.join(names)}\n"
        "alexnet_repro.study.load_claims()\n"
        "alexnet_repro.spec.trace(alexnet_repro.spec.get('alexnet'))"
    )
    assert set(names) <= found
    assert not found & {"torch", "torchvision"}
