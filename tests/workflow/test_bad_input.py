"""What a user sees of bad input: snakemake ends with the fault and its mend, with no traceback and no output."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from finalinfarct.dataset.contract import patient_files
from finalinfarct.dataset.images import sidecar_path
from project import ROOT

sys.path.insert(0, str(ROOT / "tests" / "bad_input"))
from mutations import SHAPE, SPOILED, content, image, voxels

PLAN = ("-n", "--quiet", "rules")
DATASETS = ["huge dimensions", "pipe for an image", "side file without an end of brackets", "Latin-1", "name 'sub-$(touch x)'", "strange folder"]
FILES = {
    "empty": ("", "with keys at top level"),
    "a key twice": ("folds:\n  number: 2\n  number: 3\n", "the key 'number' is given twice in its section"),
    "traversal": ("dataset: {path: results/../../x}", "overwrites nobody's data"),
    "braces": ("dataset: {path: 'results/{participant}'}", "holds braces"),
}


def refused(done, folder, *said):
    assert done.returncode != 0
    assert "Traceback" not in done.stdout, done.stdout
    assert all(words in done.stdout for words in said), done.stdout
    assert not [path for path in folder.rglob("x")] and not (folder / "results").exists()
    return True


def given(dataset, faults="refuse"):
    return {"dataset": {"path": str(dataset), "simulated": False, "faults": faults}, "folds": {"number": 2}}


@pytest.mark.parametrize("name", DATASETS)
def test_spoiled_dataset(name, snakemake, tmp_path, dataset):
    row = {row.name: row for row in SPOILED}[name]
    row.change(dataset)
    done = snakemake(tmp_path, "results/inclusion.tsv", options=PLAN, config=given(dataset))
    assert refused(done, tmp_path, row.file, row.found, row.mend)


@pytest.mark.parametrize(("text", "said"), FILES.values(), ids=FILES.keys())
def test_faulty_configuration(text, said, snakemake, tmp_path):
    own = tmp_path / "my.yaml"
    own.write_text(text, encoding="utf-8")
    assert refused(snakemake(tmp_path, options=PLAN, overlays=("tests/config/tiny.yaml", own)), tmp_path, said)


def test_damage_that_only_the_step_sees_ends_it_without_traceback(snakemake, tmp_path, dataset):
    image("dwi", content(lambda packed: packed[:-8] + bytes([packed[-8] ^ 1]) + packed[-7:]))(dataset)
    target = "results/maps/sub-01/sub-01_ses-baseline_ADC.nii.gz"
    done = snakemake(tmp_path, target, config=given(dataset))
    assert done.returncode != 0 and "Traceback" not in done.stdout, done.stdout
    assert "sub-01_ses-baseline_dwi.nii.gz: unreadable or truncated image (CRC check failed" in done.stdout
    assert not (tmp_path / target).exists()


def test_fault_of_an_image_made_here_goes_back_to_its_patient(snakemake, tmp_path, dataset):
    """A DWI of one value has a b0, but one that nothing can be registered to."""
    image("dwi", voxels(np.full((*SHAPE, 2), 9), dtype=np.int16))(dataset)
    target = "results/registration/sub-01/sub-01_from-followup_to-reference_xfm.h5"
    done = snakemake(tmp_path, target, config=given(dataset))
    assert done.returncode != 0 and "Traceback" not in done.stdout, done.stdout
    found = "results/maps/sub-01/sub-01_ses-baseline_b0.nii.gz: the image is constant"
    assert found in done.stdout and "kept in results/faults/sub-01_register.json" in done.stdout, done.stdout
    done = snakemake(tmp_path, target, options=PLAN, config=given(dataset))
    assert done.returncode != 0 and "1 fault" in done.stdout and found in done.stdout, done.stdout
    done = snakemake(tmp_path, "results/lesion_volumes.tsv", options=PLAN, config=given(dataset, "exclude"))
    assert done.returncode == 0 and "1 of 2 patients are left out" in done.stdout, done.stdout


def test_tables_name_the_fault_of_a_left_out_patient_that_holds_now(snakemake, tmp_path, dataset):
    side = sidecar_path(patient_files(dataset, "sub-02")["dsc"])
    for times, found in (({}, "RepetitionTime is missing"), ({"RepetitionTime": 1500}, "RepetitionTime is 1500")):
        side.write_text(json.dumps({"EchoTime": 0.04} | times), encoding="utf-8")
        done = snakemake(tmp_path, "results/inclusion.tsv", config=given(dataset, "exclude"))
        assert done.returncode == 0 and found in done.stdout, done.stdout
        for table in ("dataset_check", "inclusion"):
            assert found in (tmp_path / f"results/{table}.tsv").read_text(encoding="utf-8"), found


def test_names_with_spaces_and_signs_are_only_names(snakemake, tmp_path, dataset):
    """A folder that a shell would trip over is planned like any other."""
    strange = tmp_path / "-a b; $(touch x) 'é"
    dataset.rename(strange)
    done = snakemake(tmp_path, "results/lesion_volumes.tsv", options=PLAN, config=given(strange))
    assert done.returncode == 0, done.stdout
    assert yaml.safe_load((tmp_path / "config.yaml").read_text(encoding="utf-8"))["dataset"]["path"] == str(strange)
    assert not Path("x").exists() and not (tmp_path / "x").exists()


def test_target_that_leaves_its_folder(snakemake, tmp_path):
    assert refused(snakemake(tmp_path, "results/quality/sub-../../../x.html", options=PLAN), tmp_path, "Missing")
