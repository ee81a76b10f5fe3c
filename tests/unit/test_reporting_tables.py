import math
import re
import statistics
from pathlib import Path

import pandas as pd
import pytest
from reporting_cohort import BASE, write_metrics, write_volumes

from finalinfarct.dataset.tables import read_table, write_table
from finalinfarct.errors import InputError
from finalinfarct.reporting.markdown import document, marked, mean_and_sd, p_text, pipe_table
from finalinfarct.reporting.tables import write_table2, write_table3, write_table4, write_table_c6

PRINTED = Path(__file__).parents[2] / "resources" / "printed" / "metrics.csv"
WRITERS = {"2": write_table2, "3": write_table3, "4": write_table4, "C.6": write_table_c6}
# Six differences of one sign: 2 of 64 patterns of signs. Five: 2 of 32. Three: 2 of 8.
P_SIX, P_FIVE, P_THREE = 2 / 64, 2 / 32, 2 / 8
FIRST = ("panel", "row", "metric", "mean", "sd", "n", "n_undefined", "p_value", "stars", "best")
PRINTED_COLUMNS = ("printed_mean", "printed_sd", "printed_p_value", "printed_stars")


@pytest.fixture
def metrics(tmp_path):
    return write_metrics(tmp_path / "metrics.tsv")


def build(table, metrics, automatic=(), **options):
    """Write a table and return its cells by panel, row and metric, and its page."""
    out = metrics.parent / f"table{table}"
    if table == "3":
        options = {"volumes": write_volumes(metrics.parent / "volumes.tsv", automatic)} | options
    WRITERS[table](metrics, PRINTED, f"{out}.csv", f"{out}.md", **options)
    cells = read_table(f"{out}.csv", text=("panel", "row", "metric", "stars", "best", "printed_stars"))
    return cells.fillna({"stars": "", "printed_stars": ""}).set_index(["panel", "row", "metric"]), Path(f"{out}.md").read_text(encoding="utf-8")


def pipe_tables(page):
    """Tables of a page, each a list of rows of cells."""
    blocks = re.findall(r"(?:^\|.*\|$\n?)+", page, flags=re.MULTILINE)
    return [[[cell.strip() for cell in line.strip("|").split("|")] for line in block.strip().splitlines()] for block in blocks]


def test_table2_in_closed_form(metrics):
    cells, page = build("2", metrics)
    assert tuple(cells.reset_index().columns[:14]) == FIRST + PRINTED_COLUMNS
    general, reperfused = cells.loc[("a", "general", "DSC")], cells.loc[("a", "reperfused", "DSC")]
    own = [value + 0.01 * (number + 1) for number, value in enumerate(BASE)]
    assert (general["mean"], general["sd"]) == pytest.approx((0.35, statistics.stdev(BASE)))
    assert (reperfused["mean"], reperfused["sd"]) == pytest.approx((0.385, statistics.stdev(own)))
    assert (general["n"], general["n_undefined"], general["best"], reperfused["best"]) == (6, 0, "no", "yes")
    hd = cells.loc[("a", "reperfused", "HD")]
    assert hd["mean"] == pytest.approx(96.15) and hd["best"] == "yes"
    tested = cells.loc[("b", "general vs reperfused", "DSC")]
    assert tested["p_value"] == pytest.approx(P_SIX) and tested["stars"] == "*" and tested["n"] == 6
    # The Hodges-Lehmann shift of -0.01 ... -0.06 is their middle.
    assert tested["shift"] == pytest.approx(-0.035)
    # The 15 comparisons of the panel: 5 are undefined (no difference at all), 10 have the same p-value.
    assert tested["p_value_holm"] == pytest.approx(10 * P_SIX)
    same = cells.loc[("b", "general vs nonreperfused", "DSC")]
    assert math.isnan(same["p_value"]) and same["stars"] == "" and math.isnan(same["p_value_holm"])
    assert cells.loc[("d", "general vs reperfused", "Recall"), "p_value"] == pytest.approx(P_THREE)
    assert "| General | 0.35 ± 0.19 |" in page and re.search(r"\| Reperfused \| \*\*0\.3[89] ± 0\.21\*\* \|", page)
    assert "| General vs Reperfused | **0.031** (*) |" in page and "simulated" not in page


