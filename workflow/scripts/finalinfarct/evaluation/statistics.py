"""Paired comparison of two models over patients, and of two groups of patients (Debs et al. 2021, sections 2.4.4 and 4.4)."""

import math
from bisect import bisect_right
from collections import Counter, defaultdict
from itertools import accumulate

import numpy as np
from scipy import special, stats

EXACT_BELOW = 50
STARS = ((0.001, "***"), (0.01, "**"), (0.05, "*"), (0.10, "."))


def complete_pairs(x, y):
    """Values of the patients in whom both are defined, as float arrays, and the number of patients left out."""
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"paired values of shapes {x.shape} and {y.shape}")
    both = ~(np.isnan(x) | np.isnan(y))
    return x[both], y[both], int((~both).sum())


def wilcoxon_signed_rank(x, y):
    """Two-sided Wilcoxon signed-rank test as R's ``wilcox.test(x, y, paired = TRUE)`` computes it.

    Zero differences are dropped, then n counted. With n < 50 and neither ties nor zeros the p-value is exact, else from the normal approximation with
    tie and continuity correction (Hollander and Wolfe 1973; the defaults of scipy.stats.wilcoxon differ).

    Parameters
    ----------
    x, y : array_like
        (patients,), paired; pairs with a NaN are left out (``complete_pairs`` counts them).

    Returns
    -------
    statistic : float
        V, the sum of the ranks of the positive differences x - y. NaN where no pair is complete (R refuses that).
    p_value : float
        NaN where all differences are zero, as in R.
    """
    x, y, _ = complete_pairs(x, y)
    if not x.size:
        return math.nan, math.nan
    signed = _signed_ranks(x - y)
    n = signed.size
    statistic = float(signed[signed > 0].sum())
    ties = np.unique(np.abs(signed), return_counts=True)[1]
    if n < EXACT_BELOW and n == x.size and ties.size == n:
        return statistic, min(1.0, 2.0 * _signed_rank_tail(statistic, n))
    variance = n * (n + 1) * (2 * n + 1) / 24 - float((ties.astype(float) ** 3 - ties).sum()) / 48
    if variance == 0:
        return statistic, math.nan
    z = statistic - n * (n + 1) / 4
    z = (z - 0.5 * np.sign(z)) / math.sqrt(variance)
    # R takes twice the smaller tail, which is above one half where the correction turns the sign of z.
    return statistic, float(2.0 * min(special.ndtr(z), special.ndtr(-z)))


def favoured(x, y):
    """Which of two the signed-rank test finds larger: 1 the first, -1 the second, 0 neither.

    The means may say the contrary, by a few large differences, and the Hodges-Lehmann shift is 0 where most pairs are equal.
    """
    x, y, _ = complete_pairs(x, y)
    return int(np.sign(_signed_ranks(x - y).sum()))


def _signed_ranks(differences):
    """Ranks of the absolute values of the differences that are not zero, ties averaged, each with the sign of its difference."""
    nonzero = differences[differences != 0]
    return np.sign(nonzero) * stats.rankdata(np.abs(nonzero))


def _signed_rank_tail(statistic, n):
    """Probability that the sum of the ranks is at least as far out, on the side of ``statistic`` (ranks 1 to n, no ties)."""
    top = n * (n + 1) // 2
    counts = np.zeros(top + 1)
    counts[0] = 1.0
    for rank in range(1, n + 1):
        counts[rank:] += counts[: top + 1 - rank].copy()
    nearer = round(min(statistic, top - statistic))
    # All counts are whole numbers below 2**50, so the sum is exact.
    return float(counts[: nearer + 1].sum() / 2.0**n)


def wilcoxon_rank_sum(x, y):
    """Two-sided Wilcoxon rank-sum test of two groups as R's ``wilcox.test(x, y)`` computes it.

    With fewer than 50 values in each group and no ties the p-value is exact, else from the normal approximation with tie and continuity correction.

    Parameters
    ----------
    x, y : array_like
        (patients,) each; NaN are left out.

    Returns
    -------
    statistic : float
        W, the number of pairs in which x is larger, ties counted half. NaN where a group is empty (R refuses that).
    p_value : float
        NaN where all values are equal, as in R.
    """
    x, y = (values[~np.isnan(values)] for values in (np.asarray(x, dtype=float), np.asarray(y, dtype=float)))
    if not x.size or not y.size:
        return math.nan, math.nan
    different = np.unique(np.concatenate([x, y])).size
    exact = max(x.size, y.size) < EXACT_BELOW and different == x.size + y.size
    found = stats.mannwhitneyu(x, y, method="exact" if exact else "asymptotic") if different > 1 else None
    return (float(found.statistic), float(found.pvalue)) if found else (x.size * y.size / 2, math.nan)


