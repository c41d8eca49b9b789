"""§3 Each single choice between the paper and the original code, row by row."""

from dataclasses import replace

import pytest

from alexnet_repro import spec
from alexnet_repro.config import RunConfig
from alexnet_repro.errors import InputError
from alexnet_repro.spec import Layer, choices


def rows(net, **chosen):
    """Rows by name after some choices, in running order."""
    return {r.name: r for r in choices.apply(spec.get(net), chosen).layers}


def changed(net, **chosen):
    """Names of the rows that a choice changes, adds or takes away."""
    before, after = rows(net), rows(net, **chosen)
    return {n for n in {**before, **after} if before.get(n) != after.get(n)}


def test_all_of_the_originals_choices_make_the_papers_net_the_originals():
    paper, original = spec.get("alexnet"), spec.get("alexnet-original")
    assert paper.layers != original.layers
    assert choices.apply(paper, choices.ORIGINAL).layers == original.layers
    assert choices.apply(original, choices.ORIGINAL) == original
    back = {**choices.PAPER, "init_std_middle": "0.03"}  # which is in the rows of both
    assert choices.apply(original, back).layers == paper.layers
    assert choices.apply(paper, back) == paper


def test_without_any_one_of_them_it_is_not_yet_the_original():
    original = spec.get("alexnet-original").layers
    for key in set(choices.ORIGINAL) - {"init_std_middle"}:
        rest = {k: v for k, v in choices.ORIGINAL.items() if k != key}
        assert choices.apply(spec.get("alexnet"), rest).layers != original, key


@pytest.mark.parametrize("net", spec.NETWORKS)
def test_a_configuration_that_says_nothing_changes_no_net(net):
    assert choices.apply(spec.get(net), RunConfig(net=net).to_dict()) is spec.get(net)
    assert choices.apply(spec.get(net), {}) is spec.get(net)


@pytest.mark.parametrize("net", ["alexnet", "matched"])
def test_each_choice_changes_only_its_rows(net):
    norms = {"norm1", "norm2"}
    assert changed(net, lrn_alpha_over_n="yes") == norms
    assert [rows(net, lrn_alpha_over_n="yes")[n].alpha_over_n for n in norms] == [True, True]
    assert changed(net, lrn_per_column="yes") == norms
    assert [rows(net, lrn_per_column="yes")[n].groups for n in norms] == [2, 2]
    assert changed(net, lrn="none") == norms
    assert changed(net, lrn="k-only") == norms
    found = rows(net, lrn="k-only")["norm2"]
    assert (found.alpha, found.k, found.beta, found.size) == (0.0, 2.0, 0.75, 5)
    assert changed(net, dropout=0) == {"drop6", "drop7"}
    assert changed(net, dropout=0.25) == {"drop6", "drop7"}
    assert rows(net, dropout=0.25)["drop7"] == Layer("drop7", "dropout", p=0.25)
    assert changed(net, dropout=0.5) == set()
    assert changed(net, init_std_middle="0.03") == set()
    assert changed(net, init_std_middle="0.01") == {"conv3", "conv4", "conv5"}
    assert {r.std for r in rows(net, init_std_middle="0.01").values()} == {0.01}
    assert changed(net, within_map_norm="yes") == {"mapnorm2"}
    for key in ("lrn_alpha_over_n", "lrn_per_column", "relu_after_pool1", "within_map_norm"):
        assert choices.apply(spec.get(net), {key: "no"}) == spec.get(net)
        assert changed("alexnet-original", **{key: "yes"}) == set()


