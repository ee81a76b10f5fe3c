"""Writing the simulated cohort as a BIDS dataset, with the hidden truth apart in ``derivatives/truth``."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from finalinfarct.dataset.contract import PARTICIPANT_COLUMNS, TRUTH_FOLDER
from finalinfarct.dataset.description import SIMULATION, write_description
from finalinfarct.dataset.files import write_text
from finalinfarct.dataset.images import write_image, write_json
from finalinfarct.dataset.tables import write_table
from finalinfarct.simulation import signals
from finalinfarct.simulation.acquisition import acquire_diffusion, acquire_flair, acquire_perfusion
from finalinfarct.simulation.clinical import draw_participants
from finalinfarct.simulation.geometry import sample, scan_grid
from finalinfarct.simulation.patient import build_patient

LOGGER = logging.getLogger(__name__)

DESCRIPTION = "SIMULATED from physics on a deformed MNI152 template: no person was scanned."
SCANNER = {
    "Manufacturer": "simulated",
    "ManufacturersModelName": "finalinfarct simulation",
    "MagneticFieldStrength": 3.0,
    "SoftwareVersions": "simulated",
    "InstitutionName": "simulated",
}
TRUTH_UNITS = {"delay": "s", "CBF": "mL/100g/min", "CBV": "mL/100g", "MTT": "s", "ADC": "um2/s"}
README = """# Simulated acute stroke cohort

All images and clinical values of this dataset are SIMULATED (finalinfarct, module `simulation`). They describe no patient.

Per participant: DWI (b0 and b1000), FLAIR and the raw dynamic susceptibility contrast (DSC) series at baseline; where the outcome is known, FLAIR at
follow-up; in some cohorts another DSC series three hours after the first (`ses-h3`). `derivatives/lesions` holds what an expert would have drawn: the
lesion on the baseline DWI and the final lesion on the follow-up FLAIR. `derivatives/truth` holds what the simulation knows and no analysis may read.

