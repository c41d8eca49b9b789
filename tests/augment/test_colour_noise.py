"""§4.1 Colour noise: components against numpy's covariance, shifts by the published constants."""

import numpy as np
import pytest
import torch

from alexnet_repro.augment import RGBPCA

# Standard deviations and components that the second release of the original code stores.
STDS = torch.tensor([19.720833, 37.093889, 121.780061], dtype=torch.float64)
VECTORS = torch.tensor(
    [[0.41796, -0.71258, -0.56351], [-0.81698, -0.02354, -0.57618], [0.39731, 0.70120, -0.59200]],
    dtype=torch.float64,
)
ORIGINAL = RGBPCA(STDS**2, VECTORS)
TOP = torch.tensor([[0.0, 0.0, 0.1]], dtype=torch.float64)  # one sigma of the top component


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    base = rng.integers(0, 200, (37, 1, 5, 4))
    return (base + rng.integers(0, 56, (37, 3, 5, 4))).astype(np.uint8)


def test_fit_equals_numpys_covariance_and_streams(images):
    found = RGBPCA.fit(images, chunk=5)
    pixels = images.transpose(1, 0, 2, 3).reshape(3, -1).astype(float)
    covariance = np.cov(pixels, bias=True)  # bias: divided by n
    rebuilt = found.eigenvectors @ torch.diag(found.eigenvalues) @ found.eigenvectors.T
    np.testing.assert_allclose(rebuilt, covariance, rtol=1e-10, atol=1e-8)
    assert found.eigenvalues[0] < found.eigenvalues[1] < found.eigenvalues[2]
    torch.testing.assert_close(found.eigenvalues, RGBPCA.fit(images).eigenvalues)


@pytest.mark.parametrize(
    ("options", "grey_levels"),
    [
        ({"reading": "original"}, 12.178),
        ({"reading": "paper"}, 5.816),  # 0.1 * 121.78^2 / 255
        ({"reading": "paper", "unit": 1.0}, 1483.0),
    ],
)
def test_one_sigma_of_the_top_component(options, grey_levels):
    shift = ORIGINAL.shift(TOP, **options)
    assert shift.norm().item() == pytest.approx(grey_levels, rel=1e-3)
    assert torch.sign(shift).unique().numel() == 1  # the top component is brightness


def test_shift_by_hand():
    pca = RGBPCA(torch.tensor([1.0, 4.0, 255.0]).double(), torch.eye(3).double()[:, [2, 0, 1]])
    alphas = torch.tensor([[1.0, 10.0, 2.0]]).double()
    # component k goes to colour (2, 0, 1)[k]; printed: alpha * lambda / 255 in 0..1 pixels
    wanted = torch.tensor([[10 * 4 / 255, 2 * 255 / 255, 1 * 1 / 255]]).double()
    torch.testing.assert_close(pca.shift(alphas), wanted)
    original = torch.tensor([[10 * 2, 2 * 255**0.5, 1.0]]).double()
    torch.testing.assert_close(pca.shift(alphas, reading="original"), original)


def test_apply_adds_one_shift_to_every_pixel_of_an_image():
    x = torch.full((2, 3, 2, 2), 100.0)
    alphas = torch.cat([TOP, torch.zeros_like(TOP)])
    y = ORIGINAL.apply(x, alphas, reading="original")
    torch.testing.assert_close(y[1], x[1] / 1.1)
    wanted = (100 + ORIGINAL.shift(TOP, reading="original")[0]) / 1.1
    torch.testing.assert_close(y[0, :, 1, 0].double(), wanted, rtol=1e-6, atol=0)
    assert (y[0] == y[0, :, :1, :1]).all()


def test_draws_have_the_printed_deviation_and_depend_on_the_generator_alone():
    draws = ORIGINAL.draw(20000, torch.Generator().manual_seed(1))
    assert draws.std(0).tolist() == pytest.approx([0.1] * 3, rel=0.03)
    assert draws.mean(0).abs().max() < 0.004
    assert torch.equal(draws, ORIGINAL.draw(20000, torch.Generator().manual_seed(1)))


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match=r"wants N x 3 x H x W uint8 \(0..255\), got \(2, 4, 4\)"):
        RGBPCA.fit(np.zeros((2, 4, 4), np.uint8))
    with pytest.raises(ValueError, match=r"wants pixels in 0..255, got 0..1; multiply"):
        ORIGINAL.apply(torch.rand(1, 3, 4, 4), TOP)
    with pytest.raises(ValueError, match=r"wants 1 x 3 x H x W float images .* torch.uint8"):
        ORIGINAL.apply(torch.zeros(1, 3, 4, 4, dtype=torch.uint8), TOP)
    with pytest.raises(ValueError, match=r"reading wants 'paper' or 'original', got 'code'"):
        ORIGINAL.shift(TOP, reading="code")
