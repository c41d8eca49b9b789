"""Weights in files and in other people's layouts, against torchvision and a forward by hand."""

import json
import math
import os
import pickle
from dataclasses import replace

import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
import torchvision
from by_hand import narrow
from safetensors import safe_open
from torch import nn

from alexnet_repro import model, spec
from alexnet_repro.errors import InputError, MissingError
from alexnet_repro.layers import PaperDropout
from alexnet_repro.model import inverted, layouts, weights
from alexnet_repro.spec import peers
from alexnet_repro.spec.rows import WEIGHT_KINDS

NETS = {**spec.NETWORKS, **peers.PEERS}
CAFFE = {
    "conv1": (96, 3, 11, 11), "conv2": (256, 48, 5, 5), "conv3": (384, 256, 3, 3),
    "conv4": (384, 192, 3, 3), "conv5": (256, 192, 3, 3), "fc6": (4096, 9216),
    "fc7": (4096, 4096), "fc8": (1000, 4096),
}  # fmt: skip


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def images(net, n=2, seed=1):
    side = net.spec.input_size
    return 60 * torch.randn(n, 3, side, side, generator=seeded(seed))


def scores(net, x):
    with torch.inference_mode():
        return net.eval()(x)


def edit(path, change=lambda metadata, state: None):
    """Write a file of ours again with other metadata or tensors."""
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    state = {k: v.clone() for k, v in safetensors.torch.load_file(path).items()}
    change(metadata, state)
    safetensors.torch.save_file(state, path, metadata)


@pytest.mark.parametrize("name", NETS)
def test_what_was_saved_comes_back(name, tmp_path):
    net = model.build(
        narrow(NETS[name]), nonlinearity="tanh", num_classes=7, init="modern", generator=seeded()
    )
    weights.save(net, tmp_path / "net.safetensors")
    back = weights.load(tmp_path / "net.safetensors")
    assert back.training
    assert (back.spec, back.nonlinearity) == (net.spec, "tanh")
    assert str(back) == str(net)
    assert all(isinstance(p, nn.Parameter) and p.requires_grad for p in back.parameters())
    found = scores(back, images(net, 1))
    assert found.shape == (1, 7)
    assert torch.equal(found, scores(net, images(net, 1)))
    assert [p.name for p in tmp_path.iterdir()] == ["net.safetensors"]


@pytest.fixture
def mini(tmp_path):
    """A small net and the file that holds it."""
    net = model.build("mini-alexnet", init="modern", generator=seeded())
    weights.save(net, tmp_path / "mini.safetensors")
    return net, tmp_path / "mini.safetensors"


def test_converted_dropout_dtype_and_memory_layout_survive(mini):
    net, path = mini
    before = scores(net, images(net))
    inverted.to_inverted(net)
    weights.save(net.double().to(memory_format=torch.channels_last), path)
    back = weights.load(path)
    assert isinstance(back.drop6, nn.Dropout)
    assert back.spec == net.spec != spec.get("mini-alexnet")
    assert back.fc7.weight.dtype == torch.float64
    assert torch.equal(back.conv2.weight, net.conv2.weight)
    torch.testing.assert_close(scores(back, images(net).double()).float(), before)


def test_a_file_outlives_changes_of_the_library_and_of_the_net(mini, monkeypatch):
    net, path = mini
    old = spec.get("mini-alexnet")
    rows = tuple(replace(r, k=1.0) if r.kind == "lrn" else r for r in old.layers)
    monkeypatch.setitem(spec.NETWORKS, "mini-alexnet", replace(old, layers=rows))
    raw = path.read_bytes()
    back = weights.load(path)
    assert torch.equal(scores(back, images(net)), scores(net, images(net)))
    with torch.no_grad():
        back.fc8.weight.zero_()
    assert path.read_bytes() == raw
    with safe_open(path, "pt") as file:
        facts = file.metadata()
    assert (facts["net"], facts["nonlinearity"], facts["num_classes"]) == (
        "mini-alexnet", "relu", "10",
    )  # fmt: skip


