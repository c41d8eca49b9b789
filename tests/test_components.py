"""The demonstrations: equal to their records, and to what formulas or hand computation say."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from alexnet_repro import components, records

NAMES = list(components.DEMONSTRATIONS)


@pytest.mark.parametrize("name", NAMES)
def test_record_is_from_a_clean_commit_and_equals_a_new_computation(name):
    body = json.loads((components.FOLDER / f"{name}.json").read_text())
    assert body["component"] == name
    assert re.fullmatch(r"[0-9a-f]{40}", body["provenance"]["git"]["commit"])
    assert body["provenance"]["git"]["dirty"] is False
    kept, now = components.table(name), components.compute(name)
    assert list(kept.columns) == list(now.columns)
    assert len(kept) == len(now) > 2
    # nets trained on another machine go another way after some steps; arithmetic does not
    loose = {"ensembles": 0.12, "exports": 5e-6}.get(name, 1e-6)
    if name == "ensembles":  # a single net moves by more than that
        the_mean_is_better_than_a_net(now)
        kept, now = kept.tail(2), now.tail(2)
    for column in now:
        if column == "weight":
            assert kept[column].isna().tolist() == now[column].isna().tolist()
        elif pd.api.types.is_numeric_dtype(now[column]):
            a, b = kept[column].to_numpy(float), now[column].to_numpy(float)
            np.testing.assert_allclose(a, b, rtol=1e-2, atol=loose, err_msg=column)
        else:
            assert kept[column].tolist() == now[column].tolist()


def test_every_record_has_a_demonstration():
    assert {p.stem for p in components.FOLDER.glob("*.json")} == set(NAMES)


def test_normalisation_by_the_formulas():
    for row in components.table("normalisation").itertuples():
        coefficient, k, n = {
            "printed": (1e-4, 2, 5), "original": (1e-4 / 5, 2, 5),
            "Caffe (k = 1)": (1e-4 / 5, 1, 5), "within the map": (1e-3 / 25, 1, 25),
        }[row.reading]  # fmt: skip
        wanted = (k + coefficient * n * row.activity**2) ** -0.75
        assert row.factor == pytest.approx(wanted, rel=1e-4)


def test_order_of_relu_and_norm_goes_from_one_to_the_ratio_of_the_sums():
    for _, part in components.table("order").groupby("alpha"):
        ratios = part.sort_values("deviation")["ratio"].tolist()
        assert ratios[0] == pytest.approx(1, abs=1e-3)
        assert ratios == sorted(ratios, reverse=True)
        # far up only the sums count: with negative squares or without, about (1/2)^0.75
        assert 0.5**0.75 < ratios[-1] < 0.8


def test_update_rule_by_hand():
    velocity = {"printed": 0.0, "torch.optim.SGD": 0.0}
    for row in components.table("update_rule").itertuples():
        rate = 0.01 if row.update < 40 else 0.001
        if row.rule == "printed":
            velocity[row.rule] = 0.9 * velocity[row.rule] + rate
            wanted = velocity[row.rule]
        else:
            velocity[row.rule] = 0.9 * velocity[row.rule] + 1
            wanted = rate * velocity[row.rule]
        assert row.size == pytest.approx(wanted, rel=1e-6)


def test_crops_of_a_batch():
    found = components.table("crops")
    distinct = found.groupby("draws").apply(lambda part: len(part.drop_duplicates()))
    assert distinct["32 images"] == 4
    assert distinct["each image"] > 110
    assert found[["top", "left"]].to_numpy().min() >= 0
    assert found[["top", "left"]].to_numpy().max() <= 32


def test_colour_noise_readings_keep_their_ratio():
    length = components.table("colour_noise").groupby("reading")["length"].mean()
    ratio = length["printed, pixels in 0..255"] / length["printed, pixels in 0..1"]
    assert ratio == pytest.approx(255)
    # the top component alone: 0.1 * 121.78 grey levels against 0.1 * 121.78^2 / 255
    assert length["original code"] / length["printed, pixels in 0..1"] == pytest.approx(
        255 / 121.78, rel=0.2
    )


def test_the_two_averages_name_different_classes():
    found = components.table("averages").set_index("what")
    assert found.loc["mean of the outputs"].idxmax() == "class A"
    assert found.loc["softmax of the mean score"].idxmax() == "class C"
    np.testing.assert_allclose(found.sum(axis=1), 1)
    np.testing.assert_allclose(
        found.loc["mean of the outputs"], found.loc[["view 1", "view 2"]].mean()
    )


def test_reach_of_conv1():
    other = components.table("reach").set_index(["net", "layer"])["other"]
    assert other["alexnet", "norm1"] == pytest.approx(2 / 48)
    for net in ("alexnet-per-column", "alexnet-original"):
        silent = [v for (n, layer), v in other.items() if n == net and layer[-1] in "12"]
        assert silent
        assert set(silent) == {0}
        assert other[net, "conv3"] == 1
    assert other["alexnet-ungrouped", "conv2"] == 1


def test_dropout_factor():
    found = components.table("dropout").groupby("kind")["value"].agg(["mean", "std", "count"])
    error = found.loc["training", "std"] / found.loc["training", "count"] ** 0.5
    assert abs(found.loc["training", "mean"] - found.loc["test", "mean"]) < 4 * error
    whole, half = found.loc["test without the factor", "mean"], found.loc["test", "mean"]
    assert whole / half == pytest.approx(2)


def the_mean_is_better_than_a_net(ensembles):
    found = ensembles.set_index("what")
    single = found.loc[["net 1", "net 2", "net 3"]]
    assert found["error"].between(0, 0.85).all()  # all have learnt: chance is 0.9
    assert found.loc["mean", "error"] < single["error"].mean()
    assert single["weight"].sum() == pytest.approx(1)


def test_the_recorded_mean_is_better_than_a_net():
    the_mean_is_better_than_a_net(components.table("ensembles"))


def test_other_programs_agree():
    found = components.table("exports")
    assert set(found["by"]) == {"torchvision", "onnxruntime"}
    assert found["difference"].max() < 5e-6


def test_two_processes_compute_what_one_does():
    found = components.table("two_processes").set_index("what")
    losses = found[found.index.str.startswith("loss")]
    np.testing.assert_allclose(losses["two processes"], losses["one process"], rtol=1e-9)
    sent = found.loc["bytes a column sends a step (computed | counted)"]
    assert sent["one process"] == sent["two processes"] > 0
    worst = found[found.index.str.startswith("largest")]["two processes"]
    assert len(worst) == 2
    assert worst.max() < 1e-12


def test_errors_name_the_command_and_the_names(tmp_path):
    with pytest.raises(records.RecordError, match="make it with `alexnet-repro components crops`"):
        components.table("crops", folder=tmp_path)
    (tmp_path / "crops.json").write_text('{"rows": [[1')
    with pytest.raises(records.RecordError, match=r"no readable record .*crops\.json"):
        components.table("crops", folder=tmp_path)
    with pytest.raises(ValueError, match="no demonstration 'crop'; there are order, "):
        components.table("crop")


def test_write_and_read_back(tmp_path):
    path = components.write("averages", tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    pd.testing.assert_frame_equal(
        components.table("averages", folder=tmp_path), components.compute("averages")
    )
