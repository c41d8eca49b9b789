"""The design by its properties, estimates against planted effects, errors against simulation."""

import itertools

import numpy as np
import pytest

from alexnet_repro.study.factorial import (
    FACTORS,
    INTERACTIONS,
    aliases,
    design,
    effects,
    interaction,
)

POINTS = 0.42  # deviation of one run about its seed's mean, points


@pytest.fixture
def levels():
    return design()


def planted(levels, main=(), pairs=(), mean=30.0):
    """Cells' true errors, written out: half of each effect up at +1, half down at -1."""
    truth = []
    for _, row in levels.iterrows():
        value = mean + sum(e / 2 * row[f] for f, e in dict(main).items())
        truth.append(value + sum(e / 2 * row[a] * row[b] for (a, b), e in dict(pairs).items()))
    return np.array(truth)


def runs(truth, rng, seeds=4, deviation=POINTS):
    """Results of a seed's cells: what the seed adds to all of them, and noise of each run."""
    return truth[:, None] + rng.normal(0, 1, seeds) + rng.normal(0, deviation, (len(truth), seeds))


def test_both_ends_are_cells(levels):
    assert levels.shape == (24, 10)
    assert tuple(levels) == FACTORS
    assert levels.loc[11].tolist() == [-1] * 10
    assert levels.loc[23].tolist() == [1] * 10
    assert len(levels.drop_duplicates()) == 24
    assert set(levels.to_numpy().ravel()) == {-1, 1}


