import math

import pandas as pd
import pytest
from reporting_cohort import FACTS, write_cohort

from finalinfarct.dataset.tables import read_table, write_table
from finalinfarct.errors import InputError
from finalinfarct.evaluation.family import COLUMNS as METRIC_COLUMNS
from finalinfarct.reporting.text_results import COLUMNS, shown, write_text_results


def build(files, printed=FACTS, **options):
    """Rows by fact and reading ("" where there is one only), and the page."""
    folder = files["metrics"].parent
    write_text_results(files, printed, folder / "text.csv", folder / "text.md", **options)
    table = read_table(folder / "text.csv", text=("where", "fact", "reading", "unit", "value", "printed_value", "note", "contradiction"))
    assert tuple(table.columns) == COLUMNS
    return table.fillna({"reading": "", "value": "n/a"}).set_index(["fact", "reading"]).sort_index(), (folder / "text.md").read_text(encoding="utf-8")


@pytest.fixture
def files(tmp_path):
    return write_cohort(tmp_path)


def value(rows, fact, reading=""):
    return float(rows.loc[(fact, reading), "value"])


def test_every_printed_fact_has_its_row(files):
    rows, page = build(files)
    printed = read_table(FACTS, text=("fact", "value", "unit", "where"))
    assert set(rows.index.get_level_values("fact")) == set(printed["fact"]) and not printed["fact"].duplicated().any()
    found = rows.reset_index().drop_duplicates("fact").set_index("fact").loc[printed["fact"]]
    assert found["printed_value"].tolist() == printed["value"].tolist()
    # Three modes of each AUC, two readings of the occlusion site.
    assert len(rows) == len(printed) + 2 * 10 + 1
    assert "nan" not in page.replace("nonreperfused", "") and not page.startswith("**")


def test_numbers_of_patients(files):
    rows, _ = build(files)
    expected = {
        "patients": 12,
        "reperfused patients": 6,
        "non-reperfused patients": 6,
        "non-reperfused patients from I-KNOW": 3,
        "non-reperfused patients from HIBISCUS-STROKE": 3,
        "reperfused share of the patients of the general model": 50,
        "reperfused share of the tested patients": 200 / 3,
        "M1 occlusions of non-reperfused HIBISCUS-STROKE patients": 3,
        "M2 occlusions of non-reperfused HIBISCUS-STROKE patients": 0,
        "M1 occlusions of non-reperfused I-KNOW patients": 0,
        "M2 occlusions of non-reperfused I-KNOW patients": 3,
        "women": 9,
        "women percentage": 75,
        "occlusion M1": 2,
        "cervical ICA percentage": 25,
        "NIHSS median": 10,
    }
    assert {fact: value(rows, fact) for fact in expected} == pytest.approx(expected)
    assert rows.loc[("NIHSS median", ""), "n"] == 9
    assert rows.loc[("DWI lesion size median", ""), "note"] == "diffusion lesion by an expert in 7 patients, automatic (ADC threshold) in 5"
    assert rows.loc[("non-reperfused patients from I-KNOW", ""), "note"] == "cohorts with role training: iknow"


def test_predictions(files):
    rows, page = build(files)
    # Own model of the reperfused: 0.11, 0.22 ... 0.66; in the others 0.17, 0.28, 0.39. Of the non-reperfused: 0.1 ... 0.6 and 0.1, 0.2, 0.3.
    for model, quartiles in (("reperfused", (0.22, 0.33, 0.44)), ("non-reperfused", (0.2, 0.3, 0.4))):
        names = [f"predicted volume {model} model {part}" for part in ("quartile 1", "median", "quartile 3")]
        assert [value(rows, name) for name in names] == pytest.approx(quartiles)
    # Nine differences of one sign: 2 of 512 patterns.
    assert value(rows, "predicted volume p-value") == pytest.approx(2 / 512)
    assert rows.loc[("predicted volume p-value", ""), "note"].endswith("shift of the non-reperfused model -0.05 ml")
    assert value(rows, "AUC CNN reperfused mean", "balanced") == pytest.approx(0.385)
    assert value(rows, "AUC mismatch reperfused mean", "whole brain") == pytest.approx(0.28)
    assert value(rows, "AUC reperfused p-value below", "affected hemisphere") == pytest.approx(2 / 64)
    assert value(rows, "responders (substantially larger non-reperfused prediction)") == 4
    assert value(rows, "responders percentage") == pytest.approx(400 / 9)
    # The lesion volumes are 100 times that DSC.
    assert value(rows, "correlation DSC with baseline DWI volume r") == pytest.approx(1)
    assert rows.loc[("correlation DSC with baseline DWI volume r", ""), "note"].endswith(
        "; diffusion lesion by an expert in 7 patients, automatic (ADC threshold) in 2"
    )
    assert "| responders percentage | 44 % | ~50 % | 9 |" in page


