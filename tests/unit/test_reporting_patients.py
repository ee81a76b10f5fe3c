import re
from pathlib import Path

import pandas as pd
import pytest

from finalinfarct.dataset.contract import PARTICIPANT_COLUMNS
from finalinfarct.dataset.tables import read_table, write_table
from finalinfarct.errors import InputError
from finalinfarct.reporting.encoder import PRINTED_LAYERS, write_table1
from finalinfarct.reporting.patients import included_patients, write_table_a5

FACTS = Path(__file__).parents[2] / "resources" / "printed" / "facts.csv"


@pytest.fixture
def cohort(tmp_path):
    """Write five patients, of whom the last is not included."""
    rows = [
        ("sub-1", "a", "3", 60, "F", 10, 90, "yes", "M1", "no"),
        ("sub-2", "a", "0", 70, "M", 14, 100, "no", "ICA+M1", "yes"),
        ("sub-3", "a", "2b", 75, "F", 16, None, "yes", "M1", "no"),
        ("sub-4", "a", "2a", 85, "M", 22, 160, None, "M2", "no"),
        ("sub-5", "a", "2a", 20, "F", 40, 900, "yes", "ICA+M2", "yes"),
    ]
    write_table(pd.DataFrame(rows, columns=PARTICIPANT_COLUMNS), tmp_path / "participants.tsv")
    included = pd.DataFrame({"participant_id": [row[0] for row in rows], "cohort": "a", "role": "test", "mtici": "3", "reperfusion_ratio": None})
    included = included.assign(status="reperfused", included=["yes"] * 4 + ["no"], reason=None)
    write_table(included, tmp_path / "inclusion.tsv")
    volumes = pd.DataFrame(
        {"participant_id": [row[0] for row in rows], "diffusion_lesion_ml": [4.0, 10.0, 20.0, 30.0, 500.0], "final_lesion_ml": 1.0}
    )
    write_table(volumes.assign(diffusion_lesion_source=["expert", "automatic", "expert", "expert", "automatic"]), tmp_path / "volumes.tsv")
    return tmp_path


def build(folder, **options):
    files = [folder / f"{name}.tsv" for name in ("participants", "inclusion", "volumes")]
    write_table_a5(*files, FACTS, folder / "a5.csv", folder / "a5.md", **options)
    return read_table(folder / "a5.csv", text=("row",)).set_index("row"), (folder / "a5.md").read_text(encoding="utf-8")


def test_table_a5_in_closed_form(cohort):
    rows, page = build(cohort)
    assert len(rows) == 11
    women = rows.loc["Women, n (percentage)"]
    assert women[["n", "n_missing", "count", "percentage"]].tolist() == [4, 0, 2, 50]
    age = rows.loc["Age, years"]
    # Type 7: quartiles of 60, 70, 75, 85 at positions 0.75, 1.5 and 2.25.
    assert age[["quartile_1", "median", "quartile_3"]].tolist() == [67.5, 72.5, 77.5]
    delay = rows.loc["Time from symptoms onset to MRI, min"]
    assert delay[["n", "n_missing", "median", "quartile_1", "quartile_3"]].tolist() == [3, 1, 100, 95, 130]
    assert rows.loc["Intravenous tPA, n (percentage)", ["n", "n_missing", "count"]].tolist() == [3, 1, 2]
    assert rows.loc["Intravenous tPA, n (percentage)", "percentage"] == pytest.approx(200 / 3)
    sites = [rows.loc[f"Occlusion: {site}, n (percentage)", "count"] for site in ("intracranial ICA + M1", "M1", "intracranial ICA + M2", "M2")]
    assert sites == [1, 2, 0, 1]
    assert rows.loc["DWI lesion size, mL", ["median", "quartile_1", "quartile_3"]].tolist() == [15, 8.5, 22.5]
    assert "| Women, n (percentage) | 2 (50.0) | 45 (41.3) | 0 |" in page
    assert "| DWI lesion size, mL | 15.0 (8.5–22.5) | 24.9 (7.4–50.9) | 0 |" in page
    assert "M2 occlusions in I-KNOW" in page and not page.startswith("**")
    # The fifth patient is not included.
    assert page.count("- Diffusion lesion by an expert in 3 patients, automatic (ADC threshold) in 1.") == 1


def test_table_a5_shows_the_printed_percentages(cohort):
    _, page = build(cohort, simulated=True)
    for printed in ("27 (24.8)", "54 (49.5)", "23 (21.1)", "5 (4.6)", "19 (17.4)", "59 (54.1)", "70 (57–79)", "15 (10–19)", "105 (78–154)"):
        assert f"| {printed} |" in page
    assert page.startswith("**The cohort is simulated")
    assert len({line.count("|") for line in re.findall(r"^\|.*$", page, flags=re.MULTILINE)}) == 1


def test_table_a5_needs_every_included_patient(cohort):
    volumes = read_table(cohort / "volumes.tsv")
    write_table(volumes[volumes["participant_id"] != "sub-2"], cohort / "volumes.tsv")
    with pytest.raises(InputError, match=r"volumes.tsv.*sub-2"):
        build(cohort)


def test_own_columns_win_over_the_users(cohort):
    before, _ = build(cohort)
    people = read_table(cohort / "participants.tsv", text=("participant_id", "cohort", "mtici"))
    write_table(people.assign(status="alive", role="control", diffusion_lesion_ml=7.0, diffusion_lesion_source="magic"), cohort / "participants.tsv")
    after, _ = build(cohort)
    pd.testing.assert_frame_equal(after, before)
    found = included_patients(*(cohort / f"{name}.tsv" for name in ("participants", "inclusion", "volumes")))
    assert set(found["status"]) == {"reperfused"} and set(found["role"]) == {"test"}


def test_table1(tmp_path):
    counts = {"late fusion, 5 inputs": 1997851, "early fusion, 5 inputs": 487643}
    write_table1(list(PRINTED_LAYERS), counts, tmp_path / "t.csv", tmp_path / "t.md")
    table = read_table(tmp_path / "t.csv", text=("value", "printed_value"))
    assert list(table.columns) == ["part", "row", "value", "printed_value"]
    layers = table[table["part"] == "encoder"]
    assert (layers["value"] == layers["printed_value"]).all() and layers["value"].iloc[-1] == "12*12*640"
    assert table.iloc[-2:][["row", "value", "printed_value"]].fillna("").to_numpy().tolist() == [
        ["late fusion, 5 inputs", "1997851", "1997851"],
        ["early fusion, 5 inputs", "487643", ""],
    ]
    page = (tmp_path / "t.md").read_text(encoding="utf-8")
    assert "| Conv Block 5 + Dropout | 12\\*12\\*128 | 12\\*12\\*128 |" in page and "scale with it" not in page


def test_table1_of_another_matrix(tmp_path):
    rows = [(name, (height // 3, width // 3, channels)) for name, (height, width, channels) in PRINTED_LAYERS]
    write_table1(rows, {}, tmp_path / "t.csv", tmp_path / "t.md")
    assert "| Conv Block 1 | 64\\*64\\*8 | 192\\*192\\*8 |" in (tmp_path / "t.md").read_text(encoding="utf-8")
    assert "this run's 64x64" in (tmp_path / "t.md").read_text(encoding="utf-8")
