"""Smoothing of a DSC series within the head."""

import numpy as np
from scipy import ndimage

FWHM_PER_SIGMA = 2.3548


def smooth_in_plane(signal, head, voxel_mm, fwhm_mm):
    """Smooth each slice of each frame by a Gaussian, counting voxels of the head only, so that no air is mixed in.

    Slices are several millimetres apart and are not mixed.

    Parameters
    ----------
    signal : numpy.ndarray
        (X, Y, Z, T).
    head : numpy.ndarray
        bool, (X, Y, Z).
    voxel_mm : numpy.ndarray
        (3,), voxel sizes, mm.
    fwhm_mm : float
        Full width at half maximum, mm; 0: nothing is smoothed.

    Returns
    -------
    numpy.ndarray
        float32, (V, T): the curves of the head's voxels.
    """
    if fwhm_mm == 0:
        return signal[head]
    sigmas = (fwhm_mm / FWHM_PER_SIGMA / voxel_mm[0], fwhm_mm / FWHM_PER_SIGMA / voxel_mm[1], 0)
    weight = ndimage.gaussian_filter(head.astype(np.float32), sigmas)[head]
    curves = np.empty((weight.size, signal.shape[3]), np.float32)
    for frame in range(signal.shape[3]):
        curves[:, frame] = ndimage.gaussian_filter(np.where(head, signal[..., frame], 0), sigmas)[head] / weight
    return curves
