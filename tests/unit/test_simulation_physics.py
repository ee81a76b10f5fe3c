"""Signal models of the simulation against direct numerical integration and closed forms."""

import numpy as np
import pytest

from finalinfarct.simulation import signals
from finalinfarct.simulation.acquisition import bolus_signal
from finalinfarct.simulation.fields import Grid, random_stream, smooth_field
from finalinfarct.simulation.geometry import epi_distortion, mass_effect, motion_poses, random_pose

BOLUS = {"arrival_s": 16.0, "shape": 2.5, "scale_s": 1.2, "recirculation": 0.18, "plateau": 0.12}
STEP_S = 0.005


def integrate(cbf, mtt_s, delay_s, dispersion_s):
    """(rho/kH) CBF times the integral of the delayed input and exp(-t/MTT), by the trapezoidal rule, at TR 1.5 s over 90 s.

    Dispersed, exp(-t/MTT) becomes (exp(-t/MTT) - exp(-t/d)) MTT / (MTT - d).
    """
    time = np.arange(0, 90, STEP_S)
    arterial = np.where(time >= delay_s, signals.arterial_input(time - delay_s, BOLUS), 0)
    residue = np.exp(-time / mtt_s)
    if dispersion_s:
        residue = (residue - np.exp(-time / dispersion_s)) * mtt_s / (mtt_s - dispersion_s)
    residue[0] /= 2
    length = 2 * time.size
    convolved = np.fft.irfft(np.fft.rfft(arterial, length) * np.fft.rfft(residue, length), length)[: time.size] * STEP_S
    scale = signals.RHO / signals.KH * cbf / 6000.0 * signals.ARTERIAL_PEAK * signals.TISSUE_TO_BLOOD_RELAXIVITY
    return scale * convolved[:: int(1.5 / STEP_S)][:60]


@pytest.mark.parametrize(("cbf", "mtt_s", "delay_s", "dispersion_s"), [(60, 4.5, 0.5, 0), (23, 6.0, 0.8, 1.5), (10, 14.0, 8.0, 3.0)])
def test_tissue_curve_is_the_convolution(cbf, mtt_s, delay_s, dispersion_s):
    voxel = cbf, mtt_s, delay_s, dispersion_s
    curve = signals.tissue_curves(BOLUS, 60, 1.5, *(np.array([value], float) for value in voxel))[0]
    expected = integrate(*voxel)
    assert np.abs(curve - expected).max() < 0.005 * expected.max()


@pytest.mark.parametrize("echo_s", [0.02, 0.04, 0.08])
def test_noise_free_series_of_a_grey_matter_voxel(echo_s):
    names = [*signals.TISSUES, "brain", "cbf", "mtt", "delay", "dispersion", "artery", "sinus"]
    maps = {name: np.zeros((1, 1, 1), np.float32) for name in names}
    for name, value in (("gm", 1), ("brain", 1), ("cbf", 60), ("mtt", 4.5), ("delay", 1.2), ("dispersion", 0.6)):
        maps[name][:] = value
    series = bolus_signal(maps, BOLUS, 60, 1.5, echo_s)[0, 0, 0]
    grey = signals.TISSUES["gm"]
    recovery, angle = np.exp(-1.5 / grey["t1_s"]), np.radians(signals.DSC_FLIP_ANGLE_DEG)
    magnetisation, expected = 1.0, []
    for _ in range(60):  # the Bloch equations, pulse by pulse
        expected.append(grey["density"] * magnetisation * np.sin(angle) * np.exp(-echo_s / grey["t2star_s"]))
        magnetisation = 1 - (1 - magnetisation * np.cos(angle)) * recovery
    # the curve is TE dR2* at 40 ms
    expected = np.array(expected) * np.exp(-echo_s / 0.04 * integrate(60, 4.5, 1.2, 0.6))
    assert np.abs(series - expected).max() < 0.002 * expected.max()
    drop = 1 - series.min() / series[5:10].mean()
    assert 0.2 < 1 - (1 - drop) ** (0.04 / echo_s) < 0.4


