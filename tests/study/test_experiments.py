"""Experiments: the file, the rule of the sweep, and the bridge from experiments to runs."""

import functools
import sys

import pytest
import torch

from alexnet_repro import study
from alexnet_repro.errors import InputError
from alexnet_repro.study import experiments, records, run_or_load
from alexnet_repro.study.experiments import chosen_rate, load_run
from alexnet_repro.study.records import RecordError

ARMS = """arms.relu.nonlinearity = "relu"
arms.tanh.nonlinearity = "tanh"
"""
TABLE = f"""
[toy]
page = "p"
purpose = "test"
cost = "nothing"
seeds = [0, 1]
preset.lr = 0.01
preset.stop_at_train_error = 0.25
{ARMS}"""
SWEEP = "sweep.seed = 100\nsweep.epochs = 2\nsweep.lr.relu = [0.1, 0.01, 0.001]\n"


def read(folder, text):
    file = folder / "experiments.toml"
    file.write_text(text)
    return study.load_experiments(file)


@pytest.fixture
def toy(tmp_path):
    """An experiment with a sweep of its two arms."""
    return read(tmp_path, f"{TABLE}{SWEEP}sweep.lr.tanh = [0.03, 0.3]\n")["toy"]


def test_a_table_becomes_an_experiment_and_its_sweep(toy, tmp_path):
    assert list(read(tmp_path, TABLE)) == ["toy"]
    sweep = toy.sweep_experiment()
    assert (sweep.name, sweep.seeds) == ("toy-sweep", (100,))
    rates = ["relu-lr0.1", "relu-lr0.01", "relu-lr0.001", "tanh-lr0.03", "tanh-lr0.3"]
    assert list(sweep.arms) == rates
    config = sweep.config("tanh-lr0.3")
    assert (config.lr, config.nonlinearity, config.epochs) == (0.3, "tanh", 2)
    assert (toy.preset["stop_at_train_error"], config.stop_at_train_error) == (0.25, 0)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ('page = "p"', 'pgae = "p"', r": unknown keys \['pgae'\], missing keys \['page'\]"),
        ("preset.lr", "preset.rate", ", arm 'relu': unknown configuration key 'rate'"),
        ('"tanh"', '"tanhh"', ", arm 'tanh': .* wants one of relu, tanh, sigmoid, got 'tanhh'"),
        ("[0, 1]", '["0"]', ", seeds: a seed is an integer >= 0, got '0'"),
        ("= 0.01", '= "x"\nsmoke.lr = 0.1', ", arm 'relu': .*'lr' wants float, got 'x'"),
        ("cost", f"{SWEEP}cost", r", sweep.lr: wants a grid for each arm \(relu, tanh\), got"),
        ('page = "p"', "page = 31", ", page: wants a text, got 31"),
        ('"nothing"', '["a", "day"]', r", cost: wants a text, got \['a', 'day'\]"),
        ('"test"', '" "', ", purpose: wants a text, got ' '"),
        ("[0, 1]", '"0, 1"', ", seeds: seeds wants a list of integers .* got '0, 1'"),
        ("[0, 1]", "{first = 0}", ", seeds: seeds wants a list of integers .* got {'first': 0}"),
        ("[0, 1]", "[]", r", seeds: seeds wants at least one seed .* got \[\]"),
        ("[0, 1]", "[0, -1]", ", seeds: a seed is an integer >= 0, got -1"),
        ("preset.lr = 0.01\npreset.stop_at_train_error = 0.25", "preset = [0.01]",
         r", preset: wants a table, got \[0.01\]"),
        (ARMS, 'arms = ["relu", "tanh"]', r", arms: wants a table, got \['relu', 'tanh'\]"),
        (ARMS, 'arms.relu = "relu"', ", arm 'relu': wants a table of the keys .* got 'relu'"),
        (ARMS, "arms = {}", ", arms: wants at least one arm, got {}"),
        ("arms.tanh.", 'arms."../tanh".', ", arm '../tanh': wants a name of letters"),
        ('"tanh"', '["tanh"]', r", arm 'tanh': .*'nonlinearity' wants str, got \['tanh'\]"),
        ("preset.lr = 0.01", 'preset.net = "12pct"', ", arm 'relu': no net called '12pct'; nets: "),
        ("cost", "smoke = 3\ncost", ", smoke: wants a table, got 3"),
        ("cost", "smoke.epoch = 3\ncost", ", arm 'relu', smoke: unknown configuration key 'epoch'"),
        ("cost", 'smoke.data = "mnist"\ncost', ", smoke: wants the embedded data set, no other"),
        ("cost", "sweep = [1]\ncost", r", sweep: wants a table, got \[1\]"),
        ("cost", "sweep.rates = 3\ncost",
         r", sweep: unknown keys \['rates'\], missing keys \['epochs', 'lr', 'seed'\]"),
    ],
)  # fmt: skip
def test_a_wrong_table_is_refused_by_name(tmp_path, old, new, text):
    assert TABLE.count(old) == 1
    with pytest.raises(InputError, match=f"experiments.toml: experiment 'toy'{text}"):
        read(tmp_path, TABLE.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("sweep.epochs = 2\n", "", r": unknown keys \[\], missing keys \['epochs'\]"),
        ("sweep.seed = 100\n", "", r": unknown keys \[\], missing keys \['seed'\]"),
        ("100", "1", ".seed: wants an integer >= 0 that is none of the seeds that count, got 1"),
        ("100", "1.5", ".seed: wants an integer >= 0 .* got 1.5"),
        ("epochs = 2", "epochs = 0", ".epochs: wants an integer >= 1, got 0"),
        ("epochs = 2", 'epochs = "2"', ".epochs: wants an integer >= 1, got '2'"),
        ("[0.03, 0.3]", "[]", r".lr.tanh: wants a list of at least two .*rates above 0, got \[\]"),
        ("[0.03, 0.3]", "[0.3]", r".lr.tanh: wants a list .* got \[0.3\]"),
        ("[0.03, 0.3]", '[0.03, "0.3"]', r".lr.tanh: wants a list .* got \[0.03, '0.3'\]"),
        ("[0.03, 0.3]", "[0.03, 0]", r".lr.tanh: wants a list .* got \[0.03, 0\]"),
        ("[0.03, 0.3]", "[0.03, nan]", r".lr.tanh: wants a list .* got \[0.03, nan\]"),
        ("[0.03, 0.3]", "[0.03, inf]", r".lr.tanh: wants a list .* got \[0.03, inf\]"),
        ("[0.03, 0.3]", "[0.3, 0.3000000001]", r".lr.tanh: wants a list of .* different rates"),
        ("[0.03, 0.3]", "0.3", ".lr.tanh: wants a list .* got 0.3"),
        ("[0.03, 0.3]", "{low = 0.3}", ".lr.tanh: wants a list .* got {'low': 0.3}"),
    ],
)
def test_a_wrong_sweep_is_refused_by_key(tmp_path, old, new, text):
    whole = f"{TABLE}{SWEEP}sweep.lr.tanh = [0.03, 0.3]\n"
    assert whole.count(old) == 1
    with pytest.raises(InputError, match=f"experiments.toml: experiment 'toy', sweep{text}"):
        read(tmp_path, whole.replace(old, new))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[toy", r"not TOML \(Expected"),
        (f"{TABLE}cost = 'again'", r"not TOML \(Cannot overwrite a value"),
        ("a = " + "[" * 10_000, r"not TOML \("),
        ("toy = 3", "experiment 'toy': wants a table, got 3"),
        ("[[toy]]\npage = 'p'", r"experiment 'toy': wants a table, got \[{'page': 'p'}\]"),
        (TABLE.replace("[toy]", "['a/b']"), "experiment 'a/b': wants a name of letters"),
        (TABLE.replace("[toy]", "[toy-sweep]"), "experiment 'toy-sweep': wants another name"),
    ],
)
def test_a_file_that_holds_no_tables_of_experiments(tmp_path, text, said):
    with pytest.raises(InputError, match=f"experiments.toml: {said}"):
        read(tmp_path, text)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.toml: cannot be read"):
        study.load_experiments(tmp_path / "nowhere.toml")
    (tmp_path / "latin.toml").write_bytes(TABLE.encode() + b"# \xe9\n")
    with pytest.raises(InputError, match=r"latin\.toml: cannot be read"):
        study.load_experiments(tmp_path / "latin.toml")


