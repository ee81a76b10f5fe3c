"""Reperfusion ratio from the perfusion at baseline (H0) and three hours later (H3)."""

import logging
import math

import numpy as np

from finalinfarct.dataset.images import read_image, write_json
from finalinfarct.imaging.grids import check_same_grid

LOGGER = logging.getLogger(__name__)

LEAST_COVERAGE = 0.8


def reperfusion_ratio(tmax_h0, tmax_h3, measured_h3, brain, threshold_s=6.0):
    """|Tmax_H0 >= 6 s and Tmax_H3 < 6 s| / |Tmax_H0 >= 6 s| within the brain (Debs et al. 2021, section 2.2.1).

    Only voxels measured at H3 count: elsewhere the map holds 0, which would pass for reperfused.

    Parameters
    ----------
    tmax_h0, tmax_h3 : numpy.ndarray
        Tmax in s at baseline and 3 h later, on one grid.
    measured_h3, brain : numpy.ndarray
        bool, same shape: where Tmax_H3 is known, and the brain.
    threshold_s : float
        From this Tmax on, in s, a voxel is hypoperfused.

    Returns
    -------
    ratio : float
        0..1; NaN where no voxel is hypoperfused at baseline and measured at H3.
    coverage : float
        0..1, share of the voxels hypoperfused at baseline that are measured at H3; NaN where none is hypoperfused.
    """
    before = np.asarray(brain, bool) & (np.asarray(tmax_h0) >= threshold_s)
    known = before & np.asarray(measured_h3, bool)
    ratio = float((np.asarray(tmax_h3)[known] < threshold_s).mean()) if known.any() else math.nan
    return ratio, float(known.sum() / before.sum()) if before.any() else math.nan


def write_reperfusion_ratio(participant_id, tmax_h0, tmax_h3, cbf_h3, brain_mask, output):
    """Write the reperfusion ratio of one patient, undefined where less than 80 % of the hypoperfused voxels at baseline were measured at H3.

    Parameters
    ----------
    participant_id : str
        Such as ``sub-001``.
    tmax_h0, tmax_h3, cbf_h3, brain_mask : str or Path
        Images on one grid; Tmax in s. A voxel is measured where CBF is positive, since Tmax itself may be 0.
    output : str or Path
        JSON: ``participant_id``, ``reperfusion_ratio`` (null where undefined), ``h3_coverage`` (null where nothing is hypoperfused) and ``reason``,
        why the ratio is undefined (else null).

    Raises
    ------
    InputError
        An image is unusable, or the grids differ.
    """
    mask = read_image(brain_mask, ndim=3)
    maps = []
    for path in (tmax_h0, tmax_h3, cbf_h3):
        image = read_image(path, ndim=3)
        check_same_grid(path, image, brain_mask, mask)
        maps.append(image.get_fdata(dtype=np.float32))
    h0, h3, flow = maps
    ratio, coverage = reperfusion_ratio(h0, h3, flow > 0, mask.get_fdata(dtype=np.float32) > 0.5)
    reason = None
    if math.isnan(coverage):
        ratio, coverage, reason = None, None, "no hypoperfused voxel at baseline"
    elif coverage < LEAST_COVERAGE:
        ratio, reason = None, f"only {100 * coverage:.0f} % of the hypoperfused voxels at baseline were measured at H3"
    write_json(output, {"participant_id": participant_id, "reperfusion_ratio": ratio, "h3_coverage": coverage, "reason": reason})
    LOGGER.info("reperfusion ratio of %s: %s", participant_id, reason or ratio)
