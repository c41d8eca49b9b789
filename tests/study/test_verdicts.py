"""Words by hand, and against the rule written out a second time. t at 97.5 %: 4.303 for n = 3."""

import dataclasses
import math
import random

import pytest
from scipy import stats

from alexnet_repro import study
from alexnet_repro.config import RunConfig
from alexnet_repro.pages import tables
from alexnet_repro.study import effects, exact, verdicts
from alexnet_repro.study.verdicts import Verdict, judge

INF = math.inf
# mean -0.004, deviation 0.001, half width 4.303 * 0.001 / sqrt(3) = 0.002484: -0.0065 to -0.0015
THREE = [-0.003, -0.004, -0.005]
# half width 4.303 * 0.0001 / sqrt(3) = 0.000248: -0.00425 to -0.00375
SHARP = [-0.0039, -0.0040, -0.0041]
WIDE = [-0.001, -0.004, -0.007]  # -0.004 +- 0.007453 holds 0
# logarithms ln 6 - ln 2, ln 6, ln 6 + ln 2: half width 4.303 * 0.69315 / sqrt(3) = 1.7220
RATIOS = [3, 6, 12]
# the same with ln 1.1 for ln 2: half width 0.2368, so 6 / 1.267 = 4.735 to 7.603
NEAR = [6 / 1.1, 6, 6 * 1.1]


@pytest.mark.parametrize(
    ("values", "paper", "word"),
    [
        (SHARP, -0.0040, "match"),  # within -0.0020 and -0.0080
        (SHARP, -0.0042, "match"),
        (SHARP, -0.0043, "direction"),  # the interval ends at -0.00425
        (THREE, -0.0040, "direction"),  # -0.0015 is below half of it: too wide to tell the size
        (THREE, -0.0030, "direction"),  # -0.0065 is above twice it
        ([0.003, 0.004, 0.005], -0.004, "opposite"),
        (WIDE, -0.004, "unclear"),
        ([-0.0001, 0.0, 0.0001], -0.004, "smaller"),  # +- 0.000248 holds 0 and not 0.004
        ([0.0, 0.001, 0.002], -0.004, "smaller"),  # -0.0015 to 0.0035, the paper's side is below 0
        ([0.0, 0.0, 0.0], -0.004, "smaller"),  # an interval of nothing excludes nothing
        ([-0.004], -0.004, "unclear"),  # one seed
    ],
)
def test_differences_in_the_full_setting(values, paper, word):
    found = judge(values, paper=paper)
    assert found.word == word
    assert found.n == len(values)
    assert found.ours == pytest.approx(sum(values) / len(values), abs=1e-12)
    mirrored = judge([-v for v in values], paper=-paper)
    assert (mirrored.word, mirrored.agree) == (word, found.agree)
    assert mirrored.low == pytest.approx(-found.high, abs=1e-12)


def test_ratios_are_judged_on_their_logarithms():
    found = judge(RATIOS, paper=6, ratio=True)
    # On the plain ratios it would be 7 +- 11.4 and hold 1.
    assert (found.ours, found.low, found.high) == pytest.approx((6, 1.0722, 33.58), rel=1e-3)
    assert found.word == "direction"  # holds 6, but 4 to 9 does not hold the interval
    assert judge(NEAR, paper=6, ratio=True).word == "match"
    assert judge(NEAR, paper=7.2, ratio=True).word == "direction"  # 7.2 / 1.5 = 4.8 > 4.735
    assert judge(NEAR, paper=4.8, ratio=True).word == "direction"  # 4.8 * 1.5 = 7.2 < 7.603
    assert judge([1 / r for r in RATIOS], paper=6, ratio=True).word == "opposite"
    assert judge([0.9, 1, 1.1], paper=6, ratio=True).word == "smaller"
    assert judge([1, 2, 4], paper=6, ratio=True).word == "unclear"  # 0.36 to 11.2
    alone = judge([6], paper=6, ratio=True)
    assert (alone.word, alone.low, alone.high) == ("unclear", 0.0, INF)
    assert alone.why == "one seed has no interval"


