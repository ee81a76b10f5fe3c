"""Reperfusion ratio from the perfusion at baseline (H0) and three hours later (H3)."""

import logging
import math

import numpy as np

from finalinfarct.dataset.images import read_image, write_json
from finalinfarct.imaging.grids import check_same_grid

LOGGER = logging.getLogger(__name__)


def reperfusion_ratio(tmax_h0, tmax_h3, brain, threshold_s=6.0):
    """|Tmax_H0 >= 6 s and Tmax_H3 < 6 s| / |Tmax_H0 >= 6 s| within the brain (protocol section 1; paper section 2.2.1).

    Parameters
    ----------
    tmax_h0, tmax_h3 : numpy.ndarray
        Tmax in s at baseline and 3 h later, on one grid.
    brain : numpy.ndarray
        bool, same shape.
    threshold_s : float
        From this Tmax on, in s, a voxel is hypoperfused.

    Returns
    -------
    float
        0..1; NaN where no voxel is hypoperfused at baseline.
    """
    before = np.asarray(brain, bool) & (np.asarray(tmax_h0) >= threshold_s)
    if not before.any():
        return math.nan
    return float(np.count_nonzero(before & (np.asarray(tmax_h3) < threshold_s)) / np.count_nonzero(before))


def write_reperfusion_ratio(participant_id, tmax_h0, tmax_h3, brain_mask, output):
    """Write the reperfusion ratio of one patient as JSON: ``participant_id``, ``reperfusion_ratio`` (null where undefined).

    Parameters
    ----------
    participant_id : str
        Such as ``sub-001``.
    tmax_h0, tmax_h3, brain_mask : str or Path
        Images on one grid; Tmax in s.
    output : str or Path
        JSON file.

    Raises
    ------
    InputError
        An image is unusable, or the grids differ.
    """
    mask = read_image(brain_mask, ndim=3)
    maps = []
    for path in (tmax_h0, tmax_h3):
        image = read_image(path, ndim=3)
        check_same_grid(path, image, brain_mask, mask)
        maps.append(image.get_fdata(dtype=np.float32))
    ratio = reperfusion_ratio(*maps, mask.get_fdata(dtype=np.float32) > 0.5)
    write_json(output, {"participant_id": participant_id, "reperfusion_ratio": None if math.isnan(ratio) else ratio})
    LOGGER.info("reperfusion ratio of %s: %s", participant_id, ratio)
