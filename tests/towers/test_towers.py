"""§3.2 Two columns against the undivided net: the same numbers, what is sent, what a death says."""

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from by_hand import counted

from alexnet_repro import model, spec, towers
from alexnet_repro.layers import PaperDropout
from alexnet_repro.model import inverted
from alexnet_repro.spec import traffic
from alexnet_repro.towers import one_column, processes, two_towers
from alexnet_repro.towers.link import ColumnGone, Link
from alexnet_repro.training import PaperSGD
from alexnet_repro.training.optim import parameter_groups

# largest difference over largest value; a column sums in another order than the whole net
CLOSE = {torch.float32: 1e-5, torch.float64: 1e-13}
MEETINGS = ["conv3", "fc6", "fc7", "fc8"]  # §3.2


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def mini(dtype=torch.float32):
    small = traffic.per_column(spec.get("mini-alexnet"))
    return model.build(small, init="modern", generator=seeded()).to(dtype)


def batches(steps=3, dtype=torch.float32):
    images = torch.randn(steps, 4, 3, 24, 24, generator=seeded(1), dtype=torch.float64).to(dtype)
    return list(zip(images, torch.randint(10, (steps, 4), generator=seeded(2)), strict=True))


def apart(a, b):
    """Largest difference over largest value."""
    assert a.shape == b.shape
    return ((a - b).abs().max() / b.abs().max()).item()


def train(net, data):
    """Three steps; returns scores of each and the first gradients, by the names of the net."""
    generator = seeded(5)
    for module in net.modules():
        if isinstance(module, PaperDropout):
            module.generator = generator
    optimizer = PaperSGD(parameter_groups(net, 0.01, 5e-4), 0.01)
    scores, first = [], {}
    for images, labels in data:
        optimizer.zero_grad()
        scores.append(net(images))
        F.cross_entropy(scores[-1], labels).backward()
        if isinstance(net, towers.TwoTowers):
            first = first or net.merged_gradients()
        else:
            first = first or {n: p.grad.clone() for n, p in net.named_parameters()}
        optimizer.step()
    return scores, first


