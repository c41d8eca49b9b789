"""Verdicts by hand. Student's t at 97.5 %: 4.303 for n = 3, 2.776 for n = 5 (any printed table)."""

import math

import pytest

from alexnet_repro import verdicts
from alexnet_repro.config import RunConfig
from alexnet_repro.verdicts import judge, judge_arithmetic

# mean -0.004, deviation 0.001, half width 4.303 * 0.001 / sqrt(3) = 0.002484
THREE = [-0.003, -0.004, -0.005]
# mean -0.004, deviation 0.0015811, half width 2.776 * 0.0015811 / sqrt(5) = 0.001963
FIVE = [-0.002, -0.003, -0.004, -0.005, -0.006]
# logarithms ln 6 - ln 2, ln 6, ln 6 + ln 2: half width 4.303 * 0.69315 / sqrt(3) = 1.7220
RATIOS = [3, 6, 12]


def test_intervals():
    assert verdicts.t_interval(THREE) == pytest.approx((-0.004, -0.006484, -0.001516), abs=1e-6)
    assert verdicts.t_interval(FIVE) == pytest.approx((-0.004, -0.005963, -0.002037), abs=1e-6)
    assert verdicts.t_interval([0.3]) == (0.3, -math.inf, math.inf)


@pytest.mark.parametrize(
    ("values", "paper", "word"),
    [
        (THREE, -0.004, "match"),  # [-0.006484, -0.001516]: not 0, holds -0.004
        (THREE, -0.0064, "match"),
        (THREE, -0.0066, "direction"),  # not 0, but -0.0066 lies outside
        (FIVE, -0.0059, "match"),  # [-0.005963, -0.002037]
        (FIVE, -0.0060, "direction"),
        ([-0.001, -0.004, -0.007], -0.004, "unclear"),  # -0.004 +- 0.007453 holds 0
        ([0.003, 0.004, 0.005], -0.004, "opposite"),  # [0.001516, 0.006484] on the other side
        ([-0.004], -0.004, "unclear"),  # one seed
    ],
)
def test_differences(values, paper, word):
    found = judge(values, paper=paper)
    assert found.word == word
    assert found.n == len(values)
    assert found.ours == pytest.approx(sum(values) / len(values))


def test_ratios_are_judged_on_their_logarithms():
    # exp(1.7220) = 5.596: the interval is 6 / 5.596 = 1.072 to 6 * 5.596 = 33.58. On the plain
    # ratios it would be 7 +- 11.4 and hold 1.
    found = judge(RATIOS, paper=6, ratio=True)
    assert (found.ours, found.low, found.high) == pytest.approx((6, 1.0722, 33.58), rel=1e-3)
    assert found.word == "match"
    assert judge(RATIOS, paper=40, ratio=True).word == "direction"
    assert judge([1 / r for r in RATIOS], paper=6, ratio=True).word == "opposite"
    # geometric mean 2, half width 4.303 * ln 2 / sqrt(3) again: 0.36 to 11.2 holds 1
    assert judge([1, 2, 4], paper=6, ratio=True).word == "unclear"
    alone = judge([6], paper=6, ratio=True)
    assert (alone.word, alone.low, alone.high) == ("unclear", 0.0, math.inf)
    assert alone.why == "one seed has no interval"


def test_scaled_rows_are_at_best_direction():
    assert judge(THREE, paper=-0.004, scaled=True).word == "direction"
    assert judge([-0.001, -0.004, -0.007], paper=-0.004, scaled=True).word == "unclear"
    assert judge([0.003, 0.004, 0.005], paper=-0.004, scaled=True).word == "opposite"


def test_without_a_printed_size_the_sign_decides():
    assert judge(THREE, paper=None, sign=-1).word == "direction"
    assert judge(THREE, paper=None, sign=1).word == "opposite"


def test_bounds():
    lower = judge(RATIOS, paper=6, ratio=True, bound="lower")
    assert (lower.word, lower.bound) == ("direction", "lower")  # the true ratio is above 1.07
    assert judge(RATIOS, paper=6, ratio=True, bound="none").word == "unclear"
    inverse = [1 / r for r in RATIOS]  # the true ratio is below 0.93
    assert judge(inverse, paper=6, ratio=True, bound="upper").word == "opposite"


def test_a_bound_on_the_wrong_side_shows_nothing():
    # "at most 6" leaves room for 0.5, "at least 1/6" leaves room for 2
    assert judge(RATIOS, paper=6, ratio=True, bound="upper").word == "unclear"
    inverse = [1 / r for r in RATIOS]
    assert judge(inverse, paper=6, ratio=True, bound="lower").word == "unclear"


@pytest.mark.parametrize("values", [THREE, [-0.004]])
def test_synthetic_data_earn_no_verdict(values):
    assert judge(values, paper=-0.004, synthetic=True).word == "no verdict"


