"""What the calibration of the simulated cohort is measured by: the hidden truth alone, without scans, networks or registration."""

import numpy as np
import pandas as pd

from finalinfarct.simulation.patient import build_patient


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
            | {"mismatch_dsc": 2.0 * np.count_nonzero(predicted & lesion) / (np.count_nonzero(predicted) + np.count_nonzero(lesion))}
        )
    return pd.DataFrame(rows)
