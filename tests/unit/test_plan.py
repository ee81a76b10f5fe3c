"""The plan: families, patients, transforms, and the hash of the code behind each door."""

import logging
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from finalinfarct.dataset.contract import patient_files
from finalinfarct.dataset.description import write_description
from finalinfarct.dataset.images import sidecar_path, write_image
from finalinfarct.dataset.memory import image_settings, remember_fault
from finalinfarct.errors import InputError
from finalinfarct.learning.families import model_families
from finalinfarct.plan import code
from finalinfarct.plan.plan import Plan


def asked(participant, **wildcards):
    return SimpleNamespace(participant=participant, **wildcards)


def test_fourteen_families_each_once():
    families = model_families()
    assert len(families) == len(set(families)) == 14
    assert sum(family.fusion == "early" for family in families) == 3
    assert sum(family.training_set == "all" for family in families) == 2


def test_simulated_plan(config):
    plan = Plan(config)
    assert len(plan.patients) == 30
    assert len(plan.with_role("test")) == 24
    assert plan.pattern(series=False) == "nobody"
    assert len(plan.with_h3()) == 6


def test_stripped_images_were_measured_in_the_brain_alone(config):
    """A stripped reference mixed with the 0 around it would widen the brain mask by a rim."""
    assert Plan(config).measured("diffusion") == {"ADC": "ADC"}
    assert Plan(config).measured("perfusion") == {"Tmax": "CBF", "CBF": "CBF", "CBV": "CBF"}
    config["images"]["brain_mask"] = "given"
    assert set(Plan(config).measured("diffusion")) == {"b0", "DWI", "ADC"}
    assert set(Plan(config).measured("perfusion")) == {"perfref", "Tmax", "CBF", "CBV"}


def test_brain_is_not_told_from_a_given_map_of_flow(config, dataset):
    """Of ischaemic tissue such a map shows too little: the reference may be one, but the mask is then made from b0."""
    config["dataset"] = {"path": str(dataset), "simulated": False, "faults": "refuse"}
    files = patient_files(dataset, "sub-02")
    assert Plan(config).image_of_brain(asked("sub-02")).endswith("_ses-baseline_space-reference_perfref.nii.gz")
    for session in ("", "h3_"):
        for name in ("tmax", "cbf", "cbv"):
            write_image(files[f"{session}{name}"], np.ones((8, 8, 6), np.float32), np.eye(4), {"Units": "s"} if name == "tmax" else {})
        files[f"{session}dsc"].unlink()
    plan = Plan(config)
    assert plan.image_of_brain(asked("sub-02")).endswith("_ses-baseline_space-reference_b0.nii.gz")
    assert plan.resampled_reference(asked("sub-02")).endswith("_ses-baseline_space-reference_perfref.nii.gz")
    assert plan.image_of_brain(asked("sub-01")).endswith("_b0.nii.gz")


def test_results_of_other_patients_are_noticed(config, dataset, tmp_path, monkeypatch, caplog):
    """As when --configfile is forgotten: the default would write its tables over those of one's own patients."""
    monkeypatch.chdir(tmp_path)
    Plan(config)
    for name in ("sub-01", "sub-02"):
        (tmp_path / "results" / "maps" / name).mkdir(parents=True)
    own = config | {"dataset": {"path": str(dataset), "simulated": False, "faults": "refuse"}}
    Plan(own)
    assert "other patients" not in caplog.text
    Plan(config)
    assert "images of other patients (sub-01, ...)" in caplog.text and "--configfile" in caplog.text
    caplog.clear()
    (tmp_path / "results" / "maps" / "sub-hibiscus001").mkdir()
    Plan(config)
    assert "other patients" not in caplog.text


def test_sources_of_perfusion_are_counted(config, dataset):
    assert Plan(config).sources_of_perfusion() == {"computed": 30, "given": 0, "marked": 0}
    config["dataset"] = {"path": str(dataset), "simulated": False, "faults": "refuse"}
    write_image(patient_files(dataset, "sub-01")["aif_mask"], np.ones((12, 12, 4)), np.diag([10.0, 10.0, 5.0, 1.0]))
    assert Plan(config).sources_of_perfusion()["marked"] == 1


