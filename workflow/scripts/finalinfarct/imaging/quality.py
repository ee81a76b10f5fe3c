"""Numbers and flags that say how far the finished images of a patient can be trusted; nothing of them is read by any prediction."""

import json
from functools import cache
from itertools import product
from math import ceil
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from finalinfarct.dataset.images import read_image, read_sidecar, voxel_sizes, voxel_volume_ml, write_json
from finalinfarct.dataset.tables import read_table
from finalinfarct.errors import InputError
from finalinfarct.imaging.brain import LARGEST_BRAIN_ML, SMALLEST_BRAIN_ML
from finalinfarct.imaging.grids import check_same_grid
from finalinfarct.imaging.lesions import LARGEST_SHARE_OUTSIDE

REGISTERED = {
    "dwi": "diffusion (b0)",
    "dsc": "baseline perfusion",
    "h3": "perfusion after 3 h",
    "flair": "baseline FLAIR",
    "followup": "follow-up FLAIR",
}
SESSIONS = {"baseline": "baseline perfusion", "h3": "perfusion after 3 h"}
SIMILARITY_BINS, SIMILARITY_PERCENTILES = 32, (1.0, 99.0)
# The similarity falls off within a few mm whatever the matrix, so it is asked at that distance and not one voxel away; a registration that went
# wrong can lie further off.
SHIFT_STEP_MM, SEARCHED_STEPS = 3.0, 3
RIM_VOXELS = 2
LARGEST_SHIFT_MM = 3.0
LARGEST_UNCOVERED_PERCENT = 20.0
# Grey and white matter have 700 to 900 and CSF about 3000, in 1e-6 mm2/s: a median beyond these limits is a wrong unit or a wrong mask.
ADC_RANGE_UM2_S = (500.0, 1500.0)
# Between these b-values ADC is nearly that of b = 1000, which thresholds of ischaemia are of.
B_RANGE_S_PER_MM2 = (800.0, 1300.0)


class Number(NamedTuple):
    """A number of the quality report: its label, unit, and on which ``side`` it is suspicious: low, high, either, or none (it only describes).

    ``least_spread`` is the smallest standard deviation, in its unit, that patients are held against: closer values are alike to any reader, however
    much closer the rest of the cohort lies.
    """

    label: str
    unit: str
    side: str
    least_spread: float = 0.0

    def shown(self, value):
        """A value of it with its unit, in three digits or to the whole number."""
        digits = f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
        return f"{digits} {self.unit}".strip()


NUMBERS = {
    "brain_ml": Number("brain volume", "ml", "either"),
    **{f"similarity_{name}": Number(f"similarity of the {label} with the reference", "", "low", 0.005) for name, label in REGISTERED.items()},
    **{f"residual_shift_{name}_mm": Number(f"residual shift of the {label}", "mm", "high", 0.5) for name, label in REGISTERED.items()},
    "median_adc_um2_s": Number("median ADC of the brain", "× 10⁻⁶ mm²/s", "either"),
    "without_adc_percent": Number("share of the brain without ADC", "%", "high", 1.0),
    "unperfused_percent": Number("share of the brain without perfusion", "%", "high", 1.0),
    "unperfused_h3_percent": Number("share of the brain without perfusion after 3 h", "%", "high", 1.0),
    "median_tmax_s": Number("median Tmax of the brain", "s", "either", 0.2),
    "hypoperfused_ml": Number("hypoperfused volume", "ml", "none"),
    "hypoperfused_in_rim_percent": Number("share of the hypoperfused voxels in the rim of the brain", "%", "high", 5.0),
    "rim_percent": Number("share of the brain in its rim", "%", "none"),
    "aif_peak_per_s": Number("peak of the arterial input", "1/s", "low"),
    "aif_peak_s": Number("time of the arterial peak", "s", "either", 1.0),
    "aif_width_s": Number("width of the arterial input", "s", "high"),
    "aif_voxels": Number("arterial voxels", "", "low", 2.0),
    "largest_displacement_mm": Number("head motion in the perfusion series", "mm", "high", 0.5),
    "contrast_to_noise": Number("contrast-to-noise ratio of the bolus", "", "low"),
    "lesion_outside_brain_ml": Number("final lesion outside the brain mask", "ml", "high", 0.5),
}