def test_table2_shows_no_dot_and_prints_the_papers_numbers(metrics):
    cells, page = build("2", metrics)
    assert not (cells["stars"] == ".").any() and "`(.)`" not in page
    assert cells.loc[("b", "general vs reperfused", "Precision"), ["printed_p_value", "printed_stars"]].tolist() == [3.7e-6, "***"]
    assert "| Reperfused vs Non-reperfused | **2.3e-8** (***) | **1.6e-5** (***) | **2.9e-7** (***) | **2.7e-11** (***) | 0.65 |" in page
    assert "| General | 0.43 ± 0.24 | 0.69 ± 0.27 | 0.55 ± 0.28 | 0.43 ± 0.25 | **33.23 ± 15.6** |" in page


def test_table3_in_closed_form(metrics):
    cells, page = build("3", metrics)
    for row, stars, best in (("cnn", "*", "yes"), ("mismatch", "", "no")):
        cell = cells.loc[("reperfused", row, "Recall")]
        assert cell["p_value"] == pytest.approx(P_SIX) and (cell["stars"], cell["best"]) == (stars, best)
    hd = cells.loc[("reperfused", "mismatch", "HD")]
    assert (hd["n"], hd["n_undefined"], hd["n_pairs"]) == (5, 1, 5)
    # Mean over the five patients with a distance: DSC values 0.08, 0.16, 0.24, 0.32, 0.40.
    assert hd["mean"] == pytest.approx(100 - 10 * 0.24) and hd["p_value"] == pytest.approx(P_FIVE)
    assert cells.loc[("reperfused", "cnn", "HD"), ["n", "n_undefined", "stars"]].tolist() == [6, 0, "."]
    # Both rows hold one comparison, which counts once: four at 2/64, one at 2/32.
    assert cells.loc[("reperfused", "cnn", "DSC"), "p_value_holm"] == pytest.approx(5 * P_SIX)
    assert cells.loc[("reperfused", "mismatch", "DSC"), "shift"] == pytest.approx(-cells.loc[("reperfused", "cnn", "DSC"), "shift"])
    assert cells.loc[("nonreperfused", "cnn", "VS"), "p_value"] == pytest.approx(P_THREE)
    assert "HD is undefined where one mask is empty" in page and "reperfused Perfusion-diffusion mismatch 1." in page
    assert "repeats table 2(c)" in page and "38.58 ± 18.1" in page


def test_stars_and_bold_compare_the_same_patients(metrics):
    # Without a distance of the mismatch model in sub-r5 its mean is over easier patients; in each of the five that both have, the network is nearer.
    whole = read_table(metrics)
    of_network = (whole["method"] == "cnn") & (whole["participant_id"] == "sub-r5") & (whole["metric"] == "hausdorff_distance_mm")
    write_table(whole.assign(value=whole["value"].mask(of_network, 1000.0)), metrics)
    cells, page = build("3", metrics)
    cnn, mismatch = (cells.loc[("reperfused", row, "HD")] for row in ("cnn", "mismatch"))
    assert cnn["mean"] > mismatch["mean"] and cnn["p_value"] == mismatch["p_value"] == pytest.approx(P_FIVE)
    assert (cnn["direction"], cnn["stars"], cnn["best"]) == ("lower", ".", "yes")
    assert (mismatch["direction"], mismatch["stars"], mismatch["best"]) == ("higher", "", "no")
    assert "by the averages over the patients in whom all models have it" in page