def test_the_order_of_the_rows():
    def order(net, **chosen):
        return " ".join(n for n in rows(net, **chosen) if n[-1] in "125")

    after = "conv1 norm1 pool1 relu1 conv2 relu2 norm2 pool2 conv5 pool5 relu5"
    assert order("matched", relu_after_pool1="yes") == after
    whole = "conv1 norm1 pool1 relu1 conv2 relu2 norm2 mapnorm2 pool2 conv5 pool5 relu5"
    assert order("matched", relu_after_pool1="yes", within_map_norm="yes") == whole
    assert order("alexnet-original", relu_after_pool1="no", within_map_norm="no") == (
        "conv1 relu1 norm1 pool1 conv2 relu2 norm2 pool2 conv5 relu5 pool5"
    )
    alone = order("matched", relu_after_pool1="yes", lrn="none")
    assert alone == "conv1 pool1 relu1 conv2 relu2 pool2 conv5 pool5 relu5"


def test_printed_constants_on_a_net_with_others():
    net = "conv-local-11pct-v2"  # nine channels, alpha 1e-3 over n, k 1
    for name in ("norm1", "norm2"):
        assert rows(net, lrn="printed")[name] == Layer(name, "lrn", size=5)
    divided = rows(net, lrn="printed", lrn_alpha_over_n="yes")["norm1"]
    assert divided == Layer("norm1", "lrn", size=5, alpha_over_n=True)
    assert rows("18pct", within_map_norm="no").keys() == rows("18pct").keys() - {"norm1", "norm2"}


@pytest.mark.parametrize(
    ("net", "chosen", "text"),
    [
        ("18pct", {"dropout": 0.5}, "18pct has no layer of kind dropout: nothing to set dropout"),
        ("18pct", {"lrn": "k-only"}, "18pct has no layer of kind lrn"),
        ("alexnet-no-norm", {"lrn_alpha_over_n": "yes"}, "no-norm has no layer of kind lrn"),
        ("matched-ungrouped", {"lrn_per_column": "yes"}, "two columns, matched-ungrouped has"),
        ("matched", {"lrn": "none", "lrn_per_column": "no"}, "nothing for lrn_per_column 'no'"),
        ("matched", {"lrn": "nothing"}, "'lrn' wants one of net, printed, none, k-only"),
        ("matched", {"dropuot": 0.5}, "key 'dropuot'; did you mean 'dropout'"),
        ("alexnet-without-conv1", {"relu_after_pool1": "yes"}, "wants conv1, relu1 and"),
    ],
)  # fmt: skip
def test_what_a_net_has_nothing_to_make_of(net, chosen, text):
    with pytest.raises(InputError, match=text):
        choices.apply(spec.get(net), chosen)


def test_every_choice_that_the_price_list_asks_for_is_a_key_of_its_own():
    """The ten factors between paper and original, each one key with both levels."""
    pairs = {
        "relu_after_pool1": ("no", "yes"),
        "lrn_alpha_over_n": ("no", "yes"),
        "lrn_per_column": ("no", "yes"),
        "within_map_norm": ("no", "yes"),
        "colour_noise": ("paper", "original"),  # sqrt(lambda)
        "init_std_middle": ("0.01", "0.03"),
        "bias_lr_factor": (1.0, 2.0),
        "crop_chunk": (1, 32),
        "mean_part": ("matching", "central"),
        "conv1_frozen_from": (0, 70),
    }
    for key, (paper, original) in pairs.items():
        low, high = (
            RunConfig(net="matched", crop=28, epochs=90, **{key: v}) for v in (paper, original)
        )
        differ = {k for k, v in low.to_dict().items() if high.to_dict()[k] != v}
        assert differ == {key}
    # those that change rows can be set together in every way without one hiding another
    keys = list(choices.ORIGINAL)
    found = set()
    for i in range(2 ** len(keys)):
        picked = {k: (choices.PAPER, choices.ORIGINAL)[i >> j & 1][k] for j, k in enumerate(keys)}
        found.add(choices.apply(spec.get("matched"), picked).layers)
    assert len(found) == 2 ** len(keys)


def test_the_name_and_all_else_of_the_net_stay():
    net = spec.get("matched")
    found = choices.apply(net, {"lrn": "none", "dropout": 0})
    assert replace(found, layers=net.layers) == net
