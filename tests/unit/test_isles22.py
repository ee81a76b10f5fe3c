"""The importer of ISLES'22, on the real case and on a made-up one."""

import numpy as np
import pytest

from finalinfarct.dataset.check import check_dataset
from finalinfarct.dataset.contract import patient_files
from finalinfarct.dataset.images import read_image, read_sidecar, write_image
from finalinfarct.dataset.isles22 import import_cases
from finalinfarct.errors import InputError
from finalinfarct.imaging.diffusion import compute_adc


def test_units_of_a_case_are_those_of_bids(tmp_path):
    """It gives times in ms and the ADC in 1e-3 mm2/s."""
    shape, affine = (8, 8, 6), np.diag([2.0, 2.0, 2.0, 1.0])
    side = {"EchoTime": 91.0, "RepetitionTime": 6500, "FlipAngle": 90, "DiffusionBValue": 1000, "PatientName": "X"}
    stem = str(tmp_path / "isles" / "sub-strokecase0001_ses-0001_")
    for name, values in (("dwi", np.full(shape, 300.0)), ("adc", np.full(shape, 0.85)), ("msk", np.ones(shape))):
        write_image(f"{stem}{name}.nii.gz", values, affine, side)
    assert import_cases(tmp_path / "isles", tmp_path / "bids") == ["sub-strokecase0001"]
    files = patient_files(tmp_path / "bids", "sub-strokecase0001")
    assert read_sidecar(files["dwi"]) == {"EchoTime": 0.091, "RepetitionTime": 6.5, "FlipAngle": 90}
    compute_adc(files["dwi"], files["adc"], *(tmp_path / f"{name}.nii.gz" for name in ("b0", "dwi", "adc")))
    assert read_image(tmp_path / "adc.nii.gz").get_fdata().ravel() == pytest.approx(850, rel=1e-5)


@pytest.mark.parametrize("second", ["sub-a1_ses-0002", "sub-a-1_ses-0001"])
def test_two_cases_do_not_become_one_participant(tmp_path, second):
    for stem in ("sub-a1_ses-0001", second):
        for name in ("dwi", "adc", "msk"):
            write_image(tmp_path / "isles" / f"{stem}_{name}.nii.gz", np.ones((8, 8, 6)), np.diag([2.0, 2, 2, 1]), {"DiffusionBValue": 1000})
    with pytest.raises(InputError, match=r"isles: sub-a.* and sub-a.* would both become sub-a1\. Mend: leave one session") as fault:
        import_cases(tmp_path / "isles", tmp_path / "bids")
    assert second in str(fault.value) and not (tmp_path / "bids").exists()


def test_import_of_the_real_case(realdata, tmp_path, config):
    assert import_cases(realdata / "isles22", tmp_path) == ["sub-strokecase0009"]
    cohort = {**config["cohorts"]["hibiscus"], "role": "none", "reperfusion": "none", "perfusion": False, "final_lesion": "baseline"}
    patients, faults = check_dataset(tmp_path, {"isles22": cohort})
    assert (list(patients), faults) == (["sub-strokecase0009"], [])
    files = patient_files(tmp_path, "sub-strokecase0009")
    mask = read_image(files["final_lesion"]).get_fdata()
    assert mask.shape == (112, 112, 73)
    assert np.count_nonzero(mask) == 523
    assert read_sidecar(files["dwi"])["EchoTime"] == 0.055
    assert read_sidecar(files["adc"])["Units"] == "1e-3 mm2/s"