def test_table3_tells_automatic_diffusion_lesions_from_an_experts(metrics):
    expected = {
        (): "by an expert in all 9 patients.",
        ("sub-r0", "sub-n2"): "by an expert in 7 patients, automatic (ADC threshold) in 2.",
        ("sub-n0", "sub-n1", *(f"sub-r{k}" for k in range(6))): "by an expert in 1 patient, automatic (ADC threshold) in 8.",
        ("sub-n0", "sub-n1", "sub-n2", *(f"sub-r{k}" for k in range(6))): "automatic (ADC threshold) in all 9 patients.",
    }
    for automatic, words in expected.items():
        assert build("3", metrics, automatic)[1].count(f"- Diffusion lesion {words}\n") == 1
    write_table(read_table(metrics.parent / "volumes.tsv").iloc[1:], metrics.parent / "volumes.tsv")
    with pytest.raises(InputError, match=r"volumes\.tsv.*sub-r0"):
        write_table3(metrics, PRINTED, metrics.parent / "t.csv", metrics.parent / "t.md", metrics.parent / "volumes.tsv")


def test_table4_tests_the_ablated_against_the_full_model(metrics):
    cells, page = build("4", metrics)
    full = cells.loc[("a", "DWI+ADC+Tmax+CBF+CBV", "DSC")]
    assert full["best"] == "yes" and math.isnan(full["p_value"]) and full["stars"] == ""
    ablated = cells.loc[("a", "DWI", "DSC")]
    # Less by 0.003 (patient number + 1), and the full model of these patients is above the general one by 0.01 of it.
    assert ablated["mean"] == pytest.approx(0.385 - 0.003 * 3.5) and ablated["shift"] == pytest.approx(-0.0105)
    assert ablated["p_value"] == pytest.approx(P_SIX) and ablated["stars"] == "*"
    assert cells.loc[("b", "Tmax", "HD"), "p_value"] == pytest.approx(P_THREE)
    assert "| DWI + ADC + Tmax + CBF + CBV |" in page


def test_table_c6_tests_within_a_fusion(metrics):
    cells, page = build("C.6", metrics)
    early = cells.loc[("a", "early reperfused", "DSC")]
    assert early["mean"] == pytest.approx(0.35 + 0.005 * 3.5) and early["shift"] == pytest.approx(0.035) and early["stars"] == "*"
    assert math.isnan(cells.loc[("a", "late all", "DSC"), "p_value"])
    assert cells.loc[("a", "late reperfused", "DSC"), "best"] == "yes"
    assert "| late | non-reperfused |" in page and "29.51 ± 16.26" in page


@pytest.mark.parametrize("table", WRITERS)
def test_every_printed_cell_has_its_row_and_every_row_its_columns(metrics, table):
    cells, page = build(table, metrics)
    printed = read_table(PRINTED, text=("table", "panel", "row", "metric"))
    printed = printed[printed["table"] == table].set_index(["panel", "row", "metric"])
    assert set(printed.index) == set(cells.index) and len(printed) == len(cells)
    for name in ("mean", "sd", "p_value"):
        pd.testing.assert_series_equal(cells[f"printed_{name}"], printed[name].reindex(cells.index), check_names=False)
    tables = pipe_tables(page)
    panels = cells.index.get_level_values("panel").nunique()
    assert len(tables) == 2 * panels + 2
    for rows in [*tables[:panels], *tables[panels + 2 :]]:
        assert len({len(row) for row in rows}) == 1 and len(rows[0]) in (6, 7) and rows[0][-1] in ("HD (mm)", "HD")
        assert set(rows[1]) == {"---"}


