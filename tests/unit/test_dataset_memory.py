"""What the check remembers, and what a step found wrong in a patient's file."""

import json
import os
import subprocess
import sys

import pytest

from finalinfarct.dataset.check import check_dataset
from finalinfarct.dataset.contract import patient_files
from finalinfarct.dataset.memory import CheckMemory, remember_fault, remembered_faults
from finalinfarct.errors import InputError
from finalinfarct.plan.code import code_hash
from finalinfarct.plan.plan import Plan
from project import ROOT


def looked_at(monkeypatch, dataset, config, tmp_path, code="1"):
    """Patients that a check with the memory in ``tmp_path`` looks at, and its faults."""
    from finalinfarct.dataset import check

    seen, real = [], check.check_patient
    monkeypatch.setattr(check, "check_patient", lambda root, name, cohort: seen.append(name) or real(root, name, cohort))
    faults = check_dataset(dataset, config["cohorts"], CheckMemory(code, tmp_path / "memory" / "check.json"))[1]
    monkeypatch.undo()
    return seen, faults


def test_patients_are_looked_at_again_when_their_files_change(monkeypatch, dataset, config, tmp_path):
    (patient_files(dataset, "sub-02")["final_lesion"]).unlink()
    seen, faults = looked_at(monkeypatch, dataset, config, tmp_path)
    assert seen == ["sub-01", "sub-02"] and [fault.participant_id for fault in faults] == ["sub-02"]
    assert looked_at(monkeypatch, dataset, config, tmp_path) == ([], faults)
    os.utime(patient_files(dataset, "sub-01")["dsc"], (0, 0))
    assert looked_at(monkeypatch, dataset, config, tmp_path) == (["sub-01"], faults)
    side = patient_files(dataset, "sub-01")["dsc"]
    side.with_name(side.name.replace(".nii.gz", ".json")).write_text("{}", encoding="utf-8")
    seen, faults = looked_at(monkeypatch, dataset, config, tmp_path)
    assert seen == ["sub-01"] and {fault.participant_id for fault in faults} == {"sub-01", "sub-02"}


def test_memory_is_of_one_code_and_one_configuration(monkeypatch, dataset, config, tmp_path):
    looked_at(monkeypatch, dataset, config, tmp_path)
    assert looked_at(monkeypatch, dataset, config, tmp_path, code="2")[0] == ["sub-01", "sub-02"]
    config["cohorts"]["hibiscus"]["diffusion_lesion"] = "automatic"
    assert looked_at(monkeypatch, dataset, config, tmp_path, code="2")[0] == ["sub-01"]


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_damaged_memory_is_no_memory(monkeypatch, dataset, config, tmp_path, content):
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "check.json").write_text(content, encoding="utf-8")
    assert looked_at(monkeypatch, dataset, config, tmp_path) == (["sub-01", "sub-02"], [])


def test_faults_of_steps_hold_until_the_file_or_the_code_changes(dataset, tmp_path):
    series = patient_files(dataset, "sub-01")["dsc"]
    remember_fault(dataset, "sub-01", "perfusion", "abc", InputError(series, "no bolus", "replace it"), tmp_path / "faults")
    expected = [("sub-01", str(series), "no bolus", "replace it")]
    assert remembered_faults(dataset, {"sub-01"}, lambda: {"abc"}, tmp_path / "faults") == expected
    assert remembered_faults(dataset, {"sub-02"}, lambda: {"abc"}, tmp_path / "faults") == []
    assert remembered_faults(dataset, {"sub-01"}, lambda: {"abd"}, tmp_path / "faults") == []
    os.utime(series, (0, 0))
    assert remembered_faults(dataset, {"sub-01"}, lambda: {"abc"}, tmp_path / "faults") == []


def test_door_keeps_a_fault_and_the_next_plan_acts_on_it(dataset, config, tmp_path, monkeypatch):
    config["dataset"] |= {"path": str(dataset), "simulated": False, "faults": "refuse"}
    series = patient_files(dataset, "sub-02")["dsc"]
    script = f"""
from types import SimpleNamespace
from finalinfarct.door import door
from finalinfarct.errors import InputError
job = SimpleNamespace(log=[], rule="perfusion", wildcards={{"participant": "sub-02"}}, config={json.dumps(config["dataset"])!r},
    params=SimpleNamespace(code="{code_hash("perfusion.py")}"))
import json
job.config = {{"dataset": json.loads(job.config)}}
with door(job):
    raise InputError({str(series)!r}, "no bolus", "replace the series")
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow" / "scripts")}
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and "leaves sub-02 out" in done.stderr and "Traceback" not in done.stderr
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"(?s)1 fault\n.*no bolus.*exclude"):
        Plan(config)
    config["dataset"]["faults"] = "exclude"
    plan = Plan(config)
    assert list(plan.patients) == ["sub-01"]
    assert plan.found_by_steps == [("sub-02", str(series), "no bolus", "replace the series")]


def test_door_keeps_no_fault_of_a_result(tmp_path):
    script = """
from types import SimpleNamespace
from finalinfarct.door import door
from finalinfarct.errors import InputError
job = SimpleNamespace(log=[], rule="perfusion", wildcards={"participant": "sub-02"}, config={"dataset": {"path": "bids", "simulated": False}})
with door(job):
    raise InputError("results/maps/sub-02.nii.gz", "truncated", "make it again")
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow" / "scripts")}
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and "truncated" in done.stderr
    assert not (tmp_path / "results").exists()