def test_paper_trains_seventy_networks(config):
    config["folds"]["number"] = 5
    plan = Plan(config)
    assert len(plan.families) * len(plan.folds) == 70


def test_files_of_given_data(dataset, config):
    config["dataset"] = {"path": str(dataset), "simulated": False, "faults": "refuse"}
    plan = Plan(config)
    assert list(plan.patients) == ["sub-01", "sub-02"]
    assert plan.raw("dsc")(asked("sub-02", session="h3")).endswith("ses-h3_dsc.nii.gz")
    assert plan.raw("flair")(asked("sub-01")) == []
    assert plan.transform("dwi")(asked("sub-01")) == []
    assert plan.transform("dwi")(asked("sub-02")).endswith("sub-02_from-dwi_to-reference_xfm.h5")
    assert plan.transform("dsc")(asked("sub-01", session="baseline")).endswith("from-dsc_to-reference_xfm.h5")
    assert plan.transform("dsc")(asked("sub-02", session="baseline")) == []
    assert plan.inverse("dwi")(asked("sub-01")) == [] and plan.inverse("dwi")(asked("sub-02")).endswith("sub-02_from-reference_to-dwi_xfm.h5")
    assert plan.transform("dsc")(asked("sub-02", session="h3")).endswith("from-h3_to-reference_xfm.h5")
    assert plan.reference(asked("sub-01")).endswith("_b0.nii.gz")
    assert plan.reference(asked("sub-02")).endswith("_perfref.nii.gz")
    assert plan.expert_diffusion_lesion(asked("sub-01")) == []
    assert not any("truth" in path for path in plan.all_raw(None))


def test_another_file_is_seen_also_when_it_is_older(dataset, config):
    config["dataset"] = {"path": str(dataset), "simulated": False, "faults": "refuse"}
    files = {name: patient_files(dataset, "sub-01")[name] for name in ("dsc", "followup_flair")}

    def states():
        plan, series, followup = Plan(config), asked("sub-01", session="baseline"), asked("sub-01", image="followup")
        return plan.state("dsc", "aif_mask")(series), plan.state_of_moving(followup), plan.participants_state()

    before = states()
    assert None not in before and states() == before
    os.utime(sidecar_path(files["dsc"]), (1, 1))
    assert [old == new for old, new in zip(before, states(), strict=True)] == [False, True, True]
    os.utime(files["followup_flair"], (1, 1))
    assert [old == new for old, new in zip(before, states(), strict=True)] == [False, False, True]
    table = dataset / "participants.tsv"
    table.write_text(table.read_text(encoding="utf-8").replace("2b", "2c"), encoding="utf-8")
    assert states()[2] != before[2]
    assert Plan(config).state_of_moving(asked("sub-01", image="dsc")) is None


def test_simulated_patients_are_called_so_wherever_they_lie(dataset, config):
    config["dataset"] = {"path": str(dataset), "simulated": False, "faults": "refuse"}
    assert not Plan(config).of_simulation
    write_description(dataset, "Copy", "raw", made_by="Simulation, seed 1")
    plan = Plan(config)
    assert plan.of_simulation and plan.preparation("test")["simulated"] and not plan.simulated
    (dataset / "dataset_description.json").write_text('{"GeneratedBy": ["somebody"]}', encoding="utf-8")
    assert not Plan(config).of_simulation


def test_name_of_nobody_and_folder_of_the_home(dataset, config, monkeypatch):
    monkeypatch.setenv("HOME", str(dataset.parent))
    config["dataset"] = {"path": f"~/{dataset.name}", "simulated": False, "faults": "refuse"}
    plan = Plan(config)
    assert plan.root == dataset and list(plan.cohorts()) == ["hibiscus", "iknow"]
    assert plan.pattern_of_role("test") == "sub-01" and plan.pattern_of_role("new") == "nobody"
    for ask in (plan.registration, plan.reference, plan.transform("dsc"), lambda wildcards: plan.position(wildcards, None)):
        with pytest.raises(InputError, match="sub-03: not among the patients"):
            ask(asked("sub-03", image="dsc"))


