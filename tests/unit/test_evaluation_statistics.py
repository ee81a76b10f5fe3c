import csv
import gzip
import math
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from finalinfarct.evaluation.statistics import (
    bootstrap_bca,
    complete_pairs,
    favoured,
    fisher_exact,
    hodges_lehmann,
    holm,
    limits_of_agreement,
    pearson,
    spearman,
    stars,
    wilcoxon_rank_sum,
    wilcoxon_signed_rank,
)

REFERENCE = Path(__file__).parents[1] / "reference"


def r_cases():
    with gzip.open(REFERENCE / "wilcoxon_r.csv.gz", "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            x, y = (np.array([math.nan if v == "NA" else int(v) for v in row[name].split()]) / float(row["scale"]) for name in "xy")
            yield row, x, y


def number(text):
    return math.nan if text in ("NA", "NaN") else float(text)


def test_wilcoxon_equals_r():
    cases = exact = 0
    for row, x, y in r_cases():
        statistic, p_value = wilcoxon_signed_rank(x, y)
        assert statistic == pytest.approx(number(row["v"]), rel=1e-12, abs=0, nan_ok=True), row["case"]
        assert p_value == pytest.approx(number(row["p_value"]), rel=1e-10, abs=0, nan_ok=True), row["case"]
        cases, exact = cases + 1, exact + (row["exact"] == "TRUE")
    assert cases >= 500 and 150 <= exact <= cases - 250


def test_hodges_lehmann_equals_r_where_r_is_exact():
    compared = 0
    for row, x, y in r_cases():
        if row["exact"] == "TRUE":
            assert hodges_lehmann(x, y) == pytest.approx(float(row["shift"]), rel=1e-10), row["case"]
            compared += 1
    assert compared >= 150


def test_wilcoxon_by_hand():
    # Differences 1, 2, 3: all 8 sign patterns are equally likely, V = 6 in one of them.
    assert wilcoxon_signed_rank([1, 2, 3], [0, 0, 0]) == (6.0, 0.25)
    assert wilcoxon_signed_rank([2.0], [1.0]) == (1.0, 1.0)
    statistic, p_value = wilcoxon_signed_rank([1.0, 2.0], [1.0, 2.0])
    assert statistic == 0 and math.isnan(p_value)
    assert all(map(math.isnan, wilcoxon_signed_rank([math.nan], [1.0])))
    assert all(map(math.isnan, wilcoxon_signed_rank([], [])))


def test_the_test_tells_which_side_it_favours():
    # One large difference decides the means, the ranks 2, 3, 4 of the small ones the test.
    assert favoured([5.0, 6.0, 7.0, 0.0], [4.0, 4.0, 4.0, 90.0]) == 1
    assert favoured([0, 0, 0, 0], [1, 2, 3, -4]) == -1
    # Of 21 pairs 15 are equal: the shift is 0, and yet all differences have one sign.
    first, second = np.r_[np.zeros(15), np.ones(6)], np.zeros(21)
    assert hodges_lehmann(first, second) == 0 and wilcoxon_signed_rank(first, second)[1] < 0.05
    assert favoured(first, second) == 1 and favoured(second, first) == -1 and favoured(first, first) == 0
    assert favoured([1.0, math.nan, 1.0], [2.0, 0.0, 0.0]) == 0


def test_wilcoxon_is_symmetric_and_leaves_out_incomplete_pairs():
    x, y = np.array([3.1, 4.2, math.nan, 9.9, 1.0]), np.array([2.0, 5.0, 1.0, math.nan, 0.9])
    assert complete_pairs(x, y)[2] == 2
    assert wilcoxon_signed_rank(x, y)[1] == wilcoxon_signed_rank(y, x)[1] == wilcoxon_signed_rank([3.1, 4.2, 1.0], [2.0, 5.0, 0.9])[1]
    with pytest.raises(ValueError, match="paired"):
        wilcoxon_signed_rank([1, 2], [1])


def test_rank_sum_equals_r():
    table = pd.read_csv(REFERENCE / "rank_sum_r.csv.gz", keep_default_na=False)
    exact = 0
    for row in table.to_dict("records"):
        x, y = ([number(value) for value in row[name].split()] for name in "xy")
        statistic, p_value = wilcoxon_rank_sum(x, y)
        assert statistic == row["w"], row["case"]
        assert p_value == pytest.approx(number(row["p_value"]), rel=1e-10, abs=0, nan_ok=True), row["case"]
        exact += row["exact"]
    assert len(table) >= 200 and 80 <= exact <= len(table) - 80


def test_rank_sum_by_hand():
    # The three lowest of five ranks: 1 of 10 choices, on either side.
    assert wilcoxon_rank_sum([1, 2, 3], [4, 5]) == (0.0, 0.2)
    assert wilcoxon_rank_sum([4, math.nan, 5], [3, 2, 1]) == (6.0, 0.2)
    assert all(map(math.isnan, wilcoxon_rank_sum([math.nan], [1.0])))
    statistic, p_value = wilcoxon_rank_sum([2, 2], [2, 2, 2])
    assert statistic == 3 and math.isnan(p_value)


def test_fisher_equals_r():
    table = pd.read_csv(REFERENCE / "fisher_r.csv")
    larger = 0
    for row in table.to_dict("records"):
        counts = [[int(value) for value in line.split()] for line in row["counts"].split("/")]
        assert fisher_exact(counts) == pytest.approx(row["p_value"], rel=1e-10, abs=0), row["case"]
        assert fisher_exact(np.transpose(counts)) == fisher_exact(counts), row["case"]
        larger += len(counts) * len(counts[0]) > 4
    assert len(table) >= 200 and 150 <= larger <= len(table) - 50


def test_fisher_equals_scipy_for_two_by_two():
    rng = np.random.default_rng(8)
    for counts in rng.integers(0, 25, (200, 2, 2)):
        assert fisher_exact(counts) == pytest.approx(scipy_stats.fisher_exact(counts).pvalue, rel=1e-10), counts


def test_fisher_of_the_papers_occlusion_sites():
    # Section 4.4: M1 and M2 occlusions of the non-reperfused patients, HIBISCUS-STROKE and I-KNOW; printed p = 0.002.
    assert round(fisher_exact([[15, 3], [5, 12]]), 3) == 0.002


def test_fisher_of_hundreds_of_patients_is_light():
    """329 against 313 patients at four sites, 2,016,937 tables: p by counting each of them; the chi-squared test says 0.598."""
    tracemalloc.start()
    try:
        assert fisher_exact([[132, 65, 82, 50], [120, 75, 70, 48]]) == pytest.approx(0.599498814709126, rel=1e-10)
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


def test_fisher_by_hand():
    # Of the 20 ways to choose 3 of 6, one has all three in the first cell and one none.
    assert fisher_exact([[3, 0], [0, 3]]) == pytest.approx(0.1)
    assert fisher_exact([[3, 0, 4]]) == fisher_exact([[2, 3], [0, 0]]) == fisher_exact([[0, 0], [0, 0]]) == 1
    for wrong in ([1, 2], [[1.5, 2.0]], [[-1, 2]]):
        with pytest.raises(ValueError, match="counts"):
            fisher_exact(wrong)


def test_pearson_of_the_papers_correlation():
    # Section 4.2: r = 0.038, p = 0.72 over the 92 tested patients. Two directions at right angles, and the mean, give that r.
    basis = np.linalg.qr(np.column_stack([np.ones(92), np.arange(92), np.arange(92) ** 2]))[0]
    x, y = basis[:, 1], 0.038 * basis[:, 1] + math.sqrt(1 - 0.038**2) * basis[:, 2]
    r, p_value = pearson(x, y)
    assert r == pytest.approx(0.038) and round(p_value, 2) == 0.72
    assert pearson([*x, math.nan], [*y, 1.0]) == (r, p_value)


def test_pearson_is_undefined_without_spread():
    assert all(map(math.isnan, (*pearson([1, 2], [1, 2]), *pearson([1, 1, 1], [1, 2, 3]), *pearson([1, 2, 3], [1, 1, 1]))))


def test_holm_equals_r():
    table = pd.read_csv(REFERENCE / "holm_r.csv")
    for _, family in table.groupby("family"):
        np.testing.assert_allclose(holm(family["p"]), family["holm"], rtol=1e-12)
    np.testing.assert_allclose(holm([0.01, math.nan, 0.04, 0.03]), [0.03, math.nan, 0.06, 0.06])
    assert holm([]).size == 0


def test_bootstrap_interval_is_that_of_r_boot():
    for row in pd.read_csv(REFERENCE / "bca_r.csv").to_dict("records"):
        values = np.array(row["x"].split(), dtype=float)
        low, high = bootstrap_bca(values, resamples=20000, seed=row["case"])
        width = row["high"] - row["low"]
        # Both ends carry the noise of 20,000 and of 50,000 resamples.
        assert abs(low - row["low"]) < 0.03 * width and abs(high - row["high"]) < 0.03 * width, row["case"]


def test_bootstrap_is_seeded_and_knows_degenerate_samples():
    values = np.random.default_rng(1).random(20)
    assert bootstrap_bca(values, seed=4) == bootstrap_bca(values, seed=4) != bootstrap_bca(values, seed=5)
    assert bootstrap_bca([*values, math.nan], seed=4) == bootstrap_bca(values, seed=4)
    assert bootstrap_bca([2.0, 2.0, 2.0]) == (2.0, 2.0)
    assert all(map(math.isnan, bootstrap_bca([1.0])))


def test_stars():
    marks = {0.0009: "***", 0.001: "**", 0.0099: "**", 0.01: "*", 0.049: "*", 0.05: ".", 0.0999: ".", 0.1: "", 1.0: "", math.nan: ""}
    assert {p: stars(p) for p in marks} == marks
    assert stars(0.07, dot=False) == "" and stars(0.03, dot=False) == "*"


def test_limits_of_agreement_in_closed_form():
    assert limits_of_agreement([1.0, 2.0, 3.0]) == pytest.approx((2.0, 2 - 1.96, 2 + 1.96))
    assert np.isnan(limits_of_agreement([4.0])[1])


def test_spearman_in_closed_form():
    assert spearman([1, 2, 3, 4], [1, 8, 27, 64])[0] == pytest.approx(1)
    # Ranks 1 2 3 4 against 2 1 4 3: 1 - 6 * 4 / (4 * 15).
    assert spearman([1, 2, 3, 4], [20, 10, 40, 30])[0] == pytest.approx(0.6)
    assert np.isnan(spearman([1, 1, 1], [1, 2, 3])).all() and np.isnan(spearman([1, 2], [1, 2])).all()
