"""Pictures of one patient's images for the quality report: contours on the registered images and on the brain, arterial input, maps, histograms."""

import io
import math

import numpy as np
from matplotlib import colormaps
from scipy import ndimage

from finalinfarct.dataset.images import read_sidecar
from finalinfarct.dataset.tables import read_table
from finalinfarct.imaging.quality import REGISTERED, brain_rim
from finalinfarct.imaging.threshold import head_mask
from finalinfarct.reporting.canvas import BLUE, GREY, ORANGE, PAGE_MM, PALE, SMALL, new_figure
from finalinfarct.reporting.panels import (
    COLOUR_MAPS,
    COMPUTED_MAPS,
    MARGIN_MM,
    PERFUSION_PERCENTILES,
    RANGES,
    brain_limits,
    outline,
    overlay,
    read_volume,
    show_image,
    write_on,
)

SCREEN_DPI = 165
# Narrower than for a single picture: grey matter, white matter and CSF must be told apart in every image.
CONTRAST_PERCENTILES = (5.0, 98.0)
# CSF is the brightest part of the inner brain, once the slow change of brightness by the coil is taken out.
FLUID_SHARE, COIL_MM, SMALLEST_FLUID_ML = 0.10, 10.0, 1.0
COLUMNS, MOST_SLICES, REGISTRATION_SLICES, ARTERIAL_SLICES = 7, 21, 5, 3
# The first and last slices of a brain are small, and their contours say little.
REGISTRATION_LEVELS = (0.2, 0.85)
# Smaller motion fills no axis: it would look large.
LEAST_MOTION_SHOWN_MM = 2.0
STRIP_MM, STRIP_DPI = 22.0, 110
BRAIN_COLOUR, FLUID_COLOUR, ARTERY_COLOUR, LATE_COLOUR = "#F0E442", "#56B4E9", "#FF3DCB", "white"
HISTOGRAM_BINS = 80
MAP_LABELS = {"ADC": "ADC (10⁻⁶ mm²/s)", "Tmax": "Tmax (s)", "CBF": "CBF"}


class Volumes:
    """The images of one patient on the reference grid, in radiological orientation and cut to the brain with a margin.

    Parameters
    ----------
    files : dict of str to path
        As for ``imaging.quality.measure_quality``.

    Attributes
    ----------
    data : dict of str to numpy.ndarray
        float32, (X, Y, Z): reference, ADC, where there is perfusion Tmax and CBF, and the registered images under the names of ``REGISTERED``.
    brain, fluid : numpy.ndarray
        bool, (X, Y, Z); ``fluid`` is what is brightest in the reference inside the brain, which is CSF in b0 and perfusion images.
    aspect : float
        Height of a voxel by its width.
    labels : dict of str to str
        Of the maps, with their units.
    """

    def __init__(self, files):
        whole, sizes = read_volume(files["brain_mask"])
        window = tuple(_extent(whole > 0, axis, math.ceil(MARGIN_MM / sizes[axis])) for axis in (0, 1)) + (_extent(whole > 0, 2, 0),)
        names = {"reference": "reference", "adc": "ADC", "tmax": "Tmax", "cbf": "CBF", **{name: name for name in REGISTERED}}
        self.data = {label: read_volume(files[name])[0][window] for name, label in names.items() if name in files}
        self.brain, self.aspect = whole[window] > 0, sizes[1] / sizes[0]
        self.fluid = _brightest(self.data["reference"], self.brain, sizes)
        self.labels = {name: MAP_LABELS[name] for name in MAP_LABELS if name in self.data}
        if "CBF" in self.labels:
            self.labels["CBF"] = f"CBF ({read_sidecar(files['cbf']).get('Units', 'relative')})"

    def limits(self, name):
        """Return the values shown as black and white."""
        return RANGES.get(name) or brain_limits(self.data[name], self.brain, PERFUSION_PERCENTILES if name in COMPUTED_MAPS else CONTRAST_PERCENTILES)

    def levels(self, low, high, number):
        """Return at most ``number`` slices, evenly spread between two shares of the height of the brain."""
        last = self.brain.shape[2] - 1
        return np.unique(np.linspace(low * last, high * last, min(number, last + 1)).round().astype(int))


