"""What the files beside an image say of it: times, units, b-values. The check of the dataset and the steps that compute read them here."""

import math
import os
from pathlib import Path

import numpy as np

from finalinfarct.dataset.contract import LARGEST_B0_S_PER_MM2
from finalinfarct.dataset.files import require_file
from finalinfarct.dataset.images import read_sidecar, sidecar_path
from finalinfarct.errors import InputError

TIME_RANGES_S = {"RepetitionTime": (0.3, 5.0), "EchoTime": (0.005, 0.1)}
HEADER_UNITS_S = {8: (1.0,), 16: (1e-3,), 24: (1e-6,)}  # NIfTI's codes of s, ms and microseconds
LARGEST_TIME_DIFFERENCE = 0.01
SMALLEST_B_S_PER_MM2, LARGEST_B_S_PER_MM2 = 500.0, 100000.0
ADC_TO_UM2_S = {"um2/s": 1.0, "1e-6 mm2/s": 1.0, "1e-3 mm2/s": 1e3, "mm2/s": 1e6}
GIVEN_UNITS = {
    "Tmax": ("s", "second", "seconds"),
    "CBF": ("ml/100g/min", "relative", "arbitrary", "au"),
    "CBV": ("ml/100g", "relative", "arbitrary", "au"),
}
PER_VOLUME = ("ml/100ml/min", "ml/100ml", "%")
MAP_UNITS = {"Tmax": "s", "CBF": "mL/100g/min", "CBV": "mL/100g", "MTT": "s", "TTP": "s"}


def series_time_s(series, key):
    """``RepetitionTime`` or ``EchoTime`` of a DSC series in s (float); InputError when it is missing or not in seconds."""
    value, side, (low, high) = read_sidecar(series).get(key), sidecar_path(series), TIME_RANGES_S[key]
    if not isinstance(value, int | float) or isinstance(value, bool):
        mend = f'write "{key}" in seconds into this file; side files of other folders are not read (no inheritance)'
        raise InputError(side, f"{key} is missing or not a number", mend)
    if not low <= value <= high:
        hint = f" (perhaps in milliseconds: {value / 1000:g} s?)" if 1000 * low <= value <= 1000 * high else ""
        raise InputError(side, f"{key} is {value}{hint}", f"give it in seconds, from {low} to {high}")
    return float(value)


def check_header_time(series, header, repetition_time_s):
    """Compare the time between frames that a header tells with ``RepetitionTime``.

    0 and 1 in a header tell nothing: they are what programs leave that were not given the time (nibabel 1), too often to refuse a series for it. A
    true 1 s beside a wrong side file is let through.

    Parameters
    ----------
    series : str or Path
        The series, for the message.
    header : Header
        Its header, ``read_header``.
    repetition_time_s : float
        What the side file says, s.

    Raises
    ------
    InputError
        The two differ by more than 1 %. A header without a unit may mean s or ms.
    """
    value = float(header.nifti["pixdim"][4])
    units_s = HEADER_UNITS_S.get(int(header.nifti["xyzt_units"]) & 0x38, (1.0, 1e-3))
    if value > 0 and value != 1 and not any(math.isclose(value * unit_s, repetition_time_s, rel_tol=LARGEST_TIME_DIFFERENCE) for unit_s in units_s):
        found = f"RepetitionTime is {repetition_time_s:g} s, but the header of {Path(series).name} says {value * units_s[0]:g} s"
        raise InputError(sidecar_path(series), found, "correct the one that is wrong: the times of all maps depend on it")


def slice_times_s(series, slices):
    """When each slice of a DSC series is acquired within its frame (BIDS SliceTiming).

    Parameters
    ----------
    series : str or Path
        With RepetitionTime in its side file.
    slices : int
        Length of the third axis.

    Returns
    -------
    numpy.ndarray
        (slices,), s from the start of the frame, in the order of the voxels; 0 where the side file does not say.

    Raises
    ------
    InputError
        Not one time for each slice, a time beyond the frame, or slices along another axis.
    """
    content, side = read_sidecar(series), sidecar_path(series)
    times = content.get("SliceTiming")
    if times is None:
        return np.zeros(slices)
    if not isinstance(times, list) or not all(isinstance(time, int | float) and not isinstance(time, bool) for time in times):
        raise InputError(side, "SliceTiming is not a list of numbers", "write one time in seconds per slice, or remove the key")
    if len(times) != slices:
        raise InputError(side, f"{len(times)} times in SliceTiming for {slices} slices", "write one time in seconds per slice, or remove the key")
    repetition_s = series_time_s(series, "RepetitionTime")
    if not all(0 <= time < repetition_s for time in times):
        found = f"SliceTiming from {min(times)} to {max(times)}"
        raise InputError(side, found, f"give times in seconds, from 0 to below the RepetitionTime of {repetition_s:g}, or remove the key")
    direction = content.get("SliceEncodingDirection", "k")
    if direction not in ("k", "k-"):
        raise InputError(side, f"SliceTiming with SliceEncodingDirection {direction!r}", "store the slices along the third axis (k or k-)")
    # BIDS lists the times from the last slice on where the direction is negative
    return np.array(times if direction == "k" else times[::-1], float)


