"""Reliability of the predicted probabilities: how often voxels that are given a probability of infarct become infarct."""

import logging

import numpy as np
import pandas as pd

from finalinfarct.dataset.images import read_image
from finalinfarct.dataset.tables import write_table
from finalinfarct.errors import InputError
from finalinfarct.imaging.grids import check_same_grid

BINS = 10
COLUMNS = (
    *("status", "training_set", "part", "bin_low", "bin_high", "patients", "voxels"),
    *("mean_probability", "observed_frequency", "calibration_error", "brier_score"),
)
log = logging.getLogger(__name__)


def write_reliability(patients, output):
    """Write the reliability of each status's own model, over the brain voxels of all its test patients.

    Parameters
    ----------
    patients : list of dict
        participant_id, status, training_set, and paths on one grid: probability, final_lesion, brain_mask.
    output : str or Path
        Table with the columns ``COLUMNS``. For each status and training set one row per bin (``part`` is ``bin``; the bin's own values) and one over
        all (``part`` is ``all``; ``calibration_error`` is then the expected calibration error). Empty bins have no values.

    Raises
    ------
    InputError
        Images of a patient that are not on one grid, or probabilities outside 0 to 1.
    """
    sums = {}
    for number, patient in enumerate(patients, start=1):
        group = sums.setdefault((patient["status"], patient["training_set"]), {"patients": 0, "sums": 0.0})
        group["patients"] += 1
        group["sums"] = group["sums"] + bin_sums(*_brain_voxels(patient))
        log.info("%s (patient %d of %d)", patient["participant_id"], number, len(patients))
    rows = []
    for (status, training_set), group in sums.items():
        for row in summarise_bins(group["sums"]):
            rows.append({"status": status, "training_set": training_set, "patients": group["patients"]} | row)
    write_table(pd.DataFrame(rows, columns=COLUMNS), output)


def bin_sums(probability, infarct, bins=BINS):
    """Sum up voxels in bins of equal width from 0 to 1, each with its upper edge, the first with both, as scikit-learn's ``calibration_curve`` does.

    Parameters
    ----------
    probability : numpy.ndarray
        Predicted probability, (voxels,).
    infarct : numpy.ndarray
        bool, (voxels,): what became of the voxel.
    bins : int
        Number of bins.

    Returns
    -------
    numpy.ndarray
        float64, (4, bins): voxels, sum of probabilities, infarcted voxels, sum of squared differences. Those of several patients may be added.
    """
    probability, infarct = np.asarray(probability, dtype=float), np.asarray(infarct, dtype=float)
    place = np.searchsorted(np.linspace(0.0, 1.0, bins + 1)[1:-1], probability)
    weights = (np.ones_like(probability), probability, infarct, (probability - infarct) ** 2)
    return np.stack([np.bincount(place, weights=weight, minlength=bins) for weight in weights])


def summarise_bins(sums):
    """Return the rows of a reliability table from the sums of ``bin_sums``.

    Parameters
    ----------
    sums : numpy.ndarray
        (4, bins).

    Returns
    -------
    list of dict
        One per bin, then one over all: part, bin_low, bin_high, voxels, mean_probability, observed_frequency, calibration_error, brier_score. The
        calibration error of a bin is the distance of mean probability and observed frequency; over all it is the mean of the bins' weighted by their
        voxels (expected calibration error; Naeini 2015). The Brier score is the mean squared difference (Brier 1950). NaN where there is no voxel.
    """
    edges = np.linspace(0.0, 1.0, sums.shape[1] + 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        probability, frequency, brier = sums[1:] / sums[0]
        error = np.abs(probability - frequency)
        overall = sums[1:].sum(axis=1) / sums[0].sum()
        expected = np.nansum(error * sums[0]) / sums[0].sum()
    bins = zip(["bin"] * len(error), edges[:-1], edges[1:], sums[0].astype(int), probability, frequency, error, brier, strict=True)
    names = ("part", "bin_low", "bin_high", "voxels", "mean_probability", "observed_frequency", "calibration_error", "brier_score")
    total = ("all", 0.0, 1.0, int(sums[0].sum()), overall[0], overall[1], expected, overall[2])
    return [dict(zip(names, row, strict=True)) for row in (*bins, total)]


def _brain_voxels(patient):
    """Probability and outcome of the voxels of a patient's brain."""
    probability = read_image(patient["probability"], ndim=3)
    images = {}
    for name in ("final_lesion", "brain_mask"):
        images[name] = read_image(patient[name], ndim=3)
        mend = "resample both to the reference, or predict again"
        check_same_grid(patient[name], images[name], patient["probability"], probability, mend)
    brain = images["brain_mask"].get_fdata() > 0.5
    inside = probability.get_fdata()[brain]
    if inside.size and not (inside.min() >= 0 and inside.max() <= 1):
        raise InputError(patient["probability"], f"probabilities from {inside.min():g} to {inside.max():g}", "predict again")
    return inside, images["final_lesion"].get_fdata()[brain] > 0.5
