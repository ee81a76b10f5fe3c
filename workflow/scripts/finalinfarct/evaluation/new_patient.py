"""What is predicted for a new patient with and without reperfusion, by the networks and by the mismatch model, in numbers."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from finalinfarct.dataset.images import read_image, read_sidecar, voxel_volume_ml, write_json
from finalinfarct.dataset.tables import write_table
from finalinfarct.evaluation.metrics import overlap_metrics
from finalinfarct.evaluation.mismatch import mismatch_prediction
from finalinfarct.evaluation.responders import is_responder
from finalinfarct.imaging.grids import check_same_grid
from finalinfarct.learning.families import STATUSES

COLUMNS = (
    "participant_id",
    "volume_reperfused_ml",
    "lowest_reperfused_ml",
    "highest_reperfused_ml",
    "volume_nonreperfused_ml",
    "lowest_nonreperfused_ml",
    "highest_nonreperfused_ml",
    "salvageable_ml",
    "without_perfusion_ml",
    "dsc_between_predictions",
    "responder",
    "mismatch_reperfused_ml",
    "mismatch_nonreperfused_ml",
    "diffusion_lesion_source",
    "quality_flags",
    "trained_on_simulated",
)


def measure_new_patient(participant, files, tmax_threshold_s, quality, output):
    """Write the numbers of one patient's predictions.

    Parameters
    ----------
    participant : str
        participant_id.
    files : dict of str to path
        On one grid: ``reperfused`` and ``nonreperfused``, the predicted masks with the side files of ``learning.ensemble``;
        ``diffusion_lesion``, ``tmax`` (s), ``cbf`` and ``brain_mask``.
    tmax_threshold_s : float
        Of the mismatch model, s.
    quality : str or Path
        JSON of ``imaging.quality.measure_quality``: how many flags it has.
    output : str or Path
        JSON with the keys ``COLUMNS``, volumes in ml. ``lowest`` and ``highest`` are of single networks. ``salvageable_ml`` is predicted as infarct
        without reperfusion and not with it. ``without_perfusion_ml`` is predicted, in either course, where the perfusion maps have no value (CBF is
        0): beyond the series, or where no bolus passed. ``responder`` (yes or no) as in ``evaluation.responders``. ``mismatch_*``: the mismatch
        model with and without reperfusion.

    Raises
    ------
    InputError
        Images on different grids.
    """
    images = {name: read_image(files[name], ndim=3) for name in (*STATUSES, "diffusion_lesion", "tmax", "cbf", "brain_mask")}
    first = images["reperfused"]
    for name, image in images.items():
        check_same_grid(files[name], image, files["reperfused"], first, "prepare the images and predict again")
    predicted = {name: np.asarray(images[name].dataobj) > 0.5 for name in STATUSES}
    core, brain = (np.asarray(images[name].dataobj) > 0.5 for name in ("diffusion_lesion", "brain_mask"))
    tmax, flow = (np.asarray(images[name].dataobj) for name in ("tmax", "cbf"))
    volume_ml = voxel_volume_ml(first.affine)
    numbers = {"participant_id": participant}
    sides = {name: read_sidecar(files[name]) for name in STATUSES}
    for name in STATUSES:
        side = sides[name]
        numbers[f"volume_{name}_ml"] = float(predicted[name].sum() * volume_ml)
        numbers[f"lowest_{name}_ml"], numbers[f"highest_{name}_ml"] = min(side["NetworkVolumesMl"]), max(side["NetworkVolumesMl"])
        rule = mismatch_prediction(core, tmax, brain, name == "reperfused", tmax_threshold_s)
        numbers[f"mismatch_{name}_ml"] = float(rule.sum() * volume_ml)
    numbers["salvageable_ml"] = float((predicted["nonreperfused"] & ~predicted["reperfused"]).sum() * volume_ml)
    numbers["without_perfusion_ml"] = float(((predicted["reperfused"] | predicted["nonreperfused"]) & (flow <= 0)).sum() * volume_ml)
    numbers["dsc_between_predictions"] = float(overlap_metrics(predicted["reperfused"], predicted["nonreperfused"])["dsc"])
    numbers["responder"] = "yes" if is_responder(predicted["reperfused"], predicted["nonreperfused"]) else "no"
    numbers["diffusion_lesion_source"] = read_sidecar(files["diffusion_lesion"]).get("LesionSource", "unknown")
    numbers["quality_flags"] = len(json.loads(Path(quality).read_text(encoding="utf-8"))["flags"])
    numbers["trained_on_simulated"] = "yes" if any(side["TrainedOnSimulatedPatients"] for side in sides.values()) else "no"
    write_json(output, {name: numbers[name] for name in COLUMNS})


def write_new_patients(numbers, output):
    """Write the numbers of all new patients as a table with the columns ``COLUMNS``, in the order given.

    Parameters
    ----------
    numbers : list of str or Path
        JSON files of ``measure_new_patient``.
    output : str or Path
        TSV.
    """
    rows = [json.loads(Path(path).read_text(encoding="utf-8")) for path in numbers]
    write_table(pd.DataFrame(rows, columns=COLUMNS), output)
