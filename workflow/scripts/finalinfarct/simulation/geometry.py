"""Where a scan lies in the head: its grid, its rigid misalignment, its distortion, and sampling with partial volume."""

import numpy as np
from scipy import ndimage

from finalinfarct.simulation.anatomy import rotation_matrix
from finalinfarct.simulation.fields import Grid, smooth_field

SHIFT_MM, ROTATION_DEG = (1.0, 4.0), (1.0, 3.0)  # misalignment of a scan against the DWI
MOTION_STEP_MM, MOTION_STEP_DEG, JERK_PROBABILITY = 0.03, 0.03, 0.15


def scan_grid(matrix, field_of_view_mm, settings):
    """Grid of a scan with ``matrix`` x ``matrix`` pixels and the slices that ``settings`` (section ``simulation``) gives."""
    pixel = field_of_view_mm / matrix
    return Grid((matrix, matrix, settings["slices"]), (pixel, pixel, settings["slice_thickness_mm"]))


def random_pose(rng):
    """(4, 4) rigid transform from scan mm to head mm: a shift of 1 to 4 mm and a rotation of 1 to 3 degrees, both in random directions."""
    pose = np.eye(4)
    pose[:3, :3] = rotation_matrix(_random_vector(rng, ROTATION_DEG))
    pose[:3, 3] = _random_vector(rng, SHIFT_MM)
    return pose


def _random_vector(rng, lengths):
    direction = rng.standard_normal(3)
    return direction / np.linalg.norm(direction) * rng.uniform(*lengths)


def sample(volumes, source, target, pose=None, displacement=None):
    """Resample volumes of the simulation grid onto a scan: the mean over sub-voxels as fine as the source, which is partial volume.

    Parameters
    ----------
    volumes : list of numpy.ndarray
        float32 (X, Y, Z) on ``source``.
    source : Grid
        Simulation grid.
    target : Grid
        Grid of the scan.
    pose : numpy.ndarray, optional
        (4, 4) scan mm to head mm.
    displacement : numpy.ndarray, optional
        (3, X, Y, Z) mm on ``source``: added to the point in head space before it is looked up.

    Returns
    -------
    list of numpy.ndarray
        float32, of the shape of ``target``.
    """
    pose = np.eye(4) if pose is None else pose
    parts = [max(1, round(t / s)) for t, s in zip(target.spacing, source.spacing, strict=True)]
    shifts = [((np.arange(n) + 0.5) / n - 0.5) * d for n, d in zip(parts, target.spacing, strict=True)]
    results = [np.zeros(target.shape, np.float32) for _ in volumes]
    centre = [(n - 1) / 2 for n in source.shape]
    x, y, z = target.axes()
    for dx in shifts[0]:
        for dy in shifts[1]:
            for dz in shifts[2]:
                points = np.meshgrid(x + dx, y + dy, z + dz, indexing="ij", sparse=True)
                head = [sum(pose[k, j] * points[j] for j in range(3)) + pose[k, 3] for k in range(3)]
                index = np.stack([np.broadcast_to(head[k] / source.spacing[k] + centre[k], target.shape) for k in range(3)])
                if displacement is not None:
                    moved = [ndimage.map_coordinates(displacement[k], index, order=1, mode="nearest", prefilter=False) for k in range(3)]
                    index = index + np.stack([moved[k] / source.spacing[k] for k in range(3)])
                for result, volume in zip(results, volumes, strict=True):
                    result += ndimage.map_coordinates(volume, index, output=np.float32, order=1, prefilter=False)
    return [result / np.float32(np.prod(parts)) for result in results]


def epi_distortion(rng, grid, anatomy):
    """Displacement (3, X, Y, Z) in mm, along the phase-encoding axis y only: smooth, largest above the frontal sinus (susceptibility)."""
    mni = anatomy["mni"]
    sinus = np.exp(-(mni[0] ** 2 / 400.0 + (mni[1] - 52.0) ** 2 / 500.0 + (mni[2] + 18.0) ** 2 / 350.0))
    displacement = np.zeros((3, *grid.shape), np.float32)
    displacement[1] = 0.8 * smooth_field(rng, grid.axes(), 55.0) + rng.uniform(2.0, 4.0) * sinus
    return displacement


def mass_effect(grid, anatomy, lesion, amount_mm):
    """Displacement (3, X, Y, Z) in mm of a later scan by a swollen (``amount_mm`` > 0) or shrunken (< 0) lesion.

    Tissue moves radially from the centre of the lesion, most at one lesion radius, and not at the skull. The array says where a point of
    the later scan was before: it is added to the point before looking up.
    """
    axes = grid.axes()
    where = np.argwhere(lesion)
    centre = [axes[k][where[:, k]].mean() for k in range(3)]
    radius = max(8.0, (3 * where.shape[0] * grid.voxel_ml() * 1000 / (4 * np.pi)) ** (1 / 3))
    offset = np.meshgrid(*[axes[k] - centre[k] for k in range(3)], indexing="ij", sparse=True)
    distance = sum(part**2 for part in offset) / radius**2
    strength = amount_mm * np.exp(0.5 - 0.5 * distance) * np.tanh(np.clip(anatomy["inside_mm"], 0, None) / 10.0) / radius
    return np.stack([(-strength * part).astype(np.float32) for part in offset])


def motion_poses(rng, frames):
    """Pose (frames, 4, 4) of the head in each frame: a slow random walk, and in some patients one jerk of about a millimetre."""
    shift = MOTION_STEP_MM * rng.standard_normal((frames, 3)).cumsum(axis=0)
    turn = MOTION_STEP_DEG * rng.standard_normal((frames, 3)).cumsum(axis=0)
    if rng.random() < JERK_PROBABILITY:
        start = rng.integers(frames // 3, frames - 5)
        shift[start:] += rng.normal(0, 0.6, 3)
        turn[start:] += rng.normal(0, 0.5, 3)
    poses = np.tile(np.eye(4), (frames, 1, 1))
    for k in range(1, frames):
        poses[k, :3, :3], poses[k, :3, 3] = rotation_matrix(turn[k]), shift[k]
    return poses


def move_frames(series, grid, poses):
    """Series (X, Y, Z, T) as seen with the head in ``poses`` (linear interpolation)."""
    moved = np.empty_like(series)
    affine = grid.affine()
    inverse = np.linalg.inv(affine)
    for k, pose in enumerate(poses):
        index = inverse @ pose @ affine
        moved[..., k] = ndimage.affine_transform(series[..., k], index[:3, :3], index[:3, 3], order=1, mode="nearest")
    return moved
