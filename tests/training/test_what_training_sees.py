"""§4 §5 Each key of a configuration has its effect in a training; what is drawn is drawn anew.

Batches, masks and updates are caught on their way and compared with plain loops over the images.
"""

import contextlib
import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from alexnet_repro import model, training
from alexnet_repro.augment import on_cpu
from alexnet_repro.config import RunConfig
from alexnet_repro.data import embedded
from alexnet_repro.layers import PaperDropout
from alexnet_repro.model import paper_net
from alexnet_repro.training import PaperSGD, loop, setup, steps

BASE = RunConfig(
    net="mini-alexnet", init="modern", crop=24, flip=True, lr=1e-4, epochs=3, batch=50,
    train_eval_images=50,
)  # fmt: skip
pytestmark = pytest.mark.usefixtures("few_images")  # 200: four batches an epoch


@pytest.fixture
def batches(monkeypatch):
    """Every batch made: images, top, left, flip, what the net sees, all as arrays."""
    batch, found = on_cpu.batch, []

    def spy(images, draws, size, mean, **options):
        seen = batch(images, draws, size, mean, **options)
        places = (draws.top.numpy(), draws.left.numpy(), draws.flip.numpy())
        found.append((images.numpy().copy(), *places, seen.numpy()))
        return seen

    monkeypatch.setattr(on_cpu, "batch", spy)
    return found


def cut(image, top, left, flip):
    """A 24-pixel crop, mirrored or not, of C x H x W."""
    crop = image[:, top : top + 24, left : left + 24].astype(np.float64)
    return crop[:, :, ::-1] if flip else crop


def run(**changes):
    return training.train(BASE.replace(**changes), 0, quiet=True)


def test_crops_and_reflections_are_drawn_anew_in_each_epoch_for_each_image(batches):
    run()
    drawn = [np.concatenate(b[1:4]) for b in batches]
    assert len(drawn) == 12
    assert len({d.tobytes() for d in drawn}) == 12
    places = {}  # image -> where it was cut in each epoch
    for images, *draws, _ in batches:
        for image, *place in zip(images, *draws, strict=True):
            places.setdefault(image.tobytes(), []).append(tuple(map(int, place)))
    assert {len(found) for found in places.values()} == {3}
    moved = [len(set(found)) > 1 for found in places.values()]
    assert np.mean(moved) > 0.9  # one of 9 x 9 x 2 places: twice the same by chance is rare


def test_consecutive_images_share_a_crop_by_chunks(batches):
    run(crop_chunk=8, epochs=1)
    for _, *draws, _ in batches:
        rows = list(zip(*(d.tolist() for d in draws), strict=True))
        chunks = [set(rows[i : i + 8]) for i in range(0, len(rows), 8)]
        assert [len(chunk) for chunk in chunks] == [1] * 7  # six of 8 and one of 2
        assert len(set.union(*chunks)) > 3
    batches.clear()
    run(epochs=1)
    for _, *draws, _ in batches:
        rows = list(zip(*(d.tolist() for d in draws), strict=True))
        assert len(set(rows[:8])) > 4  # by default each has its own


@pytest.mark.parametrize("part", ["central", "matching"])
def test_the_part_of_the_mean_that_is_subtracted_in_training(batches, part):
    mean = embedded.generate("train").mean.values
    run(mean_part=part, epochs=1)
    apart = 0
    for images, *draws, seen in batches:
        for i, place in enumerate(zip(*draws, strict=True)):
            centre = mean[:, 4:28, 4:28]
            own = cut(mean, *place)
            apart += not np.allclose(own, centre)
            wanted = cut(images[i], *place) - (own if part == "matching" else centre)
            np.testing.assert_allclose(seen[i], wanted, atol=1e-3)
    assert apart > 150  # the two parts are not the same


def test_colour_noise_ends_after_its_epochs(batches):
    run(colour_noise="paper", colour_noise_epochs=2)
    mean = embedded.generate("train").mean.values[:, 4:28, 4:28]
    shifts = []
    for images, *draws, seen in batches:
        for i, place in enumerate(zip(*draws, strict=True)):
            shift = seen[i] - (cut(images[i], *place) - mean)
            assert shift.std((1, 2)).max() < 1e-3  # one number for a colour of an image
            shifts.append(shift.mean((1, 2)))
    lit, last = np.array(shifts[:400]), np.array(shifts[400:])
    assert np.median(abs(lit)) > 0.1
    assert len(np.unique(lit.round(3), axis=0)) > 390  # drawn anew for each image and epoch
    assert abs(last).max() < 1e-3


