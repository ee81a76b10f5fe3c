"""Seeded random streams, the simulation grid, and smooth random fields that do not depend on its resolution."""

import zlib
from typing import NamedTuple

import numpy as np

_LATTICE_HALF_EXTENT_MM = 168.0
# variance of a sum of cubic B-splines with unit-normal coefficients, averaged over position: integral of B^2 = 151/315 per axis
_SPLINE_VARIANCE = (151.0 / 315.0) ** 3


class Grid(NamedTuple):
    """A regular grid centred on the origin of head space (the true anatomy as the DWI sees it, RAS+ mm)."""

    shape: tuple
    spacing: tuple

    def axes(self):
        """Coordinates in mm along each axis, three float32 vectors."""
        return [((np.arange(n) - (n - 1) / 2) * d).astype(np.float32) for n, d in zip(self.shape, self.spacing, strict=True)]

    def affine(self):
        """(4, 4) voxel indices to mm."""
        affine = np.diag([*self.spacing, 1.0])
        affine[:3, 3] = [-(n - 1) / 2 * d for n, d in zip(self.shape, self.spacing, strict=True)]
        return affine

    def voxel_ml(self):
        """Volume of a voxel in ml."""
        return float(np.prod(self.spacing)) / 1000.0


def random_stream(seed, *labels):
    """Independent generator for a seed and a list of labels (strings): the same labels give the same numbers, in any order of use."""
    return np.random.default_rng(np.random.SeedSequence([seed, *(zlib.crc32(label.encode()) for label in labels)]))


def smooth_field(rng, axes, length_mm):
    """Gaussian random field of unit variance: cubic B-splines on a lattice fixed in mm.

    Because the lattice does not depend on the grid, two grids of different resolution see the same field.

    Parameters
    ----------
    rng : numpy.random.Generator
        The patient's stream for this step.
    axes : list of numpy.ndarray
        Coordinates in mm along x, y, z, within 168 mm of the origin.
    length_mm : float
        Distance of the lattice points, about the correlation length.

    Returns
    -------
    numpy.ndarray
        float32, (len(x), len(y), len(z)).
    """
    knots = np.arange(-_LATTICE_HALF_EXTENT_MM - 2 * length_mm, _LATTICE_HALF_EXTENT_MM + 2.001 * length_mm, length_mm)
    field = rng.standard_normal((knots.size,) * 3, dtype=np.float32)
    for axis in axes:
        basis = _cubic_spline(np.abs(axis[:, None] - knots[None, :]) / length_mm).astype(np.float32)
        field = np.tensordot(field, basis, axes=(0, 1))  # rotates the axes: after three turns they are in order again
    return field / np.float32(np.sqrt(_SPLINE_VARIANCE))


def _cubic_spline(t):
    inner = 2.0 / 3.0 - t**2 + t**3 / 2.0
    outer = np.clip(2.0 - t, 0.0, None) ** 3 / 6.0
    return np.where(t < 1.0, inner, outer)


def sigmoid(x):
    """Logistic function, safe against overflow."""
    return 1.0 / (1.0 + np.exp(-np.clip(x, -30.0, 30.0)))
