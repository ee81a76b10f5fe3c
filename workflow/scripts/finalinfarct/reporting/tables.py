"""Tables 2, 3, 4 and C.6 of the paper as CSV in long form and as Markdown in the printed layout, with the printed numbers below."""

import numpy as np

from finalinfarct.dataset.files import write_text
from finalinfarct.dataset.tables import write_table
from finalinfarct.learning.families import ABLATED, FULL
from finalinfarct.reporting import notes
from finalinfarct.reporting.lesion_sources import source_note
from finalinfarct.reporting.markdown import document, fixed, marked, mean_and_sd, p_text, pipe_table
from finalinfarct.reporting.summary import (
    HAUSDORFF,
    LOWER_IS_BETTER,
    OVERLAP,
    PRINTED_NAMES,
    Model,
    Panel,
    Row,
    printed_cells,
    read_wide,
    summarise,
    tested_patients,
)

MISMATCH = Model("mismatch", "n/a", "n/a", "n/a")
TRAINED_ON = {"general": "all", "reperfused": "reperfused", "nonreperfused": "nonreperfused"}
WORDS = {"general": "General", "all": "All", "reperfused": "Reperfused", "nonreperfused": "Non-reperfused"}
SIGNIFICANT = 0.05
BOLD = "Average values ± standard deviation. Bold: the best of a metric (column-wise), by the averages over the patients in whom all models have it."
STARS = "`(*)` P < 0.05, `(**)` P < 0.01, `(***)` P < 0.001."
IN_FULL = "P (Holm): corrected over all comparisons of the panel. Shift: Hodges-Lehmann estimate of the first minus the second."
DOT = f"`(.)` P < 0.10, {STARS}"
TEST = "Two-sided Wilcoxon signed-rank test, not corrected for multiple comparisons"


def late(training_set, inputs=FULL):
    """Late-fusion network."""
    return Model("cnn", "late", inputs, training_set)


def write_table2(metrics, printed, out_csv, out_md, hausdorff="mm", simulated=False):
    """Write table 2: general, reperfused and non-reperfused models, and their comparison, all pairs.

    Parameters
    ----------
    metrics : path or list of path
        The long table of metrics, or several that hold the models of this table.
    printed : str or Path
        ``resources/printed/metrics.csv``.
    out_csv, out_md : str or Path
        Table in long form (columns of ``summary.summarise``) and in the printed layout.
    hausdorff : str
        Unit of the Hausdorff distance, ``mm`` or ``voxels``.
    simulated : bool
        The cohort is simulated, which the page says first.

    Raises
    ------
    InputError
        A model of the table is not in the metrics, or compared models were tested on different patients.
    """
    pairs = (("general", "reperfused"), ("general", "nonreperfused"), ("reperfused", "nonreperfused"))
    panels = []
    for means, tests, status in (("a", "b", "reperfused"), ("c", "d", "nonreperfused")):
        rows = tuple(Row(name, (WORDS[name],), late(training)) for name, training in TRAINED_ON.items())
        versus = tuple(Row(f"{one} vs {two}", (f"{WORDS[one]} vs {WORDS[two]}",), late(TRAINED_ON[one]), late(TRAINED_ON[two])) for one, two in pairs)
        group = f"among {WORDS[status].lower()} patients"
        panels.append(Panel(means, f"({means}) Performance metrics {group}", status, ("Model",), rows))
        panels.append(Panel(tests, f"({tests}) Model comparisons {group}: P-values", status, ("Two-sided test",), versus, pairwise=True))
    caption = f"{BOLD} {TEST}, two models at a time; bold P-values are below 0.05. {STARS}"
    title = "Table 2. General, reperfused and non-reperfused models"
    _write("2", title, caption, panels, metrics, printed, out_csv, out_md, hausdorff, simulated, dot=False)


def write_table3(metrics, printed, out_csv, out_md, volumes, hausdorff="mm", simulated=False):
    """Write table 3: the model of the patients' own status against the mismatch model; parameters as in ``write_table2``.

    ``volumes`` is the table of lesion volumes, which tells the source of the mismatch model's diffusion lesions. Both rows of a panel carry the
    p-value of their comparison; the stars stand on the one that the test favours.
    """
    caption = (
        "Late-fusion CNN trained on patients of the same status, against the diffusion lesion (reperfused patients) or the diffusion lesion and "
        f"Tmax above the threshold (non-reperfused patients). {BOLD} {TEST}; the stars stand on the model that it favours. {DOT}"
    )
    title = "Table 3. CNN-based and perfusion-diffusion mismatch models"
    remarks = [source_note(volumes, tested_patients(read_wide(metrics)))]
    _write("3", title, caption, against_mismatch(), metrics, printed, out_csv, out_md, hausdorff, simulated, remarks=remarks)


