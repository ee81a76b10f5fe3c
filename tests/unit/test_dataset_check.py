"""The check of a dataset: a valid one passes, each fault is named with file and mend, all at once."""

import gzip
import json

import numpy as np
import pytest

from finalinfarct.dataset.check import check_dataset, report_dataset
from finalinfarct.dataset.contract import patient_files
from finalinfarct.dataset.images import read_image, sidecar_path, write_image
from finalinfarct.dataset.tables import read_table, write_table
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


def edit_table(dataset, change):
    table = read_table(dataset / "participants.tsv").astype(object)
    write_table(change(table), dataset / "participants.tsv")


def set_cell(row, column, value):
    def change(table):
        table.loc[row, column] = value
        return table

    return change


def repeat_first(table):
    return table.iloc[[0, 0, 1]]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (repeat_first, "sub-01 appears twice"),
        (set_cell(0, "cohort", "hibiscuss"), "unknown cohort 'hibiscuss'"),
        (set_cell(0, "mtici", None), "mtici is missing"),
        (set_cell(0, "mtici", "4"), "mtici is '4'"),
        (set_cell(0, "age", "old"), "age is 'old'"),
        (set_cell(0, "participant_id", "sub-../x"), "participant_id 'sub-../x'"),
        (lambda table: table.drop(columns="nihss"), "missing columns: nihss"),
        (lambda table: table.iloc[:1], "unknown participant: no row in participants.tsv"),
    ],
)
def test_faults_of_the_table(dataset, config, change, expected):
    edit_table(dataset, change)
    assert expected in said(dataset, config)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-200])


def test_truncated_image(dataset, config):
    path = patient_files(dataset, "sub-01")["dsc"]
    truncate(path)
    assert [(f.participant_id, f.file) for f in faults_of(dataset, config)] == [("sub-01", str(path))]
    assert "truncated" in said(dataset, config)


def test_unreadable_image(dataset, config):
    path = patient_files(dataset, "sub-01")["dwi"]
    path.write_bytes(b"not an image")
    assert "unreadable image" in said(dataset, config)


def test_header_that_claims_a_huge_volume_is_refused_without_reading_it(dataset, config):
    path = patient_files(dataset, "sub-01")["followup_flair"]
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[42:48] = np.array([30000, 30000, 30000], dtype="<i2").tobytes()
    path.write_bytes(gzip.compress(bytes(content)))
    assert "truncated: the header promises 54000000000352 bytes" in said(dataset, config)


def test_missing_file(dataset, config):
    patient_files(dataset, "sub-02")["h3_dsc"].unlink()
    assert "sub-02_ses-h3_dsc.nii.gz|the file does not exist|" in said(dataset, config)


def test_nan_voxels(dataset, config):
    path = patient_files(dataset, "sub-01")["followup_flair"]
    data = np.ones((12, 12, 4))
    data[0, 0, 0] = np.nan
    write_image(path, data, AFFINE)
    assert "1 voxels are NaN or infinite" in said(dataset, config)


def test_mask_on_another_grid(dataset, config):
    write_image(patient_files(dataset, "sub-01")["final_lesion"], np.ones((6, 6, 4)), AFFINE, dtype=np.uint8)
    assert "on another grid (shape (6, 6, 4)) than its image (shape (12, 12, 4))" in said(dataset, config)


def test_empty_lesion(dataset, config):
    write_image(patient_files(dataset, "sub-01")["final_lesion"], np.zeros((12, 12, 4)), AFFINE, dtype=np.uint8)
    assert "the mask is empty" in said(dataset, config)


def test_mask_with_other_values(dataset, config):
    write_image(patient_files(dataset, "sub-01")["dwi_lesion"], np.full((12, 12, 4), 7), AFFINE, dtype=np.uint8)
    assert "values [7.0] in a mask" in said(dataset, config)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("RepetitionTime", None, "RepetitionTime missing"),
        ("EchoTime", None, "EchoTime missing"),
        ("RepetitionTime", 1500, "RepetitionTime is 1500"),
        ("EchoTime", 40, "EchoTime is 40"),
    ],
)
def test_timing_of_the_series(dataset, config, key, value, expected):
    side = sidecar_path(patient_files(dataset, "sub-01")["dsc"])
    content = json.loads(side.read_text(encoding="utf-8"))
    content.pop(key)
    side.write_text(json.dumps(content if value is None else {**content, key: value}), encoding="utf-8")
    assert expected in said(dataset, config)


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


def test_bvals(dataset, config):
    path = patient_files(dataset, "sub-01")["bval"]
    path.write_text("0 1000 1000", encoding="utf-8")
    assert "3 b-values for 2 volumes" in said(dataset, config)
    path.write_text("500 1000", encoding="utf-8")
    assert "a b0 and a volume of at least 500" in said(dataset, config)


def test_given_maps_in_place_of_the_series(dataset, config):
    files = patient_files(dataset, "sub-01")
    files["dsc"].unlink()
    for name in ("tmax", "cbf", "cbv"):
        write_image(files[name], np.ones((12, 12, 4)), AFFINE, {"Units": "s" if name == "tmax" else "ml"})
    assert faults_of(dataset, config) == []
    write_image(files["tmax"], np.ones((12, 12, 4)), AFFINE, {"Units": "ms"})
    assert "Units in the side file: 'ms'" in said(dataset, config)


def test_all_faults_are_reported_at_once_or_excluded(dataset, config, tmp_path):
    truncate(patient_files(dataset, "sub-01")["dsc"])
    patient_files(dataset, "sub-02")["final_lesion"].unlink()
    with pytest.raises(InputError) as fault:
        report_dataset(dataset, config["cohorts"], "refuse", tmp_path / "faults.tsv")
    assert (
        "2 faults" in str(fault.value)
        and "sub-01_ses-baseline_dsc" in str(fault.value)
        and "sub-02_ses-followup_label-lesion_mask" in str(fault.value)
    )
    report_dataset(dataset, config["cohorts"], "exclude", tmp_path / "faults.tsv")
    assert read_table(tmp_path / "faults.tsv")["participant_id"].tolist() == ["sub-01", "sub-02"]


def test_images_are_written_whole_with_their_units(tmp_path):
    path = tmp_path / "a.nii.gz"
    write_image(path, np.arange(24.0).reshape(2, 3, 4), AFFINE, {"Units": "s"})
    assert read_image(path, ndim=3).get_fdata()[1, 2, 3] == 23
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"Units": "s"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "a.nii.gz"]
