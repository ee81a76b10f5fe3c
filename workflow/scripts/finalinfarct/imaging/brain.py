"""Brain masks."""

import logging
import os
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from finalinfarct.dataset.images import read_image, spatial_reference, voxel_volume_ml, write_image
from finalinfarct.errors import InputError

LOGGER = logging.getLogger(__name__)

METHODS = ("median_otsu", "bet", "given")
MEDIAN_RADIUS, MEDIAN_PASSES = 1, 2
BET_THRESHOLD = 0.3
MEND_FSL = "install FSL (envs/preprocessing.yaml) and set FSLDIR to its folder, which holds bin/bet, or use median_otsu"
SMALLEST_BRAIN_ML, LARGEST_BRAIN_ML = 300.0, 2500.0


def fsl_available():
    """Whether FSL's bet can be run here: fslpy looks for it below FSLDIR, whatever PATH says."""
    folder = os.environ.get("FSLDIR")
    return bool(folder) and os.access(Path(folder) / "bin" / "bet", os.X_OK)


def check_method(method):
    """Refuse a method of skull stripping that cannot be run.

    Raises
    ------
    InputError
        The method is unknown, or ``bet`` is asked for and FSL is not installed.
    """
    where = "configuration, images.brain_mask"
    if method not in METHODS:
        raise InputError(where, f"'{method}'", f"use one of {', '.join(METHODS)}")
    if method == "bet" and not fsl_available():
        raise InputError(where, "'bet' is asked for, but FSL's bet is not found", MEND_FSL)


def brain_mask(image, output, method):
    """Write the brain mask of a b0 or mean pre-bolus image.

    Parameters
    ----------
    image : str or Path
        (X, Y, Z), skull on (or stripped, with method ``given``).
    output : str or Path
        Mask, uint8, 0 and 1.
    method : str
        ``median_otsu`` (dipy), ``bet`` (FSL, Smith 2002) or ``given`` (the voxels that are not 0).

    Raises
    ------
    InputError
        The image is unusable, the method cannot be run, or the mask is empty.
    """
    check_method(method)
    source = read_image(image, ndim=3)
    values = np.asarray(source.dataobj, np.float32)
    if values.min() == values.max():
        raise InputError(image, "the image is constant", "replace the scan that it was made from")
    if method == "median_otsu":
        mask = median_otsu_mask(values)
    elif method == "bet":
        mask = _bet(source)
    else:
        mask = _largest_component(values != 0)
    if not mask.any():
        raise InputError(image, f"no brain found by {method}", "look at the image, or choose another images.brain_mask")
    volume_ml = float(mask.sum() * voxel_volume_ml(source.affine))
    if not SMALLEST_BRAIN_ML <= volume_ml <= LARGEST_BRAIN_ML:
        LOGGER.warning("%s: brain mask of %.0f ml, outside %g to %g ml", image, volume_ml, SMALLEST_BRAIN_ML, LARGEST_BRAIN_ML)
    side = {"Type": "Brain", "Method": method, "VolumeMl": volume_ml} | spatial_reference(image)
    write_image(output, mask, source.affine, side, dtype=np.uint8)


def median_otsu_mask(values):
    """Brain of an EPI image: median filter and Otsu's threshold (dipy), largest component, holes filled.

    Parameters
    ----------
    values : numpy.ndarray
        (X, Y, Z), slices along the third axis.

    Returns
    -------
    numpy.ndarray
        bool, (X, Y, Z).
    """
    from dipy.segment.mask import median_otsu

    _, mask = median_otsu(values, median_radius=MEDIAN_RADIUS, numpass=MEDIAN_PASSES)
    return fill_slices(_largest_component(mask))


def fill_slices(mask):
    """Mask (X, Y, Z) with the holes of each axial slice filled: ventricles open to the outside only through other slices."""
    return np.stack([ndimage.binary_fill_holes(mask[..., z]) for z in range(mask.shape[2])], axis=2)


def _largest_component(mask):
    """The largest face-connected component, with holes filled."""
    labels, count = ndimage.label(mask)
    if count == 0:
        return np.zeros(mask.shape, bool)
    return ndimage.binary_fill_holes(labels == np.argmax(np.bincount(labels.ravel())[1:]) + 1)


def _bet(source):
    """Mask of FSL's bet, through fslpy."""
    from fsl.wrappers import bet

    # The user's own choice of a type would decide the name of the mask.
    os.environ["FSLOUTPUTTYPE"] = "NIFTI_GZ"
    with tempfile.TemporaryDirectory() as folder:
        path, brain = Path(folder) / "image.nii.gz", Path(folder) / "brain"
        write_image(path, np.asarray(source.dataobj), source.affine)
        bet(str(path), str(brain), mask=True, fracintensity=BET_THRESHOLD)
        return np.asarray(nib.load(f"{brain}_mask.nii.gz").dataobj) > 0.5