def test_a_failed_save_leaves_the_old_file(mini, monkeypatch):
    net, path = mini
    raw = path.read_bytes()

    def full(state, name, metadata):
        name.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(OSError, match="no space"):
        weights.save(net, path)
    assert path.read_bytes() == raw
    assert list(path.parent.iterdir()) == [path]


def test_a_net_of_no_name_is_refused_at_once(tmp_path):
    net = model.build(replace(spec.get("80sec"), name="mine"))
    with pytest.raises(ValueError, match=r"no net called 'mine'; nets: alexnet, .*theano-alexnet"):
        weights.save(net, tmp_path / "mine.safetensors")
    assert list(tmp_path.iterdir()) == []


def reshape_conv2(metadata, state):
    state["conv2.weight"] = torch.zeros(48, 24, 5, 5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (reshape_conv2, r"mini-alexnet, but conv2.weight has shape \(48, 24, 5, 5\), "
                        r"wanted \(48, 12, 5, 5\)"),
        (lambda m, s: s.pop("fc7.bias"), r"but fc7.bias has shape none, wanted \(256,\)"),
        (lambda m, s: s.update(more=torch.zeros(1)), "there is more, which mini-alexnet has not"),
        (lambda m, s: m.update(net="alexnett"), r"no net called 'alexnett'; nets: alexnet, "),
        (lambda m, s: m.clear(), r"does not say .*\(format None, .*use layouts.from_layout\(weig"),
        (lambda m, s: m.update(format="alexnet-repro-2"), "format 'alexnet-repro-2', wanted"),
        (lambda m, s: m.update(spec=m["spec"].replace('"ceil"', '"up"')), r"cannot build .*'up'"),
        (lambda m, s: m.update(spec="{"), r"written by alexnet-repro \d.* cannot build its net"),
        (lambda m, s: m.pop("num_classes"), r"cannot build its net \(KeyError\('num_classes'\)\)"),
    ],
)  # fmt: skip
def test_files_that_do_not_fit_are_refused(mini, change, message):
    _, path = mini
    edit(path, change)
    with pytest.raises(ValueError, match=message):
        weights.load(path)


def rows_of(metadata, change):
    """Change the rows in a file's metadata through a function of their JSON."""
    body = json.loads(metadata["spec"])
    change(body)
    metadata["spec"] = json.dumps(body)


def first_row(**change):
    return lambda metadata: rows_of(metadata, lambda body: body["layers"][0].update(change))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda m: m.update(spec="[" * 100_000), "RecursionError"),
        (lambda m: m.update(spec='{"a":' * 100_000), "RecursionError"),
        (lambda m: m.update(spec="9" * 5000), "Exceeds the limit"),
        (lambda m: m.update(spec="[]"), r"wanted an object with a list of layers, got '\[\]'"),
        (lambda m: m.update(spec='{"layers": [1]}'), "wanted an object for each layer"),
        (lambda m: m.update(spec='{"layers": []}'), "missing 2 required"),
        (lambda m: m.update(num_classes="-3"), "wants out an integer >= 1, got -3"),
        (lambda m: m.update(num_classes="ten"), "invalid literal for int"),
        (lambda m: m.update(num_classes="9" * 5000), "Exceeds the limit"),
        (lambda m: m.update(num_classes="9" * 400), "too big|too large|[Oo]verflow"),
        (lambda m: m.update(nonlinearity="gelu"), "no nonlinearity 'gelu'"),
        (lambda m: m.pop("nonlinearity"), "KeyError..nonlinearity"),
        (lambda m: m.update(net="18pct"), "rows are of 'mini-alexnet', the file says '18pct'"),
        (lambda m: m.pop("net"), "no net called ''"),
        (lambda m: rows_of(m, lambda b: b.update(input_size=10**30)), "too big|too large|[Oo]ver"),
        (lambda m: rows_of(m, lambda b: b.update(in_channels=0)), "in_channels an integer >= 1"),
        (lambda m: rows_of(m, lambda b: b.update(layers={})), "wanted an object with a list"),
        (lambda m: rows_of(m, lambda b: b["layers"][0].pop("name")), "missing 1 required"),
        (first_row(kind="pickle"), "unknown kind 'pickle'"),
        (first_row(out=2**70), "too big|too large|[Oo]verflow"),
        (first_row(name="forward"), "a layer cannot be called 'forward'"),
        (first_row(name="a.b"), "wanted a name of letters"),
    ],
)
def test_odd_metadata_are_refused_in_words_with_the_name_of_the_file(mini, change, reason):
    _, path = mini
    edit(path, lambda metadata, state: change(metadata))
    with pytest.raises(InputError, match=reason) as caught:
        weights.load(path)
    assert str(caught.value).startswith(f"{path} was written by alexnet-repro ")


