"""Area under the ROC curve in three modes, on the same voxels for every method (Debs et al. 2021, sections 2.4.2 and 2.4.3; modes chosen here).

Whole-brain AUC flatters, because most of the brain is far from the infarct (Jonsdottir 2009, Stroke 40:3006), so it stands beside the AUC of the
affected hemisphere and the balanced AUC.
"""

import logging

import numpy as np

AUC_MODES = ("auc_brain", "auc_hemisphere", "auc_balanced")
# Wider than the 6 s of the mismatch model: with the same threshold the model would call all tissue at risk infarcted, and its specificity would be 0
# by construction. Olivot et al. 2009 (Stroke 40:469) put the bound of penumbra between 4 and 6 s; this takes the wider.
AT_RISK_TMAX_S = 4.0
# A head is not turned further than this; a brain mask whose long axis is, has no clear long axis.
LARGEST_YAW_DEG = 30.0
# Nearer voxels lie on the midsagittal plane and on neither side, whatever the rounding errors.
ON_THE_PLANE_MM = 5e-7
log = logging.getLogger(__name__)


def roc_auc(scores, truth):
    """Area under the ROC curve: the share of (infarcted, other) pairs in which the infarcted voxel scores higher, ties counted half.

    Parameters
    ----------
    scores : numpy.ndarray
        Any real numbers, higher means infarct more likely.
    truth : numpy.ndarray
        bool, of the same shape.

    Returns
    -------
    float
        NaN where all voxels are infarcted or none is.
    """
    scores, truth = np.asarray(scores), np.asarray(truth, dtype=bool)
    infarcted, others = scores[truth], np.sort(scores[~truth])
    if not infarcted.size or not others.size:
        return float("nan")
    infarcted = np.sort(infarcted)
    # Twice the Mann-Whitney statistic, in whole numbers.
    twice = int(np.searchsorted(others, infarcted, "left").sum()) + int(np.searchsorted(others, infarcted, "right").sum())
    return twice / (2 * infarcted.size * others.size)


def auc_modes(score_map, truth, brain, at_risk, hemisphere, seed):
    """AUC over the whole brain, over the affected hemisphere, and balanced.

    Parameters
    ----------
    score_map : numpy.ndarray
        Lesion probability, or a mask, (X, Y, Z).
    truth, brain, at_risk : numpy.ndarray
        bool, (X, Y, Z): final lesion, brain, tissue at risk.
    hemisphere : numpy.ndarray or None
        bool, (X, Y, Z), from ``affected_hemisphere``.
    seed : int or sequence of int
        Of the balanced draw; by patient, never by method.

    Returns
    -------
    dict of str to float
        ``AUC_MODES``. NaN where no voxel, or every voxel, is infarcted, or where no hemisphere is known.
    """
    whole = np.asarray(brain, dtype=bool)
    sampled = balanced_sample(truth, whole, at_risk, seed)
    chosen = {"auc_brain": whole, "auc_hemisphere": None if hemisphere is None else hemisphere & whole, "auc_balanced": sampled}
    return {mode: float("nan") if voxels is None else roc_auc(score_map[voxels], truth[voxels]) for mode, voxels in chosen.items()}


def balanced_sample(truth, brain, at_risk, seed):
    """Voxels of the balanced AUC: every infarcted voxel of the brain and as many others, drawn from the tissue at risk.

    Where fewer others are at risk than are infarcted, all of them are taken, and that is logged.

    Parameters
    ----------
    truth, brain, at_risk : numpy.ndarray
        bool, (X, Y, Z).
    seed : int or sequence of int
        Seed of the draw.

    Returns
    -------
    numpy.ndarray
        bool, (X, Y, Z).
    """
    infarcted = brain & truth
    candidates, wanted = np.flatnonzero(brain & at_risk & ~truth), int(infarcted.sum())
    if candidates.size > wanted:
        candidates = np.random.default_rng(seed).choice(candidates, wanted, replace=False, shuffle=False)
    elif candidates.size < wanted:
        log.info("balanced AUC: %d voxels at risk without infarct for %d infarcted ones; all are used", candidates.size, wanted)
    chosen = infarcted.copy()
    chosen.flat[candidates] = True
    return chosen