def test_every_arm_of_the_study_changes_one_component():
    for experiment in study.load_experiments().values():
        if experiment.name.endswith("-sweep") or experiment.name in (
            "s31-relu-original",
            "s31-relu-modern",
        ):
            continue  # there each arm has its own learning rate as well
        first, *others = (experiment.config(arm).to_dict() for arm in experiment.arms)
        for other in others:
            changed = {key for key in first if first[key] != other[key]}
            together = (
                {"crop_position", "flip"},  # §4.1 names the two together
                # §5: what is watched is held out, from as many images more; no fixed drops
                {"plateau_patience", "validation_images", "train_images", "lr_drops"},
            )
            assert len(changed) == 1 or changed in together, (experiment.name, changed)


@pytest.mark.parametrize(
    ("seeds", "text"),
    [
        ("[0, 1]", r"seeds wants a list of integers such as \[0, 1, 2\], got '\[0, 1\]'"),
        (3, "seeds wants a list of integers .* got 3"),
        ([0, True], r"a seed is an integer >= 0, got True in \[0, True\]"),
        ([0, -1], "a seed is an integer >= 0, got -1"),
        ([1, 1], r"at least one seed and none twice, got \[1, 1\]"),
        ([], r"at least one seed and none twice, got \[\]"),
    ],
)
def test_wrong_seeds(seeds, text):
    with pytest.raises(ValueError, match=text):
        run_or_load("s34-pooling", seeds=seeds)