def test_too_few_patients_for_the_folds_are_said_before_anything_runs(dataset, config, caplog):
    config["dataset"] = {"path": str(dataset), "simulated": False, "faults": "refuse"}
    with caplog.at_level(logging.WARNING):
        Plan(config)
    assert "1 tested patients are reperfused, too few for 3 folds" in caplog.text
    assert "0 tested patients are nonreperfused" in caplog.text


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("dwi", "sub-02_ses-baseline_b0"),
        ("dsc", "sub-02_ses-baseline_perfref"),
        ("h3", "sub-02_ses-h3_perfref"),
        ("flair", "sub-02_ses-baseline_FLAIR"),
        ("followup", "sub-02_ses-followup_FLAIR"),
    ],
)
def test_each_image_is_moved_by_its_own_scan(dataset, config, image, name):
    config["dataset"] = {"path": str(dataset), "simulated": False, "faults": "refuse"}
    assert Path(Plan(config).moving(asked("sub-02", image=image))).name == f"{name}.nii.gz"


def test_the_final_lesion_moves_with_the_image_it_was_drawn_on(dataset, config):
    config["dataset"] = {"path": str(dataset), "simulated": False, "faults": "refuse"}
    plan = Plan(config)
    assert plan.transform("final")(asked("sub-02")).endswith("sub-02_from-followup_to-reference_xfm.h5")
    plan.cohort("sub-02")["final_lesion"] = "baseline"
    assert plan.transform("final")(asked("sub-02")).endswith("sub-02_from-dwi_to-reference_xfm.h5")


def test_the_expert_s_diffusion_lesion_is_used_only_when_asked(config):
    config["cohorts"]["iknow"]["diffusion_lesion"] = "automatic"
    plan = Plan(config)
    assert plan.expert_diffusion_lesion(asked("sub-hibiscus001")).endswith("sub-hibiscus001_ses-baseline_label-lesion_mask.nii.gz")
    assert plan.expert_diffusion_lesion(asked("sub-iknow001")) == []


def test_an_affine_stage_between_dwi_and_dsc_series_only(dataset, config):
    config["dataset"] = {"path": str(dataset), "simulated": False, "faults": "refuse"}
    plan = Plan(config)
    kinds = {image: plan.registration(asked("sub-01", image=image)) for image in ("dsc", "h3", "followup", "flair")}
    assert kinds == {"dsc": "epi", "h3": "epi", "followup": "nonlinear", "flair": "nonlinear"}
    assert {plan.registration(asked("sub-02", image=image)) for image in ("dwi", "h3", "followup")} == {"affine"}
    plan.cohort("sub-02")["registration"] = "nonlinear"
    assert {image: plan.registration(asked("sub-02", image=image)) for image in ("dwi", "h3")} == {"dwi": "epi", "h3": "nonlinear"}
    plan.cohort("sub-01")["registration"] = "rigid"
    assert {plan.registration(asked("sub-01", image=image)) for image in ("dsc", "h3", "followup")} == {"rigid"}


def test_side_files_are_inputs_where_there_are_any(dataset, config):
    plan = Plan(config)
    dsc = plan.side_files("dsc")
    assert dsc(asked("sub-iknow001", session="h3")) == ["results/dataset/sub-iknow001/ses-h3/perf/sub-iknow001_ses-h3_dsc.json"]
    assert [Path(path).name for path in plan.side_files("dwi", "adc")(asked("sub-iknow001"))] == ["sub-iknow001_ses-baseline_dwi.json"]
    config["dataset"] = {"path": str(dataset), "simulated": False, "faults": "refuse"}
    plan = Plan(config)
    side = patient_files(dataset, "sub-01")["dwi"].with_name("sub-01_ses-baseline_dwi.json")
    assert plan.side_files("dwi", "adc")(asked("sub-01")) == [str(side)]
    side.unlink()
    assert plan.side_files("dwi", "adc")(asked("sub-01")) == []


def test_a_job_that_was_ended_asks_for_more_memory(config):
    asks = Plan(config).memory(1500)
    assert [asks(None, attempt=attempt) for attempt in (1, 2, 3)] == [1500, 3000, 4500]


