import csv
import gzip
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from finalinfarct.evaluation.statistics import bootstrap_bca, complete_pairs, hodges_lehmann, holm, stars, wilcoxon_signed_rank

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


def test_wilcoxon_is_symmetric_and_leaves_out_incomplete_pairs():
    x, y = np.array([3.1, 4.2, math.nan, 9.9, 1.0]), np.array([2.0, 5.0, 1.0, math.nan, 0.9])
    assert complete_pairs(x, y)[2] == 2
    assert wilcoxon_signed_rank(x, y)[1] == wilcoxon_signed_rank(y, x)[1] == wilcoxon_signed_rank([3.1, 4.2, 1.0], [2.0, 5.0, 0.9])[1]
    with pytest.raises(ValueError, match="paired"):
        wilcoxon_signed_rank([1, 2], [1])


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
