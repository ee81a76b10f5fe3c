"""Perfusion maps: from a raw DSC series, or as a scanner or another program made them."""

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd

from finalinfarct.dataset.check import FEWEST_FRAMES
from finalinfarct.dataset.images import read_image, voxel_sizes, write_image, write_json
from finalinfarct.dataset.sidefiles import MAP_UNITS, TIME_RANGES_S, given_unit, series_time_s, slice_times_s
from finalinfarct.dataset.tables import write_table
from finalinfarct.errors import InputError
from finalinfarct.imaging.arterial_input import NoArteryError, arterial_neighbourhood, select_arterial_voxels, usable_curves
from finalinfarct.imaging.bolus import BrokenFrameError, NoBolusError, concentration, find_bolus, passes
from finalinfarct.imaging.deconvolution import deconvolver, peak
from finalinfarct.imaging.grids import check_same_grid
from finalinfarct.imaging.motion import correct_motion, estimate_motion
from finalinfarct.imaging.smoothing import smooth_in_plane
from finalinfarct.imaging.threshold import head_mask

LOGGER = logging.getLogger(__name__)

MAP_DESCRIPTIONS = {
    "Tmax": "Time of the maximum of the residue function, interpolated between frames; times before the arterial input are 0",
    "CBF": "Cerebral blood flow, the maximum of the residue function",
    "CBV": "Cerebral blood volume, the area under the tissue curve over that under the arterial input, during the passage of the bolus",
    "MTT": "Mean transit time, 60 CBV/CBF",
    "TTP": "Time from the end of the pre-bolus frames to the maximum of the tissue curve",
}
# The bolus of a voxel with a later maximum would not be over by the end of the series: there the maximum is that of drift.
LONGEST_TMAX_SHARE = 0.5
LARGEST_PLAUSIBLE_TMAX_S = 100.0
# A limit nearer than this to the 6 s of hypoperfused tissue (and the 2 to 3 s by which Tmax exceeds a delay) would cut off the latest tissue.
SURE_TMAX_S = 20.0
# Single voxels may seem to fill before an artery; a territory that does shows an arterial input taken too late.
LARGEST_EARLY_SHARE = 0.1
# The curves of so many voxels, and what is computed from them, stay in the processor's cache.
VOXELS_AT_A_TIME = 4096
TRUNCATED_BOLUS_TAIL, LOW_BOLUS_DEPTH, FEWEST_ARTERIAL_VOXELS = 0.5, 0.03, 3
LOW_CONTRAST_TO_NOISE, LARGE_MOTION_MM = 3, 1.5
FLAGGED_FAULTY_SHARE, LARGEST_FAULTY_SHARE = 0.01, 0.5


def perfusion_maps(curves, arterial_input, repetition_time_s, settings, passage=slice(None), shift_s=0.0):
    """CBF, CBV, MTT and Tmax of every voxel (Debs et al. 2021, section 2.1.2; Ostergaard 1996, Wu 2003).

    CBF = (kH/rho) max R x 6000, CBV = 100 (kH/rho) integral(C)/integral(AIF), MTT = 60 CBV/CBF, Tmax = argmax R.

    Parameters
    ----------
    curves : numpy.ndarray
        (V, T) concentration of tissue.
    arterial_input : numpy.ndarray
        (T,), same unit.
    repetition_time_s : float
        Time between frames, s.
    settings : dict
        ``deconvolution`` (csvd or osvd), ``truncation``, ``oscillation_index``, ``hematocrit_factor`` (kH), ``density_g_per_ml`` (rho).
    passage : slice
        Frames over which CBV integrates: up to the end of the bolus' passage. Frames before it add nothing, since S0 is their mean.
    shift_s : float or numpy.ndarray
        (V,), s: how much later than the arterial input each curve was sampled.

    Returns
    -------
    dict of str to numpy.ndarray
        float32, (V,): ``CBF`` ml/100 g/min, ``CBV`` ml/100 g, ``MTT`` s, ``Tmax`` s, none negative; ``delay``, s, is Tmax with its sign. A voxel
        whose residue function or area is not positive has 0 in all.
    """
    curves = np.asarray(curves, np.float32)
    factor = settings["hematocrit_factor"] / settings["density_g_per_ml"]
    options = {"method": settings["deconvolution"], "truncation": settings["truncation"], "oscillation_index": settings["oscillation_index"]}
    deconvolve = deconvolver(arterial_input, repetition_time_s, **options)
    passing = np.ones(len(arterial_input[passage]))  # of double precision, as is then the sum
    height, time_s, area = (np.empty(len(curves), kind) for kind in (np.float32, np.float32, float))
    for start in range(0, len(curves), VOXELS_AT_A_TIME):
        part = slice(start, start + VOXELS_AT_A_TIME)
        height[part], time_s[part] = peak(deconvolve(curves[part]), repetition_time_s)
        area[part] = curves[part, passage] @ passing
    volume = 100 * factor * area / np.sum(arterial_input[passage], dtype=float)
    usable = (height > 0) & (volume > 0)
    flow = 6000 * factor * np.where(usable, height, 0)
    volume = np.where(usable, volume, 0)
    delay = np.where(usable, time_s + shift_s, 0)
    maps = {
        "CBF": flow,
        "CBV": volume,
        "MTT": np.where(usable, 60 * volume / np.where(usable, flow, 1), 0),
        "Tmax": np.maximum(delay, 0),
        "delay": delay,
    }
    return {name: values.astype(np.float32) for name, values in maps.items()}


