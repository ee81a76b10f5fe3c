"""Overlap, volume and distance of a predicted and a true infarct, per patient, in 3D (paper section 2.4.2, equations 1 to 5)."""

import numpy as np
from scipy.ndimage import distance_transform_edt

SEGMENTATION_METRICS = (
    "dsc",
    "volumetric_similarity",
    "precision",
    "recall",
    "hausdorff_distance_mm",
    "hausdorff_distance_voxels",
    "hausdorff_distance_95_mm",
    "hausdorff_distance_95_voxels",
    "volume_predicted_ml",
    "volume_final_ml",
)


def segmentation_metrics(prediction, truth, voxel_sizes_mm):
    """Compare a predicted with a true mask.

    Parameters
    ----------
    prediction, truth : numpy.ndarray
        bool or 0 and 1, (X, Y, Z), on one grid.
    voxel_sizes_mm : array_like
        Edge lengths of a voxel in mm, (3,).

    Returns
    -------
    dict of str to float
        The metrics ``SEGMENTATION_METRICS``: ``overlap_metrics``, ``hausdorff_distances`` in mm and in voxels, and the volumes in ml.

    Raises
    ------
    ValueError
        The masks are on different grids.
    """
    prediction, truth = np.asarray(prediction) > 0, np.asarray(truth) > 0
    if prediction.shape != truth.shape:
        raise ValueError(f"masks of shapes {prediction.shape} and {truth.shape}")
    sizes = np.asarray(voxel_sizes_mm, dtype=float)
    volume_ml = float(np.prod(sizes)) / 1000.0
    result = overlap_metrics(prediction, truth)
    for unit, spacing in (("mm", sizes), ("voxels", np.ones(3))):
        maximum, percentile = hausdorff_distances(prediction, truth, spacing)
        result[f"hausdorff_distance_{unit}"] = maximum
        result[f"hausdorff_distance_95_{unit}"] = percentile
    result["volume_predicted_ml"] = float(prediction.sum()) * volume_ml
    result["volume_final_ml"] = float(truth.sum()) * volume_ml
    return {name: result[name] for name in SEGMENTATION_METRICS}


def overlap_metrics(prediction, truth):
    """Dice coefficient, volumetric similarity, precision and recall (paper equations 1 to 4; Taha and Hanbury 2015).

    Parameters
    ----------
    prediction, truth : numpy.ndarray
        bool, of one shape.

    Returns
    -------
    dict of str to float
        dsc, volumetric_similarity, precision, recall. Both masks empty: dsc and volumetric_similarity are 1; one empty: both are 0. Precision is NaN
        when nothing is predicted, recall when nothing is there.
    """
    predicted, there = int(np.count_nonzero(prediction)), int(np.count_nonzero(truth))
    hit = int(np.count_nonzero(prediction & truth))
    total = predicted + there
    return {
        "dsc": 2.0 * hit / total if total else 1.0,
        # FN - FP is the difference of the volumes, whatever the overlap.
        "volumetric_similarity": 1.0 - abs(there - predicted) / total if total else 1.0,
        "precision": hit / predicted if predicted else float("nan"),
        "recall": hit / there if there else float("nan"),
    }


def hausdorff_distances(first, second, spacing):
    """Hausdorff distance and its 95th percentile.

    The maximum is that of paper equation 5, between the sets of all voxels. It is exact: voxels of both sets have distance 0, and the voxel of a set
    that is nearest to one outside lies on the set's surface (from any other voxel a step along an axis, within the set, comes nearer), so only voxels
    of one set alone are asked, and only against the other's surface. SimpleITK and EvaluateSegmentation (Taha and Hanbury 2015) compute the same.
    It is not the distance between the surfaces: a ball compared with its own shell is at the ball's radius.

    The 95th percentile follows MedPy's ``hd95``: the distances from every surface voxel of either mask to the other's surface, pooled, linear
    interpolation. A surface voxel has a face neighbour outside the mask; the edge of the image counts as outside.

    Parameters
    ----------
    first, second : numpy.ndarray
        bool, (X, Y, Z).
    spacing : array_like
        Edge lengths of a voxel, (3,); ones for a distance in voxels.

    Returns
    -------
    maximum, percentile : float
        In the unit of ``spacing``. Both masks empty: 0. One empty: NaN.
    """
    if not first.any() and not second.any():
        return 0.0, 0.0
    if not first.any() or not second.any():
        return float("nan"), float("nan")
    first, second = _crop(first, second)
    surfaces = surface(first), surface(second)
    maximum, pooled = 0.0, []
    for mask, other, border, goal in ((first, second, *surfaces), (second, first, *surfaces[::-1])):
        distances = distance_transform_edt(~goal, sampling=spacing)
        maximum = max(maximum, distances[mask & ~other].max(initial=0.0))
        pooled.append(distances[border])
    return float(maximum), float(np.percentile(np.concatenate(pooled), 95))


def surface(mask):
    """Voxels of a mask, bool (X, Y, Z), that have a face neighbour outside it; beyond the image is outside."""
    padded = np.pad(mask, 1)
    inside = [slice(1, -1)] * 3
    inner = mask.copy()
    for axis in range(3):
        for neighbour in (slice(None, -2), slice(2, None)):
            inner &= padded[tuple(neighbour if k == axis else inside[k] for k in range(3))]
    return mask & ~inner


def _crop(first, second):
    """Both masks, not empty, on the bounding box of their union, which holds all that distances depend on."""
    union = first | second
    box = tuple(slice(np.flatnonzero(line)[0], np.flatnonzero(line)[-1] + 1) for line in (union.any((1, 2)), union.any((0, 2)), union.any((0, 1))))
    return first[box], second[box]
