"""§5 The regime of the paper and of the old scaled setting, against figures typed by hand."""

import math
from dataclasses import replace

import pytest

from alexnet_repro import spec
from alexnet_repro.config import RunConfig
from alexnet_repro.data import sets
from alexnet_repro.spec import Layer, Spec, regime
from alexnet_repro.spec.regime import Setting
from alexnet_repro.study import experiments


def of(experiment, arm, side):
    """The setting of an experiment's arm on a data set that sets.py knows."""
    config = experiments.get(experiment).config(arm)
    known = sets.KNOWN[config.data]
    return Setting(config, spec.get(config.net), known.images["train"], known.classes, side)


def small(**changes):
    """The first net of the matched regime: mini-alexnet for 28-pixel crops, fc 512."""
    mini = spec.get("mini-alexnet")
    rows = tuple(replace(r, out=512) if r.name in ("fc6", "fc7") else r for r in mini.layers)
    config = RunConfig(
        net=mini.name, crop=28, flip=True, weight_decay=5e-4, epochs=90, lr_drops=(23, 50, 76)
    ).replace(**changes)
    return Setting(config, replace(mini, input_size=28, layers=rows), 10_000, 10, 32)


@pytest.fixture
def columns():
    return regime.table(
        {
            "the paper": of("s6-ilsvrc-2012", "paper", 256),
            "old": of("s4-ablations", "baseline", 32),
            "first": small(),
        }
    )


def test_the_paper(columns):
    found = columns["the paper"]
    assert found["parameters"] == 60_965_224
    assert round(found["parameters per training image"]) == 48
    assert round(found["training images per class"]) == 1281
    assert found["crop side / image side"] == 0.875
    # the schedule of run 145-2010; the paper says "roughly 90"
    assert found["epochs"] == 93
    assert [round(d) for d in found["drops of the rate, % of the schedule"]] == [25, 55, 84]
    assert found["updates"] == 93 * 10_010 == 930_930
    assert round(found["noise scale"]) == 1001
    # 5e-5 an update: 23 epochs at the first rate, then 28 / 10, 27 / 100, 15 / 1000
    want = 5e-5 * 10_010 * (23 + 2.8 + 0.27 + 0.015)
    assert found["decay, e-folds"] == pytest.approx(want)
    assert round(want) == 13
    assert found["crops x reflections"] == 2178


def test_the_old_scaled_setting(columns):
    found = columns["old"]
    assert found["parameters"] == 255_562
    assert found["parameters per training image"] == pytest.approx(5.11, abs=0.005)
    assert found["training images per class"] == 5000
    assert found["crop side / image side"] == 0.75
    assert found["epochs"] == 10
    assert found["drops of the rate, % of the schedule"] == (80.0,)
    assert found["updates"] == 3910
    assert found["noise scale"] == pytest.approx(39.06, abs=0.005)
    assert found["decay, e-folds"] == pytest.approx(0.16, abs=0.0005)
    assert found["crops x reflections"] == 162


def test_the_first_matched_setting(columns):
    found = columns["first"]
    assert found["parameters"] == 565_834
    assert 40 <= found["parameters per training image"] <= 60
    assert found["training images per class"] == 1000
    assert found["crop side / image side"] == 0.875
    assert [round(d) for d in found["drops of the rate, % of the schedule"]] == [26, 56, 84]
    assert found["updates"] == 90 * 79
    assert found["noise scale"] == pytest.approx(7.8125)
    assert regime.noise_scale(small(batch=32)) == pytest.approx(31.25)
    assert found["crops x reflections"] == 50


def test_half_the_images_have_half_the_noise_and_twice_the_parameters_each():
    whole = small()
    half = replace(whole, images=5000)
    assert regime.noise_scale(half) == pytest.approx(regime.noise_scale(whole) / 2)
    one, two = regime.table({"half": half, "whole": whole}).loc["parameters per training image"]
    assert one == pytest.approx(2 * two)


def test_decay_equals_the_sum_over_updates():
    setting = replace(small(epochs=7, lr_drops=[2, 5], batch=3, momentum=0.8), images=10)
    total = 0.0
    for epoch in range(7):
        for _batch in range(4):  # of 3, 3, 3 and 1
            rate = 0.01 if epoch < 2 else 0.001 if epoch < 5 else 0.0001
            total += rate * 5e-4 / 0.2
    assert regime.decay(setting) == pytest.approx(total)
    assert regime.updates(setting) == 28


