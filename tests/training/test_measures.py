"""§3.3 §4.1 §6.1 Measures of trained nets, by hand and by slow loops."""

import itertools
import math
from statistics import mean, median

import pytest
import torch
from by_hand import energies
from torch import nn

from alexnet_repro import augment, data, model
from alexnet_repro.augment import View, cropping
from alexnet_repro.data import embedded
from alexnet_repro.layers import LocalResponseNorm
from alexnet_repro.spec import Layer, Spec
from alexnet_repro.training import evaluate, measures
from alexnet_repro.training.measures import (
    colour_share,
    column_colour,
    error_by_views,
    lrn_bite,
    neighbour_agreement,
)


def seeded(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


# ---- (a) the bite of LRN


def normed(**norm):
    """conv1 copies the pixel of a 1-channel image into channels, times 1, 2, 3, ...; then LRN."""
    rows = (
        Layer("conv1", "conv", 6, 1),
        Layer("relu1", "act"),
        Layer("norm1", "lrn", **{"size": 5, **norm}),
        Layer("fc2", "fc", 2),
        Layer("drop2", "dropout"),
    )
    net = model.build(Spec("normed", "test", rows, 2, in_channels=1), generator=generator())
    with torch.no_grad():
        net.conv1.weight.copy_(torch.arange(1.0, 7).reshape(6, 1, 1, 1))
        net.conv1.bias.zero_()
    return net


def test_bite_by_hand():
    images = torch.tensor([[[[100.0, -100.0], [-1.0, 0.0]]]])
    # one pixel of four is above 0: six activities 100 .. 600, eighteen zeros
    squares = [1 + 4 + 9, 1 + 4 + 9 + 16, 55, 90, 9 + 16 + 25 + 36, 16 + 25 + 36]
    found = lrn_bite(normed(), images, "norm1")
    assert found["mean"] == pytest.approx(1e-4 * 1e4 * sum(squares) / 24 / 2)
    assert found["median"] == 0
    everywhere = lrn_bite(normed(), torch.full_like(images, 100), "norm1")
    assert everywhere["median"] == pytest.approx((55 + 77) / 2 / 2)


@pytest.mark.parametrize("over_n", [False, True])
@pytest.mark.parametrize(("n", "groups"), [(5, 1), (5, 2), (4, 1), (4, 3), (1, 1), (9, 2)])
def test_bite_equals_the_loop(n, groups, over_n):
    net = normed(size=n, groups=groups, alpha=0.02, k=3.0, alpha_over_n=over_n)
    images = 3 * seeded(5, 1, 2, 2, seed=n)
    energy = energies(model.activations(net, images)["relu1"], n, over_n=over_n, groups=groups)
    want = ((0.02 / n if over_n else 0.02) * energy / 3.0).flatten().tolist()
    found = lrn_bite(net, images, "norm1")
    assert found["mean"] == pytest.approx(mean(want))
    assert found["median"] == pytest.approx(median(want))


def test_bite_is_what_the_layer_divides_by():
    norm = LocalResponseNorm(alpha=0.01, groups=2)
    net = normed(alpha=0.01, groups=2)
    images = 1 + seeded(3, 1, 2, 2).abs()
    a = model.activations(net, images)["relu1"]
    divisor = (a / norm(a)) ** (1 / 0.75)  # k + alpha * sum, all activities being above 0
    assert lrn_bite(net, images, "norm1")["mean"] == pytest.approx(
        (divisor / 2 - 1).mean().item(), rel=1e-4
    )


@pytest.mark.parametrize("training", [True, False])
def test_bite_leaves_the_net_in_its_mode(training):
    net = normed().train(training)
    lrn_bite(net, seeded(2, 1, 2, 2), "norm1")
    assert net.training is training
    with pytest.raises(ValueError, match="wants float images"):
        lrn_bite(net, seeded(2, 3, 2, 2), "norm1")
    assert net.training is training
    assert net.drop2.training is training


@pytest.mark.parametrize("layer", ["norm2", "relu1", "forward", ""])
def test_bite_of_what_is_no_norm(layer):
    with pytest.raises(ValueError, match=f"no local response normalisation '{layer}'; .*norm1"):
        lrn_bite(normed(), seeded(2, 1, 2, 2), layer)


def test_bite_of_a_first_layer_is_that_of_the_images():
    rows = (Layer("norm1", "lrn", size=1, alpha=1.0, k=2.0), Layer("fc1", "fc", 2))
    net = model.build(Spec("first", "test", rows, 1, in_channels=1))
    found = lrn_bite(net, torch.tensor([1.0, 2.0, 4.0]).reshape(3, 1, 1, 1), "norm1")
    assert found == pytest.approx({"median": 2.0, "mean": 3.5})


# ---- (b) colour by column


def kernels(*pixels):
    """Kernels of one pixel."""
    return torch.tensor(pixels).reshape(-1, 3, 1, 1)


def test_colour_share_by_hand():
    found = colour_share(kernels([1.0, 1, 1], [1.0, -1, 0], [-2.0, 0, 0], [3.0, 1, 2]))
    # luminance is (r + g + b)^2 / 3: all, nothing, 4/3 of 4, 12 of 14
    assert found.tolist() == pytest.approx([0, 1, 2 / 3, 1 / 7])


def test_colour_share_adds_energies_over_pixels():
    two = torch.tensor([[[1.0, 10]], [[1, -10]], [[1, 0]]])[None]  # grey beside opponent colours
    assert colour_share(two).tolist() == pytest.approx([200 / 203])
    grey = seeded(1, 1, 5, 5).expand(4, 3, 5, 5)
    assert colour_share(grey).max() < 1e-6


def test_noise_has_two_thirds_colour():
    assert colour_share(seeded(500, 3, 5, 5)).mean().item() == pytest.approx(2 / 3, abs=0.01)


def grey_and_coloured(n):
    grey = torch.ones(n, 3, 5, 5) + 0.1 * seeded(n, 3, 5, 5)
    return grey, seeded(n, 3, 5, 5, seed=1)


def test_columns_that_divide_colour():
    grey, coloured = grey_and_coloured(12)
    found = column_colour(torch.cat([grey, coloured]), generator(), 999)
    assert found.columns[0] == pytest.approx(colour_share(grey).mean().item())
    assert found.columns[1] == pytest.approx(colour_share(coloured).mean().item())
    assert found.p == pytest.approx(1 / 1000)
    swapped = column_colour(torch.cat([coloured, grey]), generator(), 999)
    assert swapped.difference == pytest.approx(-found.difference)
    assert swapped.p == found.p  # which column has the colour is chance
    again = column_colour(torch.cat([grey, coloured]), generator(), 999)
    assert again == found


def test_columns_that_do_not():
    grey, coloured = grey_and_coloured(12)
    mixed = torch.stack([grey, coloured], 1).flatten(0, 1)
    assert column_colour(mixed, generator(), 999).p > 0.1


def test_p_equals_the_count_of_all_deals():
    four = kernels([1.0, 1, 1], [1.0, 0.9, 1], [1.0, -1, 0], [1.0, 0, 0])
    share = colour_share(four).tolist()
    apart = [
        abs(sum(share) - 2 * (share[i] + share[j])) / 2
        for i, j in itertools.combinations(range(4), 2)
    ]
    want = sum(a >= apart[0] - 1e-9 for a in apart) / 6
    assert want == pytest.approx(1 / 3)
    assert column_colour(four, generator(), 20_000).p == pytest.approx(want, abs=0.015)


def test_the_true_columns_in_another_order_are_as_far_apart():
    ramp = [[1.0, 1 - 0.17 * i, 1 - 0.37 * i] for i in range(6)]
    assert colour_share(kernels(*ramp)).diff().min() > 0  # no other split is as far apart
    # the true one and its exchange, of the 20 ways to deal six kernels
    assert column_colour(kernels(*ramp), generator(), 5000).p == pytest.approx(0.1, abs=0.015)


def test_p_of_kernels_without_a_difference_is_spread_evenly():
    found = [column_colour(seeded(24, 3, 5, 5, seed=s), generator(s), 199).p for s in range(400)]
    for level in (0.05, 0.25, 0.5):
        assert sum(p <= level for p in found) / 400 == pytest.approx(level, abs=0.08)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (torch.ones(4, 1, 5, 5), r"wants kernels K x 3 x h x w, got \(4, 1, 5, 5\)"),
        (torch.zeros(4, 3, 5, 5), "none of them all zero"),
        (torch.full((4, 3, 5, 5), math.nan), "wants finite kernels"),
        (torch.ones(3, 3, 5, 5), "an even number of kernels and permutations >= 1, got 3 and 9999"),
    ],
)
def test_wrong_kernels(wrong, text):
    with pytest.raises(ValueError, match=text):
        column_colour(wrong, generator())


