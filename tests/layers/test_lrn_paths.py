"""§3.3 All paths of LRN against the slow loop in float64, forward and backward, and the fallback.

test_layers.py, beside this, holds the eager path against the same loop in more cases.
"""

import functools
import logging
from functools import partial

import pytest
import torch

from alexnet_repro import native
from alexnet_repro.layers import (
    LocalResponseNorm,
    WithinMapNorm,
    norm_compiled,
    norm_eager,
    norm_native,
)


def loop(x, n, over_n):
    """b_i = a_i / (k + alpha * sum)^beta, channel by channel, from the formula."""
    alpha, last = (0.1 / n, n // 2 - (n % 2 == 0)) if over_n else (0.1, n // 2)
    out = []
    for i in range(x.shape[1]):
        energy = x[:, max(0, i - n // 2) : i + last + 1].square().sum(1)
        out.append(x[:, i] / (2 + alpha * energy) ** 0.75)
    return torch.stack(out, 1)


@pytest.mark.parametrize("path", ["eager", "native", "compiled"], indirect=True)
@pytest.mark.parametrize(
    ("n", "over_n", "shape", "dtype", "layout", "tolerance"),
    [
        (5, False, (2, 8, 5, 3), torch.float64, torch.channels_last, 1e-12),
        (4, True, (1, 6, 3, 3), torch.float32, torch.contiguous_format, 1e-5),
        (5, False, (3, 4, 4, 4), torch.bfloat16, torch.channels_last, 2e-2),
    ],
)
def test_paths_equal_the_loop(path, n, over_n, shape, dtype, layout, tolerance):
    groups = 2 if dtype == torch.bfloat16 else 1
    norm = LocalResponseNorm(n, 0.1, alpha_over_n=over_n, groups=groups, path=path)
    exact = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    exact = (3 * exact).to(dtype).double().requires_grad_()
    x = exact.detach().to(dtype).contiguous(memory_format=layout).requires_grad_()
    weights = torch.linspace(-1, 1, exact.numel(), dtype=torch.float64).reshape(shape)
    wanted = torch.cat([loop(part, n, over_n) for part in exact.chunk(groups, 1)], 1)
    found = norm(x)
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), wanted, rtol=tolerance, atol=tolerance)
    (wanted * weights).sum().backward()
    (found * weights.to(dtype)).sum().backward()
    torch.testing.assert_close(x.grad.double(), exact.grad, rtol=tolerance, atol=tolerance)
    if path == "compiled":
        assert not norm_compiled._broken  # it was the compiled path that was tested


def test_the_rule_behind_auto():
    assert norm_eager.choose("auto", torch.device("cpu")) == "native"
    assert norm_eager.choose("auto", torch.device("cuda")) == "compiled"
    assert norm_eager.choose("auto", torch.device("mps")) == "eager"
    assert norm_eager.choose("compiled", torch.device("cpu")) == "compiled"
    with pytest.raises(ValueError, match="wants path auto, eager, compiled, native, got 'fast'"):
        LocalResponseNorm(path="fast")
    with pytest.raises(ValueError, match="wants path auto, eager, compiled, native, got 'fast'"):
        WithinMapNorm(path="fast")


def both_passes(norm, x):
    x = x.detach().requires_grad_()
    y = norm(x)
    weights = torch.linspace(-1, 1, x.numel(), dtype=torch.float64).reshape(x.shape).to(x.dtype)
    return y.detach(), torch.autograd.grad((y * weights).sum(), x)[0]


LAYOUTS = [torch.contiguous_format, torch.channels_last]
NORMS = [
    *(partial(LocalResponseNorm, n, 0.1) for n in (1, 3, 5, 9)),
    partial(LocalResponseNorm, 4, 0.1, alpha_over_n=True),
    partial(LocalResponseNorm, 5, 0.1, groups=2),
    *(partial(WithinMapNorm, size, 0.5) for size in (1, 5, 15)),
    partial(WithinMapNorm, 3, 0.5, k=2.5, alpha_over_n=False),
    partial(WithinMapNorm, 3, 0.5),
]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("shape", [(3, 8, 6, 5), (40, 24, 9, 9), (1, 2, 1, 1)])  # many blocks, one
@pytest.mark.usefixtures("compiler")
def test_native_equals_eager_in_float64(norm, layout, shape):
    assert norm_native.takes(torch.zeros(1), 0.75)  # it is the kernel that is tested
    x = 3 * torch.randn(shape, generator=torch.Generator().manual_seed(1))
    x = x.contiguous(memory_format=layout)
    found = both_passes(norm(path="native"), x)
    for a, b in zip(found, both_passes(norm(path="eager"), x.double()), strict=True):
        torch.testing.assert_close(a.double(), b, rtol=3e-6, atol=3e-6)
        assert a.is_contiguous(memory_format=layout)


ASYMMETRIC = partial(LocalResponseNorm, 4, 0.1, alpha_over_n=True, groups=2)
OTHER_POWER = partial(LocalResponseNorm, 3, 0.1, beta=0.6)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "norm", [ASYMMETRIC, OTHER_POWER, partial(WithinMapNorm, 3, 0.5, k=2.5, alpha_over_n=False)]
)
@pytest.mark.usefixtures("compiler")
def test_compiled_equals_eager_in_float64(norm, layout):
    x = 3 * torch.randn(3, 8, 6, 5, generator=torch.Generator().manual_seed(1))
    x = x.contiguous(memory_format=layout)
    found = both_passes(norm(path="compiled"), x)
    assert not norm_compiled._broken
    for a, b in zip(found, both_passes(norm(path="eager"), x.double()), strict=True):
        torch.testing.assert_close(a.double(), b, rtol=3e-6, atol=3e-6)
        assert a.is_contiguous(memory_format=layout)