def test_a_scaled_row_is_never_compared_with_the_printed_size():
    assert judge(SHARP, paper=-0.004, scaled=True).word == "direction"
    assert judge([0.003, 0.004, 0.005], paper=-0.004, scaled=True).word == "opposite"
    assert judge(WIDE, paper=-0.004, scaled=True).word == "unclear"
    small = [-0.0001, 0.0, 0.0001]
    assert judge(small, paper=-0.004, scaled=True).word == "negligible"  # and not smaller
    assert judge([0.0, 0.0], paper=-0.004, scaled=True).word == "negligible"
    # half a point is nothing that a ratio could lie within
    assert judge([0.999, 1, 1.001], paper=6, ratio=True, scaled=True).word == "unclear"


def test_negligible_wants_the_90_percent_interval_within_half_a_point():
    # t at 95 %: 2.920, so +- 2.920 * d / sqrt(3) = 1.6859 d around 0.001
    at = [0.001 - 0.00237, 0.001, 0.001 + 0.00237]  # to 0.004996
    over = [0.001 - 0.00238, 0.001, 0.001 + 0.00238]  # to 0.005012
    assert judge(at, paper=None, sign=1).word == "negligible"
    assert judge(over, paper=None, sign=1).word == "unclear"
    assert judge([-v for v in over], paper=None, sign=1).word == "unclear"


def test_without_a_printed_size_the_sign_decides():
    assert judge(THREE, paper=None, sign=-1).word == "direction"
    assert judge(THREE, paper=None, sign=1).word == "opposite"


def test_a_printed_size_of_nothing_has_no_sign_of_its_own():
    assert judge(THREE, paper=0, sign=-1).word == "direction"
    assert judge(THREE, paper=0.0, sign=1).word == "opposite"
    assert judge(THREE, paper=0).word == "no verdict"
    assert judge(RATIOS, paper=1, sign=1, ratio=True).word == "direction"
    assert judge(RATIOS, paper=0, sign=1, ratio=True).word == "direction"  # no logarithm of 0


@pytest.mark.parametrize(
    "values", [[math.nan, 0.1, 0.1], [0.1, 0.1, math.nan], [(math.nan, 1.0), 0.1], []]
)
@pytest.mark.parametrize("more", [{}, {"scaled": True}, {"ratio": True}])
def test_a_missing_value_earns_nothing(values, more):
    assert judge(values, paper=6, **more).word == "no verdict"


def test_a_ratio_below_nothing_earns_nothing():
    assert judge([-1.0, 2.0, 2.0], paper=6, ratio=True).word == "no verdict"


def test_runs_that_were_cut_off_are_judged_by_rank():
    # "at least 4 times" six times: the smallest is 4, nothing bounds the largest; 1 - 2/64
    found = judge([(4 + i, INF) for i in range(6)], paper=6, ratio=True)
    assert (found.word, found.bound, found.level) == ("direction", "lower", "96.9 %, median")
    assert (found.ours, found.low, found.high) == pytest.approx((math.sqrt(6 * 7), 4, INF))
    assert found.p == pytest.approx(2 / 64)
    assert found.agree == 6
    # one of ten cut off: 2nd to 9th; the median is 5.5 if it is 3.5, 6.5 if it is above the others
    values = [(v, v) for v in (2, 3, 4, 5, 6, 7, 8, 9, 10)]
    found = judge([*values, (3.5, INF)], paper=None, sign=1, ratio=True)
    assert (found.word, found.bound, found.level) == ("direction", "lower", "97.9 %, median")
    assert (found.ours, found.low, found.high) == pytest.approx((math.sqrt(30), 3, 10))
    # nine uncut and one that is above the median wherever it lies
    found = judge([*values[:8], (20, INF)], paper=None, sign=1, ratio=True)
    assert (found.ours, found.bound) == (pytest.approx(6), "")
    # on the other side, and both arms
    assert judge([(0, 0.5)] * 6, paper=6, ratio=True).word == "opposite"
    assert judge([(0, 0.5)] * 6, paper=6, ratio=True).bound == "upper"
    both = judge([(0, INF)] * 6, paper=6, ratio=True)
    assert (both.word, both.ours, both.bound) == ("unclear", None, "none")
    assert both.agree == 0  # none is known to lie on the paper's side


def test_a_bound_on_the_wrong_side_shows_nothing():
    # "at most 6" leaves room for 0.5, "at least 1/6" leaves room for 2
    assert judge([(0, 6)] * 6, paper=6, ratio=True).word == "unclear"
    assert judge([(1 / 6, INF)] * 6, paper=6, ratio=True).word == "unclear"