def measure_quality(participant, cohort, files, tmax_threshold_s, output):
    """Write the numbers and flags of one patient.

    Parameters
    ----------
    participant, cohort : str
        Names, for the file.
    files : dict of str to path
        On one grid: ``reference``, ``brain_mask``, ``adc`` (um2/s); ``final_lesion`` where it is known; where the patient has perfusion ``tmax`` (s)
        and ``cbf``, and ``h3_cbf`` after 3 h; the registered images under the names of ``REGISTERED``. Of each session with a raw perfusion series
        ``{session}_report`` (JSON) and ``{session}_aif`` (TSV: time_s, concentration).
    tmax_threshold_s : float
        Above it a voxel is hypoperfused, s.
    output : str or Path
        JSON: participant_id, cohort, ``numbers`` (all of ``NUMBERS``; null where the patient lacks the images), ``flags`` (list of ``about`` and
        ``flag``).

    Raises
    ------
    InputError
        An image is unusable or on another grid than the brain mask, or the brain mask is empty.
    """
    mask = read_image(files["brain_mask"], ndim=3)
    brain, sizes, voxel_ml = np.asarray(mask.dataobj) > 0.5, voxel_sizes(mask.affine), voxel_volume_ml(mask.affine)
    if not brain.any():
        raise InputError(files["brain_mask"], "the mask is empty", "look at the reference image, or choose another images.brain_mask")
    names = [name for name in ("reference", "adc", "final_lesion", "tmax", "cbf", "h3_cbf", *REGISTERED) if name in files]
    images = {name: _on_grid(files[name], files["brain_mask"], mask) for name in names}
    reports = {name: json.loads(Path(files[f"{name}_report"]).read_text(encoding="utf-8")) for name in SESSIONS if f"{name}_report" in files}
    lesion = images["final_lesion"] > 0.5 if "final_lesion" in images else np.zeros_like(brain)
    # a bright new infarct in one image alone would pass for a poor registration
    tissue = brain & ~lesion
    found = {"brain_ml": brain.sum() * voxel_ml, "median_adc_um2_s": np.median(images["adc"][brain])}
    found["without_adc_percent"] = 100 * (images["adc"][brain] <= 0).mean()
    if "final_lesion" in images:
        found["lesion_outside_brain_ml"] = (lesion & ~brain).sum() * voxel_ml
    for name in REGISTERED:
        if name in images:
            found[f"similarity_{name}"] = normalised_mutual_information(images["reference"][tissue], images[name][tissue])
            found[f"residual_shift_{name}_mm"] = residual_shift_mm(images["reference"], images[name], tissue, sizes)
    if "tmax" in images:
        found |= _perfusion_numbers(images["tmax"], images["cbf"], brain, tmax_threshold_s, voxel_ml)
    if "h3_cbf" in images:
        found["unperfused_h3_percent"] = _unperfused_percent(images["h3_cbf"], brain)
    if "baseline" in reports:
        found |= _bolus_numbers(reports["baseline"], read_table(files["baseline_aif"]))
    numbers = {name: float(found[name]) if np.isfinite(found.get(name, np.nan)) else None for name in NUMBERS}
    flags = [{"about": SESSIONS[name], "flag": flag} for name, report in reports.items() for flag in report["flags"]]
    flags += _b_value_flags(read_sidecar(files["adc"])) + _own_flags(numbers, float(lesion.sum() * voxel_ml))
    write_json(output, {"participant_id": participant, "cohort": cohort, "numbers": numbers, "flags": flags})


def normalised_mutual_information(first, second, bins=SIMILARITY_BINS):
    """Normalised mutual information (H(A) + H(B)) / H(A, B) (Studholme 1999).

    Parameters
    ----------
    first, second : numpy.ndarray
        (V,), values of the same voxels in two images; the percentiles 1 and 99 bound their histograms.
    bins : int
        Bins of each image.

    Returns
    -------
    float
        From 1 (independent) to 2 (one tells the other); NaN where an image is constant.
    """
    codes = [_bin_numbers(values, bins) for values in (first, second)]
    if any(code is None for code in codes):
        return float("nan")
    return _information(*codes, bins)


