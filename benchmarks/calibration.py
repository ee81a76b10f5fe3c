"""What the calibration of the simulated cohort is measured by: the hidden truth alone, without scans, networks or registration.

``PYTHONPATH=workflow/scripts python benchmarks/calibration.py`` prints it for 92 + 17 patients at the default sizes; four minutes.
"""

import argparse

import numpy as np
import pandas as pd
from settings import paper_cohorts

from finalinfarct.evaluation.metrics import overlap_metrics
from finalinfarct.simulation.fields import random_stream
from finalinfarct.simulation.naming import participant_ids
from finalinfarct.simulation.outcome import draw_final_lesion
from finalinfarct.simulation.patient import build_patient

BORDERS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
# Shares of grades among 92 patients of whom 74 are reperfused: what a predictor that knows no status has to reckon with.
GRADES = ("2b", "3", "2b", "0", "2c", "3", "2b", "3", "2a", "2b")


def truth_statistics(participants, settings):
    """Volumes and overlap of the true core, hypoperfused tissue and final lesion.

    Parameters
    ----------
    participants : iterable of str
        Identifiers.
    settings : dict
        The section ``simulation`` of the configuration.

    Returns
    -------
    pandas.DataFrame
        One row per participant: participant_id, cohort, reperfused, event, core_ml, hypoperfused_ml, final_ml, and mismatch_dsc, the Dice of
        the mismatch model's rule on the truth (core after reperfusion, else core or tissue delayed by more than 3.5 s) with the final lesion.
    """
    rows = []
    for participant_id in participants:
        patient = build_patient(participant_id, settings)
        flow, lesion, clinical = patient["haemodynamics"], patient["lesion"], patient["clinical"]
        predicted = flow["core"] if clinical["reperfused"] else flow["core"] | flow["hypoperfused"]
        rows.append(
            {key: clinical[key] for key in ("participant_id", "cohort", "reperfused")}
            | {"event": patient["events"]["event"], "core_ml": flow["core_ml"], "hypoperfused_ml": flow["hypoperfused_ml"]}
            | {"final_ml": float(lesion.sum()) * patient["grid"].voxel_ml()}
            | {"mismatch_dsc": _dice(predicted, lesion)}
        )
    return pd.DataFrame(rows)


def attainable_dice(participants, settings, draws=20):
    """Dice that no predictor from baseline can be expected to surpass by much: it knows the true haemodynamics, but neither status nor chance.

    The outcome of each patient is drawn again and again. The share of the other draws in which a voxel is infarcted is its probability; the
    prediction is where that lies above the border (one for each patient, of ``BORDERS``) with the best mean Dice over the draws.

    Parameters
    ----------
    participants : iterable of str
        Identifiers.
    settings : dict
        The section ``simulation`` of the configuration.
    draws : int
        Outcomes drawn for each patient. Few draws make rough probabilities, and so a figure that is a little too low.

    Returns
    -------
    pandas.DataFrame
        One row per participant: participant_id, core_ml, attainable_dsc.
    """
    rows = []
    for participant_id in participants:
        patient = build_patient(participant_id, settings)
        rng = random_stream(settings["seed"], "attainable", participant_id)
        grades = [GRADES[k % len(GRADES)] for k in range(draws)]
        common = (patient["grid"], patient["anatomy"], patient["haemodynamics"])
        lesions = [draw_final_lesion(rng, *common, grade, grade[0] in "23" and grade != "2a", patient["clinical"]["nihss"])[0] for grade in grades]
        count = np.sum(lesions, axis=0)
        dice = [np.mean([_dice((count - one) > border * (draws - 1), one) for one in lesions]) for border in BORDERS]
        rows.append((participant_id, patient["haemodynamics"]["core_ml"], max(dice)))
    return pd.DataFrame(rows, columns=["participant_id", "core_ml", "attainable_dsc"])


def _dice(first, second):
    """Dice of two masks."""
    return overlap_metrics(first, second)["dsc"]


def main():
    """Print volumes and the Dice of the mismatch model's rule by cohort and status, and the ideal predictor's of every fourth tested patient."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    settings = paper_cohorts()["simulation"]
    ids = participant_ids(settings)
    table = truth_statistics([name for names in ids.values() for name in names], settings)
    print(table.groupby(["cohort", "reperfused"]).describe(percentiles=[0.25, 0.5, 0.75]).T.to_string())
    print(f"attainable Dice: {attainable_dice(ids['hibiscus'][::4], settings)['attainable_dsc'].mean():.3f}")


if __name__ == "__main__":
    main()
