"""Registration with ANTs (one composite transform per image) and resampling onto the up-sampled reference, in one interpolation."""

import errno
import logging
import os
import tempfile
from pathlib import Path

import numpy as np

from finalinfarct.dataset.files import UNWRITABLE, whole
from finalinfarct.dataset.images import read_image, read_sidecar, voxel_sizes, voxel_volume_ml, write_image
from finalinfarct.dataset.orientation import FEWEST_VOXELS
from finalinfarct.errors import InputError
from finalinfarct.imaging.grids import check_same_grid, upsampled_grid
from finalinfarct.imports import replaced

LOGGER = logging.getLogger(__name__)

# Voxel sizes in mm at which the stages work, coarse to fine: they decide the shrink factors, whatever the matrix. A clinical slice is 5 mm
# thick, so nothing is gained below 2 mm in plane.
LEVELS_MM = (8.0, 4.0, 2.0)
LINEAR_ITERATIONS = (200, 200, 200)
DEFORMABLE_ITERATIONS = (40, 30, 10)
SAMPLED_SHARE = 0.25
LEAST_KNOWN_SHARE = 0.5
BINS = 32
LINEAR_STEP = 0.1
# Quantiles beyond which intensities are cut: eyes and CSF of a b0 are so bright that they would leave few bins of the histogram to the brain.
KEPT_QUANTILES = (0.005, 0.995)
# SyN: gradient step, variance of the update field and of the total field in voxels. The total field is smoothed too, or it follows a new
# lesion: then the final lesion would be drawn towards what it should be compared with.
DEFORMABLE = "SyN[0.1,3,3]"
# ANTs imports these for pictures, statistics and downloads: two thirds of the time of its own import, in several steps of every patient.
UNNEEDED = ("matplotlib", "mpl_toolkits", "requests", "sklearn", "statsmodels")
# An affine stage before SyN only between EPI of two sequences, whose distortions differ, in part by an affine transform. Elsewhere, between scans of
# one head, it has nothing to find and follows differences of contrast.
STAGES = {"rigid": ("Rigid",), "affine": ("Rigid", "Affine"), "nonlinear": ("Rigid", "SyN"), "epi": ("Rigid", "Affine", "SyN")}


def _ants():
    """ANTs, with ITK on one thread: more would give other sums in registration, and take cores that snakemake has given to other steps."""
    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = "1"
    with replaced(UNNEEDED):
        import ants

    return ants


def register(fixed, moving, transform, output, inverse, seed=1):
    """Estimate the transform that carries an image onto another and write it and its inverse, one composite ITK file each.

    Mutual information (Mattes 2003) throughout: rigid, then affine, symmetric normalisation (Avants 2008), or both, as ``transform`` says.

    Parameters
    ----------
    fixed, moving : str or Path
        Images (X, Y, Z), skull on.
    transform : str
        ``rigid``, ``affine``, ``nonlinear``, or ``epi``: nonlinear between EPI of two sequences.
    output : str or Path
        ``.h5``: from points of the fixed image to points of the moving one, as ``resample`` needs it.
    inverse : str or Path
        ``.h5``: the other way, which ``write_native`` needs.
    seed : int
        Seed of the sampling of voxels: the same images give the same transform, bit for bit.

    Raises
    ------
    InputError
        An image is unusable or without contrast.
    """
    if transform not in STAGES:
        raise ValueError(f"unknown transform: {transform}")
    ants = _ants()
    from ants.internal import get_pointer_string

    still, moved = _to_ants(_checked(fixed)), _to_ants(_checked(moving))
    # ANTs chooses the ends of its files' names: they are made in a folder, whose name lets the next attempt remove it after a kill.
    with whole(output) as first, whole(inverse) as second, tempfile.TemporaryDirectory(first.name, ".0.", first.parent) as folder:
        prefix = str(Path(folder) / "stage")
        images = {"fixed": get_pointer_string(still), "moving": get_pointer_string(moved)}
        arguments = _arguments(images, read_image(fixed), transform, prefix, seed)
        try:
            ants.registration(arguments, None)
        except RuntimeError as fault:
            raise InputError(moving, f"registration to {fixed} failed ({fault})", "look at both images; they must show the same head") from None
        for target, path, made in ((output, first, "Composite.h5"), (inverse, second, "InverseComposite.h5")):
            try:
                ants.read_transform(f"{prefix}{made}")
            except Exception:  # ITK's own, and ANTs' where there is no file
                # ANTs takes a file that it could not write, or not to its end, for a success.
                raise InputError(target, f"cannot be written whole (most likely: {os.strerror(errno.ENOSPC)})", UNWRITABLE[errno.ENOSPC]) from None
            os.replace(f"{prefix}{made}", path)
    LOGGER.info("registered %s to %s (%s)", moving, fixed, transform)


