"""How the axes of an image lie: where its slices are, and whether the axes are at right angles."""

import nibabel as nib
import numpy as np

from finalinfarct.dataset.images import voxel_sizes

# Along each axis: registration smooths and differentiates along all three.
FEWEST_VOXELS = 4
LARGEST_SHEAR_DEGREES = 1.0
# Slices are fewer and thicker than the voxels in them, but voxels are seldom quite square in plane, and thin slices may have wide voxels.
LEAST_THICKNESS_RATIO = 2.0
RESAMPLE = "resample it onto a grid of axial slices (flirt -applyxfm, nibabel.processing.resample_to_output)"


def grid_faults(shape, affine):
    """Pairs (found, mend) for an image that registration and resampling cannot use, whichever way its axes run.

    Parameters
    ----------
    shape : tuple of int
        (X, Y, Z) or (X, Y, Z, T).
    affine : numpy.ndarray
        (4, 4), voxel indices to mm.
    """
    if min(shape[:3]) < FEWEST_VOXELS:
        yield f"shape {shape[:3]}", f"at least {FEWEST_VOXELS} voxels are needed along each axis; check that all slices were exported"
    shear = shear_degrees(affine)
    if shear > LARGEST_SHEAR_DEGREES:
        yield f"axes {shear:.1f} degrees off the right angle", RESAMPLE


def shear_degrees(affine):
    """How far, at most, two axes of an image are off the right angle, in degrees: 0 for a gantry that is tilted as a whole."""
    directions = np.asarray(affine)[:3, :3] / voxel_sizes(affine)
    off = np.abs(directions.T @ directions - np.eye(3)).max()
    return float(np.degrees(np.arcsin(min(off, 1.0))))


def slice_faults(shape, affine):
    """Pairs (found, mend) for a scan whose slices are not axial, or not on the third axis: it is up-sampled, smoothed and cut along the other two.

    Oblique slices belong to the axis that is nearest. An isotropic scan is cut along the axis that runs up.

    Parameters
    ----------
    shape, affine
        As for ``grid_faults``.
    """
    up = int(np.flatnonzero(nib.io_orientation(affine)[:, 0] == 2)[0])
    sizes = voxel_sizes(affine)
    thick = int(sizes.argmax())
    if sizes[thick] > LEAST_THICKNESS_RATIO * sizes[up] and shape[thick] < shape[up]:
        yield f"the slices are not axial (voxels of {' x '.join(f'{size:.3g}' for size in sizes)} mm, axis {up + 1} runs up)", RESAMPLE
    elif up != 2:
        mend = "reorder the axes of it and of the masks and maps on its grid (fslreorient2std, nibabel.as_closest_canonical)"
        yield f"slices must lie on the third axis, and they lie on axis {up + 1}", mend
