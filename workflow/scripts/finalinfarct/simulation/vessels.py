"""Vascular territories, arteries and venous sinuses as smooth functions of MNI152 coordinates."""

from itertools import pairwise

import numpy as np

from finalinfarct.simulation.fields import sigmoid, smooth_field

# Courses in mm for the right side (x > 0): mirrored for the left. Radii are wider than the lumen: the field around a vessel full of contrast
# agent is disturbed too.
ARTERIES_MNI_MM = {
    "ica": [(14, -2, -34), (11, 4, -22), (10, 3, -16)],
    "m1": [(10, 3, -16), (18, 4, -18), (27, 3, -18), (33, 2, -16)],
    "m2_superior": [(33, 2, -16), (40, 6, -6), (43, 8, 6), (46, 4, 16), (52, -6, 26)],
    "m2_inferior": [(33, 2, -16), (41, -6, -8), (45, -20, 2), (50, -36, 14), (54, -48, 22)],
    "aca": [(10, 3, -16), (3, 12, -14), (3, 30, -4), (3, 38, 12), (3, 22, 32), (3, -5, 44)],
    "pca": [(2, -16, -16), (12, -24, -12), (22, -36, -4), (18, -60, 4)],
}
ARTERY_RADIUS_MM = {"ica": 4.2, "m1": 4.2, "m2_superior": 3.0, "m2_inferior": 3.0, "aca": 2.4, "pca": 2.2}
SINUSES_MNI_MM = [[(0, 60, 50), (0, 20, 80), (0, -30, 84), (0, -75, 58), (0, -104, 20), (0, -106, -2)], [(0, -38, 2), (0, -62, 18), (0, -104, 20)]]
SINUS_RADIUS_MM = 3.0


def territory_depth(rng, mni, axes, site, side):
    """Depth in mm below the border of the tissue that the occluded artery feeds (negative outside), and the weight of its deep part.

    Borders vary between patients by a smooth random field, as anatomical studies show (van der Zwan 1992).

    Parameters
    ----------
    rng : numpy.random.Generator
        The patient's stream for this step.
    mni : numpy.ndarray
        (3, X, Y, Z) coordinates in mm.
    axes : list of numpy.ndarray
        Axes of the simulation grid in mm.
    site : str
        ``ICA+M1``, ``M1``, ``ICA+M2`` or ``M2``.
    side : int
        1 for the right hemisphere, -1 for the left.

    Returns
    -------
    depth_mm, deep : numpy.ndarray
        float32 (X, Y, Z); ``deep`` from 0 to 1 in striatum, internal capsule and insula, which have no leptomeningeal collaterals.
    """
    x, y, z = side * mni[0], mni[1], mni[2]
    wander = 5.0 * smooth_field(rng, axes, 30.0)
    anterior = x - (9.0 + 0.22 * np.clip(z, 0, 70) + 0.5 * np.clip(y - 35.0, 0, 30))
    posterior = 0.8 * (y + 58.0 + 0.6 * (x - 25.0) + 0.25 * (z - 10.0))
    inferior = 0.8 * (z + 27.0 + 0.5 * (x - 35.0))
    thalamus = 9.0 * (np.sqrt((x / 21.0) ** 2 + ((y + 20.0) / 19.0) ** 2 + ((z - 8.0) / 15.0) ** 2) - 1.0)
    cerebellum = np.maximum(z + 14.0 - 0.12 * (y + 32.0), y + 36.0)
    middle = np.minimum.reduce([anterior, posterior, inferior, thalamus, cerebellum]) + wander
    deep = sigmoid(1.0 - 4.0 * (np.sqrt(((x - 23.0) / 14.0) ** 2 + ((y - 2.0) / 26.0) ** 2 + ((z - 8.0) / 19.0) ** 2) - 0.75))
    striate = 11.0 * (1.0 - np.sqrt(((x - 22.0) / 14.0) ** 2 + ((y - 2.0) / 27.0) ** 2 + ((z - 6.0) / 20.0) ** 2)) + 6.0
    division = (z - 4.0 + y + 18.0) / np.sqrt(2.0) + 0.5 * wander
    draws = rng.random(4)
    if site in ("ICA+M1", "M1"):
        depth = middle if site == "M1" and draws[0] < 0.35 else np.maximum(middle, striate)  # distal M1 spares the perforators
        if site == "ICA+M1" and draws[1] < 0.35:  # no anterior communicating artery: the anterior territory suffers too
            depth = np.maximum(depth, np.minimum(np.minimum(x - 2.0, y + 40.0), cerebellum) - 5.0)
    else:
        depth = np.minimum(middle, division if draws[2] < 0.55 else -division)
        if site == "ICA+M2" and draws[3] < 0.6:
            depth = np.maximum(depth, striate - 3.0)
    depth = np.minimum(depth, x - 1.0)
    return depth.astype(np.float32), (deep * (depth > -3.0)).astype(np.float32)


def vessel_fractions(mni, voxel_mm):
    """Fractions of blood of large vessels.

    Parameters
    ----------
    mni : numpy.ndarray
        (3, X, Y, Z) coordinates in mm.
    voxel_mm : float
        Spacing of the grid, which blurs the lumen.

    Returns
    -------
    artery, sinus : numpy.ndarray
        float32 (X, Y, Z), 0 to 1.
    """
    artery = np.zeros(mni.shape[1:], np.float32)
    for name, course in ARTERIES_MNI_MM.items():
        for side in (1, -1):
            _paint(artery, mni, np.array(course, float) * (side, 1, 1), ARTERY_RADIUS_MM[name], voxel_mm)
    sinus = np.zeros_like(artery)
    for course in SINUSES_MNI_MM:
        _paint(sinus, mni, np.array(course, float), SINUS_RADIUS_MM, voxel_mm)
    return artery, sinus


def _paint(target, mni, course, radius_mm, voxel_mm):
    """Raise ``target`` to the fraction of a tube along ``course``; only the box around each segment is visited."""
    for start, end in pairwise(course):
        reach = radius_mm + 2 * voxel_mm
        near = np.ones(target.shape, bool)
        for k in range(3):
            near &= (mni[k] > min(start[k], end[k]) - reach) & (mni[k] < max(start[k], end[k]) + reach)
        points = mni[:, near].T
        if points.size == 0:
            continue
        along = np.clip((points - start) @ (end - start) / np.sum((end - start) ** 2), 0, 1)
        distance = np.linalg.norm(points - start - along[:, None] * (end - start), axis=1)
        target[near] = np.maximum(target[near], np.clip((radius_mm - distance) / voxel_mm + 0.5, 0, 1))