def _arguments(images, fixed, transform, prefix, seed):
    """Command line of antsRegistration."""
    shrinks, smoothings = _levels(fixed)
    pair = f"{images['fixed']},{images['moving']}"
    arguments = ["--dimensionality", "3", "--float", "1", "--random-seed", str(seed), "--output", prefix]
    arguments += ["--write-composite-transform", "1", "--collapse-output-transforms", "1", "--initial-moving-transform", f"[{pair},1]"]
    arguments += ["--winsorize-image-intensities", f"[{KEPT_QUANTILES[0]},{KEPT_QUANTILES[1]}]"]
    for stage in STAGES[transform]:
        deformable = stage == "SyN"
        metric = f"MI[{pair},1,{BINS}]" if deformable else f"MI[{pair},1,{BINS},Regular,{SAMPLED_SHARE}]"
        iterations = (DEFORMABLE_ITERATIONS if deformable else LINEAR_ITERATIONS)[-len(shrinks) :]
        arguments += ["--transform", DEFORMABLE if deformable else f"{stage}[{LINEAR_STEP}]", "--metric", metric]
        arguments += ["--convergence", f"[{'x'.join(map(str, iterations))},1e-6,8]"]
        arguments += ["--shrink-factors", "x".join(map(str, shrinks)), "--smoothing-sigmas", "x".join(f"{s:g}" for s in smoothings) + "vox"]
    return arguments


def _levels(fixed):
    """Shrink factors and smoothing (voxels of the in-plane grid) of each level; ANTs shrinks the thicker axes less, towards cubes."""
    in_plane = float(min(voxel_sizes(fixed.affine)))
    shrinks = sorted({max(1, round(level / in_plane)) for level in LEVELS_MM}, reverse=True)
    return shrinks, [0.5 * (shrink - 1) for shrink in shrinks]


def _checked(path):
    """Image with contrast, and with enough voxels along every axis."""
    image = read_image(path, ndim=3)
    data = np.asarray(image.dataobj)
    if min(image.shape) < FEWEST_VOXELS:
        raise InputError(path, f"shape {image.shape}", f"registration needs at least {FEWEST_VOXELS} voxels along each axis")
    if data.min() == data.max():
        raise InputError(path, "the image is constant", "replace it")
    return image


def _to_ants(image):
    """The image in ANTs' terms: physical points in LPS where NIfTI has RAS."""
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.asarray(image.affine, float)
    spacing = voxel_sizes(affine)
    # ITK wants orthonormal directions: rounding in a NIfTI header, or a shear below a degree (the dataset's check), is taken out
    left, _, right = np.linalg.svd(affine[:3, :3] / spacing)
    data = np.ascontiguousarray(np.asarray(image.dataobj, np.float32))
    return _ants().from_numpy(data, origin=list(affine[:3, 3]), spacing=list(spacing), direction=left @ right)


def resample_array(image, shape, affine, transform=None, label=False):
    """Values of an image on another grid, in one interpolation.

    Parameters
    ----------
    image : nibabel.Nifti1Image
        (X, Y, Z).
    shape : tuple of int
        Shape of the grid.
    affine : numpy.ndarray
        (4, 4), voxel indices of the grid to mm.
    transform : str, Path or list of these, optional
        Composite transform from ``register``, or a list of which the last is applied to the points of the grid first; none: the two share their
        mm space.
    label : bool
        Nearest neighbour (labels) instead of linear (images).

    Returns
    -------
    numpy.ndarray
        float32, of the given shape; 0 outside the image.
    """
    import nibabel as nib

    ants = _ants()
    grid = _to_ants(nib.Nifti1Image(np.zeros(shape, np.float32), affine))
    method = "nearestNeighbor" if label else "linear"
    if transform is None:
        return ants.resample_image_to_target(_to_ants(image), grid, interp_type=method).numpy()
    transforms = [str(path) for path in (transform if isinstance(transform, list) else [transform])]
    return ants.apply_transforms(grid, _to_ants(image), transforms, interpolator=method).numpy().astype(np.float32)