def compute_perfusion(series, settings, outputs, aif_mask_in=None):
    """Write the perfusion maps of one DSC series, its arterial input and a report, all on the grid of the series.

    Frames that are not in the steady state are dropped; the others are corrected for motion and smoothed, as the settings say: more for the times
    (Tmax, TTP), where noise misplaces the maximum, less for CBF and CBV, where it averages out and detail is lost. The arterial input comes from
    voxels that are not smoothed. Maps are zero outside a rough head mask and where no bolus passes. Time zero of Tmax is the arterial input.

    A maximum later than half of the time from the bolus' arrival on is that of drift: the voxel is not perfused. In a short series, where tissue
    could be so late, its Tmax is set to that limit, and the series is flagged.

    Parameters
    ----------
    series : str or Path
        (X, Y, Z, T), with RepetitionTime and EchoTime in seconds in its side file. Where that has SliceTiming, Tmax and TTP are those of the times
        at which the slices were acquired; else slices are taken as simultaneous.
    settings : dict
        As for ``perfusion_maps``, and ``motion_correction`` (bool), ``time_smoothing_fwhm_mm``, ``flow_smoothing_fwhm_mm`` and ``cbv_window_s``.
    outputs : dict of str to path
        ``perfref`` (mean pre-bolus image), ``Tmax``, ``CBF``, ``CBV``, ``MTT``, ``TTP``, ``aif`` (TSV: time_s from the first acquired frame,
        concentration in 1/s as measured), ``aif_mask``, ``report`` (JSON: numbers and flags).
    aif_mask_in : str or Path, optional
        Mask of the voxels of the arterial input, on the grid of the series.

    Raises
    ------
    InputError
        The series or its times are unusable, no bolus is found, or no arterial input (given or automatic).
    """
    dsc = _read_series(series, settings)
    measured = concentration(dsc.signal[dsc.head], dsc.echo_time_s, dsc.baseline)
    arterial, source = _arterial_voxels(dsc, measured, aif_mask_in)
    arterial_curve = measured[arterial].mean(axis=0)
    arterial_input = arterial_curve.copy()
    # the pre-bolus frames hold noise only, which the deconvolution would amplify
    arterial_input[dsc.baseline] = 0
    maps, timing = _maps(dsc, arterial, arterial_input, settings)
    side = {"Deconvolution": settings["deconvolution"], "ArterialInput": source, "DroppedFrames": dsc.bolus["first"]}
    for name, values in maps.items():
        write_image(outputs[name], dsc.volume(values), dsc.affine, side | {"Units": MAP_UNITS[name], "Description": MAP_DESCRIPTIONS[name]})
    note = {"Units": "arbitrary", "Description": "Mean of the pre-bolus frames in the steady state"}
    write_image(outputs["perfref"], dsc.perfref, dsc.affine, note)
    chosen = np.zeros(len(measured), np.uint8)
    chosen[arterial] = 1
    write_image(outputs["aif_mask"], dsc.volume(chosen), dsc.affine, {"Description": f"Voxels of the arterial input ({source})"}, dtype=np.uint8)
    time_s = (np.arange(arterial_input.size) + dsc.bolus["first"]) * dsc.repetition_time_s
    write_table(pd.DataFrame({"time_s": time_s, "concentration": arterial_curve.astype(float)}), outputs["aif"])
    report = _report(dsc, measured, arterial, arterial_input, source)
    report |= timing | {"motion_corrected": settings["motion_correction"], "flags": dsc.flags + report["flags"] + _timing_flags(timing)}
    write_json(outputs["report"], report)
    for flag in report["flags"]:
        LOGGER.warning("%s: %s", series, flag)
    LOGGER.info("perfusion of %s: %d pre-bolus frames, %d arterial voxels", series, dsc.baseline.stop, len(arterial))