def fisher_exact(counts):
    """p-value of Fisher's exact test of independence as R's ``fisher.test`` computes it: the share of tables at most as probable as the observed one.

    Tables with the observed margins are counted in whole numbers, by halves of their columns. Which halves together are improbable enough is found by
    sorting, so that not every table is looked at.

    Parameters
    ----------
    counts : array_like
        (rows, columns), numbers of patients.

    Returns
    -------
    float
        1 where a single table has these margins.

    Raises
    ------
    ValueError
        Not a table of whole numbers, none negative.
    """
    counts = np.asarray(counts)
    if counts.ndim != 2 or not np.issubdtype(counts.dtype, np.integer) or (counts < 0).any():
        raise ValueError(f"not a table of counts: {counts.tolist()}")
    # As few rows as may be: ways are told apart by what they leave of each.
    counts = min(counts, counts.T, key=len)
    observed = math.prod(map(_arrangements, counts.T.tolist()))
    # R counts tables whose probability exceeds the observed one by a relative 1e-7 as equally probable.
    largest = observed * (10**7 + 1) // 10**7
    rows, columns = counts.sum(axis=1).tolist(), counts.sum(axis=0).tolist()
    half = len(columns) // 2
    extreme = 0
    for left, begun in _ways(rows, columns[:half]).items():
        (ended,) = _ways(left, columns[half:]).values()
        weights = sorted(ended)
        sums = [0, *accumulate(weight * ended[weight] for weight in weights)]
        extreme += sum(weight * tables * sums[bisect_right(weights, largest // weight)] for weight, tables in begun.items())
    # All tables together weigh as much as there are ways to divide the patients into rows.
    return extreme / _arrangements(rows)


def _ways(rows, columns):
    """Every way of filling columns (their totals) from rows (what each still takes), counted by weight, the product of the columns' arrangements.

    Returns
    -------
    dict of tuple to Counter
        By what is left of each row, sorted, since the order of the rows does not matter to the columns to come: the number of ways of each weight.
    """
    reached = {tuple(sorted(rows)): Counter({1: 1})}
    for total in columns:
        following = defaultdict(Counter)
        for left, ways in reached.items():
            for column in _columns(total, left):
                rest, arrangements = tuple(sorted(a - b for a, b in zip(left, column, strict=True))), _arrangements(column)
                for weight, tables in ways.items():
                    following[rest][weight * arrangements] += tables
        reached = following
    return reached


def _columns(total, limits):
    """Every way of placing ``total`` patients in rows that take at most ``limits`` each."""
    if len(limits) == 1:
        if total <= limits[0]:
            yield (total,)
        return
    for first in range(max(0, total - sum(limits[1:])), min(total, limits[0]) + 1):
        for others in _columns(total - first, limits[1:]):
            yield (first, *others)


def _arrangements(column):
    """In how many ways the patients of a column divide into its cells (multinomial coefficient)."""
    return math.factorial(sum(column)) // math.prod(map(math.factorial, column))


def pearson(x, y):
    """Pearson correlation of paired values and its two-sided p-value; NaN, NaN below three complete pairs or where either does not vary."""
    x, y, _ = complete_pairs(x, y)
    if x.size < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return math.nan, math.nan
    found = stats.pearsonr(x, y)
    return float(found.statistic), float(found.pvalue)


def holm(p_values):
    """p-values corrected for multiple comparisons (Holm 1979), as R's ``p.adjust(method = "holm")``; NaN stay NaN and are not counted."""
    p_values = np.asarray(p_values, dtype=float)
    corrected = np.full(p_values.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    steps = p_values[order] * np.arange(order.size, 0, -1)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return corrected


def hodges_lehmann(x, y):
    """Hodges-Lehmann shift: the median of the means of all pairs of differences x - y, each with itself too (Hodges and Lehmann 1963).

    It equals R's estimate ``wilcox.test(x, y, paired = TRUE, conf.int = TRUE)`` where that test is exact. NaN where no pair of values is complete.
    """
    x, y, _ = complete_pairs(x, y)
    if not x.size:
        return math.nan
    differences = x - y
    first, second = np.triu_indices(differences.size)
    return float(np.median((differences[first] + differences[second]) / 2.0))


def bootstrap_bca(values, statistic=np.mean, level=0.95, resamples=2000, seed=0):
    """Bias-corrected and accelerated bootstrap confidence interval over patients (Efron 1987).

    Parameters
    ----------
    values : array_like
        (patients,), NaN are left out.
    statistic : callable
        ``statistic(values, axis=-1)``.
    level : float
        Confidence level.
    resamples : int
        Number of resampled cohorts.
    seed : int or sequence of int
        Seed of the resampling.

    Returns
    -------
    low, high : float
        NaN with fewer than two values; the value itself where all are equal.
    """
    values = np.asarray(values, dtype=float)
    values = values[~np.isnan(values)]
    if values.size < 2:
        return math.nan, math.nan
    if np.ptp(values) == 0:
        same = float(statistic(values, axis=-1))
        return same, same
    rng = np.random.default_rng(seed)
    found = stats.bootstrap((values,), statistic, confidence_level=level, n_resamples=resamples, method="BCa", vectorized=True, rng=rng)
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def stars(p_value, dot=True):
    """Stars of a p-value: ``***`` below 0.001, ``**`` below 0.01, ``*`` below 0.05, ``.`` below 0.10 (not in table 2), else nothing."""
    return next((mark for bound, mark in STARS if p_value < bound and (dot or mark != ".")), "")


def limits_of_agreement(differences):
    """Mean difference and 95 % limits of agreement (Bland and Altman 1986).

    Parameters
    ----------
    differences : array_like
        (patients,).

    Returns
    -------
    mean, low, high : float
        Limits at 1.96 standard deviations (n - 1) from the mean; NaN with fewer than two patients.
    """
    differences = np.asarray(differences, dtype=float)
    spread = 1.96 * differences.std(ddof=1) if differences.size > 1 else np.nan
    return float(differences.mean()), float(differences.mean() - spread), float(differences.mean() + spread)


def spearman(x, y):
    """Spearman's rank correlation and its two-sided p-value; NaN for both where a variable does not vary or there are fewer than three patients."""
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if x.size < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return math.nan, math.nan
    found = stats.spearmanr(x, y)
    return float(found.statistic), float(found.pvalue)
