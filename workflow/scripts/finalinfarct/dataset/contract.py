"""Where each file of a patient lies in the BIDS dataset (docs/dataset.md), and what participants.tsv must hold."""

import os
import re
from pathlib import Path

PARTICIPANT_COLUMNS = ("participant_id", "cohort", "mtici", "age", "sex", "nihss", "onset_to_mri_min", "iv_tpa", "occlusion_site", "cervical_ica")
PARTICIPANT_ID = re.compile(r"sub-[A-Za-z0-9]{1,64}")
DECIMAL = re.compile(r"[0-9]+(\.[0-9]*)?")
REPERFUSED_MTICI = ("2b", "2c", "3")
NOT_REPERFUSED_MTICI = ("0", "1", "2a")
ALLOWED = {
    "mtici": (*NOT_REPERFUSED_MTICI, *REPERFUSED_MTICI),
    "sex": ("F", "M"),
    "iv_tpa": ("yes", "no"),
    "occlusion_site": ("ICA+M1", "M1", "ICA+M2", "M2"),
    "cervical_ica": ("yes", "no"),
}
NUMERIC_RANGE = {"age": (0, 120), "nihss": (0, 42), "onset_to_mri_min": (0, 10080)}
LARGEST_B0_S_PER_MM2 = 50
# Classes of a voxel, in the dseg images and for the network.
BACKGROUND, HEALTHY, LESION = CLASSES = 0, 1, 2
TRUTH_FOLDER = "truth"
"""Folder below ``derivatives`` with what a simulation knows and no analysis may read."""


def patient_files(root, participant_id):
    """Return every path that the contract knows for a patient, whether it exists or not.

    Parameters
    ----------
    root : str or Path
        Folder of the dataset.
    participant_id : str
        Such as ``sub-001``.

    Returns
    -------
    dict of str to Path
        Keys: dwi, bval, adc, flair, dsc, tmax, cbf, cbv, h3_dsc, h3_tmax, h3_cbf, h3_cbv, followup_flair, final_lesion, dwi_lesion, aif_mask,
        h3_aif_mask. An image is its ``.nii.gz``, or its ``.nii`` where only that exists.
    """
    root, p = Path(root), participant_id
    lesions = root / "derivatives" / "lesions" / p
    raw = root / p
    stems = {
        "dwi": raw / f"ses-baseline/dwi/{p}_ses-baseline_dwi",
        "adc": raw / f"ses-baseline/dwi/{p}_ses-baseline_ADC",
        "flair": raw / f"ses-baseline/anat/{p}_ses-baseline_FLAIR",
        "dsc": raw / f"ses-baseline/perf/{p}_ses-baseline_dsc",
        "tmax": raw / f"ses-baseline/perf/{p}_ses-baseline_Tmax",
        "cbf": raw / f"ses-baseline/perf/{p}_ses-baseline_CBF",
        "cbv": raw / f"ses-baseline/perf/{p}_ses-baseline_CBV",
        "h3_dsc": raw / f"ses-h3/perf/{p}_ses-h3_dsc",
        "h3_tmax": raw / f"ses-h3/perf/{p}_ses-h3_Tmax",
        "h3_cbf": raw / f"ses-h3/perf/{p}_ses-h3_CBF",
        "h3_cbv": raw / f"ses-h3/perf/{p}_ses-h3_CBV",
        "followup_flair": raw / f"ses-followup/anat/{p}_ses-followup_FLAIR",
        "final_lesion": lesions / f"ses-followup/anat/{p}_ses-followup_label-lesion_mask",
        "dwi_lesion": lesions / f"ses-baseline/dwi/{p}_ses-baseline_label-lesion_mask",
        "aif_mask": lesions / f"ses-baseline/perf/{p}_ses-baseline_label-AIF_mask",
        "h3_aif_mask": lesions / f"ses-h3/perf/{p}_ses-h3_label-AIF_mask",
    }
    files = {name: _existing(stem) for name, stem in stems.items()}
    files["bval"] = stems["dwi"].with_name(stems["dwi"].name + ".bval")
    return files


def _existing(stem):
    """The ``.nii`` file where only that exists, else the ``.nii.gz``."""
    plain, packed = stem.with_name(stem.name + ".nii"), stem.with_name(stem.name + ".nii.gz")
    return plain if os.path.lexists(plain) and not os.path.lexists(packed) else packed
