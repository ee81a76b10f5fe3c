"""Importer: one ISLES'22 case (Hernandez Petzsche 2022, Sci Data 9:762) into the BIDS contract.

Such a case has a skull-stripped DWI and ADC map on one grid, a FLAIR and an expert's lesion mask; no perfusion and no follow-up. The mask, drawn on
the baseline DWI, stands for the final lesion (configuration ``final_lesion: baseline``).
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from finalinfarct.dataset.contract import PARTICIPANT_COLUMNS, patient_files
from finalinfarct.dataset.description import write_description
from finalinfarct.dataset.files import write_text
from finalinfarct.dataset.images import read_image, read_sidecar, same_grid, write_image
from finalinfarct.dataset.tables import write_table
from finalinfarct.errors import InputError

LICENSE = "CC BY-SA 4.0"
ADC_UNIT = "1e-3 mm2/s"
KEPT_KEYS = ("EchoTime", "RepetitionTime", "MagneticFieldStrength", "FlipAngle", "SliceThickness")


def import_cases(source, target):
    """Arrange every case of a folder into a BIDS dataset.

    Parameters
    ----------
    source : str or Path
        Folder with ``sub-*_ses-*_{dwi,adc,flair,msk}.nii.gz`` and their JSON side files.
    target : str or Path
        Folder of the dataset to write.

    Returns
    -------
    list of str
        The participants.

    Raises
    ------
    InputError
        No case is found, two would become one participant, or an image cannot be read.
    """
    source, target = Path(source), Path(target)
    cases = sorted(source.glob("sub-*_dwi.nii.gz"))
    if not cases:
        raise InputError(source, "no sub-*_dwi.nii.gz", "name the folder that holds the ISLES'22 images")
    stems = {}
    for case in cases:
        stem = case.name.removesuffix("_dwi.nii.gz")
        participant = "sub-" + re.sub(r"[^A-Za-z0-9]", "", stem.split("_")[0].removeprefix("sub-"))
        if participant in stems:
            mend = "leave one session of a subject there, and give subjects names that differ in letters or digits"
            raise InputError(source, f"{stems[participant]} and {stem} would both become {participant}", mend)
        stems[participant] = stem
    for participant, stem in stems.items():
        _import_case(source, stem, patient_files(target, participant))
    rows = [{"participant_id": name, "cohort": "isles22"} for name in stems]
    write_table(pd.DataFrame(rows, columns=PARTICIPANT_COLUMNS), target / "participants.tsv")
    write_description(target, "ISLES'22 cases in BIDS form", "raw", License=LICENSE)
    masks = target / "derivatives" / "lesions"
    write_description(masks, "Expert lesion masks of ISLES'22", "derivative", made_by="import of ISLES'22", License=LICENSE)
    return list(stems)


def _import_case(source, stem, files):
    """Write one case to the files of a participant."""
    dwi = read_image(source / f"{stem}_dwi.nii.gz", ndim=3)
    side = read_sidecar(source / f"{stem}_dwi.nii.gz")
    write_image(files["dwi"], dwi.dataobj, dwi.affine, _kept(side))
    b_value = side.get("DiffusionBValue")
    if not isinstance(b_value, int | float):
        raise InputError(source / f"{stem}_dwi.json", "DiffusionBValue is missing", "write it in s/mm2")
    write_text(files["bval"], f"{b_value:g}\n")
    write_text(files["bval"].with_suffix(".bvec"), "1\n0\n0\n")
    adc = _on_grid(read_image(source / f"{stem}_adc.nii.gz", ndim=3), dwi)
    write_image(files["adc"], adc, dwi.affine, {**_kept(read_sidecar(source / f"{stem}_adc.nii.gz")), "Units": ADC_UNIT})
    flair = source / f"{stem}_flair.nii.gz"
    if flair.exists():
        image = read_image(flair, ndim=3)
        write_image(files["flair"], image.dataobj, image.affine, _kept(read_sidecar(flair)))
    mask = _on_grid(read_image(source / f"{stem}_msk.nii.gz", ndim=3), dwi)
    write_image(files["final_lesion"], mask > 0.5, dwi.affine, {"LesionSource": "expert"}, dtype=np.uint8)


def _on_grid(image, reference):
    """Voxels of an image on the reference's grid: ISLES'22 affines differ by rounding."""
    if not same_grid(image, reference):
        raise InputError(
            "ISLES'22 case", f"images on different grids ({image.shape}, {reference.shape})", "import a case whose DWI, ADC and mask agree"
        )
    return image.get_fdata(dtype=np.float32)


def _kept(side):
    """The acquisition parameters to keep, in BIDS units (s); no dates or names of the original."""
    kept = {key: side[key] for key in KEPT_KEYS if isinstance(side.get(key), int | float)}
    return {key: value / 1000 if key in ("EchoTime", "RepetitionTime") else value for key, value in kept.items()}
