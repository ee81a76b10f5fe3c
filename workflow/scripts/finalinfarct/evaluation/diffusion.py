"""Agreement of a lesion mask with another, patient by patient: the diffusion lesion with the final or the expert's lesion."""

import pandas as pd

from finalinfarct.dataset.images import read_image, read_sidecar, voxel_sizes
from finalinfarct.dataset.tables import write_table
from finalinfarct.evaluation.metrics import segmentation_metrics
from finalinfarct.imaging.grids import check_same_grid


def evaluate_masks(pairs, output):
    """Write the metrics of one mask against another for every patient.

    Parameters
    ----------
    pairs : list of (str, path, path)
        participant_id, mask that is judged, mask that is taken as true; both on one grid.
    output : str or Path
        Table with the columns participant_id, source, metric, value: the source of the mask that is judged (expert, automatic or unknown, as its
        side file says), the names of ``SEGMENTATION_METRICS``; undefined is ``n/a``.

    Raises
    ------
    InputError
        Masks of a patient on different grids.
    """
    rows = []
    for participant, prediction_path, truth_path in pairs:
        prediction, truth = read_image(prediction_path, ndim=3), read_image(truth_path, ndim=3)
        check_same_grid(prediction_path, prediction, truth_path, truth, "resample both to the reference")
        values = segmentation_metrics(prediction.get_fdata() > 0.5, truth.get_fdata() > 0.5, voxel_sizes(truth.affine))
        source = read_sidecar(prediction_path).get("LesionSource", "unknown")
        rows += [(participant, source, metric, value) for metric, value in values.items()]
    write_table(pd.DataFrame(rows, columns=["participant_id", "source", "metric", "value"]), output)
