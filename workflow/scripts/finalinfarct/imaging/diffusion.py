"""Apparent diffusion coefficient (ADC) from b0 and diffusion-weighted volumes, or from the scanner's own map."""

import logging

import numpy as np

from finalinfarct.dataset.check import PLAUSIBLE_ADC_UM2_S
from finalinfarct.dataset.contract import LARGEST_B0_S_PER_MM2
from finalinfarct.dataset.images import read_image, write_image
from finalinfarct.dataset.sidefiles import adc_factor, read_b_values
from finalinfarct.errors import InputError
from finalinfarct.imaging.grids import check_same_grid
from finalinfarct.imaging.threshold import otsu_threshold

LOGGER = logging.getLogger(__name__)

# Free water at 37 degrees Celsius has 3000 um2/s: what lies above 4000 is noise, and would stretch every display and normalisation.
LARGEST_ADC_UM2_S = 4000.0
# Thresholds of ADC, the paper's 620 among them, are of this b-value. Beyond it the logarithm of the signal falls less than in proportion (kurtosis),
# and ADC is too low: with b = 2000 much of a healthy brain would pass for ischaemic.
USUAL_B_S_PER_MM2 = 1000.0
SHELL_WIDTH = 0.05


def adc_map(b0, dwi, b_value):
    """Mono-exponential ADC of every voxel, ln(S0/Sb)/b (Stejskal and Tanner 1965).

    Parameters
    ----------
    b0 : numpy.ndarray
        Signal without diffusion weighting, any shape.
    dwi : numpy.ndarray
        Diffusion-weighted signal (over directions, ``trace_weighted``), same shape.
    b_value : float
        Difference of the b-values of the two, s/mm2.

    Returns
    -------
    numpy.ndarray
        float32, um2/s (1e-6 mm2/s), clipped to 0..4000; 0 where one of the signals is not positive.
    """
    b0, dwi = np.asarray(b0, np.float32), np.asarray(dwi, np.float32)
    usable = (b0 > 0) & (dwi > 0)
    adc = np.zeros(b0.shape, np.float32)
    adc[usable] = np.log(b0[usable] / dwi[usable]) * np.float32(1e6 / b_value)
    return np.clip(adc, 0, LARGEST_ADC_UM2_S)


def trace_weighted(volumes):
    """Geometric mean of diffusion-weighted volumes: what a scanner writes as the trace image.

    The logarithm of the signal, not the signal, is linear in the diffusivity along a direction, so only this mean has the mean diffusivity as its
    ADC: the arithmetic one follows the directions that lose least, and puts a dense tract below any threshold for ischaemia.

    Parameters
    ----------
    volumes : numpy.ndarray
        (X, Y, Z, N), one for each direction or repetition.

    Returns
    -------
    numpy.ndarray
        float32, (X, Y, Z); 0 where one of several volumes is not positive. One volume is returned as it is.
    """
    volumes = np.asarray(volumes, np.float32)
    if volumes.shape[3] == 1:
        return volumes[..., 0]
    usable = (volumes > 0).all(axis=3)
    mean = np.zeros(volumes.shape[:3], np.float32)
    mean[usable] = np.exp(np.log(volumes[usable]).mean(axis=1))
    return mean


def compute_adc(dwi, adc, b0_out, dwi_out, adc_out):
    """Write b0, the diffusion-weighted volume and the ADC of one patient, on the grid of the series.

    Volumes of b < 50 s/mm2 are averaged to b0, those of the b nearest to 1000 s/mm2 (within 5 %) to the trace-weighted volume. The scanner's ADC map
    replaces the computed one where given. Without b0 in the series, b0 is computed back from that map, S0 = Sb exp(b ADC), and its side
    file says so.

    Parameters
    ----------
    dwi : str or Path
        Series (X, Y, Z, N) with its ``.bval`` beside it; or one volume (X, Y, Z), which needs ``adc`` and a b-value in the ``.bval`` or as
        ``DiffusionBValue`` in the side file.
    adc : str or Path or None
        The scanner's map on the same grid, with ``Units`` in its side file: um2/s, 1e-6 mm2/s, 1e-3 mm2/s or mm2/s.
    b0_out, dwi_out, adc_out : str or Path
        Images to write, with side files; ADC in um2/s.

    Raises
    ------
    InputError
        An image or a b-value is unusable, grids differ, or the ADC map has an unknown or a wrong unit.
    """
    series = read_image(dwi, ndim=(3, 4))
    volumes = series.get_fdata(dtype=np.float32)
    volumes = volumes[..., None] if volumes.ndim == 3 else volumes
    bvals = read_b_values(dwi, volumes.shape[3], with_adc=adc is not None)
    low_volumes = bvals < LARGEST_B0_S_PER_MM2
    shell = _shell(bvals)
    weighted, b_value = trace_weighted(volumes[..., shell]), float(bvals[shell].mean())
    b0 = volumes[..., low_volumes].mean(axis=3) if low_volumes.any() else None
    for name, volume in (("diffusion-weighted volume", weighted), ("b0", b0)):
        if volume is not None and not (volume > 0).any():
            raise InputError(dwi, f"no positive signal in the {name}", "replace the series")
    if adc is not None:
        values, source = _given_adc(adc, dwi, series, weighted), "scanner"
    else:
        values, source = adc_map(b0, weighted, b_value - float(bvals[low_volumes].mean())), "computed"
    measured = b0 is not None
    if not measured:
        b0 = weighted * np.exp(np.float32(b_value * 1e-6) * values)
    note = "mean of the volumes of b < 50 s/mm2" if measured else "computed back from the ADC map: S0 = Sb exp(b ADC)"
    write_image(b0_out, b0, series.affine, {"Units": "arbitrary", "DiffusionBValue": 0, "Description": note})
    write_image(dwi_out, weighted, series.affine, {"Units": "arbitrary", "DiffusionBValue": b_value})
    about = {"Units": "um2/s", "AdcSource": source, "DiffusionBValue": b_value, "LargestValue": LARGEST_ADC_UM2_S}
    write_image(adc_out, values, series.affine, about)
    LOGGER.info("ADC of %s: %s, b = %g s/mm2, b0 %s", dwi, source, b_value, "measured" if measured else "computed back")


def _shell(bvals):
    """Which volumes, by their b-values (N,) in s/mm2, are of the b that is nearest to the usual one, within 5 %."""
    nearest = bvals[np.abs(bvals - USUAL_B_S_PER_MM2).argmin()]
    return np.abs(bvals - nearest) <= SHELL_WIDTH * nearest


def _given_adc(path, dwi, series, weighted):
    """The scanner's map in um2/s, refused when its unit is unknown or implausible in the tissue of the diffusion-weighted volume."""
    image = read_image(path, ndim=3)
    check_same_grid(path, image, dwi, series)
    values = image.get_fdata(dtype=np.float32) * np.float32(adc_factor(path))
    tissue = (weighted > otsu_threshold(weighted)) & (values > 0)
    median = float(np.median(values[tissue])) if tissue.any() else 0.0
    low, high = PLAUSIBLE_ADC_UM2_S
    if not low <= median <= high:
        found = f"wrong unit of ADC: the median over tissue is {median:g} um2/s, outside {low}-{high}"
        raise InputError(path, found, 'correct "Units" in its side file, or the values')
    return np.clip(values, 0, LARGEST_ADC_UM2_S)