def residual_shift_mm(fixed, moving, tissue, sizes):
    """In-plane distance by which a registered image would have to be moved to match best.

    The similarity is computed with the image in place and moved by up to three steps of 3 mm, rounded up to whole voxels, to all sides in plane; its
    peak is put between the best place and the next ones along each axis. Shifts below 1 mm come out too small.

    Parameters
    ----------
    fixed, moving : numpy.ndarray
        (X, Y, Z), reference and registered image.
    tissue : numpy.ndarray
        bool, (X, Y, Z), where the two are compared.
    sizes : numpy.ndarray
        (3,), voxel sizes in mm.

    Returns
    -------
    float
        mm, at most four steps along each axis; NaN where an image is constant.
    """
    still, codes = _bin_numbers(fixed[tissue], SIMILARITY_BINS), _bin_numbers(moving, SIMILARITY_BINS, moving[tissue])
    if still is None or codes is None:
        return float("nan")
    codes = codes.reshape(moving.shape)
    steps = [ceil(SHIFT_STEP_MM / size) for size in sizes[:2]]

    @cache
    def similarity(*moved):
        # what leaves at one edge comes in at the other: air, since the brain has a margin
        return _information(still, np.roll(codes, np.multiply(moved, steps), (0, 1))[tissue], SIMILARITY_BINS)

    places = range(-SEARCHED_STEPS, SEARCHED_STEPS + 1)
    x, y = max(product(places, places), key=lambda moved: similarity(*moved))
    offsets = (
        x + peak_offset(similarity(x - 1, y), similarity(x, y), similarity(x + 1, y)),
        y + peak_offset(similarity(x, y - 1), similarity(x, y), similarity(x, y + 1)),
    )
    return float(np.hypot(*(offset * step * size for offset, step, size in zip(offsets, steps, sizes, strict=False))))


def peak_offset(before, here, after):
    """Where a curve known at -1, 0 and 1 has its peak.

    The similarity of two images falls off from its peak in straight lines rather than in a parabola: the peak lies where two lines of opposite slopes
    through the three values meet (equiangular fit; Shimizu and Okutomi 2005).

    Parameters
    ----------
    before, here, after : float
        Values at -1, 0 and 1.

    Returns
    -------
    float
        From -1 to 1; the higher end where the middle is the lowest of the three.
    """
    fall = here - min(before, after)
    return float(np.clip((after - before) / (2 * fall), -1, 1) if fall > 0 else np.sign(after - before))


def _bin_numbers(values, bins, inside=None):
    """Number of the bin of each value, (V,), between the percentiles of ``inside``; None where these are equal."""
    low, high = np.percentile(values if inside is None else inside, SIMILARITY_PERCENTILES)
    if not high > low:
        return None
    return np.clip((values.ravel() - low) / (high - low) * bins, 0, bins - 1).astype(np.intp)


def _information(first, second, bins):
    """Normalised mutual information of two arrays of bin numbers (V,)."""
    joint = np.bincount(first * bins + second, minlength=bins * bins).reshape(bins, bins) / first.size
    return float((_entropy(joint.sum(axis=0)) + _entropy(joint.sum(axis=1))) / _entropy(joint))


def _entropy(shares):
    """Entropy of a distribution, in nats."""
    shares = shares[shares > 0]
    return -(shares * np.log(shares)).sum()


def brain_rim(brain, voxels=RIM_VOXELS):
    """The outermost voxels of a brain mask.

    Parameters
    ----------
    brain : numpy.ndarray
        bool, (X, Y, Z), slices along the third axis.
    voxels : int
        Width in plane, by steps over edges of voxels; slices are thick, so the ends of the brain do not count.

    Returns
    -------
    numpy.ndarray
        bool, (X, Y, Z).
    """
    cross = ndimage.generate_binary_structure(2, 1)[..., None]
    return brain & ~ndimage.binary_erosion(brain, cross, iterations=voxels)


def full_width_half_maximum(time_s, curve):
    """Width of a curve between the points, interpolated, at which it leaves half of its maximum on either side.

    Parameters
    ----------
    time_s, curve : numpy.ndarray
        (T,).

    Returns
    -------
    float
        s; NaN where the curve does not fall below the half on both sides, or is nowhere positive.
    """
    time_s, curve = np.asarray(time_s, float), np.asarray(curve, float)
    peak = int(curve.argmax())
    half, low = curve[peak] / 2, curve < curve[peak] / 2
    if curve[peak] <= 0 or not low[:peak].any() or not low[peak:].any():
        return float("nan")
    left, right = np.flatnonzero(low[:peak])[-1], peak + int(low[peak:].argmax())
    rise = np.interp(half, curve[left : left + 2], time_s[left : left + 2])
    fall = np.interp(half, curve[right - 1 : right + 1][::-1], time_s[right - 1 : right + 1][::-1])
    return float(fall - rise)