def test_faults_refuse_or_exclude(dataset, config):
    write_image(patient_files(dataset, "sub-01")["final_lesion"], np.zeros((12, 12, 4)), np.diag([10.0, 10, 5, 1]), dtype=np.uint8)
    config["dataset"] = {"path": str(dataset), "simulated": False, "faults": "refuse"}
    with pytest.raises(InputError, match="the mask is empty"):
        Plan(config)
    config["dataset"]["faults"] = "exclude"
    assert list(Plan(config).patients) == ["sub-02"]


def test_process_of_a_job_goes_by_what_the_command_found(dataset, config, tmp_path, monkeypatch):
    """A fault that a step keeps while jobs run ends no other patient's job, and a patient who was left out stays so."""
    monkeypatch.chdir(tmp_path)
    config["dataset"] = {"path": str(dataset), "simulated": False, "faults": "refuse"}
    Plan(config).start()

    def keep(name):
        fault = InputError(patient_files(dataset, name)["dsc"], "no bolus", "replace it")
        remember_fault(dataset, name, "perfusion", [code.code_hash("perfusion.py")], fault, image_settings(config))

    keep("sub-01")
    assert list(Plan(config, main=False).patients) == ["sub-01", "sub-02"]
    with pytest.raises(InputError, match="no bolus"):
        Plan(config)
    config["dataset"]["faults"] = "exclude"
    plan = Plan(config)
    plan.start()
    keep("sub-02")
    job = Plan(config, main=False)
    assert list(job.patients) == list(plan.patients) == ["sub-02"] and job.cohorts() == plan.cohorts()
    # The same as a param of a rule, so that nothing is made again.
    assert repr(job.faults) == repr(plan.faults) and len(job.faults) == 1
    with pytest.raises(InputError, match="no patient is left"):
        Plan(config)


def test_bet_is_refused_without_fsl(config, monkeypatch, tmp_path):
    """Also where there is a bet on the PATH: the step looks below FSLDIR."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "bet").write_text("#!/bin/sh\n", encoding="utf-8")
    (tmp_path / "bin" / "bet").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("FSLDIR", raising=False)
    config["images"]["brain_mask"] = "bet"
    with pytest.raises(InputError, match="set FSLDIR"):
        Plan(config)
    assert Plan(config, environments=True).patients
    monkeypatch.setenv("FSLDIR", str(tmp_path))
    assert Plan(config).patients


def test_code_hash_covers_what_a_door_imports_and_nothing_else():
    names = {path.name for path in code.source_files("adc.py")}
    assert {"adc.py", "door.py", "diffusion.py", "images.py", "errors.py"} <= names
    assert not names & {"perfusion.py", "training.py", "registration.py"}


def test_code_hash_changes_with_an_imported_module(tmp_path, monkeypatch):
    package = tmp_path / "finalinfarct"
    package.mkdir()
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "used.py").write_text("VALUE = 1\n", encoding="utf-8")
    (package / "unused.py").write_text("VALUE = 1\n", encoding="utf-8")
    (tmp_path / "step.py").write_text("def run():\n    from finalinfarct import used\n\n    return used\n", encoding="utf-8")
    monkeypatch.setattr(code, "SCRIPTS", tmp_path)

    def fresh():
        code._imported.cache_clear()
        return code.code_hash("step.py")

    before = fresh()
    (package / "unused.py").write_text("VALUE = 2\n", encoding="utf-8")
    assert fresh() == before
    (package / "used.py").write_text("VALUE = 2\n", encoding="utf-8")
    assert fresh() != before


def test_closing_words_show_the_main_tables_and_name_the_comparison_of_this_run(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    for name in ("table2.md", "paper_comparison.html"):
        (tmp_path / "results" / name).write_text("of an earlier run", encoding="utf-8")
        os.utime(tmp_path / "results" / name, (0, 0))
    plan = Plan(config)
    assert plan.closing_words() == "This run made no table."
    for name in ("table1", "table3"):
        (tmp_path / "results" / f"{name}.md").write_text(f"shown {name}\n## 95 % intervals\nnot shown", encoding="utf-8")
    assert plan.closing_words() == "shown table3\n\nTables (.csv and .md): results/table1.md, results/table3.md"
    (tmp_path / "results" / "paper_comparison.html").touch()
    assert plan.closing_words().endswith("\n\nBeside the paper's numbers: results/paper_comparison.html")
