"""§3.3 §3.4 §4.2 Layers against slow loops from the formulas, by hand, and gradcheck in float64."""

import pytest
import torch
import torch.nn.functional as F
from by_hand import energies
from hypothesis import given, settings
from hypothesis import strategies as st

from alexnet_repro import layers
from alexnet_repro.layers import CeilConv2d, LocalResponseNorm, PaperDropout, WithinMapNorm


def seeded(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def slow_lrn(x, n, alpha, beta, k, *, over_n=False, groups=1):
    """The formula of §3.3 in float64."""
    energy = energies(x, n, over_n=over_n, groups=groups)
    return x.double() / (k + (alpha / n if over_n else alpha) * energy) ** beta


@pytest.mark.parametrize("over_n", [False, True])
@pytest.mark.parametrize(("n", "channels", "groups"), [
    (5, 12, 1), (5, 12, 2), (4, 9, 1), (4, 8, 2), (1, 3, 1), (2, 5, 1), (9, 4, 1), (5, 1, 1),
])  # fmt: skip
def test_lrn_equals_the_loop(n, channels, groups, over_n):
    x = 10 * seeded(2, channels, 3, 2)
    lrn = LocalResponseNorm(n, 0.02, 0.75, 2.0, alpha_over_n=over_n, groups=groups)
    want = slow_lrn(x, n, 0.02, 0.75, 2.0, over_n=over_n, groups=groups)
    torch.testing.assert_close(lrn(x), want)


def test_lrn_defaults_are_the_printed_constants_in_a_worked_example():
    x = torch.tensor([100.0, 200, 300, 400, 500, 600], dtype=torch.float64).reshape(1, 6, 1, 1)
    squares = 1e4 * (1 + 4 + 9 + 16 + 25)  # channel 2 sums channels 0..4, not channel 5
    for over_n, alpha in ((False, 1e-4), (True, 2e-5)):
        found = LocalResponseNorm(alpha_over_n=over_n)(x)[0, 2].item()
        assert found == pytest.approx(300 / (2 + alpha * squares) ** 0.75)


@given(
    n=st.integers(1, 8), channels=st.integers(1, 7), alpha=st.floats(1e-4, 10),
    beta=st.sampled_from([0.5, 0.75, 1.0]), k=st.floats(0.5, 3), over_n=st.booleans(),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_lrn_equals_the_loop_for_any_constants(n, channels, alpha, beta, k, over_n):
    x = 3 * seeded(1, channels, 2, 1, seed=n)
    found = LocalResponseNorm(n, alpha, beta, k, alpha_over_n=over_n)(x)
    torch.testing.assert_close(found, slow_lrn(x, n, alpha, beta, k, over_n=over_n))


@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float16, 2**-10), (torch.bfloat16, 2**-7)])
def test_lrn_in_half_precision_does_not_overflow(dtype, rtol):
    x = (2e4 * seeded(1, 8, 3, 3)).clamp(-6e4, 6e4).to(dtype)  # the squares exceed float16
    found = LocalResponseNorm()(x)
    assert found.dtype == dtype
    torch.testing.assert_close(
        found.double(), slow_lrn(x, 5, 1e-4, 0.75, 2.0), rtol=rtol, atol=1e-3
    )


@pytest.mark.parametrize("backward_inside", [False, True])
def test_lrn_statistics_stay_float32_under_autocast(backward_inside):
    x = (50 * seeded(1, 12, 4, 4, dtype=torch.float32)).requires_grad_()
    for norm in (LocalResponseNorm(alpha=0.1), WithinMapNorm(alpha=0.1)):
        plain = norm(x)
        with torch.autocast("cpu", torch.bfloat16):
            mixed = norm(x)
        torch.testing.assert_close(mixed, plain)
        (want,) = torch.autograd.grad(plain, x, plain)
        with torch.autocast("cpu", torch.bfloat16, enabled=backward_inside):
            (found,) = torch.autograd.grad(mixed, x, plain)
        torch.testing.assert_close(found, want)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_lrn_keeps_the_memory_layout(layout, groups):
    x = seeded(2, 6, 3, 4).contiguous(memory_format=layout)
    found = LocalResponseNorm(groups=groups)(x)
    torch.testing.assert_close(found, slow_lrn(x, 5, 1e-4, 0.75, 2.0, groups=groups))
    assert found.is_contiguous(memory_format=layout)


def test_lrn_of_views_that_are_not_contiguous():
    base = 20 * seeded(2, 12, 6, 4)
    views = base[:, ::2], base[..., 1::2], base.transpose(2, 3), base[:, :, :1].expand(2, 12, 5, 4)
    for x in views:
        assert not x.is_contiguous()
        torch.testing.assert_close(LocalResponseNorm()(x), slow_lrn(x, 5, 1e-4, 0.75, 2.0))


@pytest.mark.parametrize("norm", [
    LocalResponseNorm(3, 0.5), LocalResponseNorm(4, 0.5, 0.6, alpha_over_n=True),
    LocalResponseNorm(3, 0.5, groups=2), WithinMapNorm(3, 0.5),
])  # fmt: skip
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gradients_of_the_norms(norm, layout):
    x = seeded(1, 6, 3, 2).contiguous(memory_format=layout).requires_grad_()
    assert torch.autograd.gradcheck(norm, x)