def against_mismatch():
    """Panels, by status, of the late-fusion network trained on that status against the mismatch model."""
    panels = []
    for status in ("reperfused", "nonreperfused"):
        own = late(status)
        rows = (Row("cnn", ("CNN",), own, MISMATCH), Row("mismatch", ("Perfusion-diffusion mismatch",), MISMATCH, own))
        panels.append(Panel(status, f"{WORDS[status]} patients", status, ("Model",), rows, stars_on="favoured"))
    return panels


def write_table4(metrics, printed, out_csv, out_md, hausdorff="mm", simulated=False):
    """Write table 4: ablation of the inputs, each tested against all five inputs; parameters as in ``write_table2``."""
    panels = []
    for name, status in (("a", "reperfused"), ("b", "nonreperfused")):
        full = late(status)
        rows = [Row(FULL.replace("-", "+"), (FULL.replace("-", " + "),), full)]
        rows += [Row(inputs.replace("-", "+"), (inputs.replace("-", " + "),), late(status, inputs), full) for inputs in ABLATED]
        title = f"({name}) {WORDS[status]} model: ablation study among {WORDS[status].lower()} patients"
        panels.append(Panel(name, title, status, ("Input MRI",), tuple(rows)))
    caption = f"{BOLD} {TEST}, against the model with all five inputs. {DOT}"
    _write("4", "Table 4. Ablation of the MRI inputs", caption, panels, metrics, printed, out_csv, out_md, hausdorff, simulated)


def write_table_c6(metrics, printed, out_csv, out_md, hausdorff="mm", simulated=False):
    """Write table C.6: early and late fusion, each status-specific model tested against `all` of its fusion; parameters as in ``write_table2``."""
    panels = []
    for name, status in (("a", "reperfused"), ("b", "nonreperfused")):
        rows = []
        for fusion in ("early", "late"):
            general = Model("cnn", fusion, FULL, "all")
            for training in TRAINED_ON.values():
                model = Model("cnn", fusion, FULL, training)
                rows.append(Row(f"{fusion} {training}", (fusion, WORDS[training].lower()), model, general if model != general else None))
        panels.append(Panel(name, f"({name}) Evaluation on {WORDS[status].lower()} testing patients", status, ("Fusion", "Training"), tuple(rows)))
    caption = f"{BOLD} {TEST}, against the model trained on all patients with the same fusion. {DOT}"
    title = "Table C.6. Early and late fusion"
    _write("C.6", title, caption, panels, metrics, printed, out_csv, out_md, hausdorff, simulated, hausdorff_decimals=2)


def _write(table, title, caption, panels, metrics, printed, out_csv, out_md, hausdorff, simulated, dot=True, hausdorff_decimals=1, remarks=()):
    """Summarise, and write both files; ``remarks`` are the first notes."""
    cells = summarise(read_wide(metrics), panels, OVERLAP | {"HD": HAUSDORFF[hausdorff]}, printed_cells(printed, table), dot)
    sections = []
    for panel in panels:
        mine = cells[cells["panel"] == panel.name]
        sections.append((f"{panel.title} (n = {patients_of(cells, panel)})", _layout(panel, mine, "", f"HD ({hausdorff})", hausdorff_decimals)))
    sections.append(("95 % intervals of the means (BCa bootstrap over patients)", _intervals(panels, cells, f"HD ({hausdorff})")))
    sections.append(("All comparisons", f"{IN_FULL}\n\n{_comparisons(panels, cells)}"))
    below = [f"**{panel.title}**\n\n" + _layout(panel, cells[cells["panel"] == panel.name], "printed_", "HD", hausdorff_decimals) for panel in panels]
    sections.append(("As printed in the paper (HD without a unit)", "\n\n".join(below)))
    about = f"{caption} DSC: Dice similarity coefficient; VS: volumetric similarity; HD: Hausdorff distance in {hausdorff}."
    write_table(cells, out_csv)
    page = document(title, about, sections, [*remarks, *_undefined(cells, panels), *notes.OF_TABLE[table]], simulated)
    write_text(out_md, page)