def _brightest(image, brain, sizes):
    """Bright areas of an image (X, Y, Z) inside the brain, without its rim and without specks."""
    sigma = (COIL_MM / sizes[0], COIL_MM / sizes[1], 0)
    slow = ndimage.gaussian_filter(np.where(brain, image, 0), sigma) / np.maximum(ndimage.gaussian_filter(brain.astype(np.float32), sigma), 1e-3)
    inner = brain & ~brain_rim(brain)
    if not inner.any():
        return inner
    relative = image / np.maximum(slow, 1e-9)
    labels, _ = ndimage.label(inner & (relative > np.quantile(relative[inner], 1 - FLUID_SHARE)))
    large = np.bincount(labels.ravel()) * float(np.prod(sizes)) / 1000 >= SMALLEST_FLUID_ML
    return (labels > 0) & large[labels]


def _extent(mask, axis, margin):
    """Slice of an axis that holds the mask with a margin."""
    inside = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
    return slice(max(inside[0] - margin, 0), min(inside[-1] + margin + 1, mask.shape[axis]))


def tiled(volume, levels, columns, rest=0):
    """Lay slices of a volume side by side, the lowest at the upper left.

    Parameters
    ----------
    volume : numpy.ndarray
        (X, Y, Z).
    levels : sequence of int
        Slices.
    columns : int
        Slices in a row.
    rest : float
        Value of the places left over.

    Returns
    -------
    numpy.ndarray
        (rows, columns) of voxels, the first row at the bottom.
    """
    rows = math.ceil(len(levels) / columns)
    planes = [volume[:, :, level].T for level in levels]
    planes += [np.full_like(planes[0], rest)] * (rows * columns - len(planes))
    return np.vstack([np.hstack(planes[row * columns : (row + 1) * columns]) for row in reversed(range(rows))])


def _png(figure, dpi=SCREEN_DPI):
    """Bytes of a figure as PNG, the same every time."""
    memory = io.BytesIO()
    figure.savefig(memory, format="png", dpi=dpi, metadata={"Software": None})
    return memory.getvalue()


def _filled(plane, aspect, width_mm=PAGE_MM, right_mm=0.0):
    """Black figure as wide as ``width_mm``, and axes that hold a plane of this shape in its proportions, with room at the right."""
    across_mm = width_mm - right_mm
    height_mm = across_mm * plane.shape[0] * aspect / plane.shape[1]
    figure = new_figure(width_mm, height_mm, layout=None, facecolor="black")
    return figure, figure.add_axes((0, 0, across_mm / width_mm, 1))


def draw_registration(patient):
    """Draw the reference and every registered image in five slices, with the outlines of the reference's brain and of its CSF on all of them.

    Parameters
    ----------
    patient : Volumes
        Images of the patient.

    Returns
    -------
    bytes
        PNG.
    """
    levels = patient.levels(*REGISTRATION_LEVELS, REGISTRATION_SLICES)
    names = ["reference", *(name for name in REGISTERED if name in patient.data)]
    plane = np.vstack([tiled(_grey(patient, name), levels, len(levels)) for name in reversed(names)])
    figure, axis = _filled(plane, patient.aspect)
    show_image(axis, plane, patient.aspect, (0, 1))
    _contours(axis, patient, lambda mask: np.vstack([tiled(mask, levels, len(levels))] * len(names)))
    for row, name in enumerate(names):
        write_on(axis, REGISTERED.get(name, name), x=0.005, y=1 - row / len(names) - 0.01, ha="left", va="top")
    return _png(figure)


def _grey(patient, name):
    """An image scaled to 0 (black) to 1 (white)."""
    low, high = patient.limits(name)
    return np.clip((patient.data[name] - low) / max(high - low, 1e-9), 0, 1)


