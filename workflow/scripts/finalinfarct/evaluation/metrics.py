"""Overlap, volume and distance of a predicted and a true infarct, per patient, in 3D (paper section 2.4.2, equations 1 to 5)."""

import numpy as np
from scipy import ndimage

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
    prediction, truth = np.asarray(prediction, dtype=bool), np.asarray(truth, dtype=bool)
    if prediction.shape != truth.shape:
        raise ValueError(f"masks of shapes {prediction.shape} and {truth.shape}")
    sizes = np.asarray(voxel_sizes_mm, dtype=float)
    volume_ml = float(np.prod(sizes)) / 1000.0
    result = overlap_metrics(prediction, truth)
    units = {"mm": sizes, "voxels": np.ones(3)}
    for unit, (maximum, percentile) in zip(units, _hausdorff(prediction, truth, units.values()), strict=True):
        result[f"hausdorff_distance_{unit}"] = maximum
        result[f"hausdorff_distance_95_{unit}"] = percentile
    result["volume_predicted_ml"] = np.count_nonzero(prediction) * volume_ml
    result["volume_final_ml"] = np.count_nonzero(truth) * volume_ml
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
    return _hausdorff(first, second, [spacing])[0]


def _hausdorff(first, second, spacings):
    """``hausdorff_distances`` for several spacings of the same masks, a list."""
    if not first.any() or not second.any():
        nothing = (float("nan"),) * 2 if first.any() or second.any() else (0.0, 0.0)
        return [nothing for _ in spacings]
    box = bounding_box(first | second)
    first, second = first[box], second[box]
    surfaces = surface(first), surface(second)
    found = []
    for spacing in spacings:
        maximum, pooled = 0.0, []
        for mask, other, border, goal in ((first, second, *surfaces), (second, first, *surfaces[::-1])):
            distances = ndimage.distance_transform_edt(~goal, sampling=spacing)
            maximum = max(maximum, distances[mask & ~other].max(initial=0.0))
            pooled.append(distances[border])
        found.append((float(maximum), float(np.percentile(np.concatenate(pooled), 95))))
    return found


def surface(mask):
    """Voxels of a mask, bool (X, Y, Z), that have a face neighbour outside it; beyond the image is outside."""
    return mask & ~ndimage.binary_erosion(mask)


def bounding_box(mask):
    """Slices of the smallest box that holds all voxels of a mask, bool (X, Y, Z), not empty."""
    lines = (np.flatnonzero(mask.any(axes)) for axes in ((1, 2), (0, 2), (0, 1)))
    return tuple(slice(line[0], line[-1] + 1) for line in lines)