# ---- (c) nearest neighbours


def test_agreement_by_hand():
    gallery = torch.tensor([[0.0, 0], [1, 0], [0, 3], [10, 10]])
    labels = torch.tensor([0, 1, 0, 1])
    queries = torch.tensor([[0.1, 0], [9, 9]])
    # nearest two: 0 and 1; 3 and 2
    assert neighbour_agreement(queries, torch.tensor([0, 1]), gallery, labels, 2) == 0.5
    assert neighbour_agreement(queries, torch.tensor([0, 1]), gallery, labels, 1) == 1.0
    assert neighbour_agreement(queries, torch.tensor([1, 1]), gallery, labels, 1) == 0.5


@pytest.mark.parametrize("chunk", [1, 7, 500])
def test_agreement_equals_the_loop(chunk):
    queries, gallery = seeded(20, 3, 2, 2), seeded(50, 3, 2, 2, seed=1)
    own, labels = torch.arange(20) % 4, torch.arange(50) % 4
    agreed = 0
    for q, label in zip(queries, own, strict=True):
        far = [((q - g) ** 2).sum().item() for g in gallery]
        agreed += sum(labels[j] == label for j in sorted(range(50), key=far.__getitem__)[:6])
    found = neighbour_agreement(queries, own, gallery, labels, chunk=chunk)
    assert found == pytest.approx(agreed.item() / 120)


