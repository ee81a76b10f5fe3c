"""Motion and smoothing of a DSC series, against poses and widths that the test itself chose."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from finalinfarct.imaging.motion import correct_motion, estimate_motion
from finalinfarct.imaging.smoothing import smooth_in_plane

VOXEL_MM = np.array([3.0, 3.0, 5.0])
SHAPE, FRAMES, BASELINE = (48, 56, 16), 24, slice(0, 6)
SHIFTS_MM = np.array([0.8, -0.5, 0.6])


def still_series(random):
    """A head whose signal falls by 30 % in half of its tissue and by 10 % in the other while a bolus passes (frames 8 to 13)."""
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    head = (x / 0.75) ** 2 + (y / 0.8) ** 2 + (z / 0.8) ** 2 < 1
    texture = ndimage.gaussian_filter(random.normal(size=SHAPE), (1.5, 1.5, 0.8))
    anatomy = ndimage.gaussian_filter(head * (300 + 150 * texture / texture.std()), (0.8, 0.8, 0.4))
    fall = np.zeros(FRAMES)
    fall[8:14] = (0.4, 0.8, 1.0, 0.8, 0.5, 0.2)
    depth = np.where(texture > 0, 0.3, 0.1)
    return (anatomy[..., None] * np.exp(-depth[..., None] * fall)).astype(np.float32), head


def move(series, poses):
    """What the scanner sees of a head in each of the poses (frames, 6): mm and radians about the centre of the grid."""
    centre = (np.array(SHAPE) - 1) / 2
    moved = np.empty_like(series)
    for frame, pose in enumerate(poses):
        matrix = Rotation.from_rotvec(-pose[3:]).as_matrix() * VOXEL_MM / VOXEL_MM[:, None]
        shift = -matrix @ (pose[:3] / VOXEL_MM) - matrix @ centre + centre
        moved[..., frame] = ndimage.affine_transform(series[..., frame], matrix, shift, order=3, mode="nearest")
    return moved


def poses_of(kind):
    """A slow drift over the whole series, a jerk while the bolus passes, or one with a return in the midst of it."""
    frames = np.arange(FRAMES)
    course = {"drift": frames / (FRAMES - 1), "jerk": (frames >= 10) * 2.5, "return": np.isin(frames, (10, 11)) * 2.5}[kind]
    return course[:, None] * np.r_[SHIFTS_MM, np.deg2rad([0.5, -0.4, 0.6])]


@pytest.mark.parametrize(("kind", "tolerance_mm"), [("drift", 0.1), ("jerk", 0.3), ("return", 0.1)])
def test_poses_are_recovered_despite_the_bolus(kind, tolerance_mm):
    random = np.random.default_rng(3)
    still, head = still_series(random)
    poses = poses_of(kind)
    moved = move(still, poses) + random.normal(0, 3, still.shape).astype(np.float32)
    found, displacement_mm = estimate_motion(moved, head, BASELINE, VOXEL_MM)
    expected = poses - poses[BASELINE].mean(axis=0)
    assert np.abs(found - expected)[:, :3].max() < tolerance_mm
    assert np.rad2deg(np.abs(found - expected)[:, 3:]).max() < 3 * tolerance_mm
    assert displacement_mm.argmax() > BASELINE.stop and displacement_mm.shape == (FRAMES,)


def test_correction_undoes_known_poses():
    still, head = still_series(np.random.default_rng(4))
    poses = poses_of("drift")
    corrected = move(still, poses)
    before = np.abs(corrected - still)[head].mean()
    correct_motion(corrected, poses, VOXEL_MM)
    assert np.abs(corrected - still)[head].mean() < 0.15 * before
    assert corrected.min() >= 0


def test_a_head_at_rest_stays_where_it_is():
    still, head = still_series(np.random.default_rng(5))
    _, displacement_mm = estimate_motion(still, head, BASELINE, VOXEL_MM)
    assert displacement_mm.max() < 0.1


def test_smoothing_has_the_width_it_says_and_keeps_what_is_even():
    signal, head = np.zeros((41, 41, 3, 1), np.float32), np.ones((41, 41, 3), bool)
    signal[20, 20, 1] = 1
    smooth = smooth_in_plane(signal, head, VOXEL_MM, 9.0).reshape(head.shape)
    assert not smooth[..., [0, 2]].any()
    row = smooth[:, 20, 1]
    # half of the height at half of the width, 1.5 voxels from the middle
    assert np.interp(1.5, [1, 2], row[21:23]) == pytest.approx(row[20] / 2, rel=0.06)
    half = np.arange(41)[:, None, None] < 20
    even = np.where(half, 7.0, 100.0)[..., None] * np.ones((41, 41, 3, 2), np.float32)
    assert smooth_in_plane(even, np.broadcast_to(half, head.shape), VOXEL_MM, 9.0) == pytest.approx(7.0, rel=1e-4)


def test_no_smoothing_at_width_zero():
    signal, head = np.random.default_rng(6).random((5, 5, 2, 4)).astype(np.float32), np.ones((5, 5, 2), bool)
    assert np.array_equal(smooth_in_plane(signal, head, VOXEL_MM, 0), signal[head])