@pytest.mark.parametrize("mode", ["load", "smoke", "train"])
def test_an_unknown_arm(mode, trained, tmp_path):
    with pytest.raises(ValueError, match="s34-pooling has no arm 'overlapp'; arms: overlap, non-o"):
        run_or_load("s34-pooling", mode, arms=["overlapp"], out_dir=tmp_path)
    assert trained == []


def test_unknown_names_and_modes():
    with pytest.raises(ValueError, match="no experiment 's34-poling'; did you mean 's34-pooling'"):
        run_or_load("s34-poling")
    with pytest.raises(ValueError, match="no experiment 'q'; there are s31-relu-original-sweep"):
        run_or_load("q")
    with pytest.raises(ValueError, match="mode wants one of load, train, smoke, got 'lod'"):
        run_or_load("s34-pooling", "lod")
    with pytest.raises(ValueError, match="epochs cannot be set in load mode"):
        run_or_load("s34-pooling", epochs=3)
    with pytest.raises(ValueError, match="s34-pooling has no sweep"):
        experiments.get("s34-pooling").sweep_experiment()


def test_load_reads_in_order_and_never_trains(pooling, trained, tmp_path):
    found = [(r.arm, r.seed) for r in run_or_load(pooling.name, seeds=[2, 0])]
    assert found == [("overlap", 2), ("overlap", 0), ("non-overlap", 2), ("non-overlap", 0)]
    assert run_or_load(pooling.name, arms=["overlap"])[1].metrics["top1_error"] == 0.31
    (tmp_path / "s34-pooling" / "non-overlap-seed1.json").unlink()
    command = f"`alexnet-repro run s34-pooling --arm non-overlap --seed 1 --out {tmp_path}`"
    with pytest.raises(RecordError, match=f"no record .*seed1.json; make it with {command}"):
        run_or_load(pooling.name)
    assert trained == []


def test_a_stale_record_is_named_with_what_changed(pooling, tmp_path, edit_json):
    path = records.record_path(pooling.name, "overlap", 0, tmp_path)
    edit_json(path, lambda body: body["config"].update(device="cuda", threads=4))
    assert load_run(pooling, "overlap", 0, tmp_path).seed == 0  # where it ran does not matter
    edit_json(path, lambda body: body["config"].update(lr=0.5, flip=False))
    text = "stale record .*overlap-seed0.json: flip is False, now True; lr is 0.5, now 0.01; delete"
    with pytest.raises(RecordError, match=text):
        load_run(pooling, "overlap", 0, tmp_path)
    edit_json(path, lambda body: body["config"].update(gone=1))
    with pytest.raises(RecordError, match=r"stale record .*unknown configuration key 'gone'"):
        load_run(pooling, "overlap", 0, tmp_path)