@pytest.fixture
def masks(monkeypatch):
    """Every mask of a training, in the order of its draws."""
    draw, found = PaperDropout.draw, []

    def spy(self, shape, device):
        found.append(draw(self, shape, device))
        return found[-1]

    monkeypatch.setattr(PaperDropout, "draw", spy)
    return found


def test_masks_are_drawn_anew_in_each_layer_step_and_epoch(masks):
    run()
    assert len(masks) == 2 * 4 * 3
    assert len({m.numpy().tobytes() for m in masks}) == len(masks)
    assert np.mean([m.float().mean().item() for m in masks]) == pytest.approx(0.5, abs=0.01)


def test_equal_seeds_draw_equal_masks_and_others_do_not(masks):
    found = {}
    for name, seed, changes in [("a", 0, {}), ("b", 0, {"lr": 1e-3}), ("c", 1, {})]:
        masks.clear()
        training.train(BASE.replace(epochs=1, **changes), seed, quiet=True)
        found[name] = [m.numpy().tobytes() for m in masks]
    assert found["a"] == found["b"]
    assert not set(found["a"]) & set(found["c"])


def test_the_masks_of_the_cpu_are_those_of_the_records(masks):
    """The first places of the first and of the last mask, as commit 7c94462 drew them."""
    run(epochs=1)
    first, *_, last = ("".join(map(str, m.flatten()[:20].int().tolist())) for m in masks)
    assert (first, last) == ("11010001111100010001", "11111101110010100100")


def test_a_device_draws_no_mask_of_its_own():
    """A tensor without memory stands for an accelerator: what is drawn for it is drawn here."""
    there, here = torch.device("meta"), torch.device("cpu")
    drops = [PaperDropout(), PaperDropout()]
    for drop in drops:
        drop.generator = torch.Generator().manual_seed(5)
    assert drops[0].draw((3, 4), there).device == there
    drops[1].draw((3, 4), here)
    states = [drop.generator.get_state() for drop in drops]
    assert torch.equal(*states)  # as many numbers were taken
    torch.manual_seed(5)
    without = PaperDropout().draw((3, 4), here)
    torch.manual_seed(5)
    assert torch.equal(without, torch.rand(3, 4) >= 0.5)  # torch's own generator of the CPU


def drawn(monkeypatch, device):
    """Every random number of one epoch of a training whose net lies on that device."""
    found = []
    with monkeypatch.context() as patch:

        def spy(make):
            def draw(*given, **options):
                made = make(*given, **options)
                assert made.device.type == "cpu"
                found.append(made)
                return made

            return draw

        for name in ("rand", "randint", "randperm", "randn"):
            patch.setattr(torch, name, spy(getattr(torch, name)))

        def loss_of(net, kind):
            def loss(images, labels):
                assert images.device.type == labels.device.type == device
                scores = net(images)
                assert scores.device.type == device
                return torch.zeros((), requires_grad=True)

            return loss

        def evaluate(net, data, view, **options):
            return {"loss": 2.0, "top1_error": 0.5, "top5_error": 0.1, "images": len(data)}

        of = setup.View.of

        def view(data, crop, standardised, there, **options):  # with a mean image to subtract
            return replace(of(data, crop, standardised, **options), device=torch.device(there))

        patch.setattr(paper_net, "check_images", lambda *given: None)  # it looks at pixels
        patch.setattr(torch, "autocast", lambda *given, **options: contextlib.nullcontext())
        patch.setattr(setup.View, "of", view)
        patch.setattr(on_cpu, "supply", lambda items, device: iter(items))  # one order
        patch.setattr(setup, "loss_of", loss_of)
        patch.setattr(loop, "evaluate", evaluate)
        patch.setattr(
            loop.measures, "bite_of_norm1", lambda *given: {}
        )  # no draw, and needs values
        patch.setattr(PaperSGD, "step", lambda self: None)
        training.train(BASE.replace(device=device, colour_noise="paper", epochs=1), 0, quiet=True)
    return found


def test_the_device_decides_nothing_that_is_drawn(monkeypatch):
    here, there = drawn(monkeypatch, "cpu"), drawn(monkeypatch, "meta")
    assert len(here) == len(there) > 4 * (2 + 3 + 1)
    assert all(torch.equal(a, b) for a, b in zip(here, there, strict=True))


@pytest.fixture
def kinds(monkeypatch):
    """The type of conv1's outputs, by whether the net was training."""
    build, found = model.build, {True: set(), False: set()}

    def spy(*given, **options):
        net = build(*given, **options)
        net.conv1.register_forward_hook(lambda m, i, out: found[net.training].add(out.dtype))
        return net

    monkeypatch.setattr(model, "build", spy)
    return found