@pytest.mark.usefixtures("compiler")
def test_one_program_for_any_batch():
    torch._dynamo.reset()
    norm = LocalResponseNorm(path="compiled")
    for n in (3, 3, 7, 5):  # the second call meets what the first one left
        both_passes(norm, torch.randn(n, 6, 4, 4))
        if n == 3:
            torch._dynamo.utils.counters.clear()
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 0
    both_passes(norm, torch.randn(3, 10, 4, 4))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 2


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("norm", [NORMS[2], NORMS[-2]])
def test_the_kernel_gives_the_same_bits_on_any_number_of_threads(norm):
    x = torch.randn(40, 24, 9, 9, generator=torch.Generator().manual_seed(1))
    threads, found = torch.get_num_threads(), []
    for count in (1, 3):
        torch.set_num_threads(count)
        found.append(both_passes(norm(path="native"), x))
    torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.usefixtures("compiler")
def test_the_kernel_passes_nan_on():
    x = torch.ones(1, 8, 2, 2)
    x[0, 4, 1, 1] = torch.nan
    wanted = torch.zeros(1, 8, 2, 2, dtype=torch.bool)
    wanted[0, 2:7, 1, 1] = True
    for norm in (LocalResponseNorm(path="native"), LocalResponseNorm(path="eager")):
        assert torch.equal(norm(x).isnan(), wanted)


