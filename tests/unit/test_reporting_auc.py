import math
import re
import statistics
from pathlib import Path

import pytest
from reporting_cohort import BASE, write_metrics, write_volumes

from finalinfarct.dataset.tables import read_table, write_table
from finalinfarct.evaluation.family import COLUMNS
from finalinfarct.reporting.auc_table import MODES, write_auc

FACTS = Path(__file__).parents[2] / "resources" / "printed" / "facts.csv"


def build(metrics, automatic=(), **options):
    """Cells by panel, row and mode, and the page."""
    csv, md = metrics.parent / "auc.csv", metrics.parent / "auc.md"
    write_auc(metrics, write_volumes(metrics.parent / "volumes.tsv", automatic), FACTS, csv, md, **options)
    cells = read_table(csv, text=("panel", "row", "metric", "stars", "best", "printed_stars")).fillna({"stars": "", "printed_stars": ""})
    return cells.set_index(["panel", "row", "metric"]).sort_index(), md.read_text(encoding="utf-8")


@pytest.fixture
def metrics(tmp_path):
    return write_metrics(tmp_path / "metrics.tsv")


def test_auc_in_closed_form(metrics):
    cells, page = build(metrics)
    assert len(cells) == 2 * 2 * 3
    # The network has BASE + 0.01 (patient number + 1), the mismatch model BASE - 0.02 (patient number + 1).
    own = [value + 0.01 * (number + 1) for number, value in enumerate(BASE)]
    for mode in MODES:
        cnn, mismatch = cells.loc[("reperfused", "cnn", mode)], cells.loc[("reperfused", "mismatch", mode)]
        assert (cnn["mean"], cnn["sd"], mismatch["mean"]) == pytest.approx((0.385, statistics.stdev(own), 0.28))
        assert cnn["p_value"] == mismatch["p_value"] == pytest.approx(2 / 64)
        # Three modes are three comparisons of the panel.
        assert cnn["p_value_holm"] == pytest.approx(6 / 64)
        assert cnn["shift"] == pytest.approx(0.03 * 3.5) and mismatch["shift"] == pytest.approx(-0.03 * 3.5)
        assert (cnn["stars"], mismatch["stars"], cnn["best"], mismatch["best"]) == ("*", "", "yes", "no")
        assert (cnn["n"], cnn["n_undefined"]) == (6, 0) and cnn["mean_ci_low"] < 0.385 < cnn["mean_ci_high"]
        assert cells.loc[("nonreperfused", "cnn", mode), ["mean", "p_value", "shift"]].tolist() == pytest.approx([0.2, 2 / 8, 0.16])
    assert re.search(r"\| whole brain \| 0\.3[89] ± 0\.21 \(.*\) \| 0\.28 ± 0\.\d\d \(.*\) \| \*\*0\.031\*\* \| 0\.094 \| 0\.105 \|", page)
    assert "Reperfused patients (n = 6)" in page and "Non-reperfused patients (n = 3)" in page


def test_printed_values_stand_beside_every_mode(metrics):
    cells, page = build(metrics)
    printed = {
        ("reperfused", "cnn"): [0.87, 0.13, 0.001, "***"],
        ("reperfused", "mismatch"): [0.79, 0.17, 0.001, ""],
        ("nonreperfused", "cnn"): [0.81, 0.13, 0.01, "**"],
        ("nonreperfused", "mismatch"): [0.73, 0.14, 0.01, ""],
    }
    for (panel, row), expected in printed.items():
        for mode in MODES:
            found = cells.loc[(panel, row, mode), ["printed_mean", "printed_sd", "printed_p_value_below", "printed_stars"]]
            assert found.tolist() == expected
    assert page.count("| 0.87 ± 0.13 | 0.79 ± 0.17 | < 0.001 |") == page.count("| 0.81 ± 0.13 | 0.73 ± 0.14 | < 0.01 |") == 3
    assert "names no mode" in page and "0.665" in page and "against all others at risk where there are fewer" in page


def test_automatic_diffusion_lesions_are_counted(metrics):
    assert build(metrics)[1].count("- Diffusion lesion by an expert in all 9 patients.") == 1
    _, page = build(metrics, automatic=("sub-r1", "sub-n0"))
    assert page.count("- Diffusion lesion by an expert in 7 patients, automatic (ADC threshold) in 2.") == 1


def test_each_mode_reads_its_own_metric_and_counts_the_undefined(metrics):
    table = read_table(metrics)
    own = (table["training_set"] == "reperfused") & (table["fusion"] == "late") & (table["inputs"] == "DWI-ADC-Tmax-CBF-CBV")
    balanced = table["metric"] == "auc_balanced"
    table.loc[own & (table["metric"] == "auc_hemisphere"), "value"] += 0.1
    table.loc[own & balanced & (table["participant_id"] == "sub-r0"), "value"] = math.nan
    write_table(table[list(COLUMNS)], metrics)
    cells, page = build(metrics, simulated=True)
    means = [cells.loc[("reperfused", "cnn", mode), "mean"] for mode in MODES]
    # Without sub-r0, whose value is 0.11.
    assert means == pytest.approx([0.385, 0.485, (6 * 0.385 - 0.11) / 5])
    assert cells.loc[("reperfused", "cnn", "balanced"), ["n", "n_undefined", "n_pairs"]].tolist() == [5, 1, 5]
    assert "no average: reperfused CNN, balanced: 1." in page and page.startswith("**The cohort is simulated")


def test_a_status_without_patients_is_undefined(metrics):
    table = read_table(metrics)
    write_table(table[table["status"] == "reperfused"], metrics)
    cells, page = build(metrics)
    assert math.isnan(cells.loc[("nonreperfused", "cnn", "balanced"), "mean"])
    assert "| balanced | n/a (n/a–n/a) | n/a (n/a–n/a) | n/a | n/a | n/a | 0.81 ± 0.13 |" in page