def test_agreement_takes_raw_pixels_and_loses_none_of_their_digits():
    gallery = torch.full((3, 3, 64, 64), 255, dtype=torch.uint8)
    gallery[0, 0, 0, 0], gallery[1, 0, 0, 0] = 253, 254  # four and one grey level squared
    query = torch.full((1, 3, 64, 64), 255, dtype=torch.uint8)
    own, labels = torch.tensor([1]), torch.tensor([0, 1, 1])
    assert neighbour_agreement(query, own, gallery, labels, 2) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        (seeded(2, 3), torch.zeros(2), seeded(5, 4), torch.zeros(5), 1),
        (seeded(2, 3), torch.zeros(1), seeded(5, 3), torch.zeros(5), 1),
        (seeded(2, 3), torch.zeros(2), seeded(5, 3), torch.zeros(4), 1),
        (seeded(2, 3), torch.zeros(2), seeded(5, 3), torch.zeros(5), 6),
        (seeded(0, 3), torch.zeros(0), seeded(5, 3), torch.zeros(5), 1),
    ],
)
def test_wrong_neighbours(wrong):
    with pytest.raises(ValueError, match=r"queries N x D, N labels, gallery M x D.*; got \("):
        neighbour_agreement(*wrong)


# ---- (d) error by views


def test_error_by_views_by_hand():
    """Two classes, label 0; the views' probabilities of class 0, in ten_crop's order."""
    zero = torch.tensor(
        [
            # corners, centre; their mirrors
            [0.1, 0.1, 0.1, 0.1, 0.6, 0.1, 0.1, 0.1, 0.1, 0.7],  # right by the centre alone
            [0.9, 0.9, 0.9, 0.9, 0.4, 0.1, 0.1, 0.1, 0.1, 0.4],  # right by corners
            [0.9, 0.9, 0.9, 0.9, 0.4, 0.9, 0.9, 0.9, 0.9, 0.4],
            [0.9, 0.9, 0.9, 0.9, 0.6, 0.9, 0.9, 0.9, 0.9, 0.2],  # wrong with the mirror
        ]
    )
    logs = torch.stack([zero, 1 - zero], 2).log()
    found = error_by_views(logs, torch.zeros(4, dtype=torch.int64))
    assert found == {1: 0.5, 2: 0.75, 5: 0.25, 10: 0.5}