ODD = (
    None, True, -1, 0, 2**31, 10**30, 1e308, -0.5, float("inf"), float("nan"), "", "conv", [], {},
)  # fmt: skip


@pytest.mark.parametrize("row", [0, 2, 13])
def test_any_value_in_a_row_makes_the_net_or_a_refusal(mini, row):
    _, path = mini
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    body = json.loads(metadata["spec"])
    taken, texts = 0, []
    for key, old in body["layers"][row].items():
        for value in ODD:
            body["layers"][row][key] = value
            try:
                net = weights._net_of(path, metadata | {"spec": json.dumps(body)})
            except InputError as error:
                texts.append(str(error))
            else:  # whatever was taken is what the net says of itself
                assert getattr(net.spec.layers[row], key) == value
                taken += 1
        body["layers"][row][key] = old
    assert all(str(path) in text for text in texts)
    assert taken < len(ODD) * len(body["layers"][row]) / 4


def test_a_changed_header_gives_a_net_or_a_refusal(mini):
    _, path = mini
    raw = path.read_bytes()
    length = 8 + int.from_bytes(raw[:8], "little")
    places = torch.randint(length, (150,), generator=seeded())
    bits = torch.randint(8, (150,), generator=seeded(1))
    texts = []
    for place, bit in zip(places.tolist(), bits.tolist(), strict=True):
        damaged = bytearray(raw)
        damaged[place] ^= 1 << bit
        path.write_bytes(damaged)
        try:
            weights.load(path)
        except InputError as error:
            texts.append(str(error))
    assert len(texts) > 100
    assert all(str(path) in text for text in texts)


def test_numbers_of_other_types_are_refused(mini):
    net, path = mini
    edit(path, lambda m, s: s.update({k: v.long() for k, v in s.items()}))
    with pytest.raises(InputError, match=r"mini.safetensors holds numbers of torch.int64, wanted"):
        weights.load(path)
    weights.save(net, path)
    edit(path, lambda m, s: s.update({"fc8.bias": s["fc8.bias"].half()}))
    with pytest.raises(InputError, match=r"of torch.float16, torch.float32, wanted one of float16"):
        weights.load(path)


def test_what_is_not_a_file_is_refused_at_once(tmp_path):
    for name in ("x.safetensors", "x.pth"):
        for function in (weights.load, weights.read):
            with pytest.raises(MissingError, match=rf"{name}: there is no such file"):
                function(tmp_path / name)
    (tmp_path / "d.safetensors").mkdir()
    os.mkfifo(tmp_path / "p.safetensors")  # opening it would wait for a writer
    for name in ("d.safetensors", "p.safetensors"):
        for function in (weights.load, weights.read):
            with pytest.raises(InputError, match=rf"{name} is not a regular file"):
                function(tmp_path / name)


