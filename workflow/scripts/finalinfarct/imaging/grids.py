"""The grids of images: whether two agree, and the up-sampled one."""

import numpy as np

from finalinfarct.dataset.images import same_grid
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
    """Grid with the field of view and the slices of an image and another in-plane matrix.

    The edges of the field of view coincide, so the centre of the first voxel moves by half the difference of the voxel sizes.

    Parameters
    ----------
    image : nibabel.Nifti1Image
        (X, Y, Z[, T]).
    matrix : int
        Number of voxels along the first and the second axis.

    Returns
    -------
    shape : tuple of int
        (matrix, matrix, Z).
    affine : numpy.ndarray
        (4, 4), voxel indices to mm.
    """
    shape = np.array(image.shape[:3])
    new_shape = np.array([matrix, matrix, shape[2]])
    scale = shape / new_shape
    # old index of a new index i: (i + 1/2) * scale - 1/2
    to_old = np.diag([*scale, 1.0])
    to_old[:3, 3] = 0.5 * scale - 0.5
    return tuple(int(n) for n in new_shape), np.asarray(image.affine) @ to_old
