"""Intervals by hand. Student's t at 97.5 %: 4.303 for n = 3, 2.776 for n = 5 (printed tables)."""

import itertools
import math

import pytest

from alexnet_repro.study import intervals

INF = math.inf
# mean -0.004, deviation 0.001, half width 4.303 * 0.001 / sqrt(3) = 0.002484
THREE = [-0.003, -0.004, -0.005]
# mean -0.004, deviation 0.0015811, half width 2.776 * 0.0015811 / sqrt(5) = 0.001963
FIVE = [-0.002, -0.003, -0.004, -0.005, -0.006]


def test_t_intervals():
    assert intervals.t_interval(THREE) == pytest.approx((-0.004, -0.006484, -0.001516), abs=1e-6)
    assert intervals.t_interval(FIVE) == pytest.approx((-0.004, -0.005963, -0.002037), abs=1e-6)
    # 90 %: 2.920 for n = 3
    wide = 2.920 * 0.001 / math.sqrt(3)
    assert intervals.t_interval(THREE, 0.90)[1:] == pytest.approx(
        (-0.004 - wide, -0.004 + wide), abs=1e-6
    )
    assert intervals.t_interval([0.3]) == (0.3, -INF, INF)


def test_t_p_values():
    # t = 0.004 / (0.001 / sqrt 3) = 6.928; two degrees of freedom have the closed form
    # p = 1 - t / sqrt(t^2 + 2)
    t = 4 * math.sqrt(3)
    assert intervals.t_p_value(THREE) == pytest.approx(1 - t / math.sqrt(t * t + 2))
    assert intervals.t_p_value([-v for v in THREE]) == pytest.approx(intervals.t_p_value(THREE))
    assert intervals.t_p_value([0.3]) == 1
    assert intervals.t_p_value([0.0, 0.0]) == 1
    assert intervals.t_p_value([0.1, 0.1]) == 0


@pytest.mark.parametrize(("n", "k", "held"), [(6, 1, 0.96875), (10, 2, 0.978515625)])
def test_order_statistics_hold_the_median(n, k, held):
    # each of n values is above the median or below it, all 2^n ways alike; the k-th smallest to the
    # k-th largest hold it unless fewer than k lie on one side
    ways = [sum(w) for w in itertools.product((0, 1), repeat=n)]
    assert sum(k <= below <= n - k for below in ways) / 2**n == held
    assert intervals.order_rank(n) == k
    assert intervals.coverage(n, k) == held


def test_few_values_have_no_order_interval():
    assert [intervals.order_rank(n) for n in range(1, 6)] == [0] * 5  # 1 - 2 / 2^5 = 93.75 %
    assert intervals.order_interval([(1, 1), (2, INF), (3, 3)]) is None


def test_ends_of_an_order_interval():
    values = [(v, v) for v in (5, 3, 1, 4, 2, 6, 10, 9, 8, 7)]
    assert intervals.order_interval(values) == (2, 9)
    values[0] = (5, INF)  # could be anywhere above 5: the second largest is now 10
    assert intervals.order_interval(values) == (2, 10)
    values[1] = (-INF, 3)
    assert intervals.order_interval(values) == (1, 10)


def test_medians():
    assert intervals.median([3, 1, 2]) == 2
    assert intervals.median([4, 1, 2, 3]) == 2.5
    assert intervals.median([1, INF]) == INF
    assert intervals.median([-INF, 1]) == -INF


def test_sign_p_values():
    up, down, open_ = (1, 2), (-2, -1), (-1, 1)
    assert intervals.sign_p_value([up] * 6) == pytest.approx(2 / 64)
    assert intervals.sign_p_value([up] * 9 + [down]) == pytest.approx(2 * 11 / 1024)
    assert intervals.sign_p_value([up] * 9 + [open_]) == pytest.approx(2 * 11 / 1024)
    assert intervals.sign_p_value([up, down]) == 1
    assert intervals.sign_p_value([(0, 0)] * 6) == 1


def test_holm_by_hand():
    # in order 0.005, 0.01, 0.03, 0.04: times 4, 3, 2, 1 and never falling
    assert intervals.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    # a row that nobody has run yet takes its place in the family
    assert intervals.holm([0.01, None, 0.02]) == [pytest.approx(0.03), None, pytest.approx(0.04)]
    assert intervals.holm([0.6, 0.9]) == [1, 1]
    assert intervals.holm([]) == []
    with pytest.raises(ValueError, match="from 0 to 1 or None, got \\[nan\\]"):
        intervals.holm([math.nan])


def test_seeds_needed():
    # deviation 0.01 from 10 values; chi-square of 9 degrees at 20 %: 5.380, so the upper bound is
    # 0.01 * sqrt(9 / 5.380) = 0.012934; half a point wants t(n - 1) / sqrt(n) <= 0.38658.
    # n = 28: 2.0518 / 5.2915 = 0.38776; n = 29: 2.0484 / 5.3852 = 0.38038
    x = math.sqrt(0.9) * 0.01
    values = [x, -x] * 5
    assert intervals.mean_and_deviation(values) == pytest.approx((0, 0.01))
    assert intervals.seeds_needed(values, 0.005) == 29
    assert intervals.seeds_needed([0.1], 0.005) is None
    assert intervals.seeds_needed([-1e3, 1e3], 0.005) is None  # more than anybody will run
