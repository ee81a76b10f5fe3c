"""What the check remembers, and what a step found wrong in a patient's file."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from finalinfarct.dataset.check import Fault, check_dataset
from finalinfarct.dataset.contract import patient_files
from finalinfarct.dataset.images import write_image
from finalinfarct.dataset.memory import CheckMemory, image_settings, remember_fault, remembered_faults
from finalinfarct.errors import InputError
from finalinfarct.plan.code import code_hash, door_hashes
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
    assert looked_at(monkeypatch, dataset, config, tmp_path) == (["sub-01", "sub-02"], [])
    assert looked_at(monkeypatch, dataset, config, tmp_path) == ([], [])
    os.utime(patient_files(dataset, "sub-01")["dsc"], (0, 0))
    assert looked_at(monkeypatch, dataset, config, tmp_path) == (["sub-01"], [])
    side = patient_files(dataset, "sub-01")["dsc"]
    side.with_name(side.name.replace(".nii.gz", ".json")).write_text("{}", encoding="utf-8")
    seen, faults = looked_at(monkeypatch, dataset, config, tmp_path)
    assert seen == ["sub-01"] and {fault.participant_id for fault in faults} == {"sub-01"}


def test_fault_of_a_link_is_seen_and_gone_with_the_link(monkeypatch, dataset, config, tmp_path):
    """A link that leads nowhere has no size and no time, as a file that is not there."""
    looked_at(monkeypatch, dataset, config, tmp_path)
    link = patient_files(dataset, "sub-01")["flair"]
    link.parent.mkdir()
    link.symlink_to(tmp_path / "nowhere.nii.gz")
    for _ in range(2):
        seen, faults = looked_at(monkeypatch, dataset, config, tmp_path)
        assert (seen, [(fault.file, fault.found) for fault in faults]) == (["sub-01"], [(str(link), "the file does not exist")])
    link.unlink()
    assert looked_at(monkeypatch, dataset, config, tmp_path) == (["sub-01"], [])
    assert looked_at(monkeypatch, dataset, config, tmp_path) == ([], [])


def test_faulty_patient_is_looked_at_again_with_the_same_files(monkeypatch, dataset, config, tmp_path):
    """What was wrong may be mended where no file shows it."""
    from finalinfarct.dataset import check

    with monkeypatch.context() as patch:
        patch.setattr(check, "check_patient", lambda root, name, cohort: [Fault(name, "a file", "cannot be opened", "mend it")])
        assert len(check_dataset(dataset, config["cohorts"], CheckMemory("1", tmp_path / "memory" / "check.json"))[1]) == 2
    assert looked_at(monkeypatch, dataset, config, tmp_path) == (["sub-01", "sub-02"], [])


def test_memory_is_of_one_code_and_one_configuration(monkeypatch, dataset, config, tmp_path):
    looked_at(monkeypatch, dataset, config, tmp_path)
    assert looked_at(monkeypatch, dataset, config, tmp_path, code="2")[0] == ["sub-01", "sub-02"]
    config["cohorts"]["hibiscus"]["diffusion_lesion"] = "automatic"
    assert looked_at(monkeypatch, dataset, config, tmp_path, code="2")[0] == ["sub-01"]


@pytest.mark.parametrize("content", ["", "{", "[]", "5", "null", "[" * 100000])
def test_damaged_memory_is_no_memory(monkeypatch, dataset, config, tmp_path, content):
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "check.json").write_text(content, encoding="utf-8")
    assert looked_at(monkeypatch, dataset, config, tmp_path) == (["sub-01", "sub-02"], [])


@pytest.mark.parametrize("kept", [5, None, [5], [["a"]], "abcd", {"a": 1}])
def test_memory_of_another_shape_is_no_memory(monkeypatch, dataset, config, tmp_path, kept):
    looked_at(monkeypatch, dataset, config, tmp_path)
    path = tmp_path / "memory" / "check.json"
    path.write_text(json.dumps(dict.fromkeys(json.loads(path.read_text(encoding="utf-8")), kept)), encoding="utf-8")
    assert looked_at(monkeypatch, dataset, config, tmp_path) == (["sub-01", "sub-02"], [])
    assert looked_at(monkeypatch, dataset, config, tmp_path) == ([], [])


def test_faults_of_another_shape_are_none(dataset, tmp_path):
    series = patient_files(dataset, "sub-01")["dsc"]
    path = remember_fault(dataset, "sub-01", "perfusion", ["abc"], InputError(series, "no bolus", "replace it"), None, tmp_path)
    whole = json.loads(path.read_text(encoding="utf-8"))
    damaged = [5, None, [], "text", {}, *({key: value for key, value in whole.items() if key != absent} for absent in whole)]
    damaged += [whole | change for change in ({"codes": 5}, {"codes": [{}]}, {"participant_id": ["sub-01"]}, {"file": 5}, {"found": None})]
    for content in map(json.dumps, damaged):
        path.write_text(content, encoding="utf-8")
        assert remembered_faults(dataset, {"sub-01"}, lambda: {"abc"}, None, tmp_path) == [], content
    path.write_text("[" * 100000, encoding="utf-8")
    (tmp_path / "folder.json").mkdir()
    assert remembered_faults(dataset, {"sub-01"}, lambda: {"abc"}, None, tmp_path) == []


def test_faults_of_steps_hold_until_the_file_the_code_or_the_settings_change(dataset, tmp_path):
    series = patient_files(dataset, "sub-01")["dsc"]
    remember_fault(dataset, "sub-01", "perfusion", ["abc"], InputError(series, "no bolus", "replace it"), {"matrix": 16}, tmp_path / "faults")
    expected = [("sub-01", str(series), "no bolus", "replace it")]

    def held(patient="sub-01", code="abc", matrix=16):
        return remembered_faults(dataset, {patient}, lambda: {code}, {"matrix": matrix}, tmp_path / "faults")

    assert held() == expected
    assert held(patient="sub-02") == held(code="abd") == held(matrix=96) == []
    os.utime(series, (0, 0))
    assert held() == []


def test_fault_of_a_step_is_gone_with_the_link_or_the_permission_that_made_it(dataset, tmp_path, monkeypatch):
    def held():
        return [found for _, _, found, _ in remembered_faults(dataset, {"sub-01"}, lambda: {"abc"}, None, tmp_path / "faults")]

    files, access = patient_files(dataset, "sub-01"), os.access
    files["flair"].parent.mkdir()
    files["flair"].symlink_to(tmp_path / "nowhere.nii.gz")
    remember_fault(dataset, "sub-01", "perfusion", ["abc"], InputError(files["flair"], "absent", "add it"), None, tmp_path / "faults")
    with monkeypatch.context() as patch:  # root may read everything
        patch.setattr(os, "access", lambda path, mode: path != files["dsc"] and access(path, mode))
        remember_fault(dataset, "sub-01", "adc", ["abc"], InputError(files["dsc"], "cannot be opened", "let it"), None, tmp_path / "faults")
        assert held() == ["cannot be opened"]
    assert held() == ["absent"]
    files["flair"].unlink()
    assert held() == []


def test_door_keeps_a_fault_and_the_next_plan_acts_on_it(dataset, config, tmp_path, monkeypatch):
    config["dataset"] |= {"path": str(dataset), "simulated": False, "faults": "refuse"}
    series = patient_files(dataset, "sub-02")["dsc"]
    script = f"""
