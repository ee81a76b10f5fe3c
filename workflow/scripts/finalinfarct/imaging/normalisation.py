"""Normalisation of images to 0..1 within the brain."""

import logging

import numpy as np

from finalinfarct.dataset.images import read_image, read_sidecar, write_image
from finalinfarct.errors import InputError
from finalinfarct.imaging.grids import check_same_grid

LOGGER = logging.getLogger(__name__)
ROBUST_PERCENTILES = (1.0, 99.0)


def normalise_array(image, brain, method="minmax", scope="volume"):
    """Scale an image to 0..1 within the brain (Debs et al. 2021, section 2.1.2).

    Parameters
    ----------
    image : numpy.ndarray
        (X, Y, Z), any unit.
    brain : numpy.ndarray
        bool, (X, Y, Z).
    method : str
        ``minmax``: from the smallest to the largest value. ``robust``: from the 1st to the 99th percentile, clipped.
    scope : str
        ``volume``: one scale for the volume. ``slice``: one for each axial slice (third axis).

    Returns
    -------
    numpy.ndarray
        float32; 0 outside the brain, and everywhere in a scope without contrast.
    """
    image, brain = np.asarray(image, np.float32), np.asarray(brain, bool)
    if scope == "slice":
        return np.stack([normalise_array(image[..., z], brain[..., z], method) for z in range(image.shape[2])], axis=2)
    if scope != "volume" or method not in ("minmax", "robust"):
        raise ValueError(f"unknown normalisation: {method}, {scope}")
    scaled = np.zeros_like(image)
    inside = image[brain]
    if inside.size == 0:
        return scaled
    low, high = (inside.min(), inside.max()) if method == "minmax" else np.percentile(inside, ROBUST_PERCENTILES)
    if high > low:
        scaled[brain] = np.clip((inside - low) / (high - low), 0, 1)
    return scaled


def normalise(images, brain_mask, method="minmax", scope="volume"):
    """Write images scaled to 0..1 within the brain and 0 outside it.

    Parameters
    ----------
    images : list of (str or Path, str or Path)
        Pairs of image and output.
    brain_mask : str or Path
        Mask on the grid of the images.
    method, scope : str
        As for ``normalise_array``.

    Raises
    ------
    InputError
        An image is unusable or on another grid than the mask, or the mask is empty.
    """
    mask = read_image(brain_mask, ndim=3)
    brain = mask.get_fdata(dtype=np.float32) > 0.5
    if not brain.any():
        raise InputError(brain_mask, "the brain mask is empty", "look at the image it was made from, or choose another images.brain_mask")
    for path, output in images:
        image = read_image(path, ndim=3)
        check_same_grid(brain_mask, mask, path, image)
        values = image.get_fdata(dtype=np.float32)
        scaled = normalise_array(values, brain, method, scope)
        if not scaled.any():
            LOGGER.warning("%s: constant inside the brain, normalised to 0", path)
        side = {key: value for key, value in read_sidecar(path).items() if key != "Units"}
        inside = values[brain]
        side |= {"Units": "1", "Normalisation": method, "NormalisationScope": scope, "SmallestInBrain": float(inside.min())}
        write_image(output, scaled, image.affine, side | {"LargestInBrain": float(inside.max()), "SkullStripped": True})