@pytest.mark.usefixtures("compiler")
def test_a_damaged_kernel_is_built_again(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    source = native.PACKAGE / "layers" / "norms.cpp"
    path = native._built(source)
    assert path.parent == tmp_path / "alexnet_repro"
    assert [p.name for p in path.parent.iterdir()] == [path.name]  # nothing left behind
    path.write_bytes(b"junk")
    assert native._load(source).norm_forward


@pytest.mark.usefixtures("compiler")
def test_a_changed_source_is_compiled_again(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for answer in (1, 2):
        (tmp_path / "some.cpp").write_text(f'extern "C" int answer() {{ return {answer}; }}\n')
        assert native._load(tmp_path / "some.cpp").answer() == answer


@pytest.mark.parametrize("compiler", ["no-such-compiler", "false"])
def test_without_a_c_compiler_the_eager_path_goes_on_with_one_line(compiler, monkeypatch, caplog):
    monkeypatch.setenv("CXX", compiler)
    for module in (native, norm_native):
        monkeypatch.setattr(module, "library", functools.cache(module.library.__wrapped__))
    x = torch.randn(2, 7, 3, 3)
    with caplog.at_level(logging.WARNING):
        found = [LocalResponseNorm()(x) for _ in range(3)]
        WithinMapNorm()(x)
    assert torch.equal(found[0], LocalResponseNorm(path="eager")(x))
    (line,) = (r.message for r in caplog.records)
    assert line.startswith("norms.cpp: not compiled, going on without, more slowly (")


def test_without_a_compiler_the_eager_path_goes_on_with_one_line(monkeypatch, caplog):
    def broken(formula):
        raise RuntimeError("no compiler\nlong story")

    monkeypatch.setattr(norm_compiled, "_program", broken)
    monkeypatch.setattr(norm_compiled, "_broken", [])
    x = torch.randn(2, 7, 3, 3)
    with caplog.at_level(logging.WARNING):
        found = [LocalResponseNorm(path="compiled")(x) for _ in range(3)]
    assert torch.equal(found[0], LocalResponseNorm(path="eager")(x))
    assert [r.message for r in caplog.records] == [
        "LRN: torch.compile failed, going on with the eager path (no compiler)"
    ]


def test_a_backward_pass_that_does_not_compile_goes_on_without(monkeypatch, caplog):
    def no_backward(*_):
        raise RuntimeError("no backward")

    x = torch.randn(2, 7, 3, 3)
    monkeypatch.setattr(norm_compiled, "_broken", [])
    monkeypatch.setattr(norm_compiled, "_program", lambda formula: no_backward)
    monkeypatch.setattr(norm_compiled, "forward", lambda *_: False)
    found = both_passes(LocalResponseNorm(path="compiled"), x)
    assert "no backward" in caplog.text
    for a, b in zip(found, both_passes(LocalResponseNorm(path="eager"), x), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    "layer",
    [
        *(LocalResponseNorm(path=path) for path in ("eager", "compiled", "native")),
        *(WithinMapNorm(path=path) for path in ("eager", "compiled", "native")),
    ],
)
def test_an_empty_batch_passes(layer):
    x = torch.zeros(0, 8, 3, 3, requires_grad=True)
    y = layer(x)
    y.sum().backward()
    assert y.shape == x.grad.shape == (0, 8, 3, 3)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("n", "over_n"), [(1, False), (4, True), (5, False), (9, False)])
def test_a_block_at_a_time(n, over_n, layout, groups, monkeypatch):
    monkeypatch.setattr(
        norm_eager, "CACHED", 50
    )  # 200 numbers of some rows: the last block is less
    x = torch.randn(3, 8, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    x = x.contiguous(memory_format=layout).requires_grad_()
    norm = LocalResponseNorm(n, 0.1, alpha_over_n=over_n, groups=groups, path="eager")
    wanted = torch.cat([loop(part, n, over_n) for part in x.chunk(groups, 1)], 1)
    found, weights = norm(x), torch.linspace(-1, 1, x.numel(), dtype=x.dtype).reshape(x.shape)
    torch.testing.assert_close(found, wanted)
    (a,), (b,) = (torch.autograd.grad((y * weights).sum(), x) for y in (found, wanted))
    torch.testing.assert_close(a, b)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_within_the_map_a_block_at_a_time(layout, monkeypatch):
    x = torch.randn(5, 2, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    x = x.contiguous(memory_format=layout).requires_grad_()
    weights = torch.linspace(-1, 1, x.numel(), dtype=x.dtype).reshape(x.shape)
    found = []
    for cached in (50, 1 << 18):  # two images, or all five
        monkeypatch.setattr(norm_eager, "CACHED", cached)
        y = WithinMapNorm(3, 0.5, path="eager")(x)
        found.append((y, *torch.autograd.grad((y * weights).sum(), x)))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("norm", [LocalResponseNorm(3, 0.1, groups=2), WithinMapNorm(3, 0.1)])
def test_inside_another_compiler_the_formula_is_traced(norm):
    x = torch.randn(2, 6, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    program = torch.export.export(norm, (x,))
    assert not any("Norm" in str(node.target) for node in program.graph.nodes)
    torch.testing.assert_close(program.module()(x), norm(x))


@pytest.mark.parametrize("norm", [ASYMMETRIC(), OTHER_POWER(), WithinMapNorm(3, 0.5)])
def test_inside_another_compiler_the_gradient_is_the_written_one(norm, monkeypatch):
    x = torch.randn(2, 8, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    wanted = both_passes(norm, x)
    program = torch.compile(norm, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(both_passes(program, x), wanted)
    monkeypatch.setattr(norm_compiled, "_gradient", lambda *_: 1 / 0)
    torch._dynamo.reset()
    with pytest.raises(Exception, match="division by zero"):
        both_passes(torch.compile(norm, backend="aot_eager", fullgraph=True), x)


@pytest.mark.parametrize("shape", [(2, 1, 3, 3), (2, 3, 1, 1), (1, 2, 1, 5)])
def test_windows_wider_than_the_channels(shape):
    x = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for n in (5, 9, 12):
        torch.testing.assert_close(LocalResponseNorm(n, 0.1)(x), loop(x, n, False))