def _contours(axis, patient, arranged):
    """Outlines of brain and CSF of the reference; ``arranged`` lays a mask (X, Y, Z) out as the picture."""
    outline(axis, arranged(patient.fluid), FLUID_COLOUR, 0.5)
    outline(axis, arranged(patient.brain), BRAIN_COLOUR, 0.7)


def draw_brain_mask(patient):
    """Draw the outline of the brain mask on the slices of the reference. Takes ``Volumes``, returns the bytes of a PNG."""
    levels = patient.levels(0, 1, MOST_SLICES)
    plane = tiled(_grey(patient, "reference"), levels, COLUMNS)
    figure, axis = _filled(plane, patient.aspect)
    show_image(axis, plane, patient.aspect, (0, 1))
    outline(axis, tiled(patient.brain, levels, COLUMNS), BRAIN_COLOUR, 0.7)
    return _png(figure)


def draw_map(patient, name, tmax_threshold_s=None):
    """Draw the slices of a map within the brain, with a colour bar in its unit.

    Parameters
    ----------
    patient : Volumes
        Images of the patient.
    name : str
        ADC, Tmax or CBF.
    tmax_threshold_s : float, optional
        In Tmax the outline of what lies above it, s.

    Returns
    -------
    bytes
        PNG.
    """
    levels = patient.levels(0, 1, MOST_SLICES)
    plane = tiled(np.where(patient.brain, patient.data[name], np.nan), levels, COLUMNS, rest=np.nan)
    figure, axis = _filled(plane, patient.aspect, right_mm=19.0)
    show_image(axis, plane, patient.aspect, patient.limits(name), COLOUR_MAPS.get(name, "gray"))
    if tmax_threshold_s is not None:
        outline(axis, tiled(patient.brain & (patient.data[name] > tmax_threshold_s), levels, COLUMNS), LATE_COLOUR, 0.5)
    bar = figure.colorbar(axis.images[0], cax=figure.add_axes((0.915, 0.08, 0.014, 0.84)))
    bar.set_label(patient.labels[name], color="white", fontsize=SMALL)
    bar.ax.tick_params(colors="white", labelsize=SMALL)
    bar.outline.set_edgecolor("white")
    return _png(figure)


def draw_histograms(patient, thresholds):
    """Draw the histograms of the maps within the brain.

    Parameters
    ----------
    patient : Volumes
        Images of the patient.
    thresholds : dict of str to float
        Threshold to mark, by map, in its unit.

    Returns
    -------
    bytes
        PNG.
    """
    figure = new_figure(PAGE_MM, 48.0)
    for axis, (name, label) in zip(np.atleast_1d(figure.subplots(1, len(MAP_LABELS))), MAP_LABELS.items(), strict=True):
        if name not in patient.data:
            axis.set_axis_off()
            continue
        values, (low, high) = patient.data[name][patient.brain], patient.limits(name)
        # the last bin holds all that lies beyond the range of the picture
        counts, edges = np.histogram(np.minimum(values, high), bins=HISTOGRAM_BINS, range=(min(low, 0.0), high))
        axis.stairs(100 * counts / values.size, edges, fill=True, color=BLUE, alpha=0.75)
        axis.set(xlabel=patient.labels.get(name, label), xlim=(edges[0], edges[-1]), ylim=(0, None))
        if name in thresholds:
            axis.axvline(thresholds[name], color=ORANGE, lw=1.2)
            place = {"ha": "center", "fontsize": SMALL, "transform": axis.get_xaxis_transform()}
            axis.text(thresholds[name], 1.01, f"{thresholds[name]:g}", color=ORANGE, **place)
    figure.axes[0].set_ylabel("% of the brain's voxels")
    return _png(figure)