def test_a_record_older_than_a_key_with_a_default_still_loads(pooling, tmp_path, edit_json):
    path = records.record_path(pooling.name, "overlap", 0, tmp_path)
    edit_json(path, lambda body: body["config"].pop("precision"))
    assert load_run(pooling, "overlap", 0, tmp_path).metrics["top1_error"] == 0.30
    edit_json(path, lambda body: body["config"].pop("crop"))  # default 0, here 24
    with pytest.raises(RecordError, match="crop is 0, now 24"):
        load_run(pooling, "overlap", 0, tmp_path)


def save_sweep(make_record, sweep, root, errors, diverged):
    for arm, error in errors.items():
        config, bad = sweep.config(arm), arm in diverged
        make_record(sweep.name, arm, 100, errors=[error], config=config, diverged=bad).save(root)


@pytest.mark.parametrize(
    ("errors", "diverged", "rate"),
    [  # of the rates 0.1, 0.01, 0.001
        ((0.5, 0.4, 0.6), (), 0.01),  # the lowest error
        ((0.4, 0.4, 0.6), (), 0.01),  # a tie: the smaller rate
        ((0.4, 0.4, 0.4), (), 0.001),
        ((0.1, 0.4, 0.6), ("relu-lr0.1",), 0.01),  # diverged cannot win
    ],
)
def test_the_rule_of_the_sweep(make_record, toy, tmp_path, errors, diverged, rate):
    arms = ("relu-lr0.1", "relu-lr0.01", "relu-lr0.001")
    runs = dict(zip(arms, errors, strict=True))
    save_sweep(make_record, toy.sweep_experiment(), tmp_path, runs, diverged)
    assert chosen_rate(toy, "relu", tmp_path) == toy.config("relu", tmp_path).lr == rate


def test_a_sweep_that_chooses_nothing(make_record, toy, tmp_path):
    command = f"`alexnet-repro run toy-sweep --arm tanh-lr0.03 --seed 100 --out {tmp_path}`"
    with pytest.raises(RecordError, match=f"no record .*; make it with {command}"):
        toy.config("tanh", tmp_path)
    runs = {"tanh-lr0.03": 0.4, "tanh-lr0.3": 0.4}
    save_sweep(make_record, toy.sweep_experiment(), tmp_path, runs, diverged=runs)
    with pytest.raises(RecordError, match="toy-sweep: every rate of arm 'tanh' diverged; widen"):
        toy.config("tanh", tmp_path)
    smoke = toy.config("tanh", tmp_path, smoke=True)  # needs no sweep
    assert (smoke.data, smoke.lr) == ("embedded", 0.3)


@pytest.mark.parametrize(
    ("mode", "seeds", "data"),
    [("train", [0, 1, 2], "cifar10-jpeg"), ("smoke", [0], "embedded")],  # smoke: one seed
)
def test_nothing_is_trained_twice(mode, seeds, data, trained, tmp_path, monkeypatch):
    again = functools.partial(run_or_load, "s34-pooling", mode, out_dir=tmp_path)
    first = again(epochs=2)
    arms = ("overlap", "non-overlap")
    assert [(r.arm, r.seed) for r in first] == [(a, s) for a in arms for s in seeds]
    assert [seed for _, seed in trained] == [r.seed for r in first]
    assert {(c.data, c.epochs) for c, _ in trained} == {(data, 2)}
    assert [r.metrics for r in again(epochs=2)] == [r.metrics for r in first]
    assert len(trained) == len(first)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "some GPU")
    again(seeds=[5], arms=["overlap"], device="cuda", epochs=2)
    assert (len(trained), trained[-1][0].device) == (len(first) + 1, "cuda")
    with pytest.raises(RecordError, match=r"overlap-seed0.json holds another configuration; del"):
        again(epochs=3)
    root = tmp_path / mode
    if mode == "smoke":  # under a folder for this version of the code
        (root,) = root.iterdir()
    saved = study.load_runs("s34-pooling", root)
    assert [r.provenance["data_sha256"] for r in saved] == [{"train": "0"}] * len(trained)


def test_a_failed_training_leaves_no_record(trained, monkeypatch, tmp_path):
    monkeypatch.setattr(sys.modules["alexnet_repro.training.loop"], "train", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run_or_load("s34-pooling", "smoke", out_dir=tmp_path)
    assert not list(tmp_path.rglob("*.json"))
