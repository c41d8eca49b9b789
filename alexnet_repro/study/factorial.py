"""What each of ten choices is worth, from 24 cells: Plackett and Burman's design, folded over.

Where the paper and the original code differ, a net can be trained either way. One choice at a time
would spend most runs on the two ends; here every run says something of every choice. No torch.

The table is 12 rows of Plackett and Burman (1946) and the same rows with all signs turned. Factors
are then orthogonal to each other and to every product of two of them: no interaction of two
factors can pass for a main effect (one of three can, with a third of its size). Interactions of two
share 11 dimensions among themselves: `aliases` says what the estimate of one holds of the others.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from alexnet_repro.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

# -1 is the paper's choice, +1 the original's
FACTORS = (
    "order",
    "alpha_over_n",
    "per_column",
    "within_map",
    "pca_sqrt",
    "std_middle",
    "bias_rate",
    "shared_crops",
    "central_mean",
    "frozen_conv1",
)
# named before the runs; all other interactions are left out of the model
INTERACTIONS = (("order", "alpha_over_n"), ("per_column", "within_map"))
GENERATOR = (1, 1, -1, 1, 1, 1, -1, -1, -1, 1, -1)  # Plackett and Burman's row for 12 runs


def design(factors: Sequence[str] = FACTORS) -> pd.DataFrame:
    """24 cells x factors, each level -1 or +1: 12 rows and their mirror images.

    Cell 11 is all -1 (the paper), cell 23 all +1 (the original); cell i + 12 mirrors cell i.
    Raises ValueError for no factor, more than 11, or a name that is there twice.
    """
    import pandas as pd

    if not 1 <= len(factors) <= len(GENERATOR) or len(set(factors)) != len(factors):
        raise InputError(
            f"a design of 12 runs wants 1 to {len(GENERATOR)} factors with different names, "
            f"got {len(factors)}: {', '.join(factors)}"
        )
    rows = [np.roll(GENERATOR, shift) for shift in range(len(GENERATOR))]
    half = np.array([*rows, np.full(len(GENERATOR), -1)])
    levels = np.vstack([half, -half])[:, : len(factors)]
    return pd.DataFrame(levels, columns=list(factors)).rename_axis("cell")


def interaction(a: str, b: str) -> str:
    """How the interaction of two factors is called in tables."""
    return f"{a} x {b}"


def _columns(levels: pd.DataFrame, interactions: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """The model's columns: 1, the factors, and the products that were named. ValueError as said."""
    columns = levels.astype(float)
    columns.insert(0, "mean", 1.0)
    for a, b in interactions:
        if a == b or not {a, b} <= set(levels):
            raise InputError(
                f"no interaction of {a!r} and {b!r}; wanted two of {', '.join(levels)}"
            )
        columns[interaction(a, b)] = columns[a] * columns[b]
    if np.linalg.matrix_rank(columns) < columns.shape[1]:
        raise InputError(
            f"{len(levels)} cells cannot tell {columns.shape[1]} columns apart: "
            f"{', '.join(columns)}"
        )
    return columns


def effects(
    levels: pd.DataFrame,
    results: np.ndarray,
    interactions: Sequence[tuple[str, str]] = INTERACTIONS,
) -> pd.DataFrame:
    """Effects with 95 % intervals, from every cell run with every seed.

    levels: cells x factors, as design. results: cells x seeds, any unit, e.g. error in points; a
    seed is a block (its cells share subset, initialisation and order), so what it adds to all its
    cells falls out. Returns one row a factor and a named interaction: effect (mean at +1 minus mean
    at -1; of an interaction half the difference between a's effect at b = +1 and at b = -1), low,
    high, error (standard error) and df.

    The error is what is left of results after cells and seeds, (cells - 1)(seeds - 1) degrees of
    freedom: the noise of runs alone, whatever interactions the model leaves out. It is one number
    for all cells and supposes that they scatter alike. Raises ValueError for results of another
    shape, one seed, or a value that is not finite.
    """
    import pandas as pd
    from scipy import stats

    y = np.asarray(results, float)
    if y.ndim != 2 or len(y) != len(levels) or y.shape[1] < 2:
        raise InputError(
            f"effects wants results of {len(levels)} cells x at least 2 seeds, got {y.shape}"
        )
    if not np.isfinite(y).all():
        cell, seed = np.argwhere(~np.isfinite(y))[0]
        raise InputError(
            f"effects wants every cell with every seed, finite; cell {cell}, seed {seed} "
            f"(in order) is {y[cell, seed]}"
        )
    columns = _columns(levels, interactions)
    x = columns.to_numpy()
    cells = y.mean(1)
    noise = y - cells[:, None] - y.mean(0) + y.mean()
    df = (len(y) - 1) * (y.shape[1] - 1)
    variance = (noise**2).sum() / df
    inverse = np.linalg.inv(x.T @ x)
    found = 2 * inverse @ x.T @ cells
    error = 2 * np.sqrt(variance * np.diag(inverse) / y.shape[1])
    half = stats.t.ppf(0.975, df) * error
    table = pd.DataFrame(
        {"effect": found, "low": found - half, "high": found + half, "error": error, "df": df},
        index=columns.columns,
    )
    return table.drop(index="mean")


def aliases(
    levels: pd.DataFrame, interactions: Sequence[tuple[str, str]] = INTERACTIONS
) -> pd.DataFrame:
    """What `effects` mixes up: how much of each interaction left out enters each estimate.

    One row an estimate, one column a product of two factors that is not in the model. 0: clear of
    it; 1/3: a third of that interaction is counted as this effect. Raises ValueError as effects.
    """
    import pandas as pd

    columns = _columns(levels, interactions)
    named = {frozenset(pair) for pair in interactions}
    left = [p for p in itertools.combinations(levels, 2) if frozenset(p) not in named]
    products = [levels[a] * levels[b] for a, b in left]
    x = columns.to_numpy()
    mixed = np.linalg.inv(x.T @ x) @ x.T @ np.array(products, float).T.reshape(len(x), -1)
    names = [interaction(a, b) for a, b in left]
    return pd.DataFrame(mixed, columns.columns, names).drop(index="mean")
