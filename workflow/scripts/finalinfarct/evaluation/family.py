"""Metrics of all test patients of one model family, or of the mismatch model, and the long table that joins them."""

import logging

import pandas as pd

from finalinfarct.dataset.images import read_image, voxel_sizes
from finalinfarct.dataset.tables import read_table, write_table
from finalinfarct.errors import InputError
from finalinfarct.evaluation.auc import AUC_MODES, affected_hemisphere, auc_modes, tissue_at_risk
from finalinfarct.evaluation.metrics import SEGMENTATION_METRICS, bounding_box, segmentation_metrics
from finalinfarct.imaging.grids import check_same_grid

KEYS = ("participant_id", "status", "method", "fusion", "inputs", "training_set", "fold")
COLUMNS = (*KEYS, "metric", "value")
METRICS = (*SEGMENTATION_METRICS[:8], *AUC_MODES, *SEGMENTATION_METRICS[8:])
log = logging.getLogger(__name__)


def evaluate_predictions(patients, method, fusion, inputs, training_set, seed, output):
    """Write the long table of metrics of one model family or of the mismatch model.

    Parameters
    ----------
    patients : list of dict
        participant_id, status, fold, and paths on one grid: mask (prediction), probability (None: the mask is the score of the AUC), final_lesion,
        brain_mask, diffusion_lesion, tmax (s).
    method : str
        ``cnn`` or ``mismatch``.
    fusion, inputs, training_set : str or None
        The family; None for the mismatch model.
    seed : int
        Of the balanced AUC. Each patient has a draw of their own that depends on this and the participant_id, so all methods see the same voxels.
    output : str or Path
        Table with the columns ``COLUMNS``, one row per patient and metric; undefined is ``n/a``.

    Raises
    ------
    InputError
        Images of a patient that are not on one grid, or an empty brain mask.
    """
    rows = []
    for number, patient in enumerate(patients, start=1):
        values = evaluate_patient(patient, seed)
        keys = (patient["participant_id"], patient["status"], method, fusion, inputs, training_set, patient["fold"])
        rows += [(*keys, metric, values[metric]) for metric in METRICS]
        log.info("%s: DSC %.3f (patient %d of %d)", patient["participant_id"], values["dsc"], number, len(patients))
    write_table(pd.DataFrame(rows, columns=COLUMNS), output)


def evaluate_patient(patient, seed):
    """All metrics of one prediction, dict of str to float with the keys ``METRICS``; parameters as in ``evaluate_predictions``."""
    mask = read_image(patient["mask"], ndim=3)
    images = {}
    for name in ("final_lesion", "brain_mask", "diffusion_lesion", "tmax", "probability"):
        if name == "probability" and patient["probability"] is None:
            continue
        image = read_image(patient[name], ndim=3)
        check_same_grid(patient[name], image, patient["mask"], mask, "resample both to the reference, or predict again")
        images[name] = image.get_fdata(dtype="float32")
    prediction, tmax = mask.get_fdata(dtype="float32") > 0.5, images["tmax"]
    truth, brain, lesion = (images[name] > 0.5 for name in ("final_lesion", "brain_mask", "diffusion_lesion"))
    if not brain.any():
        raise InputError(patient["brain_mask"], "the brain mask is empty", "make it again, or correct it")
    score, draw = images.get("probability", prediction), [seed, *patient["participant_id"].encode()]
    return patient_metrics(prediction, score, truth, brain, lesion, tmax, mask.affine, draw)


def patient_metrics(prediction, score, truth, brain, diffusion_lesion, tmax, affine, seed):
    """Return all metrics of one prediction.

    Parameters
    ----------
    prediction, truth, brain, diffusion_lesion : numpy.ndarray
        bool, (X, Y, Z); the brain is not empty.
    score : numpy.ndarray
        Lesion probability, or the prediction itself, (X, Y, Z).
    tmax : numpy.ndarray
        s, (X, Y, Z).
    affine : numpy.ndarray
        (4, 4), voxel indices to mm (RAS+).
    seed : int or sequence of int
        Of the balanced AUC's draw.

    Returns
    -------
    dict of str to float
        Keys ``METRICS``.
    """
    # Most of an image is air, in which nothing is measured; copies, since masks pick from contiguous arrays twice as fast.
    box = bounding_box(brain | prediction | truth)
    prediction, score, truth, brain, diffusion_lesion, tmax = (a[box].copy() for a in (prediction, score, truth, brain, diffusion_lesion, tmax))
    hemisphere = affected_hemisphere(diffusion_lesion, tmax, brain, affine)
    at_risk = tissue_at_risk(diffusion_lesion, tmax, brain, hemisphere)
    return segmentation_metrics(prediction, truth, voxel_sizes(affine)) | auc_modes(score, truth, brain, at_risk, hemisphere, seed)


def join_metrics(paths, output):
    """Join metric tables into one.

    Parameters
    ----------
    paths : list of str or Path
        Tables that ``evaluate_predictions`` wrote.
    output : str or Path
        The long table, ``results/metrics.tsv``.

    Raises
    ------
    InputError
        A table without the columns ``COLUMNS``, or a metric of one patient and model that stands twice.
    """
    write_table(read_metrics(paths), output)


def read_metrics(paths):
    """Read one metric table, or several as one, with the columns ``COLUMNS``; raises ``InputError`` as ``join_metrics`` does."""
    paths = [paths] if isinstance(paths, str) or not hasattr(paths, "__iter__") else list(paths)
    tables = []
    for path in paths:
        table = read_table(path, text=[name for name in COLUMNS if name not in ("fold", "value")])
        absent = [name for name in COLUMNS if name not in table]
        if absent:
            raise InputError(path, f"no column {', '.join(absent)}", "remove the file, and it is made again")
        tables.append(table[list(COLUMNS)])
    joined = pd.concat(tables, ignore_index=True)
    twice = joined[joined.duplicated([*KEYS[:-1], "metric"])]
    if len(twice):
        first = twice.iloc[0]
        model = "/".join(str(first[name]) for name in KEYS[2:6])
        raise InputError(", ".join(map(str, paths)), f"{first['metric']} of {first['participant_id']}, {model}, stands twice", "name each table once")
    return joined
