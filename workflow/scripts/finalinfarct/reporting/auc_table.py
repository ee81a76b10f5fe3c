"""AUC of the networks against the mismatch model in three modes, beside the values of section 3.2 of the paper."""

import math

import pandas as pd

from finalinfarct.dataset.files import write_text
from finalinfarct.dataset.tables import read_table, write_table
from finalinfarct.evaluation.statistics import stars
from finalinfarct.reporting import notes
from finalinfarct.reporting.lesion_sources import source_note
from finalinfarct.reporting.markdown import document, fixed, marked, mean_and_sd, p_text, pipe_table
from finalinfarct.reporting.summary import STATUS, read_wide, summarise, tested_patients
from finalinfarct.reporting.tables import SIGNIFICANT, against_mismatch, patients_of

MODES = {"whole brain": "auc_brain", "affected hemisphere": "auc_hemisphere", "balanced": "auc_balanced"}
# Words of the printed facts.
METHOD = {"cnn": "CNN", "mismatch": "mismatch"}
HEADER = ("Mode", "CNN", "Mismatch model", "P", "P (Holm)", "Shift", "CNN, printed", "Mismatch model, printed", "P, printed")
CAPTION = (
    "Area under the ROC curve: average ± standard deviation, with the 95 % bootstrap interval (BCa) of the average. Late-fusion CNN trained on "
    "patients of the same status, scored by its lesion probability; the mismatch model is a mask with one operating point, so its AUC is "
    "(sensitivity + specificity) / 2. Modes: all voxels of the brain; of the affected hemisphere; and balanced, all infarcted voxels against as "
    "many others drawn from the tissue at risk, or against all others at risk where there are fewer. Both models are scored on the same voxels. "
    "Two-sided Wilcoxon signed-rank test, bold below 0.05, and corrected over the three modes (Holm); shift: Hodges-Lehmann estimate of CNN - "
    "mismatch model."
)


def write_auc(metrics, volumes, printed, out_csv, out_md, simulated=False):
    """Write the AUC of the model of the patients' own status and of the mismatch model, by status and mode.

    Parameters
    ----------
    metrics : path or list of path
        Metric tables of the two status-specific late-fusion networks with five inputs, and of the mismatch model.
    volumes : str or Path
        Table of lesion volumes, which tells the source of the diffusion lesions.
    printed : str or Path
        ``resources/printed/facts.csv``.
    out_csv, out_md : str or Path
        Columns of ``summary.summarise``, ``metric`` being the mode; the paper prints bounds of p only, so these stand in ``printed_p_value_below``;
        and a page with a table per status.
    simulated : bool
        The cohort is simulated, which the page says first.

    Raises
    ------
    InputError
        A model is not in the metrics, or the models were tested on different patients.
    """
    panels = against_mismatch()
    wide = read_wide(metrics)
    cells = summarise(wide, panels, MODES, _printed(printed)).rename(columns={"printed_p_value": "printed_p_value_below"})
    write_table(cells, out_csv)
    found = cells.set_index(["panel", "row", "metric"])
    sections = []
    for panel in panels:
        lines = [_line(mode, *(found.loc[(panel.name, row.name, mode)] for row in panel.rows)) for mode in MODES]
        sections.append((f"{panel.title} (n = {patients_of(cells, panel)})", pipe_table(HEADER, lines)))
    counts = [f"{row.panel} {METHOD[row.row]}, {row.metric}: {row.n_undefined}" for row in cells.itertuples() if row.n_undefined]
    undefined = [f"Patients whose AUC is undefined are in no average: {'; '.join(counts)}."] if counts else []
    remarks = [source_note(volumes, tested_patients(wide)), *undefined, *notes.AUC]
    write_text(out_md, document("AUC of CNN-based and perfusion-diffusion mismatch models", CAPTION, sections, remarks, simulated))


def _printed(path):
    """The printed values beside every mode, since the paper names none; the stars stand on the network, the better one in print."""
    facts = read_table(path, text=("fact", "value")).set_index("fact")["value"]
    rows = []
    for status, word in STATUS.items():
        bound = float(facts[f"AUC {word} p-value below"])
        for method, name in METHOD.items():
            mean, sd = (float(facts[f"AUC {name} {word} {part}"]) for part in ("mean", "sd"))
            # P < 0.001 is (***): the mark of a value just below the bound.
            mark = stars(math.nextafter(bound, 0.0)) if method == "cnn" else None
            rows += [(status, method, mode, mean, sd, bound, mark) for mode in MODES]
    return pd.DataFrame(rows, columns=["panel", "row", "metric", "mean", "sd", "p_value", "stars"])


def _line(mode, cnn, mismatch):
    """One mode of one status."""
    own = [f"{mean_and_sd(c['mean'], c['sd'])} ({fixed(c['mean_ci_low'], 2)}–{fixed(c['mean_ci_high'], 2)})" for c in (cnn, mismatch)]
    test = [marked(p_text(cnn["p_value"]), cnn["p_value"] < SIGNIFICANT), p_text(cnn["p_value_holm"]), fixed(cnn["shift"], 3)]
    printed = [mean_and_sd(cell["printed_mean"], cell["printed_sd"]) for cell in (cnn, mismatch)]
    return (mode, *own, *test, *printed, f"< {cnn['printed_p_value_below']:g}")
