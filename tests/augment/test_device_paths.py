"""The paths for accelerators, on the CPU: images held there, the compiled step, its fallback."""

import logging

import pytest
import torch
import torch.nn.functional as F

from alexnet_repro import augment, data, model, training
from alexnet_repro.augment import RGBPCA, cropping, on_cpu, on_device
from alexnet_repro.config import RunConfig
from alexnet_repro.layers import LocalResponseNorm
from alexnet_repro.training import setup, steps

PCA = RGBPCA(torch.tensor([400.0, 1400.0, 14800.0]).double(), torch.eye(3).double())
SMALL = RunConfig(
    net="mini-alexnet", init="modern", pixels="standardised", crop=24, flip=True, lr=0.01, epochs=1,
    colour_noise="original", train_eval_images=50,
)  # fmt: skip


@pytest.mark.parametrize("lit", [False, True])
@pytest.mark.parametrize("matching", [False, True])
def test_held_images_give_the_batches_of_the_cpu_bit_for_bit(lit, matching):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (40, 3, 32, 32), dtype=torch.uint8, generator=generator)
    index = torch.randperm(40, generator=generator)[:17]
    draws = augment.draw_crops(17, 32, 24, generator)
    mean = 100 + 30 * torch.rand(3, 32, 32, generator=generator)
    part = cropping.matching_mean(mean, draws, 24) if matching else cropping.center_crop(mean, 24)
    shift = PCA.shift(PCA.draw(17, generator), reading="original").float() if lit else None
    options = {"shift": shift, "divisors": (1.1, 63.7) if lit else ()}
    found = on_device.batch(images, index, draws, 24, part, **options)
    wanted = on_cpu.batch(images[index], draws, 24, part, **options)
    assert torch.equal(found, wanted)


def test_the_cpu_holds_nothing_and_a_gpu_only_what_fits(monkeypatch):
    images = data.load("embedded", "train").images
    assert on_device.hold(images, torch.device("cpu")) is None
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2 * images.nbytes - 1, 0))
    assert on_device.hold(images, torch.device("cuda")) is None


def test_training_from_held_images_is_the_same_run(monkeypatch):
    plain = training.train(SMALL, 0, quiet=True)
    monkeypatch.setattr(on_device, "hold", lambda images, device: torch.from_numpy(images))
    held = training.train(SMALL, 0, quiet=True)
    assert held.curve == plain.curve
    pairs = zip(held.net.parameters(), plain.net.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.usefixtures("compiler")
def test_the_compiled_step_is_the_eager_one(dropout, caplog):
    images = torch.randn(8, 3, 24, 24, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(8)
    found = []
    for kind in ("eager", "compiled"):
        net = model.build("mini-alexnet", init="modern", generator=torch.Generator().manual_seed(0))
        net.drop6.generator = net.drop7.generator = torch.Generator().manual_seed(2)
        net.train(dropout)
        loss = steps.loss_of(net, kind)(images, labels)
        loss.backward()
        found.append((loss.detach(), [p.grad for p in net.parameters()]))
    (a, ours), (b, theirs) = found
    torch.testing.assert_close(a, b)
    for x, y in zip(ours, theirs, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-4, atol=1e-5)
    assert not [r for r in caplog.records if r.name.startswith("alexnet_repro")]  # no fallback


def test_the_step_is_one_program_with_new_masks_at_each_step(monkeypatch):
    programs, images, labels = [], torch.randn(6, 3, 24, 24), torch.arange(6)

    def backend(graph, inputs):
        programs.append(graph)
        return graph.forward

    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, mode: compile_(f, backend=backend))
    net = model.build("mini-alexnet", init="modern")
    ours = steps.loss_of(net, "compiled")
    generator = net.drop6.generator = net.drop7.generator = torch.Generator()
    losses = []
    for loss in (ours, steps.loss_of(net)):
        generator.manual_seed(0)
        losses.append([loss(images, labels).item() for _ in range(3)])
    assert len(programs) == 1
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert len(set(losses[0])) == 3
    assert net.training
    assert net.drop6.mask is None


def test_a_compiler_that_fails_leaves_one_line_and_goes_on(monkeypatch, caplog):
    def refuse(*given):
        raise RuntimeError("no compiler\nlong story")

    monkeypatch.setattr(torch, "compile", lambda function, mode: refuse)
    net = torch.nn.Linear(3, 2)
    loss = steps.loss_of(net, "compiled")
    x, y = torch.ones(4, 3), torch.zeros(4, dtype=torch.int64)
    with caplog.at_level(logging.WARNING):
        found = [loss(x, y).item() for _ in range(2)]
    assert found == [F.cross_entropy(net(x), y).item()] * 2
    assert [r.message for r in caplog.records] == [
        "step: torch.compile failed, going on without it (no compiler)"
    ]


def test_an_error_leaves_no_mask_behind(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function, mode: function)
    net = model.build("mini-alexnet", init="modern")
    loss = steps.loss_of(net, "compiled")
    with pytest.raises(IndexError):
        loss(torch.randn(2, 3, 24, 24), torch.tensor([0, 10]))  # there is no class 10
    assert net.drop6.mask is None


def test_tf32_is_set_on_demand_and_the_compiler_still_works():
    for on in (True, False):
        steps.set_tf32(on)
        flags = (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32)
        assert flags == (on, on)
    x = torch.ones(2, 6, 3, 3)
    torch.testing.assert_close(
        torch.export.export(LocalResponseNorm(), (x,)).module()(x), LocalResponseNorm()(x)
    )


def test_the_key_chooses_the_step(monkeypatch):
    asked = []

    def loss_of(net, kind):
        asked.append(kind)
        return steps.loss_of(net)

    monkeypatch.setattr(setup, "loss_of", loss_of)
    training.train(SMALL.replace(step="compiled", colour_noise="none"), 0, quiet=True)
    assert asked == ["compiled"]
    assert "step" not in SMALL.decides()  # where a run goes on is not what it is
