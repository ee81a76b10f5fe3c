"""The TRIPOD+AI checklist says what the run's own files say."""

import pandas as pd
import pytest

from finalinfarct.dataset.contract import PARTICIPANT_COLUMNS
from finalinfarct.dataset.tables import write_table
from finalinfarct.learning.folds import make_folds, write_folds
from finalinfarct.reporting.checklist import AUTHORS, write_checklist


@pytest.fixture
def page(tmp_path, config):
    """Return a function that writes the checklist of a small run and returns its answers by item, and the whole text."""
    names = [f"sub-a{k}" for k in range(9)]
    rows = [(n, "hibiscus", "test", "2b", None, "reperfused" if k < 5 else "nonreperfused", "yes", None) for k, n in enumerate(names)]
    rows.append(("sub-a9", "hibiscus", "test", "3", None, None, "no", "the mask is empty"))
    columns = ["participant_id", "cohort", "role", "mtici", "reperfusion_ratio", "status", "included", "reason"]
    inclusion = pd.DataFrame(rows, columns=columns)
    people = [(n, "hibiscus", "2b", 70, "F", None if n == "sub-a0" else 10, 100, "yes", "M1", "no") for n in [*names, "sub-a9"]]
    cells = [(status, "cnn", "DSC", 0.5, 0.1, 4, 0.42, 0.58) for status in ("reperfused", "nonreperfused")]
    table3 = pd.DataFrame(cells, columns=["panel", "row", "metric", "mean", "sd", "n", "mean_ci_low", "mean_ci_high"]).assign(stars="")
    files = {name: tmp_path / f"{name}.tsv" for name in ("inclusion", "participants")}
    files |= {"folds": tmp_path / "folds.json", "table3": tmp_path / "table3.csv"}
    write_table(inclusion, files["inclusion"])
    write_table(pd.DataFrame(people, columns=PARTICIPANT_COLUMNS), files["participants"])
    write_table(table3, files["table3"])
    write_folds(make_folds(inclusion.assign(included=inclusion["included"] == "yes"), 2, 0), files["folds"])

    def write(simulated):
        settings = {name: config[name] for name in ("cohorts", "images", "training", "folds", "evaluation")}
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


def test_real_patients_leave_ethics_and_data_to_the_authors(page):
    answers, text = page(simulated=False)
    assert answers["17"] == answers["18e"] == AUTHORS
    assert "simulated" not in text.lower()
