"""§4.1 Crops and reflections against slicing loops; the ten crops by hand."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from alexnet_repro import augment
from alexnet_repro.augment import cropping

# Pixel (row, column) of channel c holds 100 c + 10 row + column.
CODED = torch.tensor([
    [[100 * c + 10 * row + column for column in range(6)] for row in range(5)] for c in range(2)
])[None]  # fmt: skip


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@given(data=st.data(), n=st.integers(1, 4), h=st.integers(1, 7), w=st.integers(1, 7))
@settings(max_examples=60, deadline=None)
def test_apply_crops_equals_a_slicing_loop(data, n, h, w):
    size = data.draw(st.integers(1, min(h, w)))
    places = [
        data.draw(st.tuples(st.integers(0, h - size), st.integers(0, w - size), st.booleans()))
        for _ in range(n)
    ]
    top, left, flip = zip(*places, strict=True)
    draws = augment.Draws(torch.tensor(top), torch.tensor(left), torch.tensor(flip))
    images = torch.randint(256, (n, 3, h, w), generator=seeded(n)).to(torch.uint8)
    found = augment.apply_crops(images, draws, size)
    assert found.dtype == torch.uint8
    for i, (row, column, mirrored) in enumerate(places):
        want = images[i, :, row : row + size, column : column + size].tolist()
        if mirrored:
            want = [[line[::-1] for line in channel] for channel in want]
        assert found[i].tolist() == want


def test_draws_are_uniform_over_the_33_positions_and_both_reflections():
    n = 33 * 1000
    draws = augment.draw_crops(n, 256, 224, seeded())
    for places in (draws.top, draws.left):
        counts = torch.bincount(places, minlength=33)
        assert len(counts) == 33  # 0 .. 32, both ends among them
        chi_square = ((counts - 1000.0) ** 2 / 1000).sum()
        assert 10 < chi_square < 66  # 32 degrees of freedom: 32 +- 8, outside once in 3000 times
    assert abs(draws.flip.double().mean() - 0.5) < 4 * 0.5 / n**0.5
    pairs = torch.stack([draws.top.double(), draws.left.double(), draws.flip.double()])
    assert (torch.corrcoef(pairs) - torch.eye(3)).abs().max() < 4 / n**0.5  # independent


def test_draws_come_from_the_generator_alone():
    before = torch.get_rng_state()
    a, b, c = (augment.draw_crops(50, 32, 24, seeded(s)) for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    for key in ("top", "left", "flip"):
        assert torch.equal(getattr(a, key), getattr(b, key))
        assert not torch.equal(getattr(a, key), getattr(c, key))


def test_an_arm_without_reflections_sees_the_same_crop_places():
    """train.stream promises that arms of one seed see the same crops, batch after batch."""
    with_flips, without = seeded(), seeded()
    for _ in range(2):
        a = augment.draw_crops(50, 32, 24, with_flips)
        b = augment.draw_crops(50, 32, 24, without, flip=False)
        assert not b.flip.any()
        assert torch.equal(a.top, b.top)
        assert torch.equal(a.left, b.left)


def test_center_crop_leaves_an_odd_rest_right_and_bottom():
    crop = cropping.center_crop(CODED, 2)  # rests: 3 rows, 4 columns
    assert crop[0, 0].tolist() == [[12, 13], [22, 23]]
    assert cropping.center_crop(CODED[0, 1], 3).tolist() == [
        [111, 112, 113], [121, 122, 123], [131, 132, 133],
    ]  # fmt: skip


def test_ten_crops_in_the_documented_order():
    views = augment.ten_crop(CODED, 2)
    assert views.shape == (1, 10, 2, 2, 2)
    top_left = [[0, 1], [10, 11]], [[4, 5], [14, 15]], [[30, 31], [40, 41]], [[34, 35], [44, 45]]
    upright = [*top_left, [[12, 13], [22, 23]]]
    mirrored = [[line[::-1] for line in view] for view in upright]
    assert views[0, :, 0].tolist() == upright + mirrored
    assert torch.equal(views[0, :, 1], views[0, :, 0] + 100)


def test_ten_crops_of_a_batch_are_those_of_each_image():
    images = torch.randint(256, (3, 3, 8, 8), generator=seeded())
    views = augment.ten_crop(images, 5)
    for i in range(3):
        assert torch.equal(views[i], augment.ten_crop(images[i : i + 1], 5)[0])
    assert torch.equal(views[1, 3], images[1, :, 3:, 3:])  # bottom right of its own image


def test_errors_say_what_was_given():
    for cut in (cropping.center_crop, augment.ten_crop):
        for size in (0, 6):
            with pytest.raises(ValueError, match=f"a {size}-pixel crop does not fit"):
                cut(CODED[..., :5], size)
    with pytest.raises(ValueError, match=r"a 33-pixel crop does not fit an image of 32 pixels"):
        augment.draw_crops(1, 32, 33, seeded())
    draws = augment.draw_crops(2, 5, 3, seeded())
    with pytest.raises(ValueError, match=r"2 draws for 1 images"):
        augment.apply_crops(CODED, draws, 3)
    with pytest.raises(ValueError, match=r"a 9-pixel crop does not fit an image of 5 pixels"):
        augment.apply_crops(CODED.expand(2, -1, -1, -1), draws, 9)