from types import SimpleNamespace
from finalinfarct.door import door
from finalinfarct.errors import InputError
import json
job = SimpleNamespace(log=[], rule="perfusion", wildcards={{"participant": "sub-02"}}, config=json.loads({json.dumps(config)!r}),
    params=SimpleNamespace(code="{code_hash("perfusion.py")}"))
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
    assert plan.faults == [("sub-02", str(series), "no bolus", "replace the series")]


STEP = """
import json, sys
from types import SimpleNamespace
from finalinfarct.door import door
from finalinfarct.errors import InputError
job = SimpleNamespace(log=[], rule="register", wildcards={"participant": "sub-02"}, config=json.loads(sys.argv[1]), input=["a.h5", sys.argv[2]],
    params=SimpleNamespace(code="0"))
with door(job):
    raise InputError(sys.argv[3], "the image is constant", "look at it")
"""


def fault_of_step(config, given, where):
    """Run the door of a step that is given an image and finds fault with a file."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow" / "scripts")}
    command = [sys.executable, "-c", STEP, json.dumps(config), given, where]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and "the image is constant" in done.stderr and "Traceback" not in done.stderr


@pytest.fixture(params=["beside the dataset", "within it"])
def derived(request, dataset, config, tmp_path, monkeypatch):
    """A whole image that an earlier step has made of sub-02, in a folder to work in, with the configuration of a run that leaves patients out."""
    folder = tmp_path if request.param == "beside the dataset" else dataset / "derivatives" / "finalinfarct"
    folder.mkdir(exist_ok=True, parents=True)
    monkeypatch.chdir(folder)
    config["dataset"] |= {"path": str(dataset), "simulated": False, "faults": "exclude"}
    path = Path("results/maps/sub-02/sub-02_ses-baseline_perfref.nii.gz")
    write_image(path, np.ones((12, 12, 4)), np.diag([10.0, 10, 5, 1]))
    return path


def touched_series(path, config):
    os.utime(patient_files(config["dataset"]["path"], "sub-02")["dsc"])


def other_settings(path, config):
    config["perfusion"]["motion_correction"] = not config["perfusion"]["motion_correction"]


def other_training(path, config):
    config["training"]["epochs"] += 1


@pytest.mark.parametrize(
    ("change", "holds"),
    [(other_training, True), (lambda path, config: path.unlink(), False), (touched_series, False), (other_settings, False)],
    ids=["training", "image removed", "series mended", "settings"],
)
def test_fault_of_an_image_made_here_holds_until_what_it_is_made_of_changes(change, holds, derived, config):
    fault_of_step(config, str(derived), str(derived))
    plan = Plan(config)
    assert (list(plan.patients), plan.faults) == (["sub-01"], [("sub-02", str(derived), "the image is constant", "look at it")])
    change(derived, config)
    assert list(Plan(config).patients) == ["sub-01"] + ["sub-02"] * (not holds)


def test_fault_of_an_image_made_here_is_of_all_code(derived, config):
    fault_of_step(config, str(derived), str(derived))
    hashes = door_hashes()
    for codes, count in ((hashes, 1), (hashes - {code_hash("perfusion.py")}, 0)):
        assert len(remembered_faults(config["dataset"]["path"], {"sub-02"}, lambda codes=codes: codes, image_settings(config))) == count


@pytest.mark.parametrize("kind", ["damaged", "not an input", "absent", "simulated", "failing disk"])
def test_door_keeps_no_fault_of_the_disk_or_of_an_output(kind, derived, config):
    where = str(derived)
    if kind == "damaged":
        derived.write_bytes(derived.read_bytes()[:-20])
    if kind in ("absent", "failing disk"):
        derived.unlink()
    if kind == "failing disk":  # the first bytes of a process's memory cannot be read: EIO
        derived.symlink_to("/proc/self/mem")
    config["dataset"]["simulated"] = kind == "simulated"
    fault_of_step(config, "b.nii.gz" if kind == "not an input" else where, where)
    assert not Path("results/faults").exists()