def tissue_at_risk(diffusion_lesion, tmax, brain, hemisphere):
    """Tissue at risk, from baseline images alone: the diffusion lesion and Tmax > 4 s, in the brain's affected hemisphere.

    Parameters
    ----------
    diffusion_lesion, brain : numpy.ndarray
        bool, (X, Y, Z).
    tmax : numpy.ndarray
        s, (X, Y, Z).
    hemisphere : numpy.ndarray or None
        bool, (X, Y, Z); None where it is not known: then the whole brain.
    """
    at_risk = brain & (diffusion_lesion | (tmax > AT_RISK_TMAX_S))
    return at_risk if hemisphere is None else at_risk & hemisphere


def affected_hemisphere(diffusion_lesion, tmax, brain, affine):
    """Brain voxels on the affected side of the midsagittal plane, decided from baseline images alone.

    The side holds most of the diffusion lesion; where there is none, or it is split evenly, most of the tissue with Tmax > 4 s.

    Parameters
    ----------
    diffusion_lesion, brain : numpy.ndarray
        bool, (X, Y, Z).
    tmax : numpy.ndarray
        s, (X, Y, Z).
    affine : numpy.ndarray
        (4, 4), voxel indices to mm (RAS+).

    Returns
    -------
    numpy.ndarray or None
        bool, (X, Y, Z); None where neither decides.
    """
    offset = midsagittal_offset(brain, affine)
    for evidence in (diffusion_lesion & brain, brain & (tmax > AT_RISK_TMAX_S)):
        there = offset[evidence]
        right, left = np.count_nonzero(there > ON_THE_PLANE_MM), np.count_nonzero(there < -ON_THE_PLANE_MM)
        if right != left:
            return brain & ((offset > ON_THE_PLANE_MM) if right > left else (offset < -ON_THE_PLANE_MM))
    return None


def midsagittal_offset(brain, affine):
    """Distance of every voxel from the midsagittal plane, in mm, positive to the patient's right.

    The plane goes through the centroids of the brain's axial sections (a straight line fitted to them) along the long axis of the sections, so it
    follows a shifted, tilted or turned head. Both come from the first and second moments of the brain mask.

    Parameters
    ----------
    brain : numpy.ndarray
        bool, (X, Y, Z), not empty.
    affine : numpy.ndarray
        (4, 4), voxel indices to mm (RAS+).

    Returns
    -------
    numpy.ndarray
        float, (X, Y, Z).
    """
    affine = np.asarray(affine, dtype=float)
    indices = np.array(np.nonzero(brain), dtype=float)
    middle = indices.mean(axis=1, keepdims=True)
    indices -= middle
    centre = affine[:3, :3] @ middle[:, 0] + affine[:3, 3]
    moments = affine[:3, :3] @ (indices @ indices.T / indices.shape[1]) @ affine[:3, :3].T
    # A single section has no height, and nothing to fit a line to.
    lean = moments[:2, 2] / moments[2, 2] if moments[2, 2] > 0 else np.zeros(2)
    within = moments[:2, :2] - np.outer(lean, lean) * moments[2, 2]
    yaw = 0.5 * np.arctan2(2.0 * within[0, 1], within[1, 1] - within[0, 0])
    if abs(np.degrees(yaw)) > LARGEST_YAW_DEG:
        yaw = 0.0
    across = np.array([np.cos(yaw), -np.sin(yaw)])
    normal = np.append(across, -across @ lean)
    normal /= np.linalg.norm(normal)
    steps = normal @ affine[:3, :3]
    lines = [step * np.arange(size) for step, size in zip(steps, brain.shape, strict=True)]
    return lines[0][:, None, None] + lines[1][:, None] + lines[2] + normal @ (affine[:3, 3] - centre)