def test_a_file_as_0_1_0_wrote_it_still_loads(tmp_path):
    net = model.build("18pct", num_classes=7, init="modern", generator=seeded())
    path = tmp_path / "old.safetensors"
    weights.save(net, path)

    def old(body):  # the spec kept its ten classes, and rows had no decay
        body["num_classes"], body["layers"][-1]["out"] = 10, 10
        for row in body["layers"]:
            del row["decay"]

    edit(path, lambda metadata, state: rows_of(metadata, old))
    back = weights.load(path)
    assert back.spec.num_classes == back.spec.layers[-1].out == 7
    assert torch.equal(scores(back, images(net)), scores(net, images(net)))


def test_a_new_last_layer_is_saved_and_another_layer_is_not(mini):
    net, path = mini
    net.fc8 = nn.Linear(256, 4)
    weights.save(net, path)
    assert weights.load(path).spec.num_classes == 4
    raw = path.read_bytes()
    net.fc7 = nn.Linear(256, 100)
    with pytest.raises(InputError, match=r"mini-alexnet is not as its spec says: fc7.weight has"):
        weights.save(net, path)
    assert path.read_bytes() == raw


def test_other_files_are_refused(tmp_path):
    for name, content in (("a", b""), ("b", b"12345678 no weights"), ("c", b"\xff" * 64)):
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(content)
        for function in (weights.load, weights.read):
            with pytest.raises(ValueError, match=rf"{name}.safetensors is not a safetensors file"):
                function(path)