def test_equal_dice_does_not_count_as_above(files):
    table = read_table(files["metrics"])
    first = (table["participant_id"] == "sub-r0") & (table["metric"] == "dsc")
    own = first & (table["fusion"] == "late") & (table["training_set"] == "reperfused") & (table["inputs"] == "DWI-ADC-Tmax-CBF-CBV")
    table.loc[first & (table["method"] == "mismatch"), "value"] = table.loc[own, "value"].item()
    write_table(table[list(METRIC_COLUMNS)], files["metrics"])
    rows, _ = build(files)
    assert value(rows, "patients with CNN DSC above mismatch reperfused") == pytest.approx(500 / 6)
    assert rows.loc[("patients with CNN DSC above mismatch reperfused", ""), "note"] == "strictly above; 1 equal, counted as not above"
    assert value(rows, "patients with CNN DSC above mismatch non-reperfused") == 100


def test_cohorts_against_each_other(files):
    rows, _ = build(files)
    # All three against all three: 2 of 20 tables or rankings. Four sites: M1 and ICA+M1 against M2 and ICA+M2 leave 4 of 20 as improbable.
    assert value(rows, "occlusion site cohort difference Fisher p", "M1 against M2") == pytest.approx(0.1)
    assert value(rows, "occlusion site cohort difference Fisher p", "all sites") == pytest.approx(0.2)
    for fact in ("sex cohort difference Fisher p", "age cohort difference Wilcoxon p", "onset to MRI cohort difference Wilcoxon p"):
        assert value(rows, fact) == pytest.approx(0.1)
    # Volumes 10, 20, 30 against 5, 15, 25: six of nine pairs larger, as far out as 14 of 20 rankings.
    assert value(rows, "DWI lesion size cohort difference Wilcoxon p") == pytest.approx(0.7)
    note = "hibiscus 3 against iknow 3; diffusion lesion by an expert in 1 patient, automatic (ADC threshold) in 5"
    assert rows.loc[("DWI lesion size cohort difference Wilcoxon p", ""), "note"] == note
    missing = rows.loc[("NIHSS cohort difference Wilcoxon p", "")]
    assert missing["value"] == "n/a" and missing["note"] == "a cohort has no known value: hibiscus 3 against iknow 0"


def test_networks_and_folds(files):
    rows, page = build(files, simulated=True)
    assert value(rows, "trainable parameters 5 inputs") == 1997851 and value(rows, "trainable parameters 1 input") == 487355
    assert value(rows, "training duration") == 1.5
    assert rows.loc[("training duration", ""), "note"].startswith(
        "median of 2 trainings (late fusion, 5 inputs), 1 to 2 h, on CPU (x86_64), threads: 4"
    )
    # Nine tested in three folds; the training cohort's three are in every training set but the reperfused.
    sizes = {"test patients": "3", "training patients general model": "9", "training patients reperfused model": "4"}
    assert {fact: rows.loc[(fact, ""), "value"] for fact in sizes} == sizes
    assert rows.loc[("training patients non-reperfused model", ""), "value"] == "5"
    assert "fit 108 patients" in rows.loc[("training patients general model", ""), "contradiction"]
    assert page.startswith("**The cohort is simulated") and "57.6 %" in page


def test_a_single_cohort_leaves_its_comparison_out(tmp_path):
    rows, _ = build(write_cohort(tmp_path, cohorts=("hibiscus",)))
    for fact, reading in (("sex cohort difference Fisher p", ""), ("occlusion site cohort difference Fisher p", "M1 against M2")):
        assert rows.loc[(fact, reading), "value"] == "n/a"
        assert rows.loc[(fact, reading), "note"] == "two cohorts are compared; non-reperfused patients are of 1"
    absent = rows.loc[("non-reperfused patients from I-KNOW", "")]
    assert absent["value"] == "n/a" and absent["note"] == "no patient of a cohort with role training"
    delay = rows.loc[("median delay of I-KNOW follow-up perfusion", "")]
    assert delay["value"] == "n/a" and "no times of acquisition" in delay["note"]


def test_a_fact_that_nothing_is_computed_for_is_an_error(files, tmp_path):
    facts = read_table(FACTS, text=("fact", "value", "unit", "where"))
    write_table(pd.concat([facts, pd.DataFrame([("shoe size", "43", None, "abstract")], columns=facts.columns)]), tmp_path / "facts.csv")
    with pytest.raises(InputError, match=r"facts\.csv.*'shoe size'"):
        build(files, printed=tmp_path / "facts.csv")


def test_values_as_the_paper_prints_them():
    cases = [
        (55.8374, "39.7", "predicted volume", "55.8"),
        (16.02, "20", "predicted volume", "16"),
        (0.00691, "1", "training duration", "0.0069"),
        (109, "109", "patients", "109"),
        (0.0013456, "0.72", "correlation p", "0.0013"),
        ("17-19", "17-19", "test patients", "17-19"),
        (math.nan, "170", "delay", "n/a"),
        (0.0, "3", "patients", "0"),
    ]
    for number, printed, fact, expected in cases:
        assert shown({"value": number, "printed_value": printed, "fact": fact}) == expected