def test_three_seeds_with_one_cut_off_have_no_interval_and_say_so():
    found = judge([(3, INF), 4, 5], paper=6, ratio=True)
    assert (found.word, found.low, found.high) == ("unclear", None, None)
    assert found.why.endswith("those of 3 seeds cover 75 % at most, 6 seeds would do")


def test_diverged_runs_are_the_worst_there_is(make_record):
    def runs(arm, errors, diverged):
        return [
            make_record(arm=arm, seed=s, top1_error=e, diverged=s in diverged)
            for s, e in enumerate(errors)
        ]

    good = runs("a", [0.30 + s / 1000 for s in range(6)], ())
    bad = runs("b", [0.25] * 6, range(6))  # what a diverged net scores says nothing
    values = effects.effect("difference", "top1_error", bad, good)
    assert values == [(INF, INF)] * 6
    assert judge(values, paper=None, sign=1).word == "direction"
    assert judge(values, paper=None, sign=-1).word == "opposite"
    values = effects.effect("difference", "top1_error", bad, runs("a", [0.3] * 6, range(6)))
    assert values == [(-INF, INF)] * 6
    assert judge(values, paper=None, sign=1).word == "unclear"
    # a gap of two worst errors is anything; epochs are never reached, not the allowed ones
    bad[0].metrics["train_top1_error"] = 0.1
    assert effects.metric(bad[0], "top1_error - train_top1_error") == (-INF, INF)
    assert effects.epochs_to(make_record(errors=(0.9, 0.2), diverged=True)) == (INF, False)
    slow = [make_record(errors=(0.9, 0.3), diverged=True)]
    quick = [make_record(arm="b", errors=(0.9, 0.25))]
    assert effects.effect("ratio", "epochs_to_25", slow, quick) == [(INF, INF)]
    assert effects.effect("ratio", "epochs_to_25", quick, slow) == [(0, 0)]
    assert effects.effect("ratio", "epochs_to_25", slow, slow) == [(0, INF)]