BIDS has no DSC perfusion yet: `perf/*_dsc.*` and the maps Tmax, CBF and CBV are declared in `.bidsignore`.
"""
COLUMN_DESCRIPTIONS = {
    "cohort": {"Description": "Cohort; its role and its processing are set in the configuration of the analysis"},
    "mtici": {
        "Description": "Modified thrombolysis in cerebral infarction grade after thrombectomy",
        "Levels": {
            "0": "no reperfusion",
            "1": "minimal reperfusion",
            "2a": "less than half of the territory",
            "2b": "half of the territory or more",
            "2c": "near-complete reperfusion",
            "3": "complete reperfusion",
        },
    },
    "age": {"Description": "Age", "Units": "year"},
    "sex": {"Description": "Sex", "Levels": {"F": "female", "M": "male"}},
    "nihss": {"Description": "National Institutes of Health Stroke Scale at admission (0 to 42)"},
    "onset_to_mri_min": {"Description": "Time from onset of symptoms to baseline MRI", "Units": "min"},
    "iv_tpa": {"Description": "Intravenous thrombolysis", "Levels": {"yes": "given", "no": "not given"}},
    "occlusion_site": {
        "Description": "Intracranial site of occlusion",
        "Levels": {
            "ICA+M1": "internal carotid artery and first segment of the middle cerebral artery",
            "M1": "first segment of the middle cerebral artery",
            "ICA+M2": "internal carotid artery and second segment of the middle cerebral artery",
            "M2": "second segment of the middle cerebral artery",
        },
    },
    "cervical_ica": {"Description": "Occlusion of the cervical internal carotid artery", "Levels": {"yes": "present", "no": "absent"}},
}


def simulate_participants(settings, dataset):
    """Write what belongs to the cohort as a whole: participants, dataset descriptions, README, ``.bidsignore``.

    Parameters
    ----------
    settings : dict
        The section ``simulation`` of the configuration.
    dataset : str or Path
        Folder of the BIDS dataset.
    """
    dataset = Path(dataset)
    dataset.mkdir(parents=True, exist_ok=True)
    write_table(pd.DataFrame(draw_participants(settings))[list(PARTICIPANT_COLUMNS)], dataset / "participants.tsv")
    write_json(dataset / "participants.json", COLUMN_DESCRIPTIONS)
    common = {"made_by": f"{SIMULATION}, seed {settings['seed']}", "License": "CC0", "Authors": ["The finalinfarct simulation"]}
    common["Acknowledgements"] = DESCRIPTION
    write_description(dataset, "Simulated acute stroke cohort", "raw", **common)
    for name, title in (("lesions", "Simulated expert lesion masks"), (TRUTH_FOLDER, "Hidden truth of the simulated cohort")):
        write_description(dataset / "derivatives" / name, title, "derivative", **common)
    write_text(dataset / "README", README)
    ignored = ["*_dsc.*", *(f"**/perf/*_{name}.*" for name in ("Tmax", "CBF", "CBV"))]
    write_text(dataset / ".bidsignore", "\n".join(ignored) + "\n")


def simulate_patient(participant_id, settings, dataset, sessions=("baseline", "followup")):
    """Write the raw acquisitions of one participant in the given sessions, the expert masks and the truth.

    Parameters
    ----------
    participant_id : str
        Such as ``sub-hibiscus001``.
    settings : dict
        The section ``simulation`` of the configuration.
    dataset : str or Path
        Folder of the BIDS dataset.
    sessions : iterable of str
        Any of ``baseline`` (DWI, FLAIR, DSC, DWI lesion, truth), ``followup`` (FLAIR, final lesion), ``h3`` (DSC).

    Raises
    ------
    InputError
        The participant belongs to none of the configured cohorts.
    """
    patient = build_patient(participant_id, settings)
    folders = _Folders(Path(dataset), participant_id)
    if "baseline" in sessions:
        _write_diffusion(patient, settings, folders)
        _write_flair(patient, settings, folders, "baseline")
        _write_perfusion(patient, settings, folders, "baseline")
    if "followup" in sessions:
        _write_flair(patient, settings, folders, "followup")
    if "h3" in sessions:
        _write_perfusion(patient, settings, folders, "h3")
    LOGGER.info("simulated %s (%s)", participant_id, ", ".join(sessions))


class _Folders:
    """File names of one participant in the dataset."""

    def __init__(self, dataset, participant_id):
        self.dataset, self.name = dataset, participant_id

    def raw(self, session, kind, ending):
        return self.dataset / self.name / f"ses-{session}" / kind / f"{self.name}_ses-{session}_{ending}"

    def lesion(self, session, kind):
        return self.dataset / "derivatives" / "lesions" / self.name / f"ses-{session}" / kind / f"{self.name}_ses-{session}_label-lesion_mask.nii.gz"

    def truth(self, ending):
        return self.dataset / "derivatives" / TRUTH_FOLDER / self.name / f"{self.name}_{ending}"


def _write_diffusion(patient, settings, folders):
    scan = acquire_diffusion(patient, settings)
    affine = scan["grid"].affine()
    path = folders.raw("baseline", "dwi", "dwi.nii.gz")
    sidecar = SCANNER | {
        "EchoTime": signals.DIFFUSION_ECHO_TIME_S,
        "RepetitionTime": 6.0,
        "FlipAngle": 90,
        "PhaseEncodingDirection": "j",
        "TotalReadoutTime": 0.05,
        "SliceThickness": settings["slice_thickness_mm"],
        "MRAcquisitionType": "2D",
        "ScanningSequence": "EP",
    }
    write_image(path, scan["series"], affine, sidecar, np.int16)
    base = str(path).removesuffix(".nii.gz")
    write_text(base + ".bval", "0 1000\n")
    # b1000 is the mean of three orthogonal directions: its "direction" is their sum
    write_text(base + ".bvec", "0 0.577350\n" * 3)
    note = {"Type": "Lesion", "Manual": True, "Description": "DWI lesion. " + DESCRIPTION}
    write_image(folders.lesion("baseline", "dwi"), scan["expert"], affine, note, np.uint8)
    for name, volume in scan["truth"].items():
        mask = name.endswith("_mask")
        note = {"Description": f"True {name} on the DWI grid. {DESCRIPTION}"} | ({} if mask else {"Units": TRUTH_UNITS[name]})
        write_image(folders.truth(f"space-dwi_{name}.nii.gz"), volume, affine, note, np.uint8 if mask else np.float32)
    hidden = {key: patient["clinical"][key] for key in ("reperfused", "grade", "occlusion_site")}
    hidden |= {"side": "right" if patient["side"] > 0 else "left"} | patient["events"]
    hidden |= {key: patient["haemodynamics"][key] for key in ("core_ml", "hypoperfused_ml")}
    write_json(folders.truth("status.json"), hidden)


def _dwi_grid(patient, settings):
    return scan_grid(settings["cohorts"][patient["clinical"]["cohort"]]["dwi_matrix"], settings["field_of_view_mm"], settings)


def _write_flair(patient, settings, folders, session):
    scan = acquire_flair(patient, settings, session)
    affine = scan["grid"].affine()
    sidecar = SCANNER | {
        "EchoTime": 0.109,
        "RepetitionTime": 8.69,
        "InversionTime": 2.5,
        "FlipAngle": 90,
        "SliceThickness": settings["slice_thickness_mm"],
        "MRAcquisitionType": "2D",
        "ScanningSequence": "IR",
    }
    write_image(folders.raw(session, "anat", "FLAIR.nii.gz"), scan["image"], affine, sidecar, np.int16)
    transform = {"flair_mm_to_dwi_mm": scan["pose"].tolist()}
    if session == "followup":
        note = {"Type": "Lesion", "Manual": True, "Description": "Final lesion on the follow-up FLAIR. " + DESCRIPTION}
        write_image(folders.lesion(session, "anat"), scan["expert"], affine, note, np.uint8)
        transform["then"] = "add the displacement of desc-swelling at the point reached"
        dwi = _dwi_grid(patient, settings)
        moved = sample(list(scan["swelling"]), patient["grid"], dwi)
        write_image(folders.truth("space-dwi_desc-swelling_displacement.nii.gz"), np.stack(moved, -1), dwi.affine(), {"Units": "mm"})
    write_json(folders.truth(f"ses-{session}_FLAIR_transforms.json"), transform)


def _write_perfusion(patient, settings, folders, session):
    scan = acquire_perfusion(patient, settings, session)
    affine = scan["grid"].affine()
    sidecar = SCANNER | {
        "RepetitionTime": settings["dsc"]["repetition_time_s"],
        "EchoTime": settings["dsc"]["echo_time_ms"] / 1000.0,
        "FlipAngle": signals.DSC_FLIP_ANGLE_DEG,
        "PhaseEncodingDirection": "j",
        "SliceThickness": settings["slice_thickness_mm"],
        "MRAcquisitionType": "2D",
        "ScanningSequence": "GR",
        "Description": "DSC, first pass of a bolus of gadolinium. " + DESCRIPTION,
    }
    write_image(folders.raw(session, "perf", "dsc.nii.gz"), scan["series"], affine, sidecar, np.int16)
    clean = {"RepetitionTime": sidecar["RepetitionTime"], "EchoTime": sidecar["EchoTime"], "Description": "Without noise and motion. " + DESCRIPTION}
    write_image(folders.truth(f"ses-{session}_desc-clean_dsc.nii.gz"), scan["clean"], affine, clean)
    dwi = _dwi_grid(patient, settings)
    moved = sample(list(scan["distortion"]), patient["grid"], dwi)
    write_image(folders.truth(f"space-dwi_ses-{session}_desc-epi_displacement.nii.gz"), np.stack(moved, -1), dwi.affine(), {"Units": "mm"})
    record = {
        "dsc_mm_to_dwi_mm": scan["pose"].tolist(),
        "then": "add the displacement of desc-epi at the point reached",
        "motion": scan["motion"].round(6).tolist(),
        "bolus": scan["bolus"],
        "hypoperfused_ml": float(scan["haemodynamics"]["hypoperfused"].sum() * patient["grid"].voxel_ml()),
    }
    write_json(folders.truth(f"ses-{session}_dsc_transforms.json"), record)