def _perfusion_numbers(tmax, cbf, brain, threshold_s, voxel_ml):
    """Numbers of the baseline perfusion maps within the brain."""
    perfused, late, rim = brain & (cbf > 0), brain & (tmax > threshold_s), brain_rim(brain)
    return {
        "unperfused_percent": _unperfused_percent(cbf, brain),
        "median_tmax_s": np.median(tmax[perfused]) if perfused.any() else np.nan,
        "hypoperfused_ml": late.sum() * voxel_ml,
        "hypoperfused_in_rim_percent": 100 * (late & rim).sum() / late.sum() if late.any() else np.nan,
        "rim_percent": 100 * rim.sum() / brain.sum(),
    }


def _unperfused_percent(cbf, brain):
    """Share of the brain without flow, in percent."""
    return 100 - 100 * (brain & (cbf > 0)).sum() / brain.sum()


def _bolus_numbers(report, aif):
    """Numbers of the baseline arterial input (``report`` of the perfusion step, ``aif`` with time_s and concentration)."""
    return {
        "aif_peak_per_s": aif["concentration"].max(),
        "aif_peak_s": aif["time_s"][aif["concentration"].argmax()],
        "aif_width_s": full_width_half_maximum(aif["time_s"], aif["concentration"]),
        "aif_voxels": report["aif_voxels"],
        "largest_displacement_mm": report["largest_displacement_mm"],
        "contrast_to_noise": report["median_contrast_to_noise"],
    }


def _b_value_flags(adc):
    """Flags for an ADC map, by its side file, of an unusual b-value; the scanner's own does not tell its."""
    low, high = B_RANGE_S_PER_MM2
    if adc.get("AdcSource") != "computed" or low <= adc["DiffusionBValue"] <= high:
        return []
    words = f"unusual b-value: ADC of b = {adc['DiffusionBValue']:g} s/mm², where thresholds of ADC are of 1000"
    return [{"about": "diffusion", "flag": words}]


def _own_flags(numbers, lesion_ml):
    """Flags for numbers that are wrong in any cohort."""
    flags = []
    if not SMALLEST_BRAIN_ML <= numbers["brain_ml"] <= LARGEST_BRAIN_ML:
        words = f"implausible volume: {numbers['brain_ml']:.0f} ml, outside {SMALLEST_BRAIN_ML:g} to {LARGEST_BRAIN_ML:g} ml"
        flags.append({"about": "brain mask", "flag": words})
    low, high = ADC_RANGE_UM2_S
    if not low <= numbers["median_adc_um2_s"] <= high:
        words = f"implausible ADC: the median of the brain is {numbers['median_adc_um2_s']:.3g}, outside {low:g} to {high:g} × 10⁻⁶ mm²/s"
        flags.append({"about": "diffusion", "flag": words})
    for name, label in REGISTERED.items():
        shift_mm = numbers[f"residual_shift_{name}_mm"]
        if shift_mm is not None and shift_mm >= LARGEST_SHIFT_MM:
            flags.append({"about": f"registration of the {label}", "flag": f"poor registration: the image would match better {shift_mm:.1f} mm away"})
    covered = {"without_adc_percent": ("diffusion", "ADC")}
    covered |= {name: (SESSIONS[key], "perfusion") for name, key in (("unperfused_percent", "baseline"), ("unperfused_h3_percent", "h3"))}
    for name, (about, image) in covered.items():
        if (numbers[name] or 0) > LARGEST_UNCOVERED_PERCENT:
            flags.append({"about": about, "flag": f"incomplete coverage: {image} is missing in {numbers[name]:.0f} % of the brain"})
    if (numbers["lesion_outside_brain_ml"] or 0) > LARGEST_SHARE_OUTSIDE * lesion_ml:
        words = f"lesion outside the brain: {numbers['lesion_outside_brain_ml']:.1f} of {lesion_ml:.1f} ml of the final lesion"
        flags.append({"about": "final lesion", "flag": words})
    return flags


def _on_grid(path, mask_path, mask):
    """Values of an image that lies on the grid of the brain mask, float32."""
    image = read_image(path, ndim=3)
    check_same_grid(path, image, mask_path, mask)
    return np.asarray(image.dataobj, np.float32)