@dataclass(frozen=True)
class _Series:
    """A DSC series as its maps are made from it.

    Parameters
    ----------
    path : str or Path
        Its file.
    affine : numpy.ndarray
        (4, 4).
    signal : numpy.ndarray
        float32, (X, Y, Z, T): the frames in the steady state, corrected for motion where the settings say so.
    head, perfref : numpy.ndarray
        (X, Y, Z): where maps are made (bool), and the mean pre-bolus image.
    bolus : dict
        From ``find_bolus``, in frames as acquired.
    baseline : slice
        The pre-bolus frames of ``signal``.
    repetition_time_s, echo_time_s : float
        s.
    slice_s : numpy.ndarray
        (Z,), s: when the slices were acquired, within a frame.
    displacement_mm : numpy.ndarray
        (T,), mm: motion of the head.
    flags : list of str
        What is wrong with its baseline.
    """

    path: object
    affine: np.ndarray
    signal: np.ndarray
    head: np.ndarray
    perfref: np.ndarray
    bolus: dict
    baseline: slice
    repetition_time_s: float
    echo_time_s: float
    slice_s: np.ndarray
    displacement_mm: np.ndarray
    flags: list

    def smoothed(self, fwhm_mm):
        """Curves of the head's voxels, (V, T) in 1/s, smoothed in plane."""
        smooth = smooth_in_plane(self.signal, self.head, voxel_sizes(self.affine), fwhm_mm)
        return concentration(smooth, self.echo_time_s, self.baseline)

    def volume(self, values):
        """Values of the head's voxels, (V,), as an image, 0 elsewhere."""
        image = np.zeros(self.head.shape, values.dtype)
        image[self.head] = values
        return image


def _read_series(path, settings):
    """The ``_Series`` of a file: without the frames before the steady state, corrected for motion; InputError where it cannot be used."""
    image = read_image(path, ndim=4)
    times = {key: series_time_s(path, key) for key in TIME_RANGES_S}
    slice_s = slice_times_s(path, image.shape[2])
    if image.shape[3] < FEWEST_FRAMES:
        raise InputError(path, f"{image.shape[3]} frames", f"a DSC series needs at least {FEWEST_FRAMES}; check that this is the whole series")
    signal = image.get_fdata(dtype=np.float32)
    head = head_mask(np.median(signal, axis=3))
    bolus = _bolus(path, signal, head)
    signal, baseline, voxel_mm = signal[..., bolus["first"] :], slice(0, bolus["arrival"] - bolus["first"]), voxel_sizes(image.affine)
    flags = _baseline_flags(path, signal[head][:, baseline], signal.max())
    poses, displacement_mm = estimate_motion(signal, head, baseline, voxel_mm)
    outside = ~(signal > 0).any(axis=3)
    if settings["motion_correction"]:
        correct_motion(signal, poses, voxel_mm)
    # of a stripped series: what a cubic interpolation rings beyond the brain is no signal
    perfref = np.where(outside, 0, signal[..., baseline].mean(axis=3))
    head &= perfref > 0
    times = times["RepetitionTime"], times["EchoTime"]
    return _Series(path, image.affine, signal, head, perfref, bolus, baseline, *times, slice_s, displacement_mm, flags)