@pytest.fixture(autouse=True)
def _one_thread():
    """As in the processes, so that sums are taken in the same order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", CLOSE)
def test_towers_train_as_the_undivided_net(dtype):
    net = mini(dtype)
    pair = towers.TwoTowers(net)
    start = {k: v.clone() for k, v in net.state_dict().items()}
    assert all(torch.equal(v, start[k]) for k, v in pair.merged_state_dict().items())
    assert pair.merged_gradients() == {}
    data = batches(dtype=dtype)
    ours, wanted = train(pair, data), train(net, data)
    assert all(
        apart(a, b) < CLOSE[dtype] for a, b in zip(ours[0], wanted[0], strict=True)
    )  # the masks are the same
    assert ours[1].keys() == wanted[1].keys() == start.keys()
    merged, state = pair.merged_state_dict(), net.state_dict()
    for name in start:
        assert apart(ours[1][name], wanted[1][name]) < CLOSE[dtype], name
        assert apart(merged[name], state[name]) < CLOSE[dtype], name
        assert not torch.equal(state[name], start[name])
    with torch.no_grad():
        kept = pair(data[0][0])
        ours, wanted = pair.eval()(data[0][0]), net.eval()(data[0][0])
    assert apart(ours, wanted) < CLOSE[dtype]
    assert apart(kept, ours) > 0.01  # in training some units are dropped
    assert model.build(net.spec).load_state_dict(merged).missing_keys == []


@torch.inference_mode()
def test_a_column_reads_the_other_only_where_the_paper_says():
    net = mini().eval()
    images = batches()[0][0]
    maps = model.activations(net, images)
    for number in (0, 1):
        column, met = one_column.Column(net, number), {}

        def other(layer, own, met=met, number=number):
            met[layer] = own
            before = list(maps)[list(maps).index(layer) - 1]
            halves = list(maps[before].chunk(2, 1))
            assert apart(own, halves[number]) < CLOSE[torch.float32], layer
            halves[number] = own
            return torch.cat(halves, 1)

        scores = column(images, other)
        assert list(met) == MEETINGS
        assert apart(scores, maps["fc8"].chunk(2, 1)[number]) < CLOSE[torch.float32]
        assert counted(column) * 2 == counted(net)
    # the first layer sums in the same order: bit for bit
    halves = [one_column.Column(net, i).conv1(images) for i in (0, 1)]
    assert torch.equal(torch.cat(halves, 1), maps["conv1"])


@torch.inference_mode()
def test_the_full_net_divides():
    net = model.build("alexnet-original", init="modern", generator=seeded()).eval()
    images = torch.randn(2, 3, 224, 224, generator=seeded(1))
    assert apart(towers.TwoTowers(net)(images), net(images)) < CLOSE[torch.float32]


def test_two_processes_equal_one_and_send_what_was_computed():
    data = batches(dtype=torch.float64)
    net = mini(torch.float64)
    net.drop6.p = 0.25  # not the default: the processes get the net's own layers
    before = {k: v.clone() for k, v in net.state_dict().items()}
    options = {"lr": 0.02, "momentum": 0.8, "weight_decay": 1e-3, "bias_lr_factor": 2.0, "seed": 7}
    two = towers.run_two_processes(net, data, **options)
    one = two_towers.run_one_process(net, data, **options)
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert len(two.losses) == len(data)
    assert max(two_towers.differences(two, one).values()) < CLOSE[torch.float64]
    changed = two_towers.run_one_process(net, data, **(options | {"seed": 8}))
    assert two_towers.differences(changed, one)["loss"] > 1e-3  # dropout was at work
    # one thread and the same order of sums: the processes equal the towers bit for bit
    pair = towers.TwoTowers(net)
    found = processes.steps(pair, pair, data, "cpu", **options)
    assert found["losses"] == two.losses
    assert all(torch.equal(v, two.state_dict[k]) for k, v in pair.merged_state_dict().items())
    # counted at each send, of each column, in each step
    computed = traffic.exchange(net.spec, 4, bytes_per_number=8)
    wanted = {(r.layer, r.direction): r.bytes for r in computed.itertuples()}
    for step in range(len(data)):
        for column in (0, 1):
            rows = [r for r in two.bytes_sent if (r["step"], r["column"]) == (step, column)]
            assert len(rows) == len(wanted)
            assert {(r["layer"], r["direction"]): r["bytes"] for r in rows} == wanted
    assert len(two.bytes_sent) == 2 * len(data) * len(wanted)
    assert one.bytes_sent == []


def test_traffic_of_the_paper_by_hand():
    net = spec.get("alexnet-original")
    numbers = {"conv3": 128 * 13 * 13, "fc6": 128 * 6 * 6, "fc7": 2048, "fc8": 2048}
    rows = [(n, way, k * 512) for n, k in numbers.items() for way in ("forward", "backward")]
    rows.append(("scores", "forward", 500 * 512))  # 128 images, four bytes
    assert list(traffic.exchange(net, 128).itertuples(index=False, name=None)) == rows
    more = 48 * 27 * 27 + 2 * 192 * 13 * 13  # conv2, conv4 and conv5
    full = traffic.full_connectivity(net, 128)
    assert full["bytes"].sum() == sum(r[2] for r in rows) + 2 * more * 512
    assert list(full["layer"].unique()) == [
        "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8", "scores",
    ]  # fmt: skip
    parallel = traffic.data_parallel(net).set_index("layer")["bytes"]
    assert parallel["fc6"] == 4 * (9216 * 4096 + 4096)
    assert parallel.sum() == 4 * 60_965_224
    six = traffic.per_column(spec.get("alexnet-six-conv"))
    assert traffic.meetings(six) == ("conv3", "conv6", "fc6", "fc7", "fc8")
    with pytest.raises(ValueError, match=r"batch and bytes_per_number >= 1, got 0 and 4"):
        traffic.exchange(net, 0)


def test_traffic_needs_no_torch(imported_by):
    code = "from alexnet_repro.spec import get, traffic; traffic.exchange(get('{}'), 1)"
    assert "torch" not in imported_by(code.format("alexnet-per-column"))


def killed(number, folder, columns):
    """A column's process; column 1's is killed in the third step, in the backward pass."""
    swap = Link.swap

    def swap_or_die(self, out, layer, direction):
        if (self.column, self.step, layer, direction) == (1, 2, "fc6", "backward"):
            os.kill(os.getpid(), signal.SIGKILL)
        return swap(self, out, layer, direction)

    Link.swap = swap_or_die
    two_towers._work(number, folder, columns)


def test_a_killed_process_is_named_and_the_other_ends(monkeypatch):
    monkeypatch.setattr(two_towers, "_work", killed)
    start = time.monotonic()
    with pytest.raises(
        RuntimeError,
        match=r"^column 1's process was ended by signal 9 \(SIGKILL\); column 0's process raised "
        r"\S*ColumnGone: column 0, step 2: no exchange before fc6 \(backward\): "
        r"the process of column 1 is gone or silent",
    ):
        towers.run_two_processes(mini(), batches(50), timeout=600)
    assert time.monotonic() - start < 100  # the death was seen, not waited for
    assert multiprocessing.active_children() == []


def stopped(number, folder):
    """Two columns that swap once; then column 1's process falls silent, alive."""
    with processes.reporting(number, folder):
        store = dist.FileStore(f"{folder}/store", 2)
        store.set(f"here{number}", "")
        store.wait(["here0", "here1"], timedelta(seconds=120))  # the short wait begins together
        dist.init_process_group(
            "gloo", store=store, rank=number, world_size=2, timeout=timedelta(seconds=2)
        )
        link = Link(number)
        link.step = 0
        assert link.swap(torch.tensor([number]), "a", "forward").item() == 1 - number
        if number == 1:
            os.kill(os.getpid(), signal.SIGSTOP)
        link.swap(torch.zeros(2), "b", "forward")


def test_a_silent_process_is_given_up_and_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "GRACE", 0.5)
    with pytest.raises(
        RuntimeError,
        match=r"^column 1's process did not end by itself and was killed; column 0's process "
        r"raised \S*ColumnGone: column 0, step 0: no exchange before b \(forward\)",
    ):
        processes.start_pair(stopped, tmp_path)
    assert multiprocessing.active_children() == []


