"""Lesion volumes of all patients, and where their diffusion lesions come from."""

import numpy as np
import pandas as pd

from finalinfarct.dataset.images import read_image, read_sidecar, voxel_volume_ml
from finalinfarct.dataset.tables import write_table

COLUMNS = ("participant_id", "diffusion_lesion_ml", "final_lesion_ml", "diffusion_lesion_source")


def lesion_volumes(patients, output):
    """Write the volumes of the diffusion lesion and the final lesion in reference space, and the source of the diffusion lesion.

    Parameters
    ----------
    patients : list of dict
        participant_id, and paths diffusion_lesion and final_lesion of masks.
    output : str or Path
        Table with the columns ``COLUMNS``; the source is expert or automatic, as the mask's side file says, or unknown.
    """
    rows = []
    for patient in patients:
        volumes = (mask_volume_ml(patient[name]) for name in ("diffusion_lesion", "final_lesion"))
        rows.append((patient["participant_id"], *volumes, read_sidecar(patient["diffusion_lesion"]).get("LesionSource", "unknown")))
    write_table(pd.DataFrame(rows, columns=COLUMNS), output)


def mask_volume_ml(path):
    """Volume in ml of a mask on disk."""
    image = read_image(path, ndim=3)
    return float(np.count_nonzero(image.get_fdata() > 0.5)) * voxel_volume_ml(image.affine)
