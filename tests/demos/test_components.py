"""The demonstrations: equal to their records, and to what formulas or hand computation say."""

import functools
import json
import math
import re

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
import torchvision

from alexnet_repro.data import embedded
from alexnet_repro.demos import components, of_training
from alexnet_repro.study import records
from alexnet_repro.training import diagnose

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
        check_ensembles(now)
        counted_ensembles(now)
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


def pooled(maps, kind, size):
    """Windows of size x size, two apart, the last ones cut by the edge; one at a time."""
    high, wide = (-(-(n - size) // 2) + 1 for n in maps.shape[2:])
    out = np.empty((*maps.shape[:2], high, wide))
    for i in range(high):
        for j in range(wide):
            window = maps[:, :, 2 * i : 2 * i + size, 2 * j : 2 * j + size]
            out[:, :, i, j] = window.max((2, 3)) if kind == "max" else window.mean((2, 3))
    return out


def check_order(found):
    """ReLU after over ReLU before the norm, from the two sums of squares, channel by channel."""
    unit = (
        torch.randn(1, 48, 27, 27, generator=torch.Generator().manual_seed(0))[0].double().numpy()
    )
    alphas = {"printed": 1e-4, "original": 1e-4 / 5}
    for alpha in alphas:
        levels = found[found["alpha"] == alpha]["deviation"]
        np.testing.assert_allclose(levels, 10 ** (np.arange(29) / 8), rtol=1e-3)
    sums = {"all": np.zeros_like(unit), "positive": np.zeros_like(unit)}
    for i in range(48):
        for j in range(max(0, i - 2), min(47, i + 2) + 1):
            sums["all"][i] += unit[j] ** 2
            sums["positive"][i] += np.maximum(unit[j], 0) ** 2
    up, down = sums["positive"][unit > 0], sums["all"][unit > 0]
    for row in found.itertuples():
        scale = alphas[row.alpha] * row.deviation**2
        wanted = np.median(((2 + scale * up) / (2 + scale * down)) ** 0.75)
        assert row.ratio == pytest.approx(wanted, rel=2e-4)
    # far up only the sums count: with negative squares or without, about (1/2)^0.75
    assert 0.5**0.75 < found["ratio"].min() < 0.8


def check_normalisation(found):
    assert found["reading"].value_counts().tolist() == [29] * 4
    for row in found.itertuples():
        coefficient, k, n = {
            "printed": (1e-4, 2, 5), "original": (1e-4 / 5, 2, 5),
            "Caffe (k = 1)": (1e-4 / 5, 1, 5), "within the map": (1e-3 / 25, 1, 25),
        }[row.reading]  # fmt: skip
        wanted = (k + coefficient * n * row.activity**2) ** -0.75
        assert row.factor == pytest.approx(wanted, rel=1e-4)


def check_pooling(found):
    images = embedded.generate("train").images[:100].astype(float)
    kinds = {"max 3×3, stride 2": ("max", 3), "max 2×2, stride 2": ("max", 2),
             "average 3×3, stride 2": ("mean", 3)}  # fmt: skip
    for kind in kinds:
        assert found[found["pooling"] == kind]["shift"].tolist() == [0, 1, 2, 3, 4]
    still = {name: pooled(images[..., :24], *kind) for name, kind in kinds.items()}
    assert {v.shape[2:] for v in still.values()} == {(16, 12)}
    for row in found.itertuples():
        moved = pooled(images[..., row.shift : row.shift + 24], *kinds[row.pooling])
        change = np.sqrt(((moved - still[row.pooling]) ** 2).mean())
        wanted = change / still[row.pooling].std(ddof=1)
        assert row.change == pytest.approx(wanted, rel=1e-5, abs=1e-12)


def check_reach(found):
    # the first layer of the second column that the first column's conv1 reaches (§3.2, §3.3)
    first = {"alexnet": "norm1", "alexnet-per-column": "conv3", "alexnet-original": "conv3",
             "alexnet-ungrouped": "norm1"}  # fmt: skip
    assert set(found["net"]) == set(first)
    for net, part in found.groupby("net", sort=False):
        other = part.set_index("layer")["other"]
        at = list(other.index).index(first[net])
        assert (other.iloc[:at] == 0).all()
        assert (other.iloc[at:] > 0).all()
        assert part["own"].between(0.4, 1).all()  # all but units that are silent before and after
        named = part.set_index("layer")
        seen = [x for x in named.index if x.startswith(("conv", "fc", "norm", "map"))]
        assert (named.loc[seen, "own"] == 1).all()
        if first[net] == "norm1":  # two of 48 maps are near enough to the border
            assert other["norm1"] == pytest.approx(2 / 48)
            assert other["conv2"] == 1
        assert other["conv3"] == other["fc8"] == 1


def check_dropout(found):
    """The sum over units, by its mean and deviation under masks of one half."""
    hidden = torch.randn(1, 4096, generator=torch.Generator().manual_seed(1))[0].double().numpy()
    weights = torch.randn(4096, generator=torch.Generator().manual_seed(2)).double().numpy()
    terms = np.maximum(hidden, 0) * 0.01 * np.abs(weights)
    value = {kind: part.to_numpy() for kind, part in found.groupby("kind")["value"]}
    assert value["test without the factor"] == pytest.approx(terms.sum(), rel=1e-5)
    assert value["test"] == pytest.approx(terms.sum() / 2, rel=1e-5)
    masks, n = value["training"], 400
    assert len(masks) == n == len(set(masks))
    deviation = np.sqrt((terms**2).sum()) / 2
    assert masks.mean() == pytest.approx(terms.sum() / 2, abs=4 * deviation / n**0.5)
    assert masks.std(ddof=1) == pytest.approx(deviation, rel=4 / (2 * n) ** 0.5)


def check_crops(found):
    places = found[["top", "left"]].to_numpy()
    assert (places == places.astype(int)).all()
    assert (places.min(), places.max()) == (0, 32)
    for draws, part in found.groupby("draws"):
        assert len(part) == 128
        chunk = {"each image": 1, "32 images": 32}[draws]
        for start in range(0, 128, chunk):
            assert len(part.iloc[start : start + chunk].drop_duplicates()) == 1
        distinct = len(part.drop_duplicates())
        assert distinct == 4 if chunk == 32 else distinct > 110
    each = found[found["draws"] == "each image"]
    # uniform over 0..32: mean 16, deviation 9.52; mirrored or not: fair
    for column in ("top", "left"):
        assert each[column].mean() == pytest.approx(16, abs=4 * 9.52 / 128**0.5)
        assert each[column].std() == pytest.approx(9.52, rel=0.2)
    assert each["flip"].sum() == pytest.approx(64, abs=4 * (128 / 4) ** 0.5)


def check_colour_noise(found):
    """From the draws that the original's reading shows, the other two by the printed formula."""
    deviations = np.array([19.720833, 37.093889, 121.780061])  # of the components, grey levels
    axes = np.array([(0.41796, -0.81698, 0.39731), (-0.71258, -0.02354, 0.70120),
                     (-0.56351, -0.57618, -0.59200)])  # fmt: skip
    shifts = {k: p[["red", "green", "blue"]].to_numpy() for k, p in found.groupby("reading")}
    draws = shifts["original code"] @ np.linalg.inv(axes) / deviations
    assert len(draws) == 200
    assert draws.std(0, ddof=1) == pytest.approx(0.1, rel=4 / 400**0.5)
    assert np.abs(draws.mean(0)).max() < 4 * 0.1 / 200**0.5
    unit = 255 * (draws * (deviations / 255) ** 2) @ axes  # eigenvalues of pixels in 0..1
    np.testing.assert_allclose(shifts["printed, pixels in 0..1"], unit, rtol=1e-4, atol=1e-4)
    grey = (draws * deviations**2) @ axes
    np.testing.assert_allclose(shifts["printed, pixels in 0..255"], grey, rtol=1e-4, atol=1e-2)
    length = np.sqrt((found[["red", "green", "blue"]].to_numpy() ** 2).sum(1))
    np.testing.assert_allclose(found["length"], length, rtol=1e-6)


def check_update_rule(found):
    velocity = {"printed": 0.0, "torch.optim.SGD": 0.0}
    for row in found.itertuples():
        rate = 0.01 if row.update < 40 else 0.001
        if row.rule == "printed":
            velocity[row.rule] = 0.9 * velocity[row.rule] + rate
            wanted = velocity[row.rule]
        else:
            velocity[row.rule] = 0.9 * velocity[row.rule] + 1
            wanted = rate * velocity[row.rule]
        assert row.size == pytest.approx(wanted, rel=1e-6)
    for _, part in found.groupby("rule"):
        assert part["update"].tolist() == list(range(1, 121))


# weights, shape by shape; stride, padding, groups of the convolutions (§3.5)
ALEXNET = {
    "conv1": ((96, 3, 11, 11), 4, 0, 1), "conv2": ((256, 48, 5, 5), 1, 2, 2),
    "conv3": ((384, 256, 3, 3), 1, 1, 1), "conv4": ((384, 192, 3, 3), 1, 1, 2),
    "conv5": ((256, 192, 3, 3), 1, 1, 2), "fc6": ((4096, 9216),), "fc7": ((4096, 4096),),
    "fc8": ((1000, 4096),),
}  # fmt: skip
RECIPES = {  # pixels, deviation in conv3 to 5, bias in conv2, 4, 5, fc6, fc7
    "original: 0.03 in conv3-5": ("centred", 0.03, 1.0),
    "paper, biases 0.1 (Caffe)": ("centred", 0.01, 0.1),
}


def plain_alexnet(x, weights, bias):
    """The net in torch's functions, LRN as printed by a loop; each weight layer's output."""
    outputs = {}
    for name, (_, *convolution) in ALEXNET.items():
        b = torch.full(
            (len(weights[name]),), bias if name not in ("conv1", "conv3", "fc8") else 0.0
        )
        if convolution:
            stride, padding, groups = convolution
            x = F.pad(x, (0, 3, 0, 3)) if name == "conv1" else x
            x = F.conv2d(x, weights[name], b, stride, padding, 1, groups)
        else:
            x = F.linear(x.flatten(1), weights[name], b)
        outputs[name] = x
        x = x.relu() if name != "fc8" else x
        if name in ("conv1", "conv2"):
            n = x.shape[1]
            energy = [x[:, max(0, i - 2) : i + 3].square().sum(1) for i in range(n)]
            x = x / (2 + 1e-4 * torch.stack(energy, 1)) ** 0.75
        if name in ("conv1", "conv2", "conv5"):
            x = F.max_pool2d(x, 3, 2)
        if name in ("fc6", "fc7"):
            x = x * 0.5
    return outputs


@functools.cache
def plain_initialisation():
    """recipe -> shares by layer, loss and length of conv1's gradient."""
    found = {}
    generator = torch.Generator().manual_seed(0)
    units = {
        n: torch.empty(shape).normal_(generator=generator) for n, (shape, *_) in ALEXNET.items()
    }
    for recipe, (pixels, middle, bias) in RECIPES.items():
        wide = ("conv3", "conv4", "conv5")
        weights = {n: u * (middle if n in wide else 0.01) for n, u in units.items()}
        weights["conv1"].requires_grad_()
        outputs = plain_alexnet(diagnose.probe_images(4, 224, pixels), weights, bias)
        maps = {n: x.detach().numpy() for n, x in outputs.items()}
        shares = [x.std(0, ddof=1).mean() / np.abs(x).mean() for x in maps.values()]
        scores = outputs["fc8"].double()
        loss = (scores.exp().sum(1).log() - scores[range(4), range(4)]).mean()
        loss.backward()
        gradient = weights["conv1"].grad.square().sum().sqrt()
        found[recipe] = shares, loss.item(), gradient.item()
    return found


def check_initialisation(found):
    assert set(RECIPES) < set(found["recipe"])
    for recipe, part in found.groupby("recipe"):
        assert part["layer"].tolist() == list(ALEXNET)
        if recipe in RECIPES:
            shares, loss, gradient = plain_initialisation()[recipe]
            np.testing.assert_allclose(part["share"], shares, rtol=1e-2, atol=1e-6)
            np.testing.assert_allclose(part["loss"], loss, rtol=1e-4)
            np.testing.assert_allclose(part["gradient"], gradient, rtol=1e-2)


def check_averages(found):
    def softmax(*scores):
        total = sum(math.exp(x) for x in scores)
        return [math.exp(x) / total for x in scores]

    one, two = softmax(4, 0, 3), softmax(0, 1.5, 1.5)
    wanted = {
        "view 1": one, "view 2": two,
        "mean of the outputs": [(a + b) / 2 for a, b in zip(one, two, strict=True)],
        "softmax of the mean score": softmax(2, 0.75, 2.25),
    }  # fmt: skip
    found = found.set_index("what")
    for what, values in wanted.items():
        assert found.loc[what].tolist() == pytest.approx(values, rel=1e-6)
    assert found.loc["mean of the outputs"].idxmax() == "class A"
    assert found.loc["softmax of the mean score"].idxmax() == "class C"


def check_ensembles(found):
    """Errors of 250 images; weights that steps of 0.05 can make; the mean beats a single net."""
    assert found["what"].tolist() == ["net 1", "net 2", "net 3", "mean", "weighted mean"]
    found = found.set_index("what")
    single = found.loc[["net 1", "net 2", "net 3"]]
    wrong = 250 * found["error"].to_numpy()
    np.testing.assert_allclose(wrong, wrong.round(), atol=1e-6)
    assert found["error"].between(0, 0.85).all()  # all have learnt: chance is 0.9
    assert found.loc["mean", "error"] < single["error"].mean()
    weights = single["weight"].to_numpy()
    assert weights.sum() == pytest.approx(1)
    steps = np.arange(1, 61) / 20  # the sum before the division
    whole = 20 * weights * steps[:, None]
    assert np.abs(whole - whole.round()).max(1).min() < 1e-6


def check_two_processes(found):
    found = found.set_index("what")
    losses = found[found.index.str.startswith("loss")]
    assert len(losses) == 4
    np.testing.assert_allclose(losses["two processes"], losses["one process"], rtol=1e-9)
    assert losses["one process"].between(1.5, 3.5).all()  # ten classes: ln 10 is 2.3
    # halves of 48 maps of 6x6, of 48 of 3x3, of 256 and 256 units, there and back; five scores;
    # 16 images, eight bytes a number
    numbers = 2 * (24 * 36 + 24 * 9 + 128 + 128) + 5
    sent = found.loc["bytes a column sends a step (computed | counted)"]
    assert sent.tolist() == [numbers * 16 * 8] * 2
    worst = found[found.index.str.startswith("largest")]["two processes"]
    assert len(worst) == 2
    assert 0 < worst.min() <= worst.max() < 1e-12


def check_layouts(found):
    """Against the names in torchvision's own net, and Caffe's, typed from its prototxt."""
    theirs = torchvision.models.alexnet(weights=None)
    layers = (torch.nn.Conv2d, torch.nn.Linear)
    wanted = [n for n, m in theirs.named_modules() if isinstance(m, layers)]
    caffe = "conv1 conv2 conv3 conv4 conv5 fc6 fc7 fc8".split()
    for layout, part in found.groupby("layout"):
        assert part["layer"].tolist() == caffe
        assert part["theirs"].tolist() == (wanted if layout == "torchvision" else caffe)
        blue = part["note"].str.contains("blue, green, red there; red, green, blue here").tolist()
        assert blue == [layout != "torchvision"] + [False] * 7
    assert set(found["layout"]) == {"torchvision", "caffe-alexnet", "caffenet"}


def check_exports(found):
    """The other side is another program; a unit or two in the last place, no more."""
    assert found["by"].tolist() == ["torchvision"] + ["onnxruntime"] * 3
    assert found["net"].nunique() == 4
    assert found["difference"].between(0, 5e-6).all()
    # two programs that sum in different orders cannot agree in every bit
    assert (found[found["by"] == "onnxruntime"]["difference"] > 0).all()


def counted_ensembles(found):
    """The demonstration's arithmetic again, image by image, from the nets' own probabilities."""
    found = found.set_index("what")
    probabilities, labels = of_training._trained_probabilities()
    p, true = probabilities[:, 250:].double().numpy(), labels[250:].numpy()
    weights = found.loc[["net 1", "net 2", "net 3"], "weight"].to_numpy(float)
    means = {
        **{f"net {m + 1}": p[m] for m in range(3)}, "mean": sum(p) / 3,
        "weighted mean": sum(w * q for w, q in zip(weights, p, strict=True)),
    }  # fmt: skip
    for what, mean in means.items():
        wrong = sum(int(row.argmax() != y) for row, y in zip(mean, true, strict=True))
        assert found.loc[what, "error"] == pytest.approx(wrong / 250)


@pytest.mark.parametrize("name", NAMES)
def test_record_is_what_formulas_say(name):
    check = globals()[f"check_{name}"]  # a demonstration without one fails here
    found = components.table(name)
    check(found)
    # and the check would notice: a tenth more in any column of numbers, or a line that is gone
    changes = [found[:-1]]
    for column in found.select_dtypes("number").columns:
        factor = 1e2 if name == "exports" else 1.1
        changes.append(found.assign(**{column: found[column] * factor}))
    for changed in changes:
        with pytest.raises((AssertionError, KeyError, ValueError)):
            check(changed)


def test_errors_name_the_command_and_the_names(tmp_path):
    with pytest.raises(records.RecordError, match="make it with `alexnet-repro components crops`"):
        components.table("crops", folder=tmp_path)
    (tmp_path / "crops.json").write_text('{"rows": [[1')
    with pytest.raises(records.RecordError, match=r"no readable record .*crops\.json"):
        components.table("crops", folder=tmp_path)
    with pytest.raises(ValueError, match="no demonstration 'crop'; there are order, "):
        components.table("crop")


def test_an_edited_number_is_refused(tmp_path):
    text = (components.FOLDER / "averages.json").read_text()
    first = re.search(r'"rows": \[\n  \[.*?(\d\.\d+)', text)
    edited = text[: first.start(1)] + "9.25" + text[first.end(1) :]
    (tmp_path / "averages.json").write_text(edited)
    with pytest.raises(records.RecordError, match=r"averages\.json \(its content is not what its"):
        components.table("averages", folder=tmp_path)


def test_write_and_read_back(tmp_path):
    path = components.write("averages", tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    pd.testing.assert_frame_equal(
        components.table("averages", folder=tmp_path), components.compute("averages")
    )
