"""The check of a dataset: a valid one passes, all faults are reported at once. What can be wrong stands in tests/bad_input."""

import json

import numpy as np
import pytest

from finalinfarct.dataset.check import check_dataset, report_dataset
from finalinfarct.dataset.contract import patient_files
from finalinfarct.dataset.images import read_image, write_image
from finalinfarct.dataset.tables import read_table
from finalinfarct.errors import InputError

AFFINE = np.diag([10.0, 10.0, 5.0, 1.0])


def faults_of(dataset, config):
    return check_dataset(dataset, config["cohorts"])[1]


def said(dataset, config):
    return "\n".join(f"{fault.participant_id}|{fault.file}|{fault.found}|{fault.mend}" for fault in faults_of(dataset, config))


def test_valid_dataset_has_no_fault(dataset, config):
    patients, faults = check_dataset(dataset, config["cohorts"])
    assert patients == {"sub-01": "hibiscus", "sub-02": "iknow"}
    assert faults == []


def truncate(path):
    path.write_bytes(path.read_bytes()[:-200])


@pytest.mark.parametrize(
    ("units", "factor", "expected"),
    [
        ("um2/s", 800.0, ""),
        ("1e-3 mm2/s", 0.8, ""),
        ("mm2/s", 8e-4, ""),
        ("um2/s", 0.8, "wrong unit of ADC: the median over tissue is 0.8 x 1e-6 mm2/s"),
        (None, 800.0, "Units in the side file: None"),
    ],
)
def test_unit_of_adc(dataset, config, units, factor, expected):
    write_image(patient_files(dataset, "sub-01")["adc"], np.full((12, 12, 4), factor), AFFINE, {"Units": units} if units else {})
    assert (expected in said(dataset, config)) if expected else not faults_of(dataset, config)


def test_given_maps_in_place_of_the_series(dataset, config):
    files = patient_files(dataset, "sub-01")
    files["dsc"].unlink()
    for name in ("tmax", "cbf", "cbv"):
        write_image(files[name], np.ones((12, 12, 4)), AFFINE, {"Units": "s" if name == "tmax" else "relative"})
    assert faults_of(dataset, config) == []


def test_all_faults_are_reported_at_once_or_excluded(dataset, config, tmp_path):
    truncate(patient_files(dataset, "sub-01")["dsc"])
    patient_files(dataset, "sub-02")["final_lesion"].unlink()
    with pytest.raises(InputError) as fault:
        report_dataset(dataset, config["cohorts"], "refuse", [], tmp_path / "faults.tsv")
    assert (
        "2 faults" in str(fault.value)
        and "sub-01_ses-baseline_dsc" in str(fault.value)
        and "sub-02_ses-followup_label-lesion_mask" in str(fault.value)
    )
    report_dataset(dataset, config["cohorts"], "exclude", [], tmp_path / "faults.tsv")
    assert read_table(tmp_path / "faults.tsv")["participant_id"].tolist() == ["sub-01", "sub-02"]


def test_images_are_written_whole_with_their_units(tmp_path):
    path = tmp_path / "a.nii.gz"
    write_image(path, np.arange(24.0).reshape(2, 3, 4), AFFINE, {"Units": "s"})
    assert read_image(path, ndim=3).get_fdata()[1, 2, 3] == 23
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"Units": "s"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "a.nii.gz"]