def _maps(dsc, arterial, arterial_input, settings):
    """Maps of a series by name, (V,) for the head's voxels, 0 where not perfused; and what its times tell of it, for the report.

    ``arterial`` are indices into the head's voxels, ``arterial_input`` is (T,) in 1/s.
    """
    repetition_time_s, baseline = dsc.repetition_time_s, dsc.baseline
    passage = slice(baseline.stop + round(settings["cbv_window_s"] / repetition_time_s))
    flow = perfusion_maps(dsc.smoothed(settings["flow_smoothing_fwhm_mm"]), arterial_input, repetition_time_s, settings, passage)
    curves = dsc.smoothed(settings["time_smoothing_fwhm_mm"])
    acquired_s = dsc.slice_s[np.nonzero(dsc.head)[2]]
    shift_s = acquired_s - acquired_s[arterial].mean()
    time = perfusion_maps(curves, arterial_input, repetition_time_s, settings, passage, shift_s)
    maps = {"CBF": flow["CBF"], "CBV": flow["CBV"], "MTT": flow["MTT"], "Tmax": time["Tmax"]}
    longest_s = LONGEST_TMAX_SHARE * (dsc.signal.shape[3] - baseline.stop) * repetition_time_s
    beyond, short = maps["Tmax"] > longest_s, longest_s < SURE_TMAX_S
    # the end of a short series does not tell late tissue from drift, and late tissue must not pass for healthy
    passed = (short | passes(curves, dsc.bolus, baseline)) & (time["CBF"] > 0) & (flow["CBF"] > 0)
    perfused = passed & (short | ~beyond)
    maps["Tmax"] = np.minimum(maps["Tmax"], np.float32(longest_s))
    maps["TTP"] = np.maximum((curves[:, baseline.stop :].argmax(axis=1) + 1) * repetition_time_s + shift_s, 0)
    maps = {name: np.where(perfused, values, 0).astype(np.float32) for name, values in maps.items()}
    # noise alone peaks at any time
    sure = perfused & usable_curves(curves, baseline)
    timing = {
        "longest_tmax_s": longest_s,
        "beyond_longest_percent": _percent(beyond, passed),
        "before_arterial_percent": _percent(time["delay"] < 0, sure),
    }
    return maps, timing


def _bolus(series, signal, head):
    """``find_bolus`` on the mean of the head, its complaint as a fault of the series."""
    if not head.any():
        raise InputError(series, "no signal in any voxel", "replace the series")
    try:
        return find_bolus(signal[head].mean(axis=0))
    except NoBolusError as fault:
        raise InputError(series, str(fault), "check that this is the DSC series, from before the injection on") from None
    except BrokenFrameError as fault:
        raise InputError(
            series, str(fault), "export the series again; if it was acquired so, keep only the frames before or after this one"
        ) from None


def _baseline_flags(series, baseline, largest):
    """Flags for a baseline (V, frames) at 0 or at the ceiling of the stored values; InputError where that is most of the head."""
    flags = []
    for name, wrong in (("zero", baseline <= 0), ("saturated", baseline >= largest)):
        share = float((wrong.mean(axis=1) > 0.5).mean())
        if share > LARGEST_FAULTY_SHARE:
            raise InputError(series, f"{name} baseline in {100 * share:.0f} % of the head", "export the series again, with its full range of values")
        if share > FLAGGED_FAULTY_SHARE:
            flags.append(f"{name} baseline in {100 * share:.0f} % of the head: no perfusion can be computed there")
    return flags


def _arterial_voxels(dsc, curves, aif_mask_in):
    """Indices into ``curves`` of the arterial voxels, and their source: given or automatic."""
    if aif_mask_in is None:
        inner = arterial_neighbourhood(dsc.head)[dsc.head]
        candidates = np.flatnonzero(inner)
        try:
            return candidates[select_arterial_voxels(curves[candidates], dsc.baseline)], "automatic"
        except NoArteryError as fault:
            raise InputError(dsc.path, f"no arterial input: {fault}", "give a mask of arterial voxels (label-AIF_mask)") from None
    mask = read_image(aif_mask_in, ndim=3)
    check_same_grid(aif_mask_in, mask, dsc.path, read_image(dsc.path))
    wanted = np.flatnonzero(mask.get_fdata(dtype=np.float32)[dsc.head] > 0.5)
    usable = wanted[usable_curves(curves[wanted], dsc.baseline)] if wanted.size else wanted
    if usable.size == 0:
        raise InputError(aif_mask_in, "no voxel of the mask shows the passage of a bolus", "mark voxels in an artery, or remove the mask")
    return usable, "given"


