"""Who takes part, with which reperfusion status, and why the others do not (results/inclusion.tsv)."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from finalinfarct.dataset.contract import PARTICIPANT_COLUMNS, REPERFUSED_MTICI
from finalinfarct.dataset.tables import read_table, write_table

REPERFUSED_RATIO = 0.5
COLUMNS = ("participant_id", "cohort", "role", "mtici", "reperfusion_ratio", "status", "included", "reason")


def reperfusion_status(source, mtici, ratio):
    """Reperfusion status of a patient (Debs et al. 2021, section 2.2.1).

    Parameters
    ----------
    source : str
        ``mtici``, ``h3_perfusion`` or ``none``, from the cohort's configuration.
    mtici : str
        0, 1, 2a, 2b, 2c or 3; read with source ``mtici``.
    ratio : float
        Reperfusion ratio, NaN where undefined; read with source ``h3_perfusion``.

    Returns
    -------
    str or None
        ``reperfused``, ``nonreperfused``, or None where it cannot be known.
    """
    if source == "mtici":
        return "reperfused" if mtici in REPERFUSED_MTICI else "nonreperfused"
    if source == "h3_perfusion" and not np.isnan(ratio):
        return "reperfused" if ratio >= REPERFUSED_RATIO else "nonreperfused"
    return None


def write_inclusion(participants, faults, ratios, cohorts, output):
    """Write the inclusion table: one row per patient of participants.tsv.

    Parameters
    ----------
    participants : str or Path
        participants.tsv.
    faults : str or Path
        Table of the dataset's faults; patients named in it are excluded for them.
    ratios : list of str or Path
        JSON files with ``participant_id``, ``reperfusion_ratio`` (null where undefined) and ``reason`` (why), of patients with an H3 perfusion.
    cohorts : dict
        The configured cohorts.
    output : str or Path
        Columns participant_id, cohort, role, mtici, reperfusion_ratio, status, included (yes or no), reason.
    """
    table = read_table(participants, text=PARTICIPANT_COLUMNS)
    wrong = read_table(faults).groupby("participant_id")["found"].agg("; ".join).to_dict()
    found = {}
    for path in ratios:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        found[content["participant_id"]] = (np.nan if content["reperfusion_ratio"] is None else content["reperfusion_ratio"], content["reason"])
    rows = []
    for row in table.to_dict("records"):
        name, cohort = row["participant_id"], cohorts[row["cohort"]]
        ratio, undefined = found.get(name, (np.nan, None))
        status = None if name in wrong else reperfusion_status(cohort["reperfusion"], row["mtici"], ratio)
        reason = wrong.get(name) or _reason(cohort, status, undefined)
        included = "no" if reason else "yes"
        rows.append((name, row["cohort"], cohort["role"], row["mtici"], ratio, status, included, reason))
    write_table(pd.DataFrame(rows, columns=COLUMNS), output)


def _reason(cohort, status, undefined):
    """Why a patient without faults is left out of training and tables, or None; ``undefined`` is why there is no reperfusion ratio."""
    if cohort["role"] == "new":
        return "cohort with role new: predicted by models that were trained before"
    if cohort["role"] == "none":
        return "cohort with role none: images are prepared only"
    if status is None:
        return f"{undefined}, so the reperfusion ratio is undefined"
    if cohort["role"] == "training" and status == "reperfused":
        return "reperfused: cohorts with role training give non-reperfused patients only (paper, section A.1)"
    return None


def read_inclusion(path):
    """Read the inclusion table: text columns as text, ``included`` as bool."""
    table = read_table(path, text=("participant_id", "cohort", "role", "mtici", "status", "reason"))
    return table.assign(included=table["included"] == "yes")
