"""Motion of the head in a DSC series: a rigid pose of each frame, estimated despite the bolus, and its correction."""

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

SMOOTHING_MM = 2.5
MOST_VOXELS = 20000
MOST_STEPS, SMALLEST_STEP_MM = 8, 0.005
# Where the signal has fallen by 40 % of its deepest fall, contrast moves the borders of tissue and an estimate would follow it: there the pose is
# interpolated between the frames on both sides. Contrast misleads by half a millimetre at most: where the head has moved by a millimetre, between the
# two sides or in a frame against its interpolated pose, the frames' own estimates show it better.
BOLUS_SHARE, LARGEST_DRIFT_MM = 0.4, 1.0


def estimate_motion(signal, head, baseline_frames, voxel_mm):
    """Rigid pose of the head in each frame, against the mean of the pre-bolus frames.

    Least squares by inverse-compositional steps (Baker and Matthews, Int J Comput Vis 2004;56:221) on frames smoothed in plane, with the
    signal's fall through contrast as a common factor and an offset of each frame.

    Parameters
    ----------
    signal : numpy.ndarray
        (X, Y, Z, T), frames in the steady state.
    head : numpy.ndarray
        bool, (X, Y, Z).
    baseline_frames : slice
        Pre-bolus frames.
    voxel_mm : numpy.ndarray
        (3,), voxel sizes, mm.

    Returns
    -------
    poses : numpy.ndarray
        (T, 6): shift in mm and rotation vector in radians along the axes of the grid, about its centre. A pose takes a point of the
        reference to where the frame shows it.
    displacement_mm : numpy.ndarray
        (T,), root mean square displacement over the head.
    """
    sigmas = (SMOOTHING_MM / voxel_mm[0], SMOOTHING_MM / voxel_mm[1], 0)
    reference = ndimage.gaussian_filter(signal[..., baseline_frames].mean(axis=3), sigmas)
    chosen = np.argwhere(_with_neighbours(head))
    chosen = chosen[:: max(1, len(chosen) // MOST_VOXELS)]
    centre = _centre(reference)
    points = (chosen - centre) * voxel_mm
    values = reference[tuple(chosen.T)]
    slope = np.stack([np.gradient(reference, axis=k)[tuple(chosen.T)] / voxel_mm[k] for k in range(3)], axis=1)
    # what a small shift, a small rotation, a factor and an offset change in the reference
    changes = np.column_stack([slope, np.cross(points, slope), values, np.ones(len(values))])
    solve = np.linalg.pinv(changes)[:6]
    poses = np.zeros((signal.shape[3], 6))
    for frame in range(signal.shape[3]):
        volume = ndimage.gaussian_filter(signal[..., frame], sigmas)
        for _ in range(MOST_STEPS):
            matrix, shift = _matrix(poses[frame])
            where = (points @ matrix.T + shift) / voxel_mm + centre
            step = solve @ (ndimage.map_coordinates(volume, where.T, order=1, mode="nearest") - values)
            back = Rotation.from_rotvec(-step[3:]).as_matrix()
            poses[frame, :3] = shift - matrix @ back @ step[:3]
            poses[frame, 3:] = Rotation.from_matrix(matrix @ back).as_rotvec()
            if np.abs(step[:3]).max() < SMALLEST_STEP_MM:
                break
    poses = _through_the_bolus(poses, signal[head].mean(axis=0), baseline_frames, points)
    return poses, np.array([_displacement_mm(pose, points) for pose in poses])


def correct_motion(signal, poses, voxel_mm):
    """Move every frame back, in place, in one cubic interpolation; what would fall below 0 is 0.

    Parameters
    ----------
    signal : numpy.ndarray
        float32, (X, Y, Z, T).
    poses : numpy.ndarray
        (T, 6), from ``estimate_motion``.
    voxel_mm : numpy.ndarray
        (3,), voxel sizes, mm.
    """
    centre = _centre(signal)
    for frame, pose in enumerate(poses):
        matrix, shift = _matrix(pose)
        matrix = matrix * voxel_mm / voxel_mm[:, None]
        offset = centre + shift / voxel_mm - matrix @ centre
        moved = ndimage.affine_transform(signal[..., frame], matrix, offset, order=3, mode="nearest")
        signal[..., frame] = np.maximum(moved, 0)


def _with_neighbours(head):
    """The head with its border, away from the edges of the grid."""
    inside = np.zeros_like(head)
    inside[2:-2, 2:-2, 1:-1] = True
    return ndimage.binary_dilation(head, iterations=2) & inside


def _centre(volume):
    """Voxel indices of the centre of the grid."""
    return (np.array(volume.shape[:3]) - 1) / 2


def _matrix(pose):
    """Rotation matrix (3, 3) and shift (3,) in mm of a pose."""
    return Rotation.from_rotvec(pose[3:]).as_matrix(), pose[:3]


def _displacement_mm(pose, points):
    """Root mean square displacement of points (V, 3) in mm."""
    matrix, shift = _matrix(pose)
    return float(np.sqrt(np.mean(np.sum((points @ matrix.T + shift - points) ** 2, axis=1))))


def _through_the_bolus(poses, mean_signal, baseline_frames, points):
    """Poses with those of the frames of the bolus interpolated between its two sides, except where the head jerked."""
    fall = mean_signal[baseline_frames].mean() - mean_signal
    bolus = fall > BOLUS_SHARE * fall.max()
    bolus[baseline_frames] = False
    frames, quiet = np.arange(len(poses)), np.flatnonzero(~bolus)
    result = poses.copy()
    for first in np.flatnonzero(bolus & ~np.r_[False, bolus[:-1]]):
        after = quiet[quiet > first][:1]
        if after.size and _displacement_mm(poses[after[0]] - poses[first - 1], points) < LARGEST_DRIFT_MM:
            inner = frames[first : after[0]]
            between = np.stack([np.interp(inner, [first - 1, after[0]], poses[[first - 1, after[0]], k]) for k in range(6)], axis=1)
            calm = np.array([_displacement_mm(own, points) < LARGEST_DRIFT_MM for own in poses[inner] - between])
            result[inner[calm]] = between[calm]
    return result