@pytest.mark.parametrize("norm", [LocalResponseNorm(), WithinMapNorm()])
def test_the_second_derivative_is_refused(norm):
    x = seeded(1, 3, 1, 1).requires_grad_()
    (grad,) = torch.autograd.grad(norm(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


def test_norm_errors_say_what_was_given():
    for wrong in ({"size": 0}, {"k": 0.0}, {"groups": 0}):
        ((name, value),) = wrong.items()
        with pytest.raises(ValueError, match=f"LocalResponseNorm wants.* got.*{name}={value}"):
            LocalResponseNorm(**wrong)
    with pytest.raises(ValueError, match=r"groups=2.* multiple of 2 channels, got 3"):
        LocalResponseNorm(groups=2)(torch.zeros(1, 3, 2, 2))
    with pytest.raises(ValueError, match=r"WithinMapNorm wants an odd size >= 1, got 4"):
        WithinMapNorm(4)
    with pytest.raises(ValueError, match=r"WithinMapNorm wants k > 0, got 0"):
        WithinMapNorm(k=0)
    for norm in (LocalResponseNorm(), WithinMapNorm()):
        with pytest.raises(ValueError, match=r"N x C x H x W, got \(3, 4\) of torch.float32"):
            norm(torch.zeros(3, 4))
        with pytest.raises(ValueError, match=r"torch.uint8"):
            norm(torch.zeros(1, 3, 4, 4).byte())


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    ("size", "k", "over_n"),
    [(1, 1.0, True), (3, 1.0, True), (5, 1.0, True), (15, 1.0, True), (3, 2.5, False)],
)
def test_within_map_norm_equals_the_loop(size, k, over_n, layout):
    x, r = 5 * seeded(2, 3, 6, 4).contiguous(memory_format=layout), size // 2
    want = torch.empty_like(x)
    for i in range(6):
        for j in range(4):
            window = x[:, :, max(0, i - r) : i + r + 1, max(0, j - r) : j + r + 1]
            energy = (window**2).sum((2, 3))
            alpha = 0.3 / size**2 if over_n else 0.3
            want[:, :, i, j] = x[:, :, i, j] / (k + alpha * energy) ** 0.75
    found = WithinMapNorm(size, 0.3, k=k, alpha_over_n=over_n)(x)
    torch.testing.assert_close(found, want)
    assert found.is_contiguous(memory_format=layout)
    half = (1e4 * x).clamp(-6e4, 6e4).half()  # the squares exceed float16
    norm = WithinMapNorm(size, 1e-3, 0.25)
    torch.testing.assert_close(norm(half).double(), norm(half.double()), rtol=2**-10, atol=1e-3)


@pytest.mark.parametrize("sides", [(55, 27, 13, 6), (32, 16, 8, 4)])
def test_max_pool_sizes_and_values(sides):
    x = seeded(1, 2, sides[0], sides[0])
    for side in sides[1:]:
        want = torch.stack([
            x[:, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3].amax((2, 3))
            for i in range(side) for j in range(side)
        ], -1)  # fmt: skip
        x = layers.OverlappingMaxPool()(x)
        assert torch.equal(x, want.reshape(1, 2, side, side))


def test_dropout_as_printed():
    drop, n = PaperDropout(), 40_000
    x = seeded(n, dtype=torch.float32).requires_grad_()
    drop.generator = torch.Generator().manual_seed(1)
    kept = (y := drop(x)) != 0
    assert torch.equal(y[kept], x[kept])  # not divided by 1 - p
    assert abs(kept.double().mean() - 0.5) < 5 * 0.5 / n**0.5
    assert torch.equal(torch.autograd.grad(y.sum(), x)[0], kept.float())
    assert not torch.equal(drop(x) != 0, kept)
    drop.generator.manual_seed(1)
    torch.manual_seed(3)  # the global generator has no say
    assert torch.equal(drop(x), y)
    assert torch.equal(drop.eval()(x), x * 0.5)
    assert torch.equal(PaperDropout(0.25).eval()(x), x * 0.75)
    with pytest.raises(ValueError, match=r"0 <= p < 1, got 1"):
        PaperDropout(1)


def test_ceil_conv_pads_three_zeros_right_and_bottom():
    conv, x = CeilConv2d(3, 2, 11, 4).double(), seeded(1, 3, 224, 224)
    y, w = conv(x), conv.weight
    first = (w * x[0, :, :11, :11]).sum((1, 2, 3)) + conv.bias  # no zeros on the left or at the top
    last = (w[:, :, :8, :8] * x[0, :, 216:, 216:]).sum((1, 2, 3)) + conv.bias  # 54 * 4 = 216
    torch.testing.assert_close(y[0, :, 0, 0], first)
    torch.testing.assert_close(y[0, :, 54, 54], last)
    torch.testing.assert_close(y, F.conv2d(F.pad(x, (0, 3, 0, 3)), w, conv.bias, 4))


def test_locally_connected_equals_the_loop():
    layer = layers.LocallyConnected2d(2, 3, 3, 1, 4).double()
    layer.weight.data, layer.bias.data = seeded(16, 3, 18), seeded(3, 4, 4)
    x = seeded(2, 2, 4, 4)
    padded, want = F.pad(x, (1, 1, 1, 1)), torch.empty(2, 3, 4, 4, dtype=torch.float64)
    for i in range(4):
        for j in range(4):
            patch = padded[:, :, i : i + 3, j : j + 3].reshape(2, -1)
            want[:, :, i, j] = patch @ layer.weight[4 * i + j].T + layer.bias[:, i, j]
    torch.testing.assert_close(layer(x), want)
    with pytest.raises(ValueError, match=r"4x4 outputs; input \(1, 2, 5, 5\) would make 25"):
        layer(torch.zeros(1, 2, 5, 5, dtype=torch.float64))
