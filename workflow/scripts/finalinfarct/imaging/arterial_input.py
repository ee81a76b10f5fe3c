"""The arterial input function (AIF): automatic choice of arterial voxels after Mouridsen 2006."""

import numpy as np
from scipy import ndimage

# Mouridsen, Christensen, Gyldensted, Ostergaard, Magn Reson Med 2006;55:524: keep the tenth of the voxels with the largest area under the
# curve, drop the quarter with the roughest curves, and twice keep the most arterial of five clusters of curves.
LARGEST_AREA_SHARE, ROUGHEST_SHARE = 0.10, 0.25
CLUSTERS, ROUNDS, FEWEST_VOXELS, CLUSTER_SEED = 5, 2, 5, 0
MOST_VOXELS = 12
SMALLEST_PEAK_DEVIATIONS = 5.0
END_OF_FIRST_PASS_SHARE = 0.3


class NoArteryError(ValueError):
    """No voxel has an arterial curve; the text says why."""


def usable_curves(curves, baseline_frames):
    """Which curves show a bolus: a peak of at least five standard deviations of their baseline, after it.

    Parameters
    ----------
    curves : numpy.ndarray
        (V, T) concentration.
    baseline_frames : slice
        Pre-bolus frames.

    Returns
    -------
    numpy.ndarray
        bool, (V,).
    """
    after = curves[:, baseline_frames.stop :]
    noise = curves[:, baseline_frames].std(axis=1)
    return (after.max(axis=1) > SMALLEST_PEAK_DEVIATIONS * noise) & (after.mean(axis=1) > 0)


def select_arterial_voxels(curves, baseline_frames):
    """Choose arterial voxels: large area, smooth, then high, early and narrow by clusters (Mouridsen 2006).

    Two things differ from the paper, for frames 1.5 s apart and slices 5 mm thick. Roughness is taken before the bolus and long after it,
    since a high and narrow arterial curve bends more than a tissue curve. Clusters are ranked by peak / first moment, not by the first
    moment alone, since voxels half filled by an artery are as early as full ones. Of the last cluster the twelve voxels that rank highest are kept.

    Parameters
    ----------
    curves : numpy.ndarray
        (V, T) concentration of the candidate voxels (tissue of the head).
    baseline_frames : slice
        Pre-bolus frames.

    Returns
    -------
    numpy.ndarray
        int, indices into ``curves``, sorted.

    Raises
    ------
    NoArteryError
        Too few curves show a bolus.
    """
    candidates = np.flatnonzero(usable_curves(curves, baseline_frames))
    if candidates.size < CLUSTERS:
        raise NoArteryError(f"only {candidates.size} voxels show the passage of a bolus")
    area = curves[candidates].sum(axis=1)
    candidates = candidates[area >= np.quantile(area, 1 - LARGEST_AREA_SHARE)]
    rough = _roughness(curves[candidates], baseline_frames)
    candidates = candidates[rough <= np.quantile(rough, 1 - ROUGHEST_SHARE)]
    for _ in range(ROUNDS):
        if candidates.size < CLUSTERS * FEWEST_VOXELS:
            break
        candidates = candidates[_most_arterial_cluster(curves[candidates], baseline_frames)]
    best = np.argsort(-_arteriality(curves[candidates], baseline_frames), kind="stable")[:MOST_VOXELS]
    return np.sort(candidates[best])


def first_moment(curves, baseline_frames):
    """Centre of gravity of the first pass, in frames after the baseline, of curves (V, T).

    The first pass ends where the curve has fallen to 30 % of its peak; without that border recirculation and drift decide.
    """
    first_pass = np.where(_in_first_pass(curves, baseline_frames), np.maximum(curves[:, baseline_frames.stop :], 0), 0)
    return (first_pass * np.arange(1, first_pass.shape[1] + 1)).sum(axis=1) / np.maximum(first_pass.sum(axis=1), 1e-9)


def _in_first_pass(curves, baseline_frames):
    """Which frames after the baseline (V, T') come before the curve has fallen to 30 % of its peak."""
    after = curves[:, baseline_frames.stop :]
    time = np.arange(after.shape[1])
    fallen = (after < END_OF_FIRST_PASS_SHARE * after.max(axis=1, keepdims=True)) & (time > after.argmax(axis=1)[:, None])
    end = np.where(fallen.any(axis=1), fallen.argmax(axis=1), after.shape[1])
    return time < end[:, None]


def _roughness(curves, baseline_frames):
    """Mean squared second difference before the bolus and in the last third of the frames, relative to the squared peak."""
    bend = np.diff(curves, n=2, axis=1) ** 2
    quiet = np.r_[0 : baseline_frames.stop - 2, 2 * curves.shape[1] // 3 : bend.shape[1]]
    return bend[:, quiet].mean(axis=1) / np.maximum(curves.max(axis=1), 1e-9) ** 2


def _arteriality(curves, baseline_frames):
    """Peak / first moment: large for curves that are high, early and narrow."""
    return curves.max(axis=1) / np.maximum(first_moment(curves, baseline_frames), 1e-9)


def _most_arterial_cluster(curves, baseline_frames):
    """Indices of the curves in the cluster whose mean curve is the most arterial; clusters of too few voxels are passed over."""
    from sklearn.cluster import KMeans

    labels = KMeans(CLUSTERS, n_init=4, random_state=CLUSTER_SEED).fit_predict(curves)
    means = np.stack([curves[labels == k].mean(axis=0) for k in range(CLUSTERS)])
    rank = _arteriality(means, baseline_frames)
    rank[np.bincount(labels, minlength=CLUSTERS) < FEWEST_VOXELS] = 0
    return np.flatnonzero(labels == np.argmax(rank))


def arterial_neighbourhood(mask):
    """Drop voxels at the border of a head mask (bool, (X, Y, Z)), in plane: skull and air there show motion, not contrast."""
    cross = ndimage.generate_binary_structure(2, 1)[..., None]
    return ndimage.binary_erosion(mask, cross, iterations=2)
