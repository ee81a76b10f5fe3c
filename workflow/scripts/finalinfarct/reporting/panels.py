"""Panels of brain images: one slice of a patient in radiological orientation, with contours and masks over it."""

from typing import NamedTuple

import nibabel as nib
import numpy as np
from matplotlib.colors import ListedColormap

from finalinfarct.dataset.images import read_image, voxel_sizes
from finalinfarct.errors import InputError

MARGIN_MM = 6.0
BRAIN_PERCENTILES = (0.5, 99.5)
# Vessels, which are few and bright, would leave the tissue dark.
PERFUSION_PERCENTILES = (1.0, 96.0)
# Quantitative maps have one scale for all patients; the others are scaled to each brain.
RANGES = {"ADC": (0.0, 2000.0), "Tmax": (0.0, 12.0)}
RANGE_TEXTS = {"ADC": "0–2000 × 10⁻⁶ mm²/s", "Tmax": "0–12 s"}
COLOUR_MAPS = {"Tmax": "inferno", "CBF": "viridis", "CBV": "viridis"}
# Outside the brain these are quotients of noise that would draw the eye.
COMPUTED_MAPS = ("ADC", "Tmax", "CBF", "CBV")


class Slice(NamedTuple):
    """One slice: arrays (rows, columns) by name, rows towards the front and columns towards the patient's left, and a voxel's height by its width."""

    planes: dict
    aspect: float


def read_volume(path):
    """Read an image as an array (X, Y, Z), X towards the patient's left, Y to the front, Z up, and its voxel sizes in mm, (3,)."""
    image = nib.as_closest_canonical(read_image(path, ndim=3))
    return image.get_fdata(dtype=np.float32)[::-1], voxel_sizes(image.affine)


def largest_lesion_slice(images):
    """Read the slice in which a patient's final lesion is largest, cut to the brain with a margin.

    Parameters
    ----------
    images : dict of str to path
        Images and masks on one grid; brain_mask and final_lesion among them.

    Returns
    -------
    Slice
        With the names of ``images``.

    Raises
    ------
    InputError
        An image of another shape than the final lesion.
    """
    volumes = {name: read_volume(path) for name, path in images.items()}
    lesion, sizes = volumes["final_lesion"]
    for name, (data, _) in volumes.items():
        if data.shape != lesion.shape:
            raise InputError(images[name], f"shape {data.shape} where the final lesion has {lesion.shape}", "resample both to the reference")
    level = int((lesion > 0).sum(axis=(0, 1)).argmax())
    window = brain_window(volumes["brain_mask"][0][:, :, level] > 0, sizes)
    return Slice({name: data[:, :, level][window].T for name, (data, _) in volumes.items()}, sizes[1] / sizes[0])


def brain_window(brain, sizes):
    """Slices of the array that hold the brain of a plane, bool (X, Y), with a margin, or all of it where there is no brain; voxel ``sizes`` in mm."""
    window = []
    for axis in (0, 1):
        inside = np.flatnonzero(brain.any(axis=1 - axis)) if brain.any() else np.arange(brain.shape[axis])
        margin = int(np.ceil(MARGIN_MM / sizes[axis]))
        window.append(slice(max(inside[0] - margin, 0), min(inside[-1] + margin + 1, brain.shape[axis])))
    return tuple(window)


def lesion_levels(lesion, number):
    """Up to ``number`` slices that hold a lesion, bool (X, Y, Z), evenly spread; of all slices where it is empty."""
    inside = np.flatnonzero(lesion.any(axis=(0, 1)))
    if not inside.size:
        inside = np.arange(lesion.shape[2])
    return np.unique(inside[np.linspace(0, inside.size - 1, number).round().astype(int)])


def show_image(axis, plane, aspect, limits, colour_map="gray"):
    """Show a plane (rows, columns) without ticks, voxels as they are, ``limits`` (low, high) from black to white."""
    axis.imshow(plane, cmap=colour_map, vmin=limits[0], vmax=limits[1], origin="lower", aspect=aspect, interpolation="nearest")
    axis.set(xticks=[], yticks=[], facecolor="black")
    for spine in axis.spines.values():
        spine.set_visible(False)


def show_map(axis, patient, name):
    """Show the image ``name`` of a ``Slice``: ADC and Tmax in their fixed ranges, other images from low to high within the brain."""
    plane, brain = patient.planes[name], patient.planes["brain_mask"] > 0
    limits = RANGES.get(name) or brain_limits(plane, brain, PERFUSION_PERCENTILES if name in COMPUTED_MAPS else BRAIN_PERCENTILES)
    shown = np.ma.masked_where(~brain, plane) if name in COMPUTED_MAPS else plane
    show_image(axis, shown, patient.aspect, limits, COLOUR_MAPS.get(name, "gray"))


def brain_limits(data, brain, percentiles=BRAIN_PERCENTILES):
    """Return the low and high percentile of an image within the brain (within all of it where there is no brain)."""
    return tuple(np.percentile(data[brain] if brain.any() else data, percentiles))


def outline(axis, mask, colour, width=0.8):
    """Draw the outline of a mask (rows, columns), if it is not empty."""
    if np.any(mask):
        axis.contour(np.asarray(mask) > 0, levels=[0.5], colors=colour, linewidths=width)


def overlay(axis, mask, colour, aspect, opacity=0.45):
    """Lay a mask (rows, columns) over an image as an even colour."""
    shown = np.ma.masked_equal(np.asarray(mask) > 0, False)
    axis.imshow(shown, cmap=ListedColormap([colour]), alpha=opacity, origin="lower", aspect=aspect, interpolation="nearest")


def write_on(axis, text, x=0.5, y=0.02, **options):
    """Write white text on a darkened ground over a panel, at fractions of its width and height."""
    ground = {"boxstyle": "square,pad=0.15", "facecolor": "black", "edgecolor": "none", "alpha": 0.6}
    place = {"ha": "center", "va": "bottom" if y < 0.5 else "top", "color": "white", "bbox": ground, "transform": axis.transAxes}
    axis.text(x, y, text, **{**place, **options})
