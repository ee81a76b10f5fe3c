"""The page that leads to the quality pages of all patients, the most suspicious first."""

from html import escape
from pathlib import Path

from finalinfarct.dataset.files import write_text
from finalinfarct.dataset.tables import read_table
from finalinfarct.evaluation.quality import STANDS_OUT
from finalinfarct.imaging.quality import NUMBERS
from finalinfarct.reporting.html_page import cell, page, paragraph, table
from finalinfarct.reporting.quality_page import SIMULATED_BANNER, embedded

LEAD = (
    "Image quality of all patients, the most suspicious first. Every patient has a page: follow the name. The numbers are in `results/quality.tsv`, "
    "and `docs/quality.md` says what each of them is.",
)
READING = (
    "Suspicion is the largest robust z-score of a patient's numbers on its suspicious side, within the cohort, plus the number of flags. A robust "
    f"z-score is the distance from the cohort's median in robust standard deviations. Up to {STANDS_OUT:g} is ordinary: somebody has to be first in "
    "the list. Beyond it, open the page and look. A high value asks for a look; it never excludes a patient.",
    "The strip shows one slice: the reference with its brain mask (yellow) and CSF (blue), the registered images with the same outlines, and the "
    "maps. Run down the column: what is wrong looks unlike its neighbours. The patient's left is on the right.",
)
# A strip shrinks with the window, so that the reason beside it is seen.
STRIP = "display:block; margin-top:4px; width:100%; max-width:680px"


def write_quality_index(quality, strips, simulated, output):
    """Write the page.

    Parameters
    ----------
    quality : str or Path
        results/quality.tsv.
    strips : dict of str to path
        Strip of small pictures (PNG) by participant; the patient's page lies beside the index under the participant's name.
    simulated : bool
        Whether the page says that the cohort is simulated.
    output : str or Path
        HTML.
    """
    patients = read_table(quality, text=("participant_id", "cohort", "why"))
    rows = [_row(patient, strips[patient.participant_id]) for patient in patients.itertuples()]
    body = "".join(map(paragraph, READING)) + table(["rank", "patient", "cohort", "suspicion", "flags", "why"], [(None, rows)])
    sections = [("Patients", body), ("Numbers of the cohorts", paragraph("Median and range.") + _cohorts(patients))]
    write_text(output, page("Image quality", LEAD, sections, SIMULATED_BANNER if simulated else None))


def _row(patient, strip):
    """Cells of one patient; the name and the strip lead to the page."""
    name = escape(patient.participant_id)
    picture = embedded(Path(strip).read_bytes(), f"slices of {patient.participant_id}", style=STRIP)
    kind = "corrected" if patient.suspicion > STANDS_OUT else "number"
    return [
        cell(str(patient.rank)),
        f'<td class="text"><a href="{name}.html">{name}{picture}</a></td>',
        cell(patient.cohort),
        cell(f"{patient.suspicion:.1f}", kind),
        cell(str(patient.flags)),
        cell(patient.why, "text"),
    ]


def _cohorts(patients):
    """Table of the median and the range of every number, cohort by cohort."""
    groups = []
    for cohort, group in patients.groupby("cohort", sort=False):
        known = [name for name in NUMBERS if group[name].notna().any()]
        rows = [
            [cell(NUMBERS[name].label, "text"), cell(NUMBERS[name].shown(group[name].median()), "own")]
            + [cell(f"{NUMBERS[name].shown(group[name].min())} to {NUMBERS[name].shown(group[name].max())}"), cell(str(group[name].count()))]
            for name in known
        ]
        groups.append((cohort, rows))
    return table(["cohort", "number", "median", "range", "patients"], groups, "grouped")