@pytest.mark.parametrize(("table", "comparisons"), {"2": 6, "3": 2, "4": 8, "C.6": 8}.items())
def test_intervals_and_all_comparisons_stand_below(metrics, table, comparisons):
    cells, page = build(table, metrics)
    panels = cells.index.get_level_values("panel").nunique()
    intervals, tests = pipe_tables(page)[panels : panels + 2]
    means = cells[cells["mean"].notna()]
    assert len(intervals) == 2 + len(means) // 5 and intervals[0][-5:] == ["DSC", "VS", "Precision", "Recall", "HD (mm)"]
    shown = [float(bound) for line in intervals[2:] for cell in line[-5:] for bound in cell.split(" – ")]
    assert shown == pytest.approx(means[["mean_ci_low", "mean_ci_high"]].to_numpy().ravel(), abs=0.0051)
    assert tests[0] == ["Patients", "Comparison", "Metric", "Pairs", "P", "P (Holm)", "Shift"]
    assert len(tests) == 2 + 5 * comparisons and len({tuple(line[:3]) for line in tests[2:]}) == 5 * comparisons
    if table == "3":
        cnn = cells.loc[("reperfused", "cnn", "DSC")]
        assert tests[2] == ["Reperfused", "CNN vs Perfusion-diffusion mismatch", "DSC", "6", "0.031", "0.16", f"{cnn['shift']:.3f}"]


def test_hausdorff_in_voxels_and_simulated_cohort(metrics):
    cells, page = build("3", metrics, hausdorff="voxels", simulated=True)
    assert cells.loc[("reperfused", "cnn", "HD"), "mean"] == pytest.approx(196.15)
    assert "HD (voxels)" in page and "HD (mm)" not in page
    assert page.startswith("**The cohort is simulated: these numbers say nothing about patients.**\n\n# Table 3")


def test_several_files_are_read_as_one(metrics):
    whole = read_table(metrics)
    parts = []
    for number, (_, part) in enumerate(whole.groupby(["method", "fusion", "inputs", "training_set"], dropna=False)):
        parts.append(metrics.parent / f"part{number}.tsv")
        write_table(part, parts[-1])
    together, _ = build("3", metrics)
    WRITERS["3"](parts, PRINTED, metrics.parent / "p.csv", metrics.parent / "p.md", metrics.parent / "volumes.tsv")
    assert (metrics.parent / "p.csv").read_bytes() == (metrics.parent / "table3.csv").read_bytes()
    assert len(together) == 20


def test_a_missing_model_and_other_patients_are_errors(metrics):
    whole = read_table(metrics)
    write_table(whole[whole["method"] != "mismatch"], metrics)
    with pytest.raises(InputError, match="no patient of the model mismatch"):
        build("3", metrics)
    write_table(whole[~((whole["method"] == "mismatch") & (whole["participant_id"] == "sub-r2"))], metrics)
    with pytest.raises(InputError, match=r"different patients \(sub-r2\)"):
        build("3", metrics)


def test_a_status_without_patients_gives_undefined_cells(metrics):
    whole = read_table(metrics)
    write_table(whole[whole["status"] == "reperfused"], metrics)
    cells, page = build("2", metrics)
    cell = cells.loc[("c", "general", "DSC")]
    assert math.isnan(cell["mean"]) and cell["n"] == 0 and cell["best"] == "no"
    assert "| General | n/a | n/a | n/a | n/a | n/a |" in page


def test_numbers_as_the_paper_prints_them():
    assert mean_and_sd(0.444, 0.207) == "0.44 ± 0.21" and mean_and_sd(30.614, 16.14, 1) == "30.61 ± 16.1"
    assert mean_and_sd(math.nan, 1.0) == "n/a" and mean_and_sd(0.5, math.nan) == "0.50"
    p_values = {3.74e-6: "3.7e-6", 1e-10: "1.0e-10", 0.0069: "0.0069", 0.00084: "0.00084", 0.43: "0.43", 0.5: "0.50", 1.0: "1.0", math.nan: "n/a"}
    assert {p: p_text(p) for p in p_values} == p_values
    assert marked("0.44", True, "**") == "**0.44** (**)" and marked("n/a", True) == "n/a" and marked("1", False) == "1"


def test_pipe_table_and_document():
    assert pipe_table(["a", "b"], [["1", "x|y"]]) == "| a | b |\n| --- | --- |\n| 1 | x\\|y |"
    with pytest.raises(ValueError, match="cells"):
        pipe_table(["a"], [["1", "2"]])
    assert document("T", "c", [("h", "b")], ["n."], False) == "# T\n\nc\n\n## h\n\nb\n\n## Notes\n\n- n.\n"