def draw_arterial_input(aif, aif_mask, perfref, report):
    """Draw the arterial input over time above the motion of the head, beside the voxels that it is the mean of.

    Parameters
    ----------
    aif : str or Path
        TSV: time_s, concentration.
    aif_mask, perfref : str or Path
        Chosen voxels, and the mean pre-bolus image, on the grid of the series.
    report : dict
        Of the perfusion step: ``pre_bolus_frames``, ``dropped_frames``, ``displacement_mm`` (frames).

    Returns
    -------
    bytes
        PNG.
    """
    curve = read_table(aif)
    chosen, (image, sizes) = read_volume(aif_mask)[0] > 0, read_volume(perfref)
    head = head_mask(image)
    window = tuple(_extent(head, axis, 1) for axis in (0, 1))
    chosen, image, limits = chosen[window], image[window], brain_limits(image, head, CONTRAST_PERCENTILES)
    counts = chosen.sum(axis=(0, 1))
    levels = np.sort(np.argsort(-counts, kind="stable")[: min(ARTERIAL_SLICES, np.count_nonzero(counts))])
    figure = new_figure(PAGE_MM, 68.0)
    grid = figure.add_gridspec(2, 1 + len(levels), width_ratios=[1.4, *[1] * len(levels)], height_ratios=[3, 1])
    axis, panels = figure.add_subplot(grid[0, 0]), [figure.add_subplot(grid[:, place + 1]) for place in range(len(levels))]
    motion = figure.add_subplot(grid[1, 0], sharex=axis)
    start_s, arrival_s = curve["time_s"][0], curve["time_s"][report["pre_bolus_frames"]]
    axis.axvspan(0, start_s, color=GREY, alpha=0.35, lw=0, label=f"{report['dropped_frames']} frames dropped")
    axis.axvspan(start_s, arrival_s, color=PALE, lw=0, label=f"{report['pre_bolus_frames']} pre-bolus frames")
    axis.plot(curve["time_s"], curve["concentration"], color=ORANGE, marker=".", ms=3)
    axis.set(ylabel="concentration (1/s)", xlim=(0, curve["time_s"].iloc[-1]))
    motion.plot(curve["time_s"], report["displacement_mm"], color=BLUE)
    motion.set(xlabel="time from the first frame (s)", ylabel="motion (mm)", ylim=(0, max(LEAST_MOTION_SHOWN_MM, *report["displacement_mm"])))
    axis.legend(loc="upper right")
    for panel, level in zip(panels, levels, strict=True):
        show_image(panel, image[:, :, level].T, sizes[1] / sizes[0], limits)
        overlay(panel, chosen[:, :, level].T, ARTERY_COLOUR, sizes[1] / sizes[0], opacity=0.9)
        write_on(panel, f"slice {level + 1}, voxels: {counts[level]}")
    return _png(figure)


def draw_strip(patient):
    """Draw one slice of the reference with its brain mask, of every registered image with the contours, and of the maps, side by side.

    Parameters
    ----------
    patient : Volumes
        Images of the patient.

    Returns
    -------
    bytes
        PNG, 22 mm wide for each picture.
    """
    level = int(patient.brain.sum(axis=(0, 1)).argmax())
    names = ["reference", *(name for name in REGISTERED if name in patient.data), *patient.labels]
    tiles = []
    for name in names:
        colours = colormaps[COLOUR_MAPS.get(name, "gray")](_grey(patient, name)[:, :, level].T)[..., :3]
        inside = patient.brain[:, :, level].T if name in COMPUTED_MAPS else True
        tiles.append(np.where(np.broadcast_to(inside, colours.shape[:2])[..., None], colours, 0))
    plane = np.hstack(tiles)
    figure, axis = _filled(plane, patient.aspect, STRIP_MM * len(names))
    axis.imshow(plane, origin="lower", aspect=patient.aspect, interpolation="nearest")
    axis.set_axis_off()
    contoured = len(names) - len(patient.labels)

    def arranged(mask):
        return np.hstack([mask[:, :, level].T] * contoured + [np.zeros_like(mask[:, :, level].T)] * len(patient.labels))

    _contours(axis, patient, arranged)
    for place, name in enumerate(names):
        write_on(axis, REGISTERED.get(name, name), x=(place + 0.5) / len(names), y=0.97, fontsize=SMALL)
    return _png(figure, STRIP_DPI)