def resample_known(image, known, shape, affine, transform=None):
    """Values of a map on another grid, interpolated among the voxels where they are known; as ``resample_array`` otherwise.

    Elsewhere a map holds 0, which is no value: mixed with it, normal tissue at a border would become ischaemic in an ADC map, and late tissue
    healthy in a map of Tmax.

    Parameters
    ----------
    image : nibabel.Nifti1Image
        (X, Y, Z).
    known : numpy.ndarray
        bool, (X, Y, Z).
    shape, affine, transform
        As for ``resample_array``.

    Returns
    -------
    numpy.ndarray
        float32, of the given shape; 0 where the known voxels have less than half of the weight.
    """
    values, share = (
        resample_array(type(image)(np.where(known, data, 0).astype(np.float32), image.affine), shape, affine, transform)
        for data in (image.get_fdata(dtype=np.float32), 1)
    )
    return np.where(share >= LEAST_KNOWN_SHARE, values / np.maximum(share, LEAST_KNOWN_SHARE), 0)


def resample(images, reference, matrix, transform=None, raw=False, measured=None):
    """Write images on the up-sampled grid of the reference.

    Parameters
    ----------
    images : list of (str or Path, str or Path)
        Pairs of image (X, Y, Z) and output.
    reference : str or Path
        The cohort's reference image, on its native grid.
    matrix : int
        In-plane matrix of the up-sampled grid.
    transform : str or Path, optional
        Composite transform from ``register``; none where the images lie in the reference's space.
    raw : bool
        The images are the dataset's own: their side files, which may name the patient, are not carried over as those of the maps are.
    measured : dict of path to path, optional
        By output, the image on the grid of its own that is positive where both were measured: it is interpolated only there (``resample_known``).

    Raises
    ------
    InputError
        An image is unusable, nothing of it lies on the grid, or two that belong together are on different grids.
    """
    shape, affine = upsampled_grid(read_image(reference), matrix)
    for path, output in images:
        image, how = read_image(path, ndim=3), "linear"
        if measured and output in measured:
            positive = read_image(measured[output], ndim=3)
            check_same_grid(measured[output], positive, path, image)
            values, how = resample_known(image, np.asarray(positive.dataobj) > 0, shape, affine, transform), "linear, among measured voxels"
        else:
            values = resample_array(image, shape, affine, transform)
        if not values.any() and np.asarray(image.dataobj).any():
            raise InputError(path, f"nothing of it lies on the grid of {reference}", "check the orientation of both images, and the registration")
        side = {} if raw else read_sidecar(path)
        side |= {"SpatialReference": _upsampled_name(reference), "Interpolation": how}
        write_image(output, values, affine, side)


def _upsampled_name(reference):
    """File name of a native reference image once it is up-sampled, which is what lies on the same grid as the others."""
    stem, _, kind = Path(reference).name.rpartition("_")
    return f"{stem}_space-reference_{kind}"


def write_native(mask, probability, dwi, inverse, mask_out, probability_out):
    """Write a predicted lesion and its probability on the grid of the native DWI, each in one interpolation.

    Parameters
    ----------
    mask, probability : str or Path
        (X, Y, Z), on the up-sampled grid of the reference.
    dwi : str or Path
        An image on the native grid of the DWI.
    inverse : str or Path or None
        The inverse transform of the DWI from ``register``; none where the DWI is the reference.
    mask_out, probability_out : str or Path
        uint8 (nearest neighbour) and float32 (linear).

    Raises
    ------
    InputError
        An image is unusable.
    """
    grid = read_image(dwi)
    for path, output, label in ((mask, mask_out, True), (probability, probability_out, False)):
        values = resample_array(read_image(path, ndim=3), grid.shape[:3], grid.affine, inverse, label)
        side = {key: value for key, value in read_sidecar(path).items() if not key.endswith("VolumesMl")}
        side |= {"SpatialReference": Path(dwi).name, "Interpolation": "nearest neighbour" if label else "linear"}
        if label:
            # of this grid, which differs by rounding
            side["VolumeMl"] = float((values > 0.5).sum() * voxel_volume_ml(grid.affine))
        write_image(output, values, grid.affine, side, dtype=np.uint8 if label else np.float32)