@pytest.mark.parametrize(("precision", "kind"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_the_precision_is_that_of_training_and_of_all_scores(kinds, precision, kind):
    validated = {"plateau_patience": 1, "validation_images": 50}
    found = run(precision=precision, epochs=1, **validated)
    assert kinds == {True: {kind}, False: {kind}}
    assert {p.dtype for p in found.net.parameters()} == {torch.float32}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_products_have_32_bits_unless_asked(monkeypatch, precision):
    flags, loss_of = [], steps.loss_of

    def spy(net, kind):
        loss = loss_of(net, kind)

        def watched(*given):
            cuda = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
            flags.append(cuda)
            return loss(*given)

        return watched

    monkeypatch.setattr(setup, "loss_of", spy)
    steps.set_tf32(True)  # as somebody else may have left it
    try:
        run(precision=precision, epochs=1)
    finally:
        steps.set_tf32(False)
    assert flags == [(False, False)] * 4


def test_tf32_is_switched_on_for_setup_that_asks():
    try:
        setup._set_arithmetic(RunConfig(precision="tf32", device="cuda"))
        assert torch.backends.cuda.matmul.allow_tf32
        assert torch.backends.cudnn.allow_tf32
    finally:
        setup._set_arithmetic(RunConfig())
    assert not torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cudnn.allow_tf32


@pytest.fixture
def updates(monkeypatch):
    """After each update: conv1's weights and bias, conv2's weights, and the rates of all groups."""
    step, found = PaperSGD.step, []

    def spy(self):
        step(self)
        rates = [(g["layer"], g["factor"], g["lr"]) for g in self.param_groups]
        by_layer = {g["layer"]: g["params"] for g in self.param_groups if g["factor"] == 1.0}
        weights = {k: p[0].detach().clone() for k, p in by_layer.items()}
        found.append((weights, rates))

    monkeypatch.setattr(PaperSGD, "step", spy)
    return found


def test_frozen_conv1_only_coasts(updates):
    run(conv1_frozen_from=1, lr=1e-3, weight_decay=0.01, bias_lr_factor=2.0)
    conv1 = [weights["conv1"].double() for weights, _ in updates]
    moves = [b - a for a, b in itertools.pairwise(conv1)]
    for before, after in itertools.pairwise(moves[3:]):  # updates of epochs 1 and 2
        # no gradient and no decay any more: the velocity alone, nine tenths of it each time
        torch.testing.assert_close(after, 0.9 * before, rtol=0.01, atol=2e-8)
    free = [weights["conv2"].double() for weights, _ in updates]
    move, last = free[8] - free[7], free[9] - free[8]
    assert (last - 0.9 * move).norm() > 0.01 * move.norm()


@pytest.mark.parametrize("by_layer", [False, True])
def test_one_place_sets_the_rates(updates, monkeypatch, by_layer):
    """Fixed drops and a plateau together: each divides by ten once, and nothing in between."""
    errors = iter([0.5, 0.5, 0.4, 0.4])  # no improvement after epochs 2 and 4

    def evaluate(net, data, view, **options):
        error = next(errors) if len(data) == 40 else 0.7
        return {"loss": 2.0, "top1_error": error, "top5_error": 0.1, "images": len(data)}

    def rates(optimizer):
        return [(g["layer"], g["factor"], g["lr"]) for g in optimizer.param_groups]

    optimizers, init = [], PaperSGD.__init__

    def spy(self, *given):
        optimizers.append(self)
        init(self, *given)

    monkeypatch.setattr(loop, "evaluate", evaluate)
    monkeypatch.setattr(PaperSGD, "__init__", spy)
    frozen = {"conv1_frozen_from": 3} if by_layer else {}
    found = run(
        epochs=4, plateau_patience=1, validation_images=40, lr=0.01, lr_drops=(1,),
        bias_lr_factor=2.0, batch=80, **frozen,
    )  # fmt: skip
    wanted = [0.01, 0.001, 0.0001, 0.0001]
    lrs = [row["lr"] for row in found.curve if row["split"] == "validation"]
    assert lrs == pytest.approx(wanted)
    assert len(updates) == 8
    for i, (_, groups) in enumerate(updates):
        epoch = i // 2
        for layer, factor, rate in groups:
            still = by_layer and layer == "conv1" and epoch == 3
            assert rate == pytest.approx(0 if still else factor * wanted[epoch], rel=1e-9)
    last = rates(optimizers[-1])  # the plateau's drop after the last epoch has changed nothing
    assert last == updates[-1][1]


def test_held_out_images_are_scored_and_never_trained_on(batches):
    run(plateau_patience=1, validation_images=60, epochs=2)
    whole = embedded.generate("train").images
    seen = {image.tobytes() for images, *_ in batches for image in images}
    assert seen == {image.tobytes() for image in whole[:140]}