def test_decay_is_what_the_update_rule_leaves_of_a_weight_without_gradient():
    setting = replace(small(epochs=100, lr_drops=[60], lr=0.01, weight_decay=0.01), images=1280)
    w, v = 1.0, 0.0
    for update in range(1000):
        rate = 0.01 if update < 600 else 0.001
        v = 0.9 * v - 0.01 * rate * w  # §5, the gradient of the loss being 0
        w += v
    assert regime.decay(setting) == pytest.approx(0.64)
    assert -math.log(w) == pytest.approx(0.64, rel=0.02)


@pytest.mark.parametrize(
    ("changes", "want"),
    [
        ({}, 50),
        ({"flip": False}, 25),
        ({"crop_position": "centre"}, 2),
        ({"crop_position": "centre", "flip": False}, 1),
        ({"crop": 0}, 2),
        ({"crop": 32, "flip": False}, 1),
    ],
)
def test_views_of_an_image(changes, want):
    assert regime.views(small(**changes)) == want


def test_without_crops_the_net_sees_the_whole_image():
    assert regime.table({"a": small(crop=0)}).loc["crop side / image side", "a"] == 1


def test_a_drop_after_the_end_is_none():
    assert regime.drops(small(epochs=10, lr_drops=[5, 10, 20])) == (50.0,)


def test_the_last_layer_has_the_classes_of_the_data():
    assert regime.parameters(replace(small(), classes=20)) == 565_834 + 10 * 513


def test_the_first_net_is_matched():
    assert spec.get("matched").layers == small().spec.layers
    assert spec.get("matched").input_size == 28


def test_fan_in_of_the_papers_net():
    assert regime.fan_in(spec.get("alexnet")) == {
        "conv1": 363, "conv2": 1200, "conv3": 2304, "conv4": 1728, "conv5": 1728,
        "fc6": 9216, "fc7": 4096, "fc8": 4096,
    }  # fmt: skip
    assert regime.fan_in(spec.get("conv-local-13pct"))["local3"] == 9 * 64


def test_the_start_of_2012_for_the_first_net():
    found = regime.start(small().spec)
    want = {
        "conv1": 0.022, "conv2": 0.020, "conv3": 0.0693, "conv4": 0.0735, "conv5": 0.0735,
        "fc6": 0.0462, "fc7": 0.0283, "fc8": 0.0283,
    }  # fmt: skip
    assert list(found) == list(want)
    assert found == pytest.approx(want, abs=5e-5)
    assert found["conv1"] == pytest.approx(0.01 * math.sqrt(363 / 75))


def test_the_printed_start_has_one_deviation():
    found = regime.start(small().spec, reading="paper")
    assert found["conv4"] == pytest.approx(0.0245, abs=5e-5)
    assert found["conv1"] == regime.start(small().spec)["conv1"]


def test_the_papers_own_net_keeps_its_deviations():
    found = regime.starts({"paper": spec.get("alexnet"), "first": small().spec})
    assert found["paper"].tolist() == [0.01, 0.01, 0.03, 0.03, 0.03, 0.01, 0.01, 0.01]
    assert found["first"].to_dict() == regime.start(small().spec)


def test_a_net_without_conv3_has_no_row_of_it():
    less = spec.get("alexnet-without-conv3")
    found = regime.starts({"less": less})["less"]
    assert math.isnan(found["conv3"])
    # conv4 reads all 256 maps of conv2 in its place
    assert found["conv4"] == pytest.approx(0.03 * math.sqrt(1728 / 2304))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: replace(small(), images=0), "at least one image, class and pixel, got images=0"),
        (lambda: small(crop=33), "a crop of 33 pixels does not fit images of 32"),
        (lambda: small(plateau_patience=3, validation_images=9), "a fixed schedule.*patience=3"),
        (lambda: small(momentum=1.0), "a momentum below 1, got 1.0"),
        (lambda: regime.start(small().spec, reading="modern"), "'paper' or 'original'.*'modern'"),
        (lambda: regime.start(spec.get("18pct")), "layer 'fc10' that alexnet has not; it has conv"),
    ],
)
def test_wrong_input(make, text):
    with pytest.raises(ValueError, match=text):
        make()


def test_no_torch(imported_by):
    assert "torch" not in imported_by("import alexnet_repro.spec.regime")


def test_a_unit_reads_what_its_layer_holds():
    rows = (Layer("conv1", "conv", 4, 3, groups=1), Layer("conv2", "conv", 6, 5, groups=2))
    assert regime.fan_in(Spec("two", "test", rows, 9)) == {"conv1": 27, "conv2": 50}
