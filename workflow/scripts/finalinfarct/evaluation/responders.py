"""Responders: patients whose predicted infarct is substantially larger without reperfusion than with it (paper section 4.1)."""

import numpy as np
import pandas as pd

from finalinfarct.dataset.images import read_image, voxel_volume_ml
from finalinfarct.dataset.tables import write_table
from finalinfarct.evaluation.metrics import overlap_metrics
from finalinfarct.imaging.grids import check_same_grid

DSC_BELOW = 0.5
VOLUME_EXCESS_PERCENT = 20
COLUMNS = ("participant_id", "status", "fold", "volume_reperfused_ml", "volume_nonreperfused_ml", "dsc_between_models", "responder")


def is_responder(reperfused, nonreperfused):
    """Whether the predictions say that reperfusion spares much tissue: DSC between the two below 0.5, and the second at least 20 % larger.

    Parameters
    ----------
    reperfused, nonreperfused : numpy.ndarray
        bool, of one shape: infarct predicted by the model trained on reperfused and on non-reperfused patients.

    Returns
    -------
    bool
        Both empty: no, they agree (DSC 1). Only the reperfused one empty: yes, all that is predicted is spared. Only the other empty: no.
    """
    with_reperfusion, without = np.count_nonzero(reperfused), np.count_nonzero(nonreperfused)
    # In whole numbers, so that an excess of exactly 20 % is one.
    larger = 100 * without >= (100 + VOLUME_EXCESS_PERCENT) * with_reperfusion
    return bool(overlap_metrics(reperfused, nonreperfused)["dsc"] < DSC_BELOW and larger)


def write_responders(patients, output):
    """Write what the two status-specific models predict for every test patient, against each other.

    Parameters
    ----------
    patients : list of dict
        participant_id, status, fold, and paths of the masks reperfused and nonreperfused on one grid.
    output : str or Path
        Table with the columns ``COLUMNS``; volumes in ml, responder yes or no.

    Raises
    ------
    InputError
        Masks of a patient on different grids.
    """
    rows = []
    for patient in patients:
        first, second = (read_image(patient[model], ndim=3) for model in ("reperfused", "nonreperfused"))
        check_same_grid(patient["nonreperfused"], second, patient["reperfused"], first, "predict with both models again")
        masks = [image.get_fdata() > 0.5 for image in (first, second)]
        volumes = [float(np.count_nonzero(mask)) * voxel_volume_ml(first.affine) for mask in masks]
        answer = "yes" if is_responder(*masks) else "no"
        rows.append((*(patient[key] for key in COLUMNS[:3]), *volumes, overlap_metrics(*masks)["dsc"], answer))
    write_table(pd.DataFrame(rows, columns=COLUMNS), output)