@pytest.mark.parametrize("n", [1, 2, 10, 11])
def test_every_pair_of_levels_is_met_equally_often(n):
    levels = design([f"f{i}" for i in range(n)])
    assert (levels.sum() == 0).all()
    for half in (levels.iloc[:12], levels.iloc[12:], levels):
        for a, b in itertools.combinations(levels, 2):
            counts = half.groupby([a, b]).size()
            assert counts.tolist() == [len(half) // 4] * 4


def test_folded_over_no_factor_looks_like_a_product_of_two():
    levels = design([f"f{i}" for i in range(11)])
    half = levels.iloc[:12]
    alike = 0
    for a, b in itertools.combinations(levels, 2):
        for c in set(levels) - {a, b}:
            assert (levels[a] * levels[b] * levels[c]).sum() == 0
            alike += (half[a] * half[b] * half[c]).sum() != 0
    assert alike == 55 * 9  # in the twelve rows alone, every one does


@pytest.mark.parametrize("names", [[], ["a", "a"], [f"f{i}" for i in range(12)]])
def test_wrong_factors(names):
    with pytest.raises(ValueError, match=f"1 to 11 factors with different names, got {len(names)}"):
        design(names)


def test_planted_effects_come_back_exactly(levels):
    main = dict(zip(FACTORS, [0.5, -1, 0, 2, 0.25, -0.125, 1, 0, 3, -4], strict=True))
    pairs = dict(zip(INTERACTIONS, [0.75, -1.5], strict=True))
    truth = planted(levels, main, pairs)
    results = truth[:, None] + np.array([0.0, 5.0, -2.0, 1.0])  # seeds differ, runs are exact
    found = effects(levels, results)
    want = {**main, **{interaction(*p): e for p, e in pairs.items()}}
    assert found["effect"].to_dict() == pytest.approx(want)
    assert found["error"].max() == pytest.approx(0, abs=1e-9)
    assert (found["df"] == 23 * 3).all()


def test_an_effect_is_the_difference_of_two_means(levels):
    y = np.random.default_rng(0).normal(30, 1, (24, 4))
    found = effects(levels, y)["effect"]
    for factor in FACTORS:
        up = (levels[factor] == 1).to_numpy()
        assert found[factor] == pytest.approx(y[up].mean() - y[~up].mean())


def test_an_interaction_alone_in_the_model_is_half_a_difference_of_differences(levels):
    y = np.random.default_rng(1).normal(30, 1, (24, 4))
    found = effects(levels, y, [("order", "alpha_over_n")])["effect"]
    a, b = (levels[f].to_numpy() for f in ("order", "alpha_over_n"))
    at = {(i, j): y[(a == i) & (b == j)].mean() for i in (-1, 1) for j in (-1, 1)}
    want = ((at[1, 1] - at[-1, 1]) - (at[1, -1] - at[-1, -1])) / 2
    assert found["order x alpha_over_n"] == pytest.approx(want)


def test_interactions_left_out_spare_the_factors_and_enter_the_named_ones_as_said(levels):
    share = aliases(levels)
    rng = np.random.default_rng(2)
    size = dict(zip(share.columns, rng.normal(0, 1, share.shape[1]), strict=True))
    pairs = {tuple(name.split(" x ")): e for name, e in size.items()}
    found = effects(levels, planted(levels, {}, pairs)[:, None] + np.zeros((1, 2)))["effect"]
    assert found[list(FACTORS)].abs().max() < 1e-9
    for pair in INTERACTIONS:
        name = interaction(*pair)
        want = sum(share.loc[name, other] * e for other, e in size.items())
        assert found[name] == pytest.approx(want)
        assert abs(want) > 0.1


def test_aliases(levels):
    share = aliases(levels)
    assert share.shape == (12, 43)
    assert share.loc[list(FACTORS)].abs().max(axis=None) < 1e-12
    # one product alone in the model: a third of each of the 28 that share no factor with it
    alone = aliases(levels, [("order", "alpha_over_n")]).loc["order x alpha_over_n"]
    apart = [not {"order", "alpha_over_n"} & set(n.split(" x ")) for n in alone.index]
    assert sum(apart) == 28
    assert np.abs(alone[apart]).to_numpy() == pytest.approx(1 / 3)
    assert alone[np.invert(apart)].abs().max() < 1e-12


def test_a_third_of_an_interaction_of_three_passes_for_a_factor(levels):
    a, b, c = FACTORS[:3]
    triple = (levels[a] * levels[b] * levels[c]).to_numpy()
    found = effects(levels, triple[:, None] / 2 + np.zeros((1, 2)))["effect"]
    others = found[list(FACTORS[3:])].abs().to_numpy()
    assert others == pytest.approx(1 / 3)


def test_the_error_is_not_swollen_by_interactions_left_out(levels):
    noise = np.random.default_rng(3).normal(0, POINTS, (24, 4))
    plain = effects(levels, noise)
    mixed = effects(levels, noise + planted(levels, {}, {("order", "bias_rate"): 9})[:, None])
    np.testing.assert_allclose(mixed["error"], plain["error"])


def test_standard_error_against_one_choice_at_a_time(levels):
    """96 runs here, 110 there: each choice made from the paper's end and from the original's."""
    rng = np.random.default_rng(4)
    here, there, told, covered = [], [], [], []
    main = dict.fromkeys(FACTORS, 0.3)
    truth = planted(levels, main)
    for _ in range(400):
        table = effects(levels, runs(truth, rng)).loc[list(FACTORS)]
        here.append(table["effect"])
        told.append(table["error"].iloc[0])
        covered.append((table["low"] < 0.3) & (table["high"] > 0.3))
        ends = rng.normal(0, POINTS, (22, 5)).mean(1)  # 2 ends and 10 arms from each, 5 seeds
        from_paper, from_original = ends[1:11] - ends[0], ends[11] - ends[12:]
        there.append(0.3 + (from_paper + from_original) / 2)
    assert np.mean(here) == pytest.approx(0.3, abs=0.01)
    assert np.std(here) == pytest.approx(0.085, abs=0.003)
    assert np.mean(told) == pytest.approx(0.0857, abs=0.001)  # 2 * 0.42 / sqrt(96)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.01)
    assert np.std(there) == pytest.approx(0.19, abs=0.01)  # 0.42 / sqrt(5)


@pytest.mark.parametrize(
    ("results", "pairs", "text"),
    [
        (np.zeros((23, 4)), INTERACTIONS, r"24 cells x at least 2 seeds, got \(23, 4\)"),
        (np.zeros((24, 1)), INTERACTIONS, r"at least 2 seeds, got \(24, 1\)"),
        (np.zeros(24), INTERACTIONS, r"got \(24,\)"),
        (np.where(np.eye(24, 4) * [0, 0, 1, 0], np.nan, 0), INTERACTIONS, "cell 2, seed 2.*nan"),
        (np.full((24, 2), np.inf), INTERACTIONS, "cell 0, seed 0.*inf"),
        (np.zeros((24, 4)), [("order", "colour")], "no interaction of 'order' and 'colour'"),
        (np.zeros((24, 4)), [("order", "order")], "no interaction of 'order' and 'order'"),
        (
            np.zeros((24, 4)),
            list(itertools.combinations(FACTORS, 2))[:12],
            "24 cells cannot tell 23 columns apart",
        ),
    ],
)
def test_wrong_results(levels, results, pairs, text):
    with pytest.raises(ValueError, match=text):
        effects(levels, results, pairs)


def test_no_torch(imported_by):
    assert "torch" not in imported_by("import alexnet_repro.study.factorial")
