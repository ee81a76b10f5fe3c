"""The check of a dataset: a valid one passes, all faults are reported at once. What can be wrong stands in tests/bad_input."""

import errno
import gzip
import json
import struct

import nibabel as nib
import numpy as np
import pytest

from finalinfarct.dataset import images
from finalinfarct.dataset.check import check_dataset, report_dataset
from finalinfarct.dataset.contract import patient_files
from finalinfarct.dataset.images import read_image, same_grid, write_image
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


@pytest.mark.parametrize(
    ("in_header", "code", "refused"),
    [(2.0, 8, True), (1.51, 8, False), (0.0, 8, False), (1.0, 8, False), (2000.0, 16, True), (1500.0, 16, False), (1500.0, 0, False), (2.0, 0, True)],
)
def test_time_between_frames_in_the_header(dataset, config, in_header, code, refused):
    """Codes 8 and 16 are s and ms; 0 and 1 are left by programs that do not know the time."""
    path = patient_files(dataset, "sub-01")["dsc"]
    packed = bytearray(gzip.decompress(path.read_bytes()))
    struct.pack_into("<f", packed, 92, in_header)
    packed[123] = packed[123] & 7 | code
    path.write_bytes(gzip.compress(bytes(packed)))
    assert ("RepetitionTime is 1.5 s, but the header of sub-01_ses-baseline_dsc.nii.gz says 2 s" in said(dataset, config)) == refused
    assert len(faults_of(dataset, config)) == refused


def test_grids_are_compared_where_they_are_furthest_apart():
    first = nib.Nifti1Image(np.zeros((192, 192, 24), np.float32), np.diag([1.25, 1.25, 5, 1]))
    assert not same_grid(first, nib.Nifti1Image(first.dataobj, np.diag([1.2599, 1.2599, 5, 1])))
    moved = first.affine + np.eye(4, k=3) * 0.09
    assert same_grid(first, nib.Nifti1Image(first.dataobj, moved))
    turned = first.affine.copy()
    turned[:2, :2] = 1.25 * np.array([[1, -0.002], [0.002, 1]])
    assert not same_grid(first, nib.Nifti1Image(first.dataobj, turned))


def test_given_maps_in_place_of_the_series(dataset, config):
    files = patient_files(dataset, "sub-01")
    files["dsc"].unlink()
    for name in ("tmax", "cbf", "cbv"):
        write_image(files[name], np.ones((12, 12, 4)), AFFINE, {"Units": "s" if name == "tmax" else "relative"})
    assert faults_of(dataset, config) == []


def test_all_faults_of_a_dataset_made_since_the_plan_are_reported_at_once(dataset, config, tmp_path):
    truncate(patient_files(dataset, "sub-01")["dsc"])
    patient_files(dataset, "sub-02")["final_lesion"].unlink()
    with pytest.raises(InputError) as fault:
        report_dataset(dataset, config["cohorts"], None, tmp_path / "faults.tsv")
    assert (
        "2 faults" in str(fault.value)
        and "sub-01_ses-baseline_dsc" in str(fault.value)
        and "sub-02_ses-followup_label-lesion_mask" in str(fault.value)
    )


def test_faults_that_the_plan_found_are_written_as_they_are(dataset, config, tmp_path):
    patient_files(dataset, "sub-02")["final_lesion"].unlink()
    report_dataset(dataset, config["cohorts"], [("sub-01", "a.nii.gz", "no bolus", "replace it")], tmp_path / "faults.tsv")
    assert read_table(tmp_path / "faults.tsv").to_numpy().tolist() == [["sub-01", "a.nii.gz", "no bolus", "replace it"]]
    report_dataset(dataset, config["cohorts"], [], tmp_path / "faults.tsv")
    assert read_table(tmp_path / "faults.tsv").empty


@pytest.mark.parametrize("place", ["_opened", "ArrayProxy"])
@pytest.mark.parametrize(
    ("fault", "of_the_image"),
    [
        (OSError(errno.EIO, "broken"), False),
        (OSError(errno.ESTALE, "broken"), False),
        (MemoryError("no 8 GiB"), False),
        (OSError("Expected 8 bytes, got 4"), True),
        (gzip.BadGzipFile("wrong check sum"), True),
        (EOFError("ended early"), True),
    ],
    ids=repr,
)
def test_failing_disk_and_short_memory_are_no_damage_of_an_image(dataset, config, monkeypatch, place, fault, of_the_image):
    def fail(*_, **__):
        raise fault

    monkeypatch.setattr(images, place, fail)
    path = patient_files(dataset, "sub-01")["final_lesion"]
    with pytest.raises(InputError if of_the_image else type(fault)) as raised:
        read_image(path)
    assert str(path) in str(raised.value) or raised.value is fault
    if not of_the_image:
        with pytest.raises(type(fault)):
            check_dataset(dataset, config["cohorts"])


def test_images_are_written_whole_with_their_units(tmp_path):
    path = tmp_path / "a.nii.gz"
    write_image(path, np.arange(24.0).reshape(2, 3, 4), AFFINE, {"Units": "s"})
    assert read_image(path, ndim=3).get_fdata()[1, 2, 3] == 23
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"Units": "s"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "a.nii.gz"]
