"""Lesion volumes of all patients, for table A.5 and the calibration of the simulated cohort."""

import numpy as np
import pandas as pd

from finalinfarct.dataset.images import read_image, voxel_volume_ml
from finalinfarct.dataset.tables import write_table


def lesion_volumes(patients, output):
    """Write the volumes of the diffusion lesion and the final lesion in reference space.

    Parameters
    ----------
    patients : list of dict
        participant_id, and paths diffusion_lesion and final_lesion of masks.
    output : str or Path
        Table with the columns participant_id, diffusion_lesion_ml, final_lesion_ml.
    """
    rows = [(patient["participant_id"], mask_volume_ml(patient["diffusion_lesion"]), mask_volume_ml(patient["final_lesion"])) for patient in patients]
    write_table(pd.DataFrame(rows, columns=["participant_id", "diffusion_lesion_ml", "final_lesion_ml"]), output)


def mask_volume_ml(path):
    """Volume in ml of a mask on disk."""
    image = read_image(path, ndim=3)
    return float(np.count_nonzero(image.get_fdata() > 0.5)) * voxel_volume_ml(image.affine)
