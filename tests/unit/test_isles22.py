"""The importer of ISLES'22, on the real case."""

import numpy as np

from finalinfarct.dataset.check import check_dataset
from finalinfarct.dataset.contract import patient_files
from finalinfarct.dataset.images import read_image, read_sidecar
from finalinfarct.dataset.isles22 import import_cases


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
