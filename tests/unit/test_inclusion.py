"""Who takes part: status from mTICI or from the ratio, and a reason for everybody who is left out."""

import json

import pandas as pd
import pytest

from finalinfarct.dataset.contract import PARTICIPANT_COLUMNS
from finalinfarct.dataset.inclusion import read_inclusion, reperfusion_status, write_inclusion
from finalinfarct.dataset.tables import write_table


@pytest.mark.parametrize(("mtici", "status"), [("0", False), ("1", False), ("2a", False), ("2b", True), ("2c", True), ("3", True)])
def test_status_from_mtici(mtici, status):
    assert reperfusion_status("mtici", mtici, float("nan")) == ("reperfused" if status else "nonreperfused")


@pytest.mark.parametrize(("ratio", "status"), [(0.5, "reperfused"), (0.499, "nonreperfused"), (float("nan"), None)])
def test_status_from_the_ratio(ratio, status):
    assert reperfusion_status("h3_perfusion", None, ratio) == status


def test_inclusion_table(config, tmp_path):
    participants = [("sub-1", "hibiscus", "3"), ("sub-2", "hibiscus", "2a"), ("sub-3", "hibiscus", "0")]
    participants += [("sub-4", "iknow", None), ("sub-5", "iknow", None), ("sub-6", "iknow", None)]
    write_table(pd.DataFrame(participants, columns=PARTICIPANT_COLUMNS[:3]), tmp_path / "participants.tsv")
    faults = pd.DataFrame([("sub-3", "f", "truncated", "m")], columns=["participant_id", "file", "found", "mend"])
    write_table(faults, tmp_path / "faults.tsv")
    for name, ratio, reason in (("sub-4", 0.1, None), ("sub-5", 0.7, None), ("sub-6", None, "only 40 % were measured")):
        content = {"participant_id": name, "reperfusion_ratio": ratio, "reason": reason}
        (tmp_path / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    ratios = [tmp_path / f"sub-{n}.json" for n in (4, 5, 6)]
    write_inclusion(tmp_path / "participants.tsv", tmp_path / "faults.tsv", ratios, config["cohorts"], tmp_path / "inclusion.tsv")
    table = read_inclusion(tmp_path / "inclusion.tsv").set_index("participant_id")
    assert table["included"].tolist() == [True, True, False, True, False, False]
    assert table["status"].fillna("").tolist() == ["reperfused", "nonreperfused", "", "nonreperfused", "reperfused", ""]
    assert table.loc["sub-3", "reason"] == "truncated"
    assert "role training give non-reperfused" in table.loc["sub-5", "reason"]
    assert table.loc["sub-6", "reason"] == "only 40 % were measured, so the reperfusion ratio is undefined"
    assert table.loc["sub-4", "reperfusion_ratio"] == 0.1