@pytest.mark.parametrize(
    ("errors", "want"),
    [
        # from 0.40 at epoch 1 to 0.20 at 2: 0.15 of 0.20 down, so 1.75
        ([0.90, 0.40, 0.20], (1.75, True)),
        ([0.90, 0.40, 0.25], (2.0, True)),  # at most 0.25, not below it
        # only the first crossing counts: 0.30 of 0.40 down between 1 and 2
        ([0.90, 0.55, 0.15, 0.60, 0.10], (1.75, True)),
        ([0.20, 0.10], (0.0, True)),
        ([0.90, 0.40, 0.26], (20.0, False)),  # never: what the configuration allowed
    ],
)
def test_epochs_to_a_quarter(make_record, errors, want):
    record = make_record(errors=errors, config=RunConfig(epochs=20))
    assert verdicts.epochs_to(record) == (pytest.approx(want[0]), want[1])


def test_effects_are_paired_by_seed(make_record):
    arm = [make_record(arm="a", seed=s, top1_error=e) for s, e in [(1, 0.20), (0, 0.30)]]
    versus = [make_record(arm="b", seed=s, top1_error=e) for s, e in [(0, 0.35), (1, 0.15)]]
    values, bound = verdicts.effect("difference", "top1_error", arm, versus)
    assert values == pytest.approx([-0.05, 0.05])  # seed 0: 0.30 - 0.35, seed 1: 0.20 - 0.15
    assert bound == ""
    values, _ = verdicts.effect("ratio", "top1_error", arm, versus)
    assert values == pytest.approx([0.30 / 0.35, 0.20 / 0.15])


def test_within_takes_the_difference_of_two_metrics_of_a_run(make_record):
    runs = [make_record(top1_error=0.30, ten_crop_top1_error=0.28)]
    values, _ = verdicts.effect("within", "ten_crop_top1_error - top1_error", runs, [])
    assert values == pytest.approx([-0.02])


def test_unpaired_seeds_and_unknown_metrics_are_errors(make_record):
    arm = [make_record(seed=s) for s in (0, 1)]
    versus = [make_record(arm="b", seed=s) for s in (0, 2)]
    with pytest.raises(ValueError, match=r"unpaired seeds: \[0, 1\] against \[0, 2\]"):
        verdicts.effect("difference", "train_top1_error", arm, versus)
    with pytest.raises(ValueError, match="toy/a has no metric 'f1'; it has diverged, train_top1"):
        verdicts.effect("within", "f1", arm, [])


@pytest.mark.parametrize(
    ("arm", "versus", "bound"),
    [((0.9, 0.2), (0.9, 0.2), ""), ((0.9, 0.3), (0.9, 0.2), "lower"),
     ((0.9, 0.2), (0.9, 0.3), "upper"), ((0.9, 0.3), (0.9, 0.3), "none")],
)  # fmt: skip
def test_one_run_that_never_got_there_makes_a_bound(make_record, arm, versus, bound):
    a = [make_record(seed=0, errors=arm), make_record(seed=1, errors=(0.9, 0.2))]
    b = [
        make_record(arm="b", seed=0, errors=versus),
        make_record(arm="b", seed=1, errors=(0.9, 0.2)),
    ]
    values, found = verdicts.effect("ratio", "epochs_to_25", a, b)
    assert found == bound
    reached = 0.65 / 0.70  # of the first epoch, from 0.9 to 0.25 of 0.9 to 0.2
    of_arm, of_versus = (20 if e[-1] > 0.25 else reached for e in (arm, versus))
    assert values == pytest.approx([of_arm / of_versus, 1])


@pytest.mark.parametrize(
    ("ours", "paper", "precision", "word"),
    [
        (60_965_224, 60e6, 1e6, "match"), (61_000_000, 60e6, 1e6, "paper is off"),
        (659_272, 650_000, 10_000, "match"), (290_400, 253_440, 1, "paper is off"),
        (9.966, 10, 1, "match"), (9, 8, 1, "paper is off"), (8, 8, 1, "match"),
    ],
)  # fmt: skip
def test_arithmetic_within_one_unit_of_the_last_digit(ours, paper, precision, word):
    assert judge_arithmetic(ours, paper, precision, at_most=False).word == word


@pytest.mark.parametrize(
    ("ours", "word"), [(0.0145, "paper is off"), (0.01, "match"), (0.005, "match")]
)
def test_arithmetic_at_most(ours, word):
    assert judge_arithmetic(ours, 0.01, 0, at_most=True).word == word


def test_every_word_used_here_is_in_the_list():
    words = "match direction unclear opposite|paper is off|not run|no verdict"
    assert set(verdicts.WORDS) == {*words.split("|")[0].split(), *words.split("|")[1:]}