def test_artery_drops_to_its_peak():
    names = [*signals.TISSUES, "brain", "cbf", "mtt", "delay", "dispersion", "artery", "sinus"]
    maps = {name: np.zeros((1, 1, 1), np.float32) for name in names}
    for name in ("gm", "brain", "artery"):
        maps[name][:] = 1
    series = bolus_signal(maps, BOLUS, 60, 1.5, 0.04)[0, 0, 0]
    assert 0.8 < 1 - series.min() / series[5:10].mean() <= 1 - np.exp(-signals.ARTERIAL_PEAK) + 0.01


def test_arterial_input_peaks_at_one_where_the_gamma_variate_does():
    time = np.arange(0, 60, 0.01)
    curve = signals.arterial_input(time, BOLUS | {"recirculation": 0.0, "plateau": 0.0})
    assert curve.max() == pytest.approx(1.0, abs=1e-4)
    assert time[curve.argmax()] == pytest.approx(16.0 + 2.5 * 1.2, abs=0.02)
    assert not curve[time < 16.0].any()


def test_rician_noise_of_nothing_is_rayleigh():
    noise = signals.rician(np.random.default_rng(0), np.zeros(200_000, np.float32), 2.0)
    assert noise.mean() == pytest.approx(2.0 * np.sqrt(np.pi / 2), rel=0.01)


def test_random_field_has_unit_variance_and_does_not_depend_on_the_grid():
    fine = [np.linspace(-120, 120, 121)] * 2 + [np.linspace(-60, 60, 61)]
    coarse = [axis[::4] for axis in fine]
    field, thinned = (smooth_field(random_stream(3, "field"), axes, 12.0) for axes in (fine, coarse))
    assert field.std() == pytest.approx(1.0, rel=0.1)
    assert np.allclose(field[::4, ::4, ::4], thinned, atol=1e-5)


def test_a_swollen_lesion_pushes_tissue_away():
    """By the whole amount at its radius: there a point of the later scan was nearer to its centre."""
    grid = Grid((41, 41, 41), (2.0, 2.0, 2.0))
    x, y, z = np.meshgrid(*grid.axes(), indexing="ij")
    lesion = x**2 + y**2 + z**2 <= 20**2
    moved = mass_effect(grid, {"inside_mm": np.full(grid.shape, 1e3)}, lesion, 3.0)
    for axis in range(3):
        at = [20, 20, 20]
        at[axis] = 30
        expected = np.zeros(3)
        expected[axis] = -3.0
        assert moved[(slice(None), *at)] == pytest.approx(expected, abs=0.02)


def test_distortion_is_along_y_and_largest_above_the_sinus():
    grid = Grid((25, 31, 21), (8.0, 8.0, 8.0))
    mni = np.stack(np.meshgrid(*grid.axes(), indexing="ij"))
    moved = np.mean([epi_distortion(np.random.default_rng(seed), grid, {"mni": mni}) for seed in range(40)], axis=0)
    assert not moved[[0, 2]].any()
    # the mean of 2 to 4 mm; elsewhere the random part alone
    assert moved[1, 12, 21, 8] == pytest.approx(3.0, abs=0.5) and abs(moved[1, 12, 5, 8]) < 0.5


def test_poses_are_rigid_and_within_the_promised_range():
    for seed in range(20):
        pose = random_pose(np.random.default_rng(seed))
        assert np.allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3))
        assert 1.0 <= np.linalg.norm(pose[:3, 3]) <= 4.0
        angle = np.degrees(np.arccos((np.trace(pose[:3, :3]) - 1) / 2))
        assert 0.9 < angle < 3.1
    assert np.array_equal(motion_poses(np.random.default_rng(1), 50)[0], np.eye(4))
