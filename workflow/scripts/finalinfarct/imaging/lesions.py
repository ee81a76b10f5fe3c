"""Lesion masks on the reference grid: automatic or expert's diffusion lesion, final lesion, tissue classes."""

import logging

import numpy as np
from scipy import ndimage

from finalinfarct.dataset.contract import BACKGROUND, HEALTHY, LESION
from finalinfarct.dataset.images import read_image, spatial_reference, voxel_volume_ml, write_image
from finalinfarct.errors import InputError
from finalinfarct.imaging.grids import check_same_grid, upsampled_grid
from finalinfarct.imaging.registration import resample_array

LOGGER = logging.getLogger(__name__)
LARGEST_SHARE_OUTSIDE = 0.1  # of the final lesion, outside the brain mask


def diffusion_lesion(adc, brain, threshold_um2_s, minimum_volume_ml, voxel_ml):
    """Automatic diffusion lesion: ADC below a threshold in the brain, without small components.

    Parameters
    ----------
    adc : numpy.ndarray
        (X, Y, Z), um2/s.
    brain : numpy.ndarray
        bool, (X, Y, Z).
    threshold_um2_s : float
        Voxels with 0 < ADC < threshold count (0 is "no signal"); the paper's experts took 620 (Debs et al. 2021, section 2.1.2).
    minimum_volume_ml : float
        Components (26 neighbours) smaller than this are removed, ml.
    voxel_ml : float
        Volume of a voxel, ml.

    Returns
    -------
    numpy.ndarray
        bool, (X, Y, Z).
    """
    adc = np.asarray(adc)
    low = np.asarray(brain, bool) & (adc > 0) & (adc < threshold_um2_s)
    labels, _ = ndimage.label(low, structure=np.ones((3, 3, 3)))
    volumes_ml = np.bincount(labels.ravel()) * voxel_ml
    volumes_ml[0] = -1  # the background is no component
    return low & (volumes_ml >= minimum_volume_ml)[labels]


def make_labels(
    final_lesion,
    final_transform,
    dwi_lesion,
    dwi_transform,
    reference,
    matrix,
    adc,
    brain_mask,
    settings,
    diffusion_out,
    final_out,
    dseg_out,
):
    """Write diffusion lesion, and where it is known final lesion and tissue classes, of one patient on the up-sampled reference grid.

    The masks are carried over by nearest neighbour. The final lesion is kept whole in its own mask, also where it leaves the brain mask, and
    wins over the background in the classes; how much lies outside is written in the side file.

    Parameters
    ----------
    final_lesion : str or Path or None
        Expert's mask of the final lesion, on its own image's grid; none: unknown, and only the diffusion lesion is written.
    final_transform : str or Path or None
        Transform of that image to the reference.
    dwi_lesion : str or Path or None
        Expert's mask on the DWI; none: the automatic one is made.
    dwi_transform : str or Path or None
        Transform of the DWI to the reference.
    reference : str or Path
        Reference image on its native grid.
    matrix : int
        In-plane matrix of the up-sampled grid.
    adc, brain_mask : str or Path
        On the up-sampled grid; ADC in um2/s.
    settings : dict
        ``adc_threshold_um2_s`` and ``minimum_component_ml`` of the automatic lesion.
    diffusion_out, final_out, dseg_out : str or Path
        Masks (0 and 1) and classes (0 background, 1 healthy tissue, 2 final lesion); the last two are not written without a final lesion.

    Raises
    ------
    InputError
        An image is unusable or on another grid, or the final lesion is empty, before or after registration.
    """
    shape, affine = upsampled_grid(read_image(reference), matrix)
    mask = read_image(brain_mask, ndim=3)
    brain = np.asarray(mask.dataobj) > 0.5
    if mask.shape != shape:
        raise InputError(brain_mask, f"shape {mask.shape} where {shape} is needed", "make it again from the resampled reference")
    volume_ml, space = voxel_volume_ml(affine), spatial_reference(brain_mask)
    final = None if final_lesion is None else _carried(final_lesion, shape, affine, final_transform)
    if final is not None and not final.any():
        raise InputError(
            final_lesion,
            f"the final lesion is empty on the grid of {reference}",
            "check the mask and the registration of its image, or raise images.matrix",
        )
    if dwi_lesion is not None:
        diffusion = _carried(dwi_lesion, shape, affine, dwi_transform)
        side = {"LesionSource": "expert"}
    else:
        image = read_image(adc, ndim=3)
        check_same_grid(adc, image, brain_mask, mask)
        threshold, smallest = settings["adc_threshold_um2_s"], settings["minimum_component_ml"]
        diffusion = diffusion_lesion(np.asarray(image.dataobj), brain, threshold, smallest, volume_ml)
        side = {"LesionSource": "automatic", "AdcThresholdUm2PerS": threshold, "MinimumComponentMl": smallest}
    write_image(diffusion_out, diffusion, affine, side | {"Type": "Lesion", "VolumeMl": float(diffusion.sum() * volume_ml)} | space, dtype=np.uint8)
    if final is None:
        return
    classes = np.where(brain, HEALTHY, BACKGROUND).astype(np.uint8)
    classes[final] = LESION
    outside_ml = float((final & ~brain).sum() * volume_ml)
    final_ml = float(final.sum() * volume_ml)
    if outside_ml > LARGEST_SHARE_OUTSIDE * final_ml:
        LOGGER.warning("%s: %.1f of %.1f ml of the final lesion lie outside the brain mask", final_lesion, outside_ml, final_ml)
    note = {"LesionSource": "expert", "Type": "Lesion", "VolumeMl": final_ml, "OutsideBrainMl": outside_ml} | space
    write_image(final_out, final, affine, note, dtype=np.uint8)
    levels = {str(BACKGROUND): "background", str(HEALTHY): "healthy tissue", str(LESION): "final lesion"}
    write_image(dseg_out, classes, affine, {"Levels": levels, "LesionOutsideBrainMl": outside_ml} | space, dtype=np.uint8)


def _carried(path, shape, affine, transform):
    """A mask on the up-sampled grid, bool."""
    return resample_array(read_image(path, ndim=3), shape, affine, transform, label=True) > 0.5
