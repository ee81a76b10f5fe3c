"""Plans of every shipped configuration, and what a user is told about mistakes before anything runs."""

import os
import re
import sys
from collections import Counter

import numpy as np
import pytest

from finalinfarct.dataset.contract import patient_files
from finalinfarct.dataset.images import sidecar_path, write_image
from finalinfarct.dataset.isles22 import import_cases
from project import ROOT

sys.path.insert(0, str(ROOT / "tests" / "bad_input"))
from mutations import given_maps, scanner_adc

PLAN = ("-n", "--quiet", "rules")


def jobs(output):
    """Job counts of a dry run by rule."""
    return {name: int(count) for name, count in re.findall(r"^(\w+)\s+(\d+)$", output, flags=re.M)}


def test_default_plan(snakemake, tmp_path):
    done = snakemake(tmp_path, options=PLAN, overlays=())
    counts = jobs(done.stdout)
    assert done.returncode == 0, done.stdout
    assert (counts["train"], counts["predict"], counts["simulate_patient"], counts["simulate_h3"]) == (42, 14, 30, 6)


def test_paper_plan(snakemake, tmp_path):
    done = snakemake(tmp_path, options=PLAN, overlays=("config/paper.yaml",))
    counts = jobs(done.stdout)
    assert done.returncode == 0, done.stdout
    assert (counts["train"], counts["simulate_patient"], counts["reperfusion"], counts["brain_mask"]) == (70, 109, 17, 109)


def test_without_a_tested_patient_images_and_quality_pages_are_made(snakemake, tmp_path):
    done = snakemake(tmp_path, options=PLAN, overlays=(), config={"cohorts": {"hibiscus": {"role": "training"}}})
    counts = jobs(done.stdout)
    assert done.returncode == 0 and "no patient has role test" in done.stdout, done.stdout
    assert (counts["quality"], counts["inclusion"]) == (30, 1)
    assert not {"normalise_perfusion", "folds", "train", "table"} & set(counts)


def test_one_table_needs_only_its_own_models(snakemake, tmp_path):
    done = snakemake(tmp_path, "results/table3.csv", options=PLAN, overlays=())
    assert done.returncode == 0, done.stdout
    assert jobs(done.stdout)["train"] == 6


def test_slurm_profile_groups_the_steps_of_a_patient_and_the_tables(snakemake, tmp_path):
    done = snakemake(tmp_path, options=("-n", "--profile", str(ROOT / "profiles" / "slurm")), overlays=())
    assert done.returncode == 0, done.stdout
    groups = Counter(re.findall(r"Group job (\w+)", done.stdout))
    assert groups == {"patient": 30, "cohort": 1, "report": 6}
    alone = re.findall(r"^Job \d+: (.*)$", done.stdout, flags=re.M)
    assert sorted(Counter(message.split()[0] for message in alone).items()) == [
        *[("Description", 2), ("Metrics", 15), ("Model", 14), ("Out-of-fold", 14), ("Predictions", 1), ("Simulating", 1), ("Training", 42)]
    ]


def test_real_case_plan(snakemake, tmp_path, realdata):
    import_cases(realdata / "isles22", tmp_path / "results" / "isles22")
    done = snakemake(tmp_path, "results/diffusion_lesion.tsv", options=PLAN, overlays=("config/isles22.yaml",))
    counts = jobs(done.stdout)
    assert done.returncode == 0, done.stdout
    assert (counts["adc"], counts["lesions"]) == (1, 1)
    assert not {"perfusion", "register", "train"} & set(counts)


def refused(done, *said):
    """Whether a run was refused with these words and without a traceback."""
    assert done.returncode != 0
    assert "Traceback" not in done.stdout
    assert all(words in done.stdout for words in said), done.stdout
    return True


def test_unknown_key(snakemake, tmp_path):
    done = snakemake(tmp_path, options=PLAN, config={"training": {"epoch": 3}})
    assert refused(done, "unknown key 'epoch' in training; did you mean 'epochs'?", "config/README.md")


def test_too_few_patients_for_the_folds_is_said_before_anything_runs(snakemake, tmp_path):
    done = snakemake(tmp_path, options=PLAN, config={"folds": {"number": 5}})
    assert refused(done, "folds.number")


def test_bet_without_fsl(snakemake, tmp_path, monkeypatch):
    monkeypatch.delenv("FSLDIR", raising=False)
    done = snakemake(tmp_path, options=PLAN, config={"images": {"brain_mask": "bet"}})
    assert refused(done, "FSL", "median_otsu")
    # Where each rule has an environment of its own, FSL is looked for there, by the job. Without conda here snakemake ends, but after the plan.
    done = snakemake(tmp_path, options=(*PLAN, "--sdm", "conda"), config={"images": {"brain_mask": "bet"}})
    assert "Building DAG" in done.stdout and "FSL" not in done.stdout, done.stdout


def given(dataset, faults="refuse"):
    return {"dataset": {"path": str(dataset), "simulated": False, "faults": faults}, "folds": {"number": 2}}


def test_faulty_dataset_is_refused_with_all_its_faults(snakemake, tmp_path, dataset):
    patient_files(dataset, "sub-01")["dsc"].unlink()
    write_image(patient_files(dataset, "sub-02")["final_lesion"], np.zeros((12, 12, 4)), np.diag([10.0, 10, 5, 1]), dtype=np.uint8)
    done = snakemake(tmp_path, "results/inclusion.tsv", options=PLAN, config=given(dataset))
    assert refused(
        done, "2 faults", "sub-01_ses-baseline_dsc.nii.gz: the file does not exist", "sub-02_ses-followup_label-lesion_mask", "the mask is empty"
    )


def test_missing_dataset(snakemake, tmp_path):
    done = snakemake(tmp_path, options=PLAN, config=given(tmp_path / "nowhere"))
    assert refused(done, "participants.tsv: the file does not exist")


@pytest.mark.parametrize(
    ("image", "rule"), [("dwi", "adc"), ("adc", "adc"), ("dsc", "perfusion"), ("tmax", "perfusion_given"), ("cbv", "perfusion_given")]
)
def test_mended_side_file_makes_the_maps_again(image, rule, snakemake, tmp_path, dataset):
    if rule == "perfusion_given":
        given_maps()(dataset)
    if image == "adc":
        scanner_adc(800.0)(dataset)
    target = f"results/maps/sub-01/sub-01_ses-baseline_{'ADC' if rule == 'adc' else 'Tmax'}.nii.gz"
    (tmp_path / target).parent.mkdir(parents=True)
    (tmp_path / target).touch()
    for path in dataset.rglob("*"):
        os.utime(path, (1e9, 1e9))
    options = (*PLAN, "--rerun-triggers", "mtime")
    done = snakemake(tmp_path, target, options=options, config=given(dataset))
    assert done.returncode == 0 and jobs(done.stdout) == {}, done.stdout
    os.utime(sidecar_path(patient_files(dataset, "sub-01")[image]))
    done = snakemake(tmp_path, target, options=options, config=given(dataset))
    assert jobs(done.stdout) == {rule: 1, "total": 1}, done.stdout


def test_given_data_are_never_written(snakemake, tmp_path, dataset):
    done = snakemake(tmp_path, "results/lesion_volumes.tsv", options=PLAN, config=given(dataset))
    assert done.returncode == 0, done.stdout
    assert not any(name.startswith("simulate") for name in jobs(done.stdout))