def _report(dsc, curves, arterial, arterial_input, source):
    """Numbers and flags that say how far the maps can be trusted."""
    bolus, displacement_mm = dsc.bolus, dsc.displacement_mm
    # at the head's peak, since each voxel's own largest value is that of noise where there is no contrast
    contrast = float(np.median(curves[:, bolus["peak"] - bolus["first"]] / np.maximum(curves[:, dsc.baseline].std(axis=1), 1e-6)))
    flags = []
    if bolus["tail"] > TRUNCATED_BOLUS_TAIL:
        flags.append("truncated bolus: the last frames are far from the baseline, so CBV is too low")
    if bolus["depth"] < LOW_BOLUS_DEPTH:
        flags.append("weak bolus: the mean signal falls by less than 3 %")
    if contrast < LOW_CONTRAST_TO_NOISE:
        flags.append(f"low signal-to-noise ratio: the median voxel's bolus is below {LOW_CONTRAST_TO_NOISE} standard deviations of its baseline")
    if displacement_mm.max() > LARGE_MOTION_MM:
        flags.append(f"motion: the head moved by {displacement_mm.max():.1f} mm during the series")
    if len(arterial) < FEWEST_ARTERIAL_VOXELS:
        flags.append(f"arterial input from {len(arterial)} voxels only")
    return {
        "dropped_frames": bolus["first"],
        "pre_bolus_frames": dsc.baseline.stop,
        "bolus_depth": bolus["depth"],
        "bolus_tail": bolus["tail"],
        "median_contrast_to_noise": contrast,
        "displacement_mm": [round(float(value), 3) for value in displacement_mm],
        "largest_displacement_mm": float(displacement_mm.max()),
        "aif_source": source,
        "aif_voxels": len(arterial),
        "aif_peak_per_s": float(arterial_input.max()),
        "aif_peak_s": float((bolus["first"] + arterial_input.argmax()) * dsc.repetition_time_s),
        "repetition_time_s": dsc.repetition_time_s,
        "echo_time_s": dsc.echo_time_s,
        "flags": flags,
    }


def _percent(where, among):
    """Share of the voxels ``among`` (bool, (V,)) that lie ``where``, in percent; 0 where there are none."""
    return 100 * float(where[among].mean()) if among.any() else 0.0


def _timing_flags(timing):
    """Flags for times that cannot be had: tissue before the arterial input, and beyond the end of a short series."""
    flags = []
    if timing["before_arterial_percent"] > 100 * LARGEST_EARLY_SHARE:
        flags.append(
            f"late arterial input: {timing['before_arterial_percent']:.0f} % of the voxels with a clear bolus fill before it and have Tmax 0"
        )
    if timing["longest_tmax_s"] < SURE_TMAX_S:
        limit_s, percent = timing["longest_tmax_s"], timing["beyond_longest_percent"]
        flags.append(f"short series: Tmax cannot be told beyond {limit_s:.3g} s, to which {percent:.0f} % of the perfused voxels are set")
    return flags


def use_given_maps(tmax, cbf, cbv, outputs):
    """Write perfusion maps that a scanner or another program made in the form of ``compute_perfusion``.

    Parameters
    ----------
    tmax, cbf, cbv : str or Path
        Maps on one grid. Tmax has ``Units`` s in its side file; CBF and CBV have ml/100g/min and ml/100g, or are relative (also when
        nothing is said).
    outputs : dict of str to path
        ``perfref`` (the CBF map, which shows anatomy best), ``Tmax``, ``CBF``, ``CBV``, ``MTT`` = 60 CBV/CBF.

    Raises
    ------
    InputError
        A map is unusable, grids differ, or a unit is unknown.
    """
    images, units = {}, {}
    for name, path in (("Tmax", tmax), ("CBF", cbf), ("CBV", cbv)):
        images[name] = read_image(path, ndim=3)
        check_same_grid(path, images[name], tmax, images["Tmax"])
        units[name] = given_unit(name, path)
    maps = {name: np.maximum(image.get_fdata(dtype=np.float32), 0) for name, image in images.items()}
    perfused = maps["CBF"] > 0
    if not perfused.any():
        raise InputError(cbf, "no positive value", "replace the map")
    middle = float(np.median(maps["Tmax"][perfused]))
    if middle > LARGEST_PLAUSIBLE_TMAX_S:
        raise InputError(tmax, f"wrong unit of Tmax: the median where CBF > 0 is {middle:g} s", "give Tmax in seconds")
    relative = "relative" in units.values()
    maps["MTT"] = np.where(perfused, 60 * maps["CBV"] / np.where(perfused, maps["CBF"], 1), 0)
    units["MTT"] = "relative" if relative else "s"
    for name, values in maps.items():
        side = {"Units": units[name], "Description": f"{name} as given" if name != "MTT" else MAP_DESCRIPTIONS["MTT"]}
        write_image(outputs[name], values, images["Tmax"].affine, side)
    note = {"Units": units["CBF"], "Description": "The CBF map, in place of a mean pre-bolus image"}
    write_image(outputs["perfref"], maps["CBF"], images["Tmax"].affine, note)
