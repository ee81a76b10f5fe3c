"""The final lesion: what becomes of core and penumbra, by reperfusion, collaterals and chance."""

import numpy as np
from scipy import ndimage

from finalinfarct.simulation.fields import smooth_field

SMALLEST_LESION_ML = 1.5
SMALLEST_ISLAND_ML = 0.15  # an expert does not outline single voxels
# Share of the hypoperfused tissue that stays without flow, by mTICI (the definition of the grades: Zaidat 2013).
STILL_OCCLUDED = {"3": 0.0, "2c": 0.08, "2b": 0.3, "2a": 0.7, "1": 0.9, "0": 1.0}
# Calibrated together to the printed mean Dice of the mismatch model, 0.41 and 0.26, and to an outcome that baseline images decide at least as far as
# the paper's networks tell it, 0.44 and 0.47: see docs/simulation.md.
FATE_NOISE = {"reperfused": (0.47, 0.38, 0.25), "not": (0.65, 0.5, 0.3)}
CORE_KEPT_LOG = {"reperfused": (-0.4, 0.5), "not": (-0.25, 0.5)}
NO_REFLOW, RESILIENT = 0.1, 0.25


def draw_final_lesion(rng, grid, anatomy, haemodynamics, grade, reperfused, nihss):
    """Final lesion of one patient on the simulation grid.

    Each voxel has a fate score: its flow deficit (so the core comes first, then the tissue with the lowest flow and the longest delay)
    plus random fields at three scales. The lesion is the tissue with the highest scores; its volume is the part of the core that
    persists and the part of the still hypoperfused tissue that is recruited. Two patient-level events break the rule: no-reflow or
    reocclusion after reperfusion, and resilient tissue without it.

    Parameters
    ----------
    rng : numpy.random.Generator
        The patient's stream for this step.
    grid : Grid
        Simulation grid.
    anatomy, haemodynamics : dict
        From ``build_anatomy`` and ``build_haemodynamics``.
    grade : str
        How far the tissue was reperfused, as an mTICI grade.
    reperfused : bool
        Status of the patient.
    nihss : float
        Severe deficits go with poor collaterals here: recruits slightly more.

    Returns
    -------
    lesion : numpy.ndarray
        bool, within the brain, at least 1.5 ml.
    events : dict
        What was drawn: ``event`` (``none``, ``no_reflow``, ``resilient``), ``core_kept``, ``recruited`` (shares), ``final_ml``.
    """
    axes, voxel_ml = grid.axes(), grid.voxel_ml()
    status = "reperfused" if reperfused else "not"
    core_ml, penumbra_ml = haemodynamics["core_ml"], haemodynamics["hypoperfused_ml"]
    chance = rng.random()
    event = "none"
    if reperfused and chance < NO_REFLOW:
        event = "no_reflow"
    elif not reperfused and chance < RESILIENT:
        event = "resilient"
    while True:
        kept = float(np.exp(rng.normal(*CORE_KEPT_LOG[status])))
        occluded = 1.0 if event == "no_reflow" else STILL_OCCLUDED[grade]
        tempo = rng.beta(1.4, 3.8) if event != "resilient" else rng.beta(1.0, 25.0)
        recruited = occluded * tempo * np.clip(0.7 + 0.02 * nihss, 0.7, 1.3)
        final_ml = kept * core_ml + recruited * max(penumbra_ml - core_ml, 0.0) + rng.exponential(1.5)
        if final_ml >= SMALLEST_LESION_ML:
            break
    score = np.clip(haemodynamics["deficit"], 0, 2.5) + 0.06 * np.clip(haemodynamics["delay_s"], 0, 10)
    for amplitude, length_mm in zip(FATE_NOISE[status], (26.0, 12.0, 6.0), strict=True):
        score = score + amplitude * smooth_field(rng, axes, length_mm)
    score = ndimage.gaussian_filter(score, [1.5 / d for d in grid.spacing])
    candidates = haemodynamics["tissue"] & (anatomy["brain"] > 0.5)
    count = min(final_ml / voxel_ml, 0.6 * candidates.sum())
    lesion = candidates & (score > np.quantile(score[candidates], 1 - count / candidates.sum()))
    # an expert's outline runs over the sulci between affected gyri, not along each of them
    closed = ndimage.binary_closing(lesion, ndimage.generate_binary_structure(3, 1), iterations=1)
    lesion = (lesion | closed) & (anatomy["brain"] > 0.5) & (anatomy["csf"] < 0.7)
    outlined = _without_specks(lesion, SMALLEST_ISLAND_ML / voxel_ml)
    lesion = outlined if outlined.sum() * voxel_ml >= 1.0 else lesion
    return lesion, {"event": event, "core_kept": kept, "recruited": float(recruited), "final_ml": float(lesion.sum() * voxel_ml)}


def _without_specks(lesion, fewest_voxels):
    """Lesion without the components smaller than ``fewest_voxels``; the largest always stays."""
    labels, _ = ndimage.label(lesion, np.ones((3, 3, 3)))
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return (sizes >= min(fewest_voxels, sizes.max()))[labels] & lesion
