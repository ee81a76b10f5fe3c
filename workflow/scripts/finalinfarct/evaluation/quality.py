"""The quality of the images of a cohort: how far each patient's numbers lie from those of the others, and the patients in order of suspicion."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from finalinfarct.dataset.tables import write_table
from finalinfarct.imaging.quality import NUMBERS

# Iglewicz and Hoaglin 1993, How to detect and handle outliers: beyond 3.5 a robust z-score counts as an outlier. Both scales estimate the standard
# deviation of a normal distribution.
STANDS_OUT = 3.5
MAD_TO_SD, MEAN_DEVIATION_TO_SD = 1.4826, 1.253314
# With fewer patients the median and the spread say nothing.
FEWEST_PATIENTS = 5
NAMED = 3
COLUMNS = ("rank", "participant_id", "cohort", "suspicion", "flags", "why", *NUMBERS, *(f"z_{name}" for name in NUMBERS))


def robust_z(values, least_spread=0.0):
    """Distance of each value from the median, in units of the robust standard deviation (Iglewicz and Hoaglin 1993).

    Parameters
    ----------
    values : array_like
        (patients,), NaN where a patient has none.
    least_spread : float
        Stands for the standard deviation where that is smaller.

    Returns
    -------
    numpy.ndarray
        float, (patients,): (x - median) / (1.4826 MAD). Where more than half of the values are equal, so that the MAD is 0, the mean absolute
        deviation times 1.253314 stands for it; where all are equal, 0. NaN for missing values, and for all with fewer than five values.
    """
    values = np.asarray(values, float)
    known = values[np.isfinite(values)]
    if known.size < FEWEST_PATIENTS:
        return np.full(values.shape, np.nan)
    distance = values - np.median(known)
    spread = MAD_TO_SD * np.nanmedian(np.abs(distance)) or MEAN_DEVIATION_TO_SD * np.nanmean(np.abs(distance))
    spread = max(spread, least_spread)
    return distance / spread if spread > 0 else distance


def suspicious_part(z, side):
    """How far a robust z-score lies on the suspicious side: 0 on the other side; NaN where it is undefined or ``side`` is none."""
    if side == "none":
        return np.full(np.shape(z), np.nan)
    return np.abs(z) if side == "either" else np.maximum(z if side == "high" else -np.asarray(z), 0.0)


def write_quality_table(files, output):
    """Write one row per patient, the most suspicious first.

    The z-scores compare a patient with the patients of the same cohort. Suspicion is the largest part of a z-score on its suspicious side (0 where
    all are undefined) plus the number of flags.

    Parameters
    ----------
    files : list of str or Path
        JSON files of ``imaging.quality.measure_quality``.
    output : str or Path
        Table with the columns ``COLUMNS``; ``why`` says what stands out, in words.
    """
    patients = [json.loads(Path(path).read_text(encoding="utf-8")) for path in files]
    write_table(rank_patients(patients), output)


def rank_patients(patients):
    """Return the table of ``write_quality_table``.

    Parameters
    ----------
    patients : list of dict
        participant_id, cohort, numbers (by name, None where missing), flags (list of dict with ``about`` and ``flag``).

    Returns
    -------
    pandas.DataFrame
        Columns ``COLUMNS``; equal suspicion goes by participant_id.
    """
    numbers = pd.DataFrame([patient["numbers"] for patient in patients], columns=list(NUMBERS), dtype=float)
    cohorts = pd.Series([patient["cohort"] for patient in patients])
    groups = numbers.groupby(cohorts)
    z = pd.DataFrame({name: groups[name].transform(robust_z, least_spread=number.least_spread) for name, number in NUMBERS.items()})
    medians = groups.transform("median")
    parts = pd.DataFrame({name: suspicious_part(z[name], number.side) for name, number in NUMBERS.items()})
    table = pd.DataFrame({"participant_id": [patient["participant_id"] for patient in patients], "cohort": cohorts})
    table["flags"] = [len(patient["flags"]) for patient in patients]
    table["suspicion"] = parts.max(axis=1).fillna(0.0) + table["flags"]
    table["why"] = [_why(patient["flags"], numbers.loc[row], z.loc[row], parts.loc[row], medians.loc[row]) for row, patient in enumerate(patients)]
    table = pd.concat([table, numbers, z.add_prefix("z_")], axis=1)
    table = table.sort_values(["suspicion", "participant_id"], ascending=[False, True], ignore_index=True)
    table["rank"] = np.arange(1, len(table) + 1)
    return table[list(COLUMNS)]


def _why(flags, numbers, z, parts, medians):
    """The flags, and the numbers that stand out (the largest one where none does), in words."""
    words = [f"{flag['about']}: {flag['flag']}" for flag in flags]
    order = parts.dropna().sort_values(ascending=False, kind="stable")
    standing = [name for name in order.index[:NAMED] if order[name] > STANDS_OUT]
    if standing or flags:
        return "; ".join(words + [_deviation(name, numbers, z, medians) for name in standing])
    if order.empty:
        return "no flag; too few patients to compare with"
    return f"nothing stands out; largest: {_deviation(order.index[0], numbers, z, medians)}"


def _deviation(name, numbers, z, medians):
    """One number beside its cohort's median, in words."""
    number, side = NUMBERS[name], "high" if z[name] > 0 else "low"
    score = f"{z[name]:+.1f}".replace("-", "−")
    return f"{number.label} {side}: {number.shown(numbers[name])} (cohort's median {number.shown(medians[name])}, z {score})"
