"""Table A.5: baseline characteristics of the included patients."""

import numpy as np
import pandas as pd

from finalinfarct.dataset.files import write_text
from finalinfarct.dataset.inclusion import read_inclusion
from finalinfarct.dataset.tables import read_table, write_table
from finalinfarct.errors import InputError
from finalinfarct.reporting.lesion_sources import source_note
from finalinfarct.reporting.markdown import document, pipe_table
from finalinfarct.reporting.notes import TABLE_A5

PARTICIPANT_TEXT = ("participant_id", "cohort", "sex", "iv_tpa", "occlusion_site", "cervical_ica")
# Name of the row, column of participants.tsv, value that is counted, name among the printed facts.
COUNTS = {
    "Women, n (percentage)": ("sex", "F", "women"),
    "Intravenous tPA, n (percentage)": ("iv_tpa", "yes", "intravenous tPA"),
    "Occlusion: intracranial ICA + M1, n (percentage)": ("occlusion_site", "ICA+M1", "occlusion intracranial ICA + M1"),
    "Occlusion: M1, n (percentage)": ("occlusion_site", "M1", "occlusion M1"),
    "Occlusion: intracranial ICA + M2, n (percentage)": ("occlusion_site", "ICA+M2", "occlusion intracranial ICA + M2"),
    "Occlusion: M2, n (percentage)": ("occlusion_site", "M2", "occlusion M2"),
    "Cervical ICA, n (percentage)": ("cervical_ica", "yes", "cervical ICA"),
}
# Name of the row, column, name among the printed facts, decimals as printed.
MEDIANS = {
    "Age, years": ("age", "age", 0),
    "NIHSS score": ("nihss", "NIHSS", 0),
    "Time from symptoms onset to MRI, min": ("onset_to_mri_min", "onset to MRI", 0),
    "DWI lesion size, mL": ("diffusion_lesion_ml", "DWI lesion size", 1),
}
ORDER = (next(iter(COUNTS)), *list(MEDIANS)[:3], *list(COUNTS)[1:], list(MEDIANS)[3])
COLUMNS = (
    *("row", "n", "n_missing", "count", "percentage", "median", "quartile_1", "quartile_3"),
    *("printed_count", "printed_percentage", "printed_median", "printed_quartile_1", "printed_quartile_3"),
)


def write_table_a5(participants, inclusion, volumes, printed, out_csv, out_md, simulated=False):
    """Write table A.5.

    Parameters
    ----------
    participants : str or Path
        participants.tsv of the dataset.
    inclusion : str or Path
        Inclusion table; only included patients are counted.
    volumes : str or Path
        Table with the columns participant_id, diffusion_lesion_ml and diffusion_lesion_source.
    printed : str or Path
        ``resources/printed/facts.csv``.
    out_csv, out_md : str or Path
        Columns ``COLUMNS``: n patients with a known value, n_missing without; percentages are of n, quartiles by linear interpolation (R's type 7);
        and the printed layout.
    simulated : bool
        The cohort is simulated, which the page says first.

    Raises
    ------
    InputError
        As ``included_patients``.
    """
    patients = included_patients(participants, inclusion, volumes)
    facts = read_table(printed, text=("fact", "value", "unit", "where")).set_index("fact")["value"]
    rows = pd.DataFrame([_count(name, patients, facts) if name in COUNTS else _median(name, patients, facts) for name in ORDER], columns=COLUMNS)
    write_table(rows, out_csv)
    lines = [(row["row"], _text(row, ""), _text(row, "printed_"), row["n_missing"]) for row in rows.to_dict("records")]
    caption = (
        f"Median with interquartile range, unless otherwise indicated, of the {len(patients)} included patients; the paper's are "
        f"{facts['patients']}. NIHSS: National Institutes of Health Stroke Scale; DWI: diffusion-weighted imaging; ICA: internal carotid artery."
    )
    body = pipe_table(("Clinical variables", "This run", "Printed in the paper", "Missing"), lines)
    missing = "Patients with a missing value are left out of that row; percentages are of those with a known one."
    remarks = [source_note(volumes, patients.index), *TABLE_A5, missing]
    if simulated:
        remarks.append("The simulation draws these variables from distributions fitted to the printed ones, so agreement here shows nothing else.")
    page = document("Table A.5. Baseline characteristics", caption, [("Patients", body)], remarks, simulated)
    write_text(out_md, page)


def included_patients(participants, inclusion, volumes):
    """Included patients with all that the tables know of them; paths as in ``write_table_a5``.

    Returns
    -------
    pandas.DataFrame
        By participant_id: the columns of participants.tsv, and role, status, diffusion_lesion_ml and diffusion_lesion_source, which replace columns
        of that name there.

    Raises
    ------
    InputError
        An included patient is in one of the tables only.
    """
    table = read_inclusion(inclusion).set_index("participant_id")
    wanted = table.loc[table["included"], ["role", "status"]]
    known = read_table(participants, text=PARTICIPANT_TEXT).set_index("participant_id")
    sizes = read_table(volumes).set_index("participant_id")[["diffusion_lesion_ml", "diffusion_lesion_source"]]
    for path, index in ((participants, known.index), (volumes, sizes.index)):
        absent = sorted(set(wanted.index) - set(index))
        if absent:
            raise InputError(path, f"no row for the included patients {', '.join(absent)}", "add them, or make the table again")
    return known.loc[wanted.index].assign(**wanted, **sizes.loc[wanted.index])


def _count(name, patients, facts):
    """Row of a variable that is counted."""
    column, value, fact = COUNTS[name]
    given = patients[column].dropna()
    count, printed = int((given == value).sum()), float(facts[fact])
    share = 100.0 * count / len(given) if len(given) else np.nan
    row = {"row": name, "n": len(given), "n_missing": len(patients) - len(given), "count": count, "percentage": share}
    return row | {"printed_count": printed, "printed_percentage": float(facts[f"{fact} percentage"])}


def _median(name, patients, facts):
    """Row of a variable with median and quartiles."""
    column, fact, _ = MEDIANS[name]
    given = patients[column].dropna().astype(float)
    quartiles = np.percentile(given, [25, 50, 75]) if len(given) else [np.nan] * 3
    row = {"row": name, "n": len(given), "n_missing": len(patients) - len(given)}
    row |= dict(zip(("quartile_1", "median", "quartile_3"), quartiles, strict=True))
    return row | {f"printed_{key.replace(' ', '_')}": float(facts[f"{fact} {key}"]) for key in ("median", "quartile 1", "quartile 3")}


def _text(row, prefix):
    """Cell as printed: ``45 (41.3)`` or ``24.9 (7.4–50.9)``."""
    if row["row"] in COUNTS:
        count, share = row[f"{prefix}count"], row[f"{prefix}percentage"]
        return f"{count:.0f}" if np.isnan(share) else f"{count:.0f} ({share:.1f})"
    middle, low, high = (row[f"{prefix}{key}"] for key in ("median", "quartile_1", "quartile_3"))
    decimals = MEDIANS[row["row"]][2]
    return "n/a" if np.isnan(middle) else f"{middle:.{decimals}f} ({low:.{decimals}f}–{high:.{decimals}f})"