def adc_factor(path):
    """Factor that turns the values of a scanner's ADC map into um2/s; InputError when its unit is unknown."""
    units, known = read_sidecar(path).get("Units"), ", ".join(f'"{unit}"' for unit in ADC_TO_UM2_S)
    if not isinstance(units, str) or units not in ADC_TO_UM2_S:
        raise InputError(
            path,
            f"Units in the side file: {units!r}",
            f'write "Units" in the JSON side file: one of {known}; or remove the map, where the DWI has a b0',
        )
    return ADC_TO_UM2_S[units]


def given_unit(name, path):
    """Unit of a given Tmax, CBF or CBV map in the words of this package; InputError when it is unknown. CBF and CBV without one are relative."""
    unit = read_sidecar(path).get("Units", None if name == "Tmax" else "relative")
    plain = unit.replace(" ", "").lower() if isinstance(unit, str) else None
    if name != "Tmax" and plain in PER_VOLUME:
        mend = 'divide the values by the density of tissue in g/ml (1.04) and write them per 100g, or write "relative"'
        raise InputError(path, f"{name} per volume of tissue, Units in the side file: {unit!r}", mend)
    if plain not in GIVEN_UNITS[name]:
        known = ", ".join(f'"{unit}"' for unit in GIVEN_UNITS[name])
        raise InputError(path, f"Units in the side file: {unit!r}", f'write "Units" in the JSON side file: one of {known}')
    return "relative" if plain in ("relative", "arbitrary", "au") else MAP_UNITS[name]


def read_b_values(dwi, count, with_adc):
    """b-values of a diffusion series.

    Parameters
    ----------
    dwi : str or Path
        Series with its ``.bval`` beside it, or one volume with ``DiffusionBValue`` in its side file.
    count : int
        Number of volumes.
    with_adc : bool
        Whether there is a scanner's ADC map, without which a b0 is needed.

    Returns
    -------
    numpy.ndarray
        (count,), s/mm2.

    Raises
    ------
    InputError
        The b-values are absent, unreadable or of another number, or there is no volume of at least 500 s/mm2 or no needed b0.
    """
    path = Path(dwi)
    path = path.with_name(path.name.removesuffix(".gz").removesuffix(".nii") + ".bval")
    value = read_sidecar(dwi).get("DiffusionBValue")
    if count == 1 and not os.path.lexists(path) and isinstance(value, int | float):
        path, bvals = sidecar_path(dwi), [value]
    else:
        require_file(path)
        try:
            bvals = [float(word) for word in path.read_text(encoding="utf-8").split()]
        except ValueError as fault:
            raise InputError(path, f"b-values cannot be read ({fault})", "write one b-value in s/mm2 per volume, separated by spaces") from None
    if not all(0 <= value <= LARGEST_B_S_PER_MM2 for value in bvals):
        raise InputError(path, f"b-values {bvals}", f"write each in s/mm2, from 0 to {LARGEST_B_S_PER_MM2:g}")
    if len(bvals) != count:
        raise InputError(path, f"{len(bvals)} b-values for {count} volumes", "write one b-value per volume")
    if max(bvals) < SMALLEST_B_S_PER_MM2 or not (with_adc or min(bvals) < LARGEST_B0_S_PER_MM2):
        needed = "a volume" if with_adc else "a b0 (or the scanner's ADC map) and a volume"
        raise InputError(path, f"b-values {sorted(set(bvals))}", f"{needed} of at least {SMALLEST_B_S_PER_MM2:g} s/mm2 is needed")
    return np.array(bvals, float)