def test_an_exception_is_told_with_its_traceback_before_what_it_caused(tmp_path):
    with pytest.raises(SystemExit), processes.reporting(1, str(tmp_path)):
        raise IndexError("Target 10 is out of bounds.")
    with pytest.raises(SystemExit), processes.reporting(0, str(tmp_path)):
        raise ColumnGone("column 0, step 3: ...")
    with pytest.raises(RuntimeError) as caught:
        processes._raise_failure([1, 1], tmp_path)
    assert re.match(
        r"column 1's process raised IndexError: Target 10 is out of bounds\.; "
        r"column 0's process raised \S*ColumnGone: column 0, step 3: \.\.\.\n\n"
        r"Traceback .*\n(.*\n)*IndexError",
        str(caught.value),
    )


def test_torchrun_compares_both_ways():
    # the program that torchrun is, in this very environment
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", "-m", "alexnet_repro.towers"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = dict(re.findall(r"^  (loss|gradients|weights) +(\S+)$", done.stdout, re.M))
    assert len(found) == 3
    assert max(map(float, found.values())) < CLOSE[torch.float32]
    counted, computed = re.search(r": (\S+) counted, (\S+) computed", done.stdout).groups()
    assert counted == computed
    assert done.stdout.count("mini-alexnet-per-column") == 1  # one process tells


def test_other_numbers_of_processes_are_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(SystemExit, match=r"WORLD_SIZE is 3, wanted 2.*torchrun --nproc-per-node 2"):
        two_towers.main()


def edited(**changes):
    """The small net with one row changed."""
    (name, change), *_ = changes.items()
    small = traffic.per_column(spec.get("mini-alexnet"))
    rows = tuple(replace(r, **change) if r.name == name else r for r in small.layers)
    return replace(small, layers=rows)


def starts_with_relu():
    """The small net with an activation in conv1's place."""
    small = traffic.per_column(spec.get("mini-alexnet"))
    return replace(small, layers=(spec.Layer("conv1", "act"), *small.layers[1:]))


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (spec.get("alexnet-one-gpu"), r"columns=1, wanted 2; nets of two columns: alexnet, "),
        (
            spec.get("mini-alexnet"),
            r"norm1 normalises across the columns .*'alexnet-per-column' or 'alexnet-original'",
        ),
        (edited(conv3={"out": 63}), r"conv3 has 63 kernels or units; wanted an even number"),
        (edited(conv4={"groups": 4}), r"conv4 has groups=4; wanted 1 .* or 2"),
        (replace(spec.get("conv-local-13pct"), columns=2), r"local3 is locally connected"),
        (starts_with_relu(), r"conv1 is first with kind act, groups=1; wanted conv"),
    ],
)
def test_nets_that_do_not_divide_are_refused_by_the_layer(net, message):
    with pytest.raises(ValueError, match=message):
        traffic.exchange(net, 1)


def test_errors_of_the_towers_say_what_was_given():
    whole = model.build("mini-alexnet")
    with pytest.raises(ValueError, match=r"norm1 normalises across the columns"):
        towers.TwoTowers(whole)
    with pytest.raises(ValueError, match=r"norm1 normalises across the columns"):
        towers.run_two_processes(whole, batches())
    odd = model.build(mini().spec, num_classes=7)
    with pytest.raises(ValueError, match=r"fc8 has 7 kernels or units; wanted an even number"):
        towers.TwoTowers(odd)
    for devices in ("cpu", ("cpu",)):
        with pytest.raises(ValueError, match=r"wanted two devices, .* got"):
            towers.TwoTowers(mini(), devices)
    with pytest.raises(ValueError, match=r"\(images, labels\), one a step; got none"):
        towers.run_two_processes(mini(), [])
    with pytest.raises(ValueError, match=r"wants float images N x 3 x S x S.*got \(4, 1, 24, 24\)"):
        two_towers.run_one_process(mini(), [(torch.zeros(4, 1, 24, 24), torch.zeros(4).long())])
    with pytest.raises(ValueError, match=r"wants float images .* got \(4, 3, 24\)"):
        towers.TwoTowers(mini())(torch.zeros(4, 3, 24))
    other = mini()
    inverted.to_inverted(other)
    with pytest.raises(
        ValueError, match=r"drop6 is inverted dropout; call model.inverted.from_inverted"
    ):
        towers.TwoTowers(other)
    a = two_towers.run_one_process(mini(), batches(1))
    with pytest.raises(ValueError, match=r"not results of one net: \['fc9'\]"):
        two_towers.differences(
            replace(a, gradients=a.gradients | {"fc9": a.gradients["fc8.bias"]}), a
        )


def test_a_misspelt_option_is_refused_before_any_process_starts():
    net, batches = two_towers._demonstration()
    for run in (two_towers.run_one_process, towers.run_two_processes):
        with pytest.raises(TypeError, match=r"unknown option 'momentun'; there are lr, momentum, "):
            run(net, batches, momentun=0.9)
