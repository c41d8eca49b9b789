"""Configurations: what is refused and how it is said, and what decides a result."""

import ast
import dataclasses
import json
import math
import re
from pathlib import Path

import pytest

from alexnet_repro.augment import seen
from alexnet_repro.config import RunConfig
from alexnet_repro.spec import choices
from alexnet_repro.training import loop, setup


@pytest.mark.parametrize(
    ("given", "near"),
    [("momentun", "momentum"), ("epoch", "epochs"), ("wieght_decay", "weight_decay")],
)
def test_an_unknown_key_names_the_nearest(given, near):
    with pytest.raises(ValueError, match=f"key '{given}'; did you mean '{near}'?"):
        RunConfig.from_dict({given: 1})
    with pytest.raises(ValueError, match=f"did you mean '{near}'"):
        RunConfig().replace(**{given: 1})


def test_an_unknown_key_near_to_none_lists_them_all():
    with pytest.raises(ValueError, match="unknown configuration key 'zzz'; there are data, net,"):
        RunConfig.from_dict({"zzz": 1})


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("lr", "0.1", "'lr' wants float, got '0.1' (str)"),
        ("lr", True, "'lr' wants float, got True (bool)"),
        ("lr", None, "'lr' wants float, got None (NoneType)"),
        ("epochs", 2.0, "'epochs' wants int, got 2.0 (float)"),
        ("epochs", True, "'epochs' wants int, got True (bool)"),
        ("flip", 1, "'flip' wants bool, got 1 (int)"),
        ("net", 3, "'net' wants str, got 3 (int)"),
        ("lr_drops", 8, "'lr_drops' wants tuple, got 8 (int)"),
        ("lr_drops", "[8]", "'lr_drops' wants tuple, got '[8]' (str)"),
        ("lr_drops", [8.0], "'lr_drops' wants integers, got (8.0,)"),
        ("lr_drops", [True], "'lr_drops' wants integers, got (True,)"),
        ("nonlinearity", "gelu", "'nonlinearity' wants one of relu, tanh, sigmoid, got 'gelu'"),
        ("init", "torch", "'init' wants one of paper, original, modern, got 'torch'"),
        ("precision", "fp16", "'precision' wants one of fp32, tf32, bf16, got 'fp16'"),
        ("batch", 0, "'batch' wants at least 1, got 0"),
        ("crop", -1, "'crop' wants at least 0, got -1"),
        ("lr", -0.1, "'lr' wants at least 0, got -0.1"),
        ("lr", math.nan, "'lr' wants at least 0, got nan"),
        ("scored_split", "train", "'scored_split' wants one of test, val, got 'train'"),
        ("replica", -1, "'replica' wants at least 0, got -1"),
        ("lrn_per_column", True, "'lrn_per_column' wants str, got True (bool)"),
        ("lrn", "off", "'lrn' wants one of net, printed, none, k-only, got 'off'"),
        ("within_map_norm", "maybe", "'within_map_norm' wants one of , yes, no, got 'maybe'"),
        ("init_bias", -0.1, "'init_bias' wants at least 0, got -0.1"),
        ("dropout", math.nan, "'dropout' wants at least -1, got nan"),
    ],
)
def test_a_wrong_value_is_refused(key, value, text):
    with pytest.raises(ValueError, match=re.escape(f"configuration key {text}")):
        RunConfig.from_dict({key: value})
    with pytest.raises(ValueError, match=re.escape(text)):
        RunConfig().replace(**{key: value})


def test_tf32_is_refused_where_it_does_not_exist():
    assert RunConfig(precision="tf32", device="cuda:0").precision == "tf32"
    with pytest.raises(ValueError, match="'tf32' wants a CUDA device, got device 'cpu'"):
        RunConfig(precision="tf32")


@pytest.mark.parametrize("p", [-0.5, 1, 1.5, math.inf])
def test_dropout_is_a_probability_below_one(p):
    with pytest.raises(
        ValueError, match=f"wants a probability with 0 <= p < 1.* got {re.escape(format(p, 'g'))}"
    ):
        RunConfig(dropout=p)


@pytest.mark.parametrize(
    "changes", [{"init_scale": "fan-in"}, {"init_std_middle": "0.01"}, {"init_bias": 0.0}], ids=str
)
def test_todays_start_has_its_own_deviations_and_biases(changes):
    assert RunConfig(init="original", **changes)
    with pytest.raises(ValueError, match="init 'modern' has deviations and biases of its own"):
        RunConfig(init="modern", **changes)


def test_a_start_of_001_everywhere_has_no_003():
    assert RunConfig(init="paper", init_std_middle="0.01")
    with pytest.raises(ValueError, match=r"init 'paper' has 0\.01 everywhere; init_std_middle"):
        RunConfig(init="paper", init_std_middle="0.03")


def test_values_become_the_type_of_their_key():
    config = RunConfig.from_dict({"lr_drops": [3, 5], "lr": 1})
    assert config.lr_drops == (3, 5)
    assert type(config.lr) is float
    assert hash(config) == hash(RunConfig(lr_drops=(3, 5), lr=1.0))


def test_from_dict_undoes_to_dict_also_through_json():
    config = RunConfig(net="80sec", lr=0.003, lr_drops=(8, 9), flip=True, crop=24, device="cuda")
    assert config.to_dict()["lr_drops"] == [8, 9]
    assert RunConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert RunConfig.from_dict({}) == RunConfig()


def test_replace_changes_the_named_keys_of_a_copy():
    config = RunConfig(lr=0.1, epochs=3)
    changed = config.replace(lr=0.2)
    assert (changed.lr, changed.epochs, config.lr) == (0.2, 3, 0.1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.lr = 0.2


def test_how_a_run_is_carried_out_does_not_decide_its_result():
    assert set(RunConfig().to_dict()) - set(RunConfig().decides()) == {"step", "device", "threads"}
    assert RunConfig(device="cuda", threads=8).decides() == RunConfig().decides()
    assert RunConfig(epochs=2).decides() != RunConfig().decides()


def test_the_papers_constants_are_the_defaults():
    assert (RunConfig().momentum, RunConfig().batch, RunConfig().nonlinearity) == (0.9, 128, "relu")


def test_every_key_is_read_by_the_training():
    """A key that nothing reads would stand in every record and mean nothing."""
    read = set()
    for module in (loop, setup, seen, choices):
        for node in ast.walk(ast.parse(Path(module.__file__).read_text())):
            if isinstance(node, ast.Attribute) and "config" in (
                getattr(node.value, "id", ""), getattr(node.value, "attr", "")
            ):  # fmt: skip
                read.add(node.attr)
    assert {f.name for f in dataclasses.fields(RunConfig)} - read == set()


@pytest.mark.parametrize(
    "field", [f for f in dataclasses.fields(RunConfig) if type(f.default) in (int, tuple)],
    ids=lambda f: f.name,
)  # fmt: skip
def test_every_count_says_of_what(field):
    assert field.metadata["unit"] in ("images", "pixels", "epochs", "threads", "runs")
