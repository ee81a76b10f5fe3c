"""The grids of images: whether two agree, and the up-sampled one."""

import nibabel as nib
import numpy as np
from nibabel.orientations import inv_ornt_aff

from finalinfarct.dataset.images import same_grid, voxel_sizes
from finalinfarct.errors import InputError


def check_same_grid(path, image, other_path, other, mend="resample it onto that image, nearest neighbour for masks"):
    """Refuse an image that does not lie on the grid of another.

    Parameters
    ----------
    path, other_path : str or Path
        For the message.
    image, other : nibabel.Nifti1Image
        The two images; of a series, the first three dimensions count.
    mend : str
        What to do about it.

    Raises
    ------
    InputError
        Shapes differ, or places by more than 0.1 mm.
    """
    if not same_grid(image, other):
        what = f"shape {image.shape[:3]} against {other.shape[:3]}" if image.shape[:3] != other.shape[:3] else "same shape, another place"
        raise InputError(path, f"on another grid than {other_path} ({what})", mend)


def upsampled_grid(image, matrix):
    """Grid with the slices of an image and another in-plane matrix, the same for all patients however their scans are stored.

    Its axes run to the right, to the front and up, as near as the slices allow, since a network sees arrays and no affine. Its field of view is the
    square around that of the image, so that no brain is stretched: the edges of the longer side coincide, and the centres do.

    Parameters
    ----------
    image : nibabel.Nifti1Image
        (X, Y, Z[, T]), slices on the third axis.
    matrix : int
        Number of voxels along the first and the second axis.

    Returns
    -------
    shape : tuple of int
        (matrix, matrix, Z).
    affine : numpy.ndarray
        (4, 4), voxel indices to mm.
    """
    stored = nib.io_orientation(image.affine)
    affine = np.asarray(image.affine) @ inv_ornt_aff(stored, image.shape[:3])
    shape = np.array(image.shape[:3])[stored[:, 0].argsort()]
    new_shape = np.array([matrix, matrix, shape[2]])
    extent = (shape * voxel_sizes(affine))[:2]
    scale = shape / new_shape * np.r_[extent.max() / extent, 1.0]
    # old index of a new index i: (i + 1/2) * scale - 1/2, and half of what is added on the shorter side
    to_old = np.diag([*scale, 1.0])
    to_old[:3, 3] = 0.5 * scale - 0.5 + 0.5 * (shape - scale * new_shape)
    return tuple(int(n) for n in new_shape), affine @ to_old