def patients_of(cells, panel):
    """Patients of a panel: those with a value and those without."""
    mine = cells[cells["panel"] == panel.name]
    return int((mine["n"] + mine["n_undefined"]).max())


def _layout(panel, cells, prefix, hausdorff_title, hausdorff_decimals):
    """One panel as a pipe table, of the own (prefix "") or of the printed numbers ("printed_")."""
    found = cells.set_index(["row", "metric"])
    if prefix and not panel.pairwise:
        score = cells["printed_mean"] * np.where(cells["metric"].isin(LOWER_IS_BETTER), -1.0, 1.0)
        best = (score == score.groupby(cells["metric"]).transform("max")).to_numpy()
    else:
        best = (cells["best"] == "yes").to_numpy()
    bold = dict(zip(found.index, best, strict=True))
    rows = []
    for row in panel.rows:
        line = list(row.label)
        for metric in PRINTED_NAMES:
            cell = found.loc[(row.name, metric)]
            if panel.pairwise:
                p_value = cell[f"{prefix}p_value"]
                line.append(marked(p_text(p_value), p_value < SIGNIFICANT, cell[f"{prefix}stars"]))
            else:
                text = mean_and_sd(cell[f"{prefix}mean"], cell[f"{prefix}sd"], hausdorff_decimals if metric == "HD" else 2)
                line.append(marked(text, bold[row.name, metric], cell[f"{prefix}stars"]))
        rows.append(line)
    return pipe_table([*panel.left, *(hausdorff_title if metric == "HD" else metric for metric in PRINTED_NAMES)], rows)


def _intervals(panels, cells, hausdorff_title):
    """Intervals of the means of all panels as one pipe table, in the layout of the panels."""
    found = cells.set_index(["panel", "row", "metric"])
    lines = []
    for panel in panels:
        for row in () if panel.pairwise else panel.rows:
            bounds = [found.loc[(panel.name, row.name, metric), ["mean_ci_low", "mean_ci_high"]] for metric in PRINTED_NAMES]
            lines.append([WORDS[panel.status], *row.label, *(" – ".join(fixed(float(bound), 2) for bound in pair) for pair in bounds)])
    left = next(panel.left for panel in panels if not panel.pairwise)
    return pipe_table(["Patients", *left, *(hausdorff_title if metric == "HD" else metric for metric in PRINTED_NAMES)], lines)


def _comparisons(panels, cells):
    """Every test of the table once, as a pipe table."""
    found = cells.set_index(["panel", "row", "metric"])
    lines = []
    for panel in panels:
        label, told = {row.model: " ".join(row.label) for row in panel.rows}, set()
        for row in panel.rows:
            pair = frozenset((row.model, row.against))
            if row.against is None or pair in told:
                continue
            told.add(pair)
            what = " ".join(row.label) if panel.pairwise else f"{label[row.model]} vs {label[row.against]}"
            for metric in PRINTED_NAMES:
                cell = found.loc[(panel.name, row.name, metric)]
                test = [f"{cell['n_pairs']:.0f}", p_text(cell["p_value"]), p_text(cell["p_value_holm"]), fixed(cell["shift"], 3)]
                lines.append([WORDS[panel.status], what, metric, *test])
    return pipe_table(("Patients", "Comparison", "Metric", "Pairs", "P", "P (Holm)", "Shift"), lines)


def _undefined(cells, panels):
    """Sentences on values that are undefined and so in no mean and no test."""
    label = {(panel.name, row.name): " ".join(row.label) for panel in panels if not panel.pairwise for row in panel.rows}
    sentences = []
    for metric, why in (("HD", "one mask is empty"), ("Precision", "nothing is predicted"), ("Recall", "there is no final lesion")):
        some = cells[(cells["metric"] == metric) & (cells["n_undefined"] > 0)]
        counts = [f"{row.panel} {label[row.panel, row.row]} {row.n_undefined}" for row in some.itertuples() if (row.panel, row.row) in label]
        if counts:
            sentences.append(f"{metric} is undefined where {why}; such patients are in no mean and no test of it: {'; '.join(counts)}.")
    return sentences
