"""Deconvolution against an explicit singular value decomposition, and maps of curves against closed forms and others' data."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from perfusion_curves import SETTINGS, TR_S, explicit_csvd, gamma_variate, tissue

from finalinfarct.imaging.deconvolution import deconvolver, oscillation, peak
from finalinfarct.imaging.perfusion import perfusion_maps


def test_csvd_equals_the_explicit_singular_value_decomposition():
    random = np.random.default_rng(0)
    time_s = TR_S * np.arange(40)
    arterial_input, curves = gamma_variate(time_s), random.normal(size=(7, 40))
    ours = deconvolver(arterial_input, TR_S, truncation=0.1)(curves)
    expected = explicit_csvd(curves, arterial_input, 0.1)
    assert np.allclose(ours, expected, atol=1e-5 * np.abs(expected).max())


def test_osvd_keeps_the_oscillation_index_below_the_limit():
    random = np.random.default_rng(1)
    time_s = TR_S * np.arange(40)
    curves = np.stack([tissue(time_s, 0.01, 4.0, delay) for delay in (0, 2, 5)]) + random.normal(0, 0.002, (3, 40))
    residue = deconvolver(gamma_variate(time_s), TR_S, method="osvd", oscillation_index=0.035)(curves)
    assert (oscillation(residue) < 0.035).all()
    assert not np.allclose(residue, deconvolver(gamma_variate(time_s), TR_S)(curves))


def test_osvd_keeps_as_many_frequencies_as_the_limit_allows():
    random = np.random.default_rng(2)
    arterial_input = gamma_variate(TR_S * np.arange(40))
    curves = np.stack([tissue(TR_S * np.arange(40), 0.01, 4.0, delay) for delay in np.linspace(0, 6, 150)]) + random.normal(0, 0.003, (150, 40))
    residue = deconvolver(arterial_input, TR_S, method="osvd")(curves)
    spectrum = TR_S * np.fft.rfft(arterial_input, 80)
    quotient, rank = np.fft.rfft(curves, 80, axis=1) / spectrum, np.argsort(np.argsort(-np.abs(spectrum)))
    every = np.stack([np.fft.irfft(np.where(rank < count, quotient, 0), 80, axis=1) for count in range(1, 42)])
    smooth = np.stack([oscillation(candidate) < 0.035 for candidate in every])
    distance = np.abs(every - residue).max(axis=2)
    at = distance.argmin(axis=0)
    voxels = np.arange(150)
    assert distance[at, voxels].max() < 1e-4 * np.abs(residue).max()
    assert smooth[at, voxels].all() and not smooth[np.minimum(at + 1, 40), voxels].any()


def test_osvd_of_a_voxel_does_not_depend_on_the_others():
    random = np.random.default_rng(3)
    time_s = TR_S * np.arange(40)
    clean = np.stack([tissue(time_s, 0.01, 4.0, delay) for delay in np.linspace(0, 6, 200)])
    noisy = clean + random.normal(0, 0.006, clean.shape)
    alone = deconvolver(gamma_variate(time_s), TR_S, method="osvd")(noisy)
    for others in (np.repeat(clean, 4, axis=0), random.normal(0, 0.006, (800, 40))):
        together = deconvolver(gamma_variate(time_s), TR_S, method="osvd")(np.r_[noisy, others])[:200]
        assert np.allclose(together, alone, rtol=0, atol=1e-5 * np.abs(alone).max())


def test_oscillation_index_of_a_closed_form():
    triangle = np.array([[0.0, 1.0, 2.0, 1.0, 0.0]])
    assert oscillation(triangle)[0] == pytest.approx(2.0 / 2.0 / 5.0)


def test_peak_between_frames_and_at_negative_lags():
    lags = np.arange(20.0)
    parabola = 5 - (lags - 4.3) ** 2
    before = np.zeros(20)
    before[18], before[17], before[19] = 3.0, 1.0, 1.0
    _, time_s = peak(np.stack([parabola, before]).astype(np.float32), TR_S)
    assert time_s == pytest.approx([4.3 * TR_S, -2 * TR_S], abs=1e-4)


def test_maps_from_noise_free_curves():
    time_s = TR_S * np.arange(60)
    transits, flow = (3.0, 6.0), 60 / 6000 * 1.04 / 0.73
    curves = np.stack([tissue(time_s, flow, transit) for transit in transits])
    maps = perfusion_maps(curves, gamma_variate(time_s), TR_S, SETTINGS)
    assert maps["CBV"] == pytest.approx([60 * transit / 60 for transit in transits], rel=0.02)
    assert maps["MTT"] == pytest.approx(60 * maps["CBV"] / maps["CBF"], rel=1e-5)
    assert (maps["CBF"] > 0.4 * 60).all() and (maps["CBF"] < 60).all()


def test_maps_of_an_arterial_impulse_are_exact():
    """Its deconvolution is a division."""
    time_s = TR_S * np.arange(30)
    settings = SETTINGS | {"hematocrit_factor": 0.6, "density_g_per_ml": 1.2}
    curves, arterial_input = 0.02 * TR_S * 8 * np.exp(-time_s / 4)[None], np.r_[8.0, np.zeros(29)]
    maps = perfusion_maps(curves, arterial_input, TR_S, settings)
    expected = {"CBF": 6000 * 0.5 * 0.02, "CBV": 100 * 0.5 * curves.sum() / 8, "MTT": TR_S * np.exp(-time_s / 4).sum()}
    assert {name: maps[name][0] for name in expected} == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("method", "truncation", "limit"), [("csvd", 0.3, 0.035), ("osvd", 0.1, 0.02)])
def test_maps_are_of_the_deconvolution_asked_for(method, truncation, limit):
    time_s = TR_S * np.arange(40)
    noisy = tissue(time_s, 0.01, 4.0, 2.0)[None] + np.random.default_rng(4).normal(0, 0.002, (5, 40))
    settings = SETTINGS | {"deconvolution": method, "truncation": truncation, "oscillation_index": limit}
    residue = explicit_csvd(noisy, gamma_variate(time_s), truncation)
    if method == "osvd":
        residue = deconvolver(gamma_variate(time_s), TR_S, method="osvd", oscillation_index=limit)(noisy)
    flow = perfusion_maps(noisy, gamma_variate(time_s), TR_S, settings)["CBF"]
    assert flow == pytest.approx(6000 * 0.73 / 1.04 * residue.max(axis=1), rel=1e-4)


def test_tmax_follows_the_delay():
    time_s = TR_S * np.arange(60)
    delays = np.arange(0, 9, 0.5)
    curves = np.stack([tissue(time_s, 0.01, 4.0, delay) for delay in delays])
    tmax = perfusion_maps(curves, gamma_variate(time_s), TR_S, SETTINGS)["Tmax"]
    assert np.abs(np.diff(tmax) - 0.5).max() < 0.25
    assert np.corrcoef(tmax, delays)[0, 1] > 0.999


def test_blood_volume_is_taken_from_the_passage_alone():
    arterial = np.r_[np.zeros(5), 4.0, 8.0, 4.0, np.zeros(22)]
    tissue = np.r_[np.zeros(5), 0.2, 0.4, 0.2, np.zeros(12), np.full(10, 0.3)]  # motion shifts the last frames
    settings = SETTINGS | {"hematocrit_factor": 1.0, "density_g_per_ml": 1.0}
    volumes = [perfusion_maps(tissue[None], arterial, 1.5, settings, passage)["CBV"][0] for passage in (slice(5, 20), slice(None))]
    assert volumes == pytest.approx([5.0, 100 * 3.8 / 16])


def test_osipi_curves_without_delay(realdata):
    """OSIPI's tolerances: CBF within 10 % + 15, CBV within 10 % + 1 (ml/100 ml; no kH and rho)."""
    table = pd.read_csv(Path(os.fspath(realdata)) / "osipi_dsc" / "dsc_data.csv")
    settings = SETTINGS | {"hematocrit_factor": 1.0, "density_g_per_ml": 1.0, "deconvolution": "csvd"}
    table = table[table["label"].str.contains("delay0")]
    assert len(table)
    for row in table.to_dict("records"):
        tissue_curve, arterial = (np.array(str(row[name]).split(), float) for name in ("C_tis", "C_aif"))
        maps = perfusion_maps(tissue_curve[None], arterial, float(row["tr"]), settings)
        assert maps["CBF"][0] == pytest.approx(row["cbf"], abs=0.1 * row["cbf"] + 15), row["label"]
        assert maps["CBV"][0] == pytest.approx(row["cbv"], abs=0.1 * row["cbv"] + 1), row["label"]
