"""The perfusion-diffusion mismatch model, the clinical reference (paper section 2.4.3)."""

import logging

import numpy as np

from finalinfarct.dataset.files import whole
from finalinfarct.dataset.images import read_image, read_sidecar, spatial_reference, write_image
from finalinfarct.errors import InputError
from finalinfarct.imaging.grids import check_same_grid

log = logging.getLogger(__name__)


def mismatch_prediction(diffusion_lesion, tmax, brain, reperfused, tmax_threshold_s=6.0):
    """Final infarct by the mismatch model.

    Parameters
    ----------
    diffusion_lesion, brain : numpy.ndarray
        bool, (X, Y, Z).
    tmax : numpy.ndarray
        s, (X, Y, Z), not normalised.
    reperfused : bool
        Reperfused: the diffusion lesion alone. Otherwise also all brain with Tmax above the threshold.
    tmax_threshold_s : float
        Strictly above it is penumbra ("Tmax > 6 s", paper section 2.4.3, where the reperfusion ratio has >= 6 s).

    Returns
    -------
    numpy.ndarray
        bool, (X, Y, Z).
    """
    core = np.asarray(diffusion_lesion, dtype=bool)
    return core.copy() if reperfused else core | (np.asarray(brain, dtype=bool) & (np.asarray(tmax) > tmax_threshold_s))


def predict_mismatch(patients, settings, output_folder):
    """Write the mismatch model's prediction of every patient.

    Parameters
    ----------
    patients : list of dict
        participant_id, status (``reperfused`` or ``nonreperfused``), and paths diffusion_lesion, tmax (s), brain_mask on one grid.
    settings : dict
        tmax_threshold_s.
    output_folder : str or Path
        Folder, replaced whole or not at all, of ``{id}_space-reference_label-lesion_mask.nii.gz`` (uint8) with JSON side files: the status and the
        source of the diffusion lesion (expert or automatic).

    Raises
    ------
    InputError
        A patient's images are not on one grid, or a status is unknown.
    """
    with whole(output_folder) as partial:
        partial.mkdir()
        for number, patient in enumerate(patients, start=1):
            name, mask = patient["participant_id"], _predict_patient(patient, settings["tmax_threshold_s"], partial)
            log.info("%s (%s): %d voxels of infarct (patient %d of %d)", name, patient["status"], mask.sum(), number, len(patients))


def _predict_patient(patient, tmax_threshold_s, folder):
    """Write one patient's prediction and return it."""
    name, status = patient["participant_id"], patient["status"]
    if status not in ("reperfused", "nonreperfused"):
        raise InputError(name, f"reperfusion status {status!r}", "exclude the patient, or give the status")
    lesion, tmax, brain = (read_image(patient[key], ndim=3) for key in ("diffusion_lesion", "tmax", "brain_mask"))
    for key, image in (("tmax", tmax), ("brain_mask", brain)):
        check_same_grid(patient[key], image, patient["diffusion_lesion"], lesion, "resample both to the reference")
    reperfused = status == "reperfused"
    mask = mismatch_prediction(lesion.get_fdata() > 0.5, tmax.get_fdata(dtype=np.float32), brain.get_fdata() > 0.5, reperfused, tmax_threshold_s)
    about = {
        "Description": "Final infarct by the perfusion-diffusion mismatch model: "
        + ("diffusion lesion" if reperfused else "diffusion lesion or Tmax"),
        "ReperfusionStatus": status,
        "LesionSource": read_sidecar(patient["diffusion_lesion"]).get("LesionSource", "unknown"),
    } | spatial_reference(patient["diffusion_lesion"])
    if not reperfused:
        about["TmaxThreshold"] = {"Above": float(tmax_threshold_s), "Units": "s"}
    write_image(folder / f"{name}_space-reference_label-lesion_mask.nii.gz", mask, lesion.affine, about, dtype=np.uint8)
    return mask