def test_views_average_probabilities_not_their_logarithms():
    p = torch.full((1, 10, 3), 1e-9)
    p[:, :7, 0], p[:, :7, 1], p[:, 7:, 1] = 0.9, 0.1, 1.0
    # mean probability 0.63 against 0.37; of the logarithms class 1 has the larger
    found = error_by_views(p.log(), torch.tensor([0]))
    assert found[10] == 0
    assert p.log().mean(1).argmax(1).item() == 1


def test_one_and_ten_views_equal_evaluate():
    split = embedded.generate("test")
    few = data.DataSet(**{**vars(split), "images": split.images[:60], "labels": split.labels[:60]})
    net = model.build("mini-alexnet", init="modern", generator=generator()).eval()
    view = View.of(few, 24, True)
    labels = torch.from_numpy(few.labels)
    with torch.inference_mode():
        crops = augment.ten_crop(torch.from_numpy(few.images), 24)
        logs = net(view(crops).flatten(0, 1)).log_softmax(1).unflatten(0, (60, 10))
    for k, name in ((1, "top1_error"), (5, "top5_error")):
        found = error_by_views(logs, labels, k)
        for views in (1, 10):
            assert found[views] == evaluate(net, few, view, views=views)[name]


def test_views_of_a_very_sure_net():
    logs = torch.tensor([0.0, -300.0, -200.0]).repeat(1, 10, 1)
    assert error_by_views(logs, torch.tensor([2]), 2)[10] == 0


@pytest.mark.parametrize(
    ("logs", "labels", "text"),
    [
        (torch.zeros(2, 10, 3), torch.zeros(2), "probabilities sum to 3 to 3; take log_softmax"),
        (torch.zeros(2, 5, 3), torch.zeros(2), r"N x 10 x C and N labels, got \(2, 5, 3\)"),
        (torch.zeros(2, 10, 3), torch.zeros(3), r"got \(2, 10, 3\) and \(3,\)"),
        (torch.zeros(0, 10, 3), torch.zeros(0), r"got \(0, 10, 3\)"),
    ],
)
def test_wrong_views(logs, labels, text):
    with pytest.raises(ValueError, match=text):
        error_by_views(logs, labels)


def test_views_are_those_of_ten_crop():
    image = torch.arange(25).reshape(1, 1, 5, 5)
    crops = augment.ten_crop(image, 3)[0]
    centre = cropping.center_crop(image, 3)[0]
    one, two = (measures.VIEWS[n] for n in (1, 2))
    assert torch.equal(crops[list(one)], centre[None])
    assert torch.equal(crops[list(two)], torch.stack([centre, centre.flip(-1)]))
    unmirrored = [i for i in range(10) if (crops[i].diff(dim=-1) > 0).all()]  # pixels ascend
    assert list(measures.VIEWS[5]) == unmirrored
    assert list(measures.VIEWS[10]) == list(range(10))


def test_activities_of_the_last_hidden_layer_are_at_hand():
    net = model.build("mini-alexnet", generator=generator()).eval()
    found = model.activations(net, 50 * seeded(3, 3, 24, 24), ["relu7"])["relu7"]
    assert found.shape == (3, 256)
    assert isinstance(net.relu7, nn.ReLU)
