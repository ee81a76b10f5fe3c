"""The arterial input function (AIF): automatic choice of arterial voxels after Mouridsen 2006."""

import numpy as np
from scipy import ndimage

# Mouridsen, Christensen, Gyldensted, Ostergaard, Magn Reson Med 2006;55:524: keep the tenth of the voxels with the largest area under the
# curve, drop the quarter with the roughest curves, and twice keep, of five clusters of curves, the one with the smallest first moment.
LARGEST_AREA_SHARE, ROUGHEST_SHARE = 0.10, 0.25
CLUSTERS, ROUNDS, FEWEST_VOXELS = 5, 2, 5
MOST_VOXELS = 12
SMALLEST_PEAK_DEVIATIONS = 5.0


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


def select_arterial_voxels(curves, baseline_frames, seed=0):
    """Choose arterial voxels: large area, smooth, early, narrow, high.

    After the clustering, the voxels of the last cluster are ranked by peak / (delay of the first moment after the arrival), a score for
    high, early and narrow curves, and the best twelve are kept: the mean of a larger cluster is blurred by partial volume.

    Parameters
    ----------
    curves : numpy.ndarray
        (V, T) concentration of the candidate voxels (tissue of the head).
    baseline_frames : slice
        Pre-bolus frames.
    seed : int
        Seed of the clustering.

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
    shapes = curves[candidates] / curves[candidates].sum(axis=1, keepdims=True)
    rough = (np.diff(shapes, n=2, axis=1) ** 2).sum(axis=1)
    candidates = candidates[rough <= np.quantile(rough, 1 - ROUGHEST_SHARE)]
    for _ in range(ROUNDS):
        if candidates.size < CLUSTERS * FEWEST_VOXELS:
            break
        candidates = candidates[_earliest_cluster(curves[candidates], baseline_frames, seed)]
    score = curves[candidates].max(axis=1) / first_moment(curves[candidates], baseline_frames)
    best = np.argsort(-score, kind="stable")[:MOST_VOXELS]
    return np.sort(candidates[best])


def first_moment(curves, baseline_frames):
    """Centre of gravity in frames after the baseline, of curves (V, T) up to the end of their first pass.

    The first pass ends where the curve has fallen to 30 % of its peak; without that border recirculation and drift decide.
    """
    after = np.maximum(curves[:, baseline_frames.stop :], 0)
    peak = after.argmax(axis=1)
    time = np.arange(after.shape[1])
    fallen = (after < 0.3 * after.max(axis=1, keepdims=True)) & (time[None] > peak[:, None])
    end = np.where(fallen.any(axis=1), fallen.argmax(axis=1), after.shape[1])
    first_pass = np.where(time[None] < end[:, None], after, 0)
    return (first_pass * (time + 1)).sum(axis=1) / np.maximum(first_pass.sum(axis=1), 1e-9)


def _earliest_cluster(curves, baseline_frames, seed):
    """Indices of the curves in the cluster whose mean curve has the smallest first moment; clusters of too few voxels are passed over."""
    from sklearn.cluster import KMeans

    labels = KMeans(CLUSTERS, n_init=4, random_state=seed).fit_predict(curves)
    means = np.stack([curves[labels == k].mean(axis=0) for k in range(CLUSTERS)])
    moment = first_moment(means, baseline_frames)
    moment[np.bincount(labels, minlength=CLUSTERS) < FEWEST_VOXELS] = np.inf
    return np.flatnonzero(labels == np.argmin(moment))


def arterial_neighbourhood(mask):
    """Drop voxels at the border of a head mask (bool, (X, Y, Z)), in plane: skull and air there show motion, not contrast."""
    cross = ndimage.generate_binary_structure(2, 1)[..., None]
    return ndimage.binary_erosion(mask, cross, iterations=2)