@pytest.mark.parametrize(
    ("gap", "error", "word"),
    [
        ([0.02, 0.021, 0.022], [0.01, 0.011, 0.012], "direction"),
        ([0.02, 0.021, 0.022], [-0.01, 0.0, 0.01], "gap only"),  # unclear is not higher
        ([0.02, 0.021, 0.022], [-0.05, -0.051, -0.052], "gap only"),
        ([-0.02, 0.0, 0.02], [0.01, 0.011, 0.012], "unclear"),  # no gap, no claim
        ([-0.02, -0.021, -0.022], [0.01, 0.011, 0.012], "opposite"),
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_overfitting_is_a_larger_gap_and_a_higher_error(gap, error, word, sign):
    both = [judge([sign * v for v in x], paper=None, sign=sign, scaled=True) for x in (gap, error)]
    found = verdicts.with_error(*both, sign)
    assert found.word == word
    assert found.ours == both[0].ours
    if word == "direction":
        assert found.p == max(both[0].p, both[1].p)
    if word == "gap only":
        assert found.p > 0.05
        assert found.why.startswith("the test error moves by ")


def test_unclear_says_what_it_would_take():
    # deviation 0.003, chi-square of 2 degrees at 20 %: 0.44629, upper bound 0.003 * 2.1170 =
    # 0.0063509. Half of the printed 0.4 points: t / sqrt(n) <= 0.31491; n = 41: 2.0211 / 6.4031 =
    # 0.31564, n = 42: 2.0195 / 6.4807 = 0.31162. Half a point, scaled: 0.78729; n = 9: 0.76867.
    assert "; 42 seeds would bring it to 0.2 points" in judge(WIDE, paper=-0.004).why
    assert "; 9 seeds would bring it to 0.5 points" in judge(WIDE, paper=-0.004, scaled=True).why
    assert "a factor of 1.5 each way" in judge([1, 2, 4], paper=6, ratio=True).why


def test_stability():
    found = judge([-0.001, -0.004, 0.002], paper=-0.004)
    assert found.agree == 2
    # without -0.004: 0.0005, without 0.002: -0.0025
    assert found.around == pytest.approx((-0.0025, 0.0005))
    assert judge([0.1, 0.3], paper=None, sign=1).around == pytest.approx((0.1, 0.3))
    ratios = judge(RATIOS, paper=6, ratio=True).around
    assert ratios == pytest.approx((math.sqrt(18), math.sqrt(72)))


def by_the_book(values, paper, sign, scaled, ratio):
    """The rule once more, from scipy's intervals and in the order in which it is written."""
    x = [math.log(v) for v in values] if ratio else list(values)
    printed = math.log(paper) if ratio and paper else paper
    side = sign if not printed else math.copysign(1, printed)
    x = [side * v for v in x]
    test = stats.ttest_1samp(x, 0)
    lo, hi = test.confidence_interval(0.95)
    size = abs(printed) if printed and not scaled else None
    if lo > 0:
        if size and lo <= size <= hi:
            least = size - math.log(1.5) if ratio else size / 2
            most = size + math.log(1.5) if ratio else 2 * size
            if least <= lo and hi <= most:
                return "match"
        return "direction"
    if hi < 0:
        return "opposite"
    if size:
        return "smaller" if hi < size else "unclear"
    inner = test.confidence_interval(0.90)
    if not ratio and max(-inner.low, inner.high) <= 0.005:
        return "negligible"
    return "unclear"


def test_words_equal_the_rule_written_out_again():
    draw = random.Random(12)
    met = set()
    for _ in range(1500):
        n, ratio, scaled = draw.choice((3, 5, 10)), draw.random() < 0.3, draw.random() < 0.4
        paper = draw.choice((None, 6.0, 1.5, 0.5) if ratio else (None, 0.004, -0.004, -0.015))
        sign = draw.choice((1, -1))
        if paper is not None:
            sign = 0
        unit = 0.5 if ratio else 0.004
        mean, deviation = draw.gauss(0, 2 * unit), unit * draw.choice((0.1, 0.5, 2))
        values = [draw.gauss(mean, deviation) for _ in range(n)]
        if ratio:
            values = [math.exp(v) for v in values]
        found = judge(values, paper=paper, sign=sign, ratio=ratio, scaled=scaled)
        assert found.word == by_the_book(values, paper, sign, scaled, ratio), values
        plain = [math.log(v) for v in values] if ratio else values
        assert found.p == pytest.approx(stats.ttest_1samp(plain, 0).pvalue)
        met.add(found.word)
    assert met == {"match", "direction", "opposite", "smaller", "negligible", "unclear"}


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
    assert effects.epochs_to(record) == (pytest.approx(want[0]), want[1])
    # validation and test rows are no training errors, however low and wherever they stand
    rows = record.curve.iloc[:1]
    for split in ("validation", "test"):
        record.curve.loc[len(record.curve)] = rows.assign(split=split, top1_error=0.01).iloc[0]
    record = dataclasses.replace(record, curve=record.curve.sort_values("epoch", kind="stable"))
    assert effects.epochs_to(record) == (pytest.approx(want[0]), want[1])


def test_effects_are_paired_by_seed(make_record):
    arm = [make_record(arm="a", seed=s, top1_error=e) for s, e in [(1, 0.20), (0, 0.30)]]
    versus = [make_record(arm="b", seed=s, top1_error=e) for s, e in [(0, 0.35), (1, 0.15)]]
    values = effects.effect("difference", "top1_error", arm, versus)
    # seed 0: 0.30 - 0.35, seed 1: 0.20 - 0.15
    assert [v for ends in values for v in ends] == pytest.approx([-0.05, -0.05, 0.05, 0.05])
    values = effects.effect("ratio", "top1_error", arm, versus)
    assert [least for least, _ in values] == pytest.approx([0.30 / 0.35, 0.20 / 0.15])
    versus[0].metrics["top1_error"] = 0.0
    assert math.isnan(effects.effect("ratio", "top1_error", arm, versus)[0][0])


def test_within_takes_the_difference_of_two_metrics_of_a_run(make_record):
    runs = [make_record(top1_error=0.30, ten_crop_top1_error=0.28)]
    values = effects.effect("within", "ten_crop_top1_error - top1_error", runs, [])
    assert values[0] == pytest.approx((-0.02, -0.02))


def test_unpaired_seeds_and_unknown_metrics_are_errors(make_record):
    arm = [make_record(seed=s) for s in (0, 1)]
    versus = [make_record(arm="b", seed=s) for s in (0, 2)]
    with pytest.raises(ValueError, match=r"unpaired seeds: \[0, 1\] against \[0, 2\]"):
        effects.effect("difference", "train_top1_error", arm, versus)
    with pytest.raises(ValueError, match=r"toy/a has no metric 'f1'; it has diverged, "):
        effects.effect("within", "f1", arm, [])


@pytest.mark.parametrize(
    ("arm", "versus", "least", "most"),
    [((0.9, 0.2), (0.9, 0.2), 1, 1), ((0.9, 0.3), (0.9, 0.2), 20 * 14 / 13, INF),
     ((0.9, 0.2), (0.9, 0.3), 0, 13 / 14 / 20), ((0.9, 0.3), (0.9, 0.3), 0, INF)],
)  # fmt: skip
def test_a_run_that_never_got_there_leaves_a_bound(make_record, arm, versus, least, most):
    # those that did took 0.65 / 0.70 of the first epoch, from 0.9 to 0.25 of 0.9 to 0.2
    a, b = [make_record(errors=arm)], [make_record(arm="b", errors=versus)]
    assert effects.effect("ratio", "epochs_to_25", a, b)[0] == pytest.approx((least, most))


@pytest.mark.parametrize(
    ("ours", "printed", "word", "rounded"),
    [
        (60_965_224, "60 million", "paper is off", "61,000,000"),
        (60_499_999, "60 million", "match", "60,000,000"),
        (59_500_000, "60 million", "match", "60,000,000"),
        (659_272, "650,000", "paper is off", "659,272"),
        (290_400, "253440", "paper is off", "290,400"), (2178, "2048", "paper is off", "2,178"),
        (9.966, "10 bits", "match", "10"), (9.966, "10.0", "match", "10"),
        (9.94, "10.0", "paper is off", "9.9"), (9, "8", "paper is off", "9"),
        (8, "8", "match", "8"),
    ],
)  # fmt: skip
def test_an_exact_figure_is_rounded_to_the_last_printed_digit(ours, printed, word, rounded):
    found = exact.judge_exact(ours, printed)
    assert (found.word, found.ours) == (word, ours)
    assert found.why.endswith(f", rounded as printed {rounded}")


def test_a_printed_text_holds_one_figure():
    assert exact.printed_figure("60 million") == (60e6, 1e6)
    assert exact.printed_figure("650,000") == (650_000, 1)
    assert exact.printed_figure("1.5") == (1.5, 0.1)
    for text in ("many", "", "10 of 12"):
        with pytest.raises(ValueError, match="one figure such as '60 million'"):
            exact.printed_figure(text)


@pytest.mark.parametrize(
    ("ours", "word"), [(0.0145, "paper is off"), (0.01, "match"), (0.005, "match")]
)
def test_a_printed_bound_is_not_rounded(ours, word):
    assert exact.judge_at_most(ours, 0.01).word == word


def test_every_word_has_a_meaning_a_glyph_and_a_case(make_record, pooling_records):
    """Each word is earned here by something, and what is earned can be shown."""
    ledger = {c.claim_id: c for c in study.load_claims()}
    gap = judge([0.02, 0.021, 0.022], paper=None, sign=1)
    found = [
        judge(SHARP, paper=-0.004), judge(THREE, paper=None, sign=-1),
        judge(THREE, paper=None, sign=1), judge(WIDE, paper=-0.004),
        judge([-0.0001, 0.0, 0.0001], paper=-0.004), judge([0.0, 0.0001], paper=None, sign=1),
        verdicts.with_error(gap, Verdict("unclear"), 1),
        study.verdict(ledger["c20"]), study.verdict(ledger["c18"]),
        study.verdict(ledger["c14-top1"]), study.verdict(ledger["c14-top1"], pooling_records[1:]),
    ]  # fmt: skip
    earned = {v.word for v in found} | {"not in regime"}  # tests/test_evidence.py
    assert list(tables.GLYPHS) == list(verdicts.WORDS)
    assert len(set(tables.GLYPHS.values())) == len(verdicts.WORDS)
    assert not set("<>&") & set("".join(tables.GLYPHS.values()))  # they stand in HTML as they are
    assert earned == set(verdicts.MEANING)
    assert set(verdicts.DECIDED) < set(verdicts.WORDS)
    for word in ("unclear", "not in regime", "definition", "not run", "no verdict"):
        assert word not in verdicts.DECIDED
