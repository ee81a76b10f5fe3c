"""The TRIPOD+AI checklist says what the run's own files say."""

import pandas as pd
import pytest

from finalinfarct.dataset.contract import PARTICIPANT_COLUMNS
from finalinfarct.dataset.tables import write_table
from finalinfarct.learning.folds import make_folds, write_folds
from finalinfarct.reporting.checklist import AUTHORS, write_checklist

COLUMNS = ["participant_id", "cohort", "role", "mtici", "reperfusion_ratio", "status", "included", "reason"]


@pytest.fixture
def page(tmp_path, config):
    """Return a function that writes the checklist of a small run and returns its answers by item, and the whole text.

    Nine patients of hibiscus are tested and one is left out; ``added`` more of iknow train only. Diffusion lesions are an expert's but in
    those ``automatic``; ``marked`` patients have arterial voxels of the user's; ``training`` changes settings of trainings.
    """
    files = {name: tmp_path / f"{name}.tsv" for name in ("inclusion", "participants", "volumes")}
    files |= {"folds": tmp_path / "folds.json", "table3": tmp_path / "table3.csv"}

    def write(simulated, added=0, automatic=(), marked=0, **training):
        names = [f"sub-a{k}" for k in range(9)]
        rows = [(n, "hibiscus", "test", "2b", None, "reperfused" if k < 5 else "nonreperfused", "yes", None) for k, n in enumerate(names)]
        rows.append(("sub-a9", "hibiscus", "test", "3", None, None, "no", "the mask is empty"))
        rows += [(f"sub-b{k}", "iknow", "training", None, 0.2, "nonreperfused", "yes", None) for k in range(added)]
        inclusion = pd.DataFrame(rows, columns=COLUMNS)
        people = [(row[0], row[1], "2b", 70, "F", None if row[0] == "sub-a0" else 10, 100, "yes", "M1", "no") for row in rows]
        cells = [(status, "cnn", "DSC", 0.5, 0.1, 4, 0.42, 0.58) for status in ("reperfused", "nonreperfused")]
        table3 = pd.DataFrame(cells, columns=["panel", "row", "metric", "mean", "sd", "n", "mean_ci_low", "mean_ci_high"]).assign(stars="")
        write_table(inclusion, files["inclusion"])
        write_table(pd.DataFrame(people, columns=PARTICIPANT_COLUMNS).assign(remark=None), files["participants"])
        write_table(table3, files["table3"])
        sources = ["automatic" if row[0] in automatic else "expert" for row in rows]
        write_table(inclusion[["participant_id"]].assign(diffusion_lesion_source=sources), files["volumes"])
        write_folds(make_folds(inclusion.assign(included=inclusion["included"] == "yes"), 2, 0), files["folds"])
        settings = {name: config[name] for name in ("cohorts", "images", "training", "folds", "evaluation")}
        settings["training"] = settings["training"] | training
        settings["perfusion_maps"] = {"computed": 7, "given": 2, "marked": marked}
        write_checklist(files, settings | {"faults": "exclude", "simulated": simulated}, tmp_path / "page.md")
        text = (tmp_path / "page.md").read_text(encoding="utf-8")
        cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line.startswith("|")]
        return {item: answer for item, _, answer in cells[2:]}, text

    return write


def test_answers_come_from_the_run(page):
    answers, text = page(simulated=True)
    assert answers["6b"].startswith("10 patients in participants.tsv, 9 included")
    assert "9 tested (5 reperfused, 4 non-reperfused)" in answers["10"]
    assert "1 the mask is empty" in answers["11"] and "1 nihss" in answers["11"]
    assert "2-fold" in answers["12a"] and "per fold: 4 to 5" in answers["12a"]
    assert "0.50 ± 0.10 (95 % CI 0.42 to 0.58, n = 4)" in answers["23a"]
    assert text.startswith("**The cohort is simulated")
    assert "no person was scanned" in answers["17"]