def test_read_opens_tensors_by_name(tmp_path):
    state = {"a.weight": torch.randn(3, 2, generator=seeded()), "a.bias": torch.ones(3)}
    torch.save(state, tmp_path / "x.pt")
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "x.pth")
    torch.save(state, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    safetensors.torch.save_file(state, tmp_path / "x.safetensors")
    for name in ("x.pt", "x.pth", "old.pt", "x.safetensors"):
        found = weights.read(tmp_path / name)
        assert list(found) == list(state) or name.endswith("safetensors")
        assert all(torch.equal(found[k], v) for k, v in state.items())
    for value, kind in ((torch.ones(2), "Tensor"), ({"epoch": 3}, "dict"), ([1], "list")):
        torch.save(value, tmp_path / "y.pt")
        with pytest.raises(ValueError, match=rf"y.pt holds a {kind}, wanted tensors by name"):
            weights.read(tmp_path / "y.pt")
    torch.save({1: torch.ones(2)}, tmp_path / "y.pt")
    with pytest.raises(ValueError, match=r"y.pt holds a dict, wanted tensors by name"):
        weights.read(tmp_path / "y.pt")
    whole = (tmp_path / "x.pt").read_bytes()
    for content in (b"", b"text", whole[: len(whole) // 2]):
        (tmp_path / "y.pt").write_bytes(content)
        with pytest.raises(ValueError, match=r"y.pt (cannot be read|holds more than tensors)"):
            weights.read(tmp_path / "y.pt")
    with pytest.raises(ValueError, match=r"wanted a name ending in .safetensors, .pt or .pth"):
        weights.read(tmp_path / "x.npz")


class Trap:
    """Unpickling this creates a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize("form", ["pickle", "zip", "legacy"])
def test_code_in_a_pickle_is_never_run(form, tmp_path):
    sprung, path = tmp_path / "sprung", tmp_path / "evil.pth"
    state = {"features.0.weight": torch.ones(2), "trap": Trap(sprung)}
    if form == "pickle":
        path.write_bytes(pickle.dumps(state, protocol=2))
    else:
        torch.save(state, path, _use_new_zipfile_serialization=form == "zip")
    for function in (weights.read, weights.load):
        with pytest.raises(ValueError, match=r"evil.pth (holds more than tensors|is not a safe)"):
            function(path)
        assert not sprung.exists()
    if form == "pickle":  # the trap is a real one
        pickle.loads(path.read_bytes())["trap"].close()
        assert sprung.exists()


@pytest.fixture(scope="module")
def theirs():
    torch.manual_seed(0)
    return torchvision.models.alexnet(weights=None).eval()


def test_torchvision_gives_the_same_scores(theirs):
    state = theirs.state_dict()
    before = {k: v.clone() for k, v in state.items()}
    x = torch.randn(2, 3, 224, 224, generator=seeded())
    with torch.inference_mode():
        wanted = theirs(x)
    size = wanted.abs().max().item()
    net = layouts.from_layout(state, "torchvision")
    torch.testing.assert_close(scores(net, x), wanted, rtol=0, atol=1e-6 * size)
    assert all(torch.equal(v, state[k]) for k, v in layouts.to_layout(net, "torchvision").items())
    assert list(layouts.to_layout(net, "torchvision")) == list(state)
    net = layouts.from_layout(state, "torchvision", printed_dropout=True)
    torch.testing.assert_close(scores(net, x), wanted, rtol=0, atol=1e-6 * size)
    assert {type(net.drop5), type(net.drop6)} == {PaperDropout}
    with pytest.raises(ValueError, match=r"torchvision with relu is not .*dropout.to_inverted"):
        layouts.to_layout(net, "torchvision")
    inverted.to_inverted(net)
    assert all(torch.equal(v, state[k]) for k, v in layouts.to_layout(net, "torchvision").items())
    assert all(torch.equal(v, before[k]) for k, v in state.items())  # theirs were copied


def test_another_number_of_classes(theirs):
    state = dict(theirs.state_dict())
    state |= {"classifier.6.weight": torch.ones(5, 4096), "classifier.6.bias": torch.arange(5.0)}
    net = layouts.from_layout(state, "torchvision")
    assert torch.equal(net.fc8.bias, torch.arange(5.0))
    state["classifier.6.bias"] = torch.zeros(6)
    with pytest.raises(ValueError, match=r"fc8.weight has shape \(5, 4096\), wanted \(6, 4096\)"):
        layouts.from_layout(state, "torchvision")


@pytest.fixture(scope="module")
def blobs():
    """Weights as Caffe names and orders them, large enough that LRN matters."""
    g, state = seeded(5), {}
    for name, shape in CAFFE.items():
        fan_in = math.prod(shape[1:])
        state[f"{name}.weight"] = torch.randn(shape, generator=g) * (2 / fan_in) ** 0.5
        state[f"{name}.bias"] = torch.randn(shape[0], generator=g)
    return state


def by_hand(state, x, pool_first):
    """Caffe's net on blue, green, red, from torch's functions and nothing of ours."""

    def norm_and_pool(x):
        for pool in (pool_first, not pool_first):
            if pool:
                x = F.max_pool2d(x, 3, 2, ceil_mode=True)
            else:
                x = F.local_response_norm(x, 5, 1e-4, 0.75, 1.0)
        return x

    def wb(name):
        return state[f"{name}.weight"], state[f"{name}.bias"]

    x = norm_and_pool(F.conv2d(x, *wb("conv1"), stride=4).relu())
    x = norm_and_pool(F.conv2d(x, *wb("conv2"), padding=2, groups=2).relu())
    x = F.conv2d(x, *wb("conv3"), padding=1).relu()
    x = F.conv2d(x, *wb("conv4"), padding=1, groups=2).relu()
    x = F.conv2d(x, *wb("conv5"), padding=1, groups=2).relu()
    x = F.max_pool2d(x, 3, 2, ceil_mode=True).flatten(1)
    return F.linear(F.linear(F.linear(x, *wb("fc6")).relu(), *wb("fc7")).relu(), *wb("fc8"))


@pytest.mark.parametrize("layout", ["caffe-alexnet", "caffenet"])
def test_caffe_gives_the_same_scores_from_flipped_colours(layout, blobs):
    rgb = 70 * torch.randn(2, 3, 227, 227, generator=seeded(6))
    with torch.inference_mode():
        wanted = by_hand(blobs, rgb[:, [2, 1, 0]], layout == "caffenet")
        other = by_hand(blobs, rgb[:, [2, 1, 0]], layout != "caffenet")
    size = wanted.abs().max().item()
    assert (wanted - other).abs().max() > 0.01 * size  # the order shows in these scores
    state = dict(blobs)
    if layout == "caffenet":  # as a converter of old files leaves them
        state = {}
        for key, value in blobs.items():
            name, part = key.split(".")
            old = value.numpy() if name.startswith("conv") else value[None, None].numpy()
            state[f"{name}/{int(part == 'bias')}"] = old
    net = layouts.from_layout(state, layout)
    assert net.spec == peers.get(layout)
    torch.testing.assert_close(scores(net, rgb), wanted, rtol=0, atol=1e-5 * size)
    back = layouts.to_layout(net, layout)
    assert list(back) == list(blobs)
    assert all(torch.equal(back[k], v) for k, v in blobs.items())


def test_other_shapes_are_refused_with_a_guess(theirs, blobs):
    names = [f"{n}.{part}" for n in CAFFE for part in ("weight", "bias")]
    renamed = dict(zip(names, theirs.state_dict().values(), strict=True))
    for layout in ("caffe-alexnet", "caffenet"):
        message = (
            rf"not the weights of {layout}: conv1.weight has shape \(64, 3, 11, 11\), "
            r"wanted \(96, 3, 11, 11\); its shapes are those of torchvision$"
        )
        with pytest.raises(ValueError, match=message):
            layouts.from_layout(renamed, layout)
    keys = list(theirs.state_dict())
    grouped = dict(zip(keys, blobs.values(), strict=True))
    message = r"conv1.weight has .*96.*wanted \(64.*those of alexnet or .* or caffenet or"
    with pytest.raises(ValueError, match=message):
        layouts.from_layout(grouped, "torchvision")
    whole = {k: torch.zeros(256, 96, 5, 5) if k == "conv2.weight" else v for k, v in blobs.items()}
    message = r"conv2.weight has shape \(256, 96, 5, 5\), wanted \(256, 48, 5, 5\).*no net that we"
    with pytest.raises(ValueError, match=message):
        layouts.from_layout(whole, "caffenet")


def test_other_names_are_refused(theirs):
    state = theirs.state_dict()
    message = r"layout caffenet wants conv1.weight; the state has features.0.weight, .*; layouts: t"
    with pytest.raises(ValueError, match=message):
        layouts.from_layout(state, "caffenet")
    with pytest.raises(ValueError, match=r"layout torchvision has no features.13.weight, but the"):
        layouts.from_layout({**state, "features.13.weight": torch.ones(1)}, "torchvision")
    for odd in ("text", None, object(), torch.ones(2, dtype=torch.complex64), [[1], [1, 2]]):
        with pytest.raises(InputError, match=r"classifier.1.bias (is a|holds) \S+.*wanted "):
            layouts.from_layout({**state, "classifier.1.bias": odd}, "torchvision")
    with pytest.raises(InputError, match=r"wants out an integer >= 1, got 0"):
        layouts.from_layout({**state, "classifier.6.bias": torch.ones(0)}, "torchvision")
    for function in (layouts.from_layout, layouts.to_layout):
        with pytest.raises(ValueError, match=r"no layout 'keras'; layouts: torchvision, caffe-al"):
            function(state, "keras")
    with pytest.raises(ValueError, match=r"mini-alexnet with relu is not the net of layout caffe"):
        layouts.to_layout(model.build("mini-alexnet"), "caffenet")


def test_the_table_of_layouts_names_every_layer_with_weights():
    for layout, rows in layouts.LAYOUTS.items():
        wanted = [r.name for r in peers.get(layout).layers if r.kind in WEIGHT_KINDS]
        assert [row.layer for row in rows] == wanted
        blue = ["blue" in row.note for row in rows]
        assert blue == [layout != "torchvision"] + [False] * 7