def test_what_users_bring_to_the_predictors_is_told(page):
    answers, _ = page(simulated=False)
    assert "computed in 7 patients, given in 2" in answers["7"]
    assert answers["9c"].startswith("None for the networks.") and "arterial" not in answers["27b"]
    answers, _ = page(simulated=False, marked=3)
    assert (
        answers["9c"].startswith("Arterial voxels marked by hand in 3 patients for the networks.") and "a mask of arterial voxels" in answers["27b"]
    )


def test_real_patients_leave_ethics_and_data_to_the_authors(page):
    answers, text = page(simulated=False)
    assert answers["17"] == answers["18e"] == AUTHORS
    assert "simulated" not in text.lower()


def test_only_cohorts_with_patients_are_named(page):
    answers, text = page(simulated=False)
    assert "iknow" not in text and "H3" not in text and "role training" not in text and "train only" not in text
    assert answers["5a"].startswith("Cohorts: hibiscus: role test") and answers["12d"] == "Cohort hibiscus."
    assert answers["6c"] == "iv_tpa in table A.5. Reperfusion by mTICI 2b to 3."
    assert answers["16"] == "Every model is tested on all tested patients, whatever their status; development and test by cross-validation."
    assert answers["20c"] == "The same patients, by cross-validation."
    # A column of the user's own is no clinical value of table A.5.
    assert answers["11"].endswith("Clinical values missing: 1 nihss (not imputed; table A.5 only).")


def test_patients_who_train_only_are_told_from_the_tested(page):
    answers, _ = page(simulated=False, added=4)
    assert "hibiscus: role test" in answers["5a"] and "iknow: role training" in answers["5a"] and "4 more train only" in answers["10"]
    assert answers["6c"].endswith("Reperfusion by mTICI 2b to 3 or an H3 perfusion ratio of at least 0.5.")
    assert answers["12d"] == "Cohorts hibiscus, iknow; only those with role test are tested."
    # Table A.5 pools them.
    assert answers["16"].endswith("The 4 patients of role training are never tested: item 20c.") and "A.5" not in answers["16"]
    assert answers["20c"] == "results/text_results.csv compares the non-reperfused patients of hibiscus and iknow."


def test_diffusion_lesions_are_an_experts_only_where_there_is_one(page):
    assert page(simulated=False)[0]["9c"] == "None for the networks. Mismatch model: diffusion lesion by an expert in all 9 patients."
    answers, _ = page(simulated=False, added=2, automatic=("sub-a0", "sub-a3", "sub-b0"))
    # Of the tested patients.
    assert answers["9c"].endswith("diffusion lesion by an expert in 7 patients, automatic (ADC threshold) in 2.")
    assert page(simulated=True)[0]["9c"].endswith("by an expert in all 9 patients; the expert is simulated.")


def test_validation_patients_decide_what_the_settings_let_them(page):
    # A tenth of the 16 or 17 patients that a fold leaves the general model, of 14 and of 2 or 3 in the others.
    best = page(simulated=False, added=12, epochs=20)[0]["12c"]
    assert best.endswith("Validation patients (1 to 2 per training) decide which epoch's weights are kept.")
    last = page(simulated=False, added=12, epochs=20, weights="last")[0]["12c"]
    assert last.endswith("Validation patients (1 to 2 per training) decide nothing: the last epoch's weights are kept.")
    long = page(simulated=False, added=12, epochs=500, weights="last")[0]["12c"]
    assert long.endswith("decide when a training stops; its last epoch's weights are kept.")
    both = page(simulated=False, added=12, epochs=500)[0]["12c"]
    assert both.endswith("decide when a training stops, and which epoch's weights are kept.")


def test_settings_chosen_on_simulated_patients_are_not_called_fixed_in_advance(page):
    answers, text = page(simulated=True)
    assert "in advance" not in text and "docs/measurements.md" in answers["12c"]
    answers, text = page(simulated=False)
    assert "in advance" not in text and "measurements" not in text and "The run tunes no setting." in answers["12c"]
