"""Figure 1: who takes part, from all patients of the dataset to the models that they train and test (paper, figure 1)."""

import textwrap
from typing import NamedTuple

from matplotlib.patches import FancyBboxPatch

from finalinfarct.dataset.contract import NOT_REPERFUSED_MTICI, REPERFUSED_MTICI
from finalinfarct.dataset.inclusion import REPERFUSED_RATIO, read_inclusion
from finalinfarct.reporting.canvas import (
    GREY,
    INK,
    NORMAL,
    PAGE_MM,
    PALE,
    SMALL,
    STATUS_COLOURS,
    STATUS_LABELS,
    drawing_area,
    footnote,
    save,
)

# Columns of the drawing in mm: left edge and width.
COHORT, INCLUDED, STATUS = (3.0, 35.0), (48.0, 33.0), (91.0, 33.0)
MODELS = {"general": (129.0, 18.0), "reperfused": (149.0, 18.0), "nonreperfused": (169.0, 18.0)}
MODEL_TITLES = {"general": "General\nmodel", "reperfused": "Reperfused\nmodel", "nonreperfused": "Non-reperfused\nmodel"}
LINE_MM, PADDING_MM, GAP_MM, HEAD_MM, FOOT_MM = 2.9, 1.8, 4.0, 14.0, 17.0
ROWS_MM = 21.0
CHARACTERS_PER_MM = 0.80
REASONS_SHOWN = 6
# By the cohort's source of the status: the rule of each status.
RULES = {
    "mtici": (f"mTICI {', '.join(REPERFUSED_MTICI)}", f"mTICI {', '.join(NOT_REPERFUSED_MTICI)}"),
    "h3_perfusion": (f"ratio ≥ {REPERFUSED_RATIO}", f"ratio < {REPERFUSED_RATIO}"),
    "none": ("status unknown", "status unknown"),
}


class Cohort(NamedTuple):
    """Counts of one cohort: all, excluded by reason (most frequent first) and included by status; its role; how each status is told."""

    name: str
    total: int
    excluded: dict
    included: dict
    role: str
    rules: tuple


def count_cohorts(table, reperfusion):
    """Count the patients of each cohort.

    Parameters
    ----------
    table : pandas.DataFrame
        As ``read_inclusion`` returns it.
    reperfusion : dict of str to str
        Source of the status by cohort, as configured: a key of ``RULES``.

    Returns
    -------
    list of Cohort
        In the order of the table. Of more than ``REASONS_SHOWN`` reasons of a cohort, the rarest are counted together.
    """
    cohorts = []
    for name, patients in table.groupby("cohort", sort=False):
        reasons = patients.loc[~patients["included"], "reason"].value_counts()
        excluded = dict(reasons.sort_index().sort_values(ascending=False, kind="stable"))
        if len(excluded) > REASONS_SHOWN:
            others = list(excluded)[REASONS_SHOWN - 1 :]
            excluded[f"{len(others)} other reasons (inclusion.tsv)"] = sum(excluded.pop(reason) for reason in others)
        included = patients.loc[patients["included"], "status"].value_counts()
        counts = {status: int(included.get(status, 0)) for status in STATUS_LABELS}
        excluded = {reason: int(n) for reason, n in excluded.items()}
        cohorts.append(Cohort(name, len(patients), excluded, counts, patients["role"].iloc[0], RULES[reperfusion[name]]))
    return cohorts


def model_use(role, status, model):
    """Return (trains, tests): whether patients of a status, in a cohort of this role, train a model and are tested by it.

    Every model predicts the test patients of both statuses; it is trained on those of its own, the general model on all.
    """
    return role in ("test", "training") and model in ("general", status), role == "test"


def draw_inclusion(inclusion, reperfusion, simulated, svg, png):
    """Draw the flow of patients: a block of rows for each cohort, from left to right, and a column for each model.

    Parameters
    ----------
    inclusion : str or Path
        results/inclusion.tsv.
    reperfusion : dict of str to str
        As for ``count_cohorts``.
    simulated : bool
        Whether the figure says that the cohort is simulated.
    svg, png : str or Path
        The figure, 190 mm wide; its height grows with the cohorts and the reasons.
    """
    cohorts = count_cohorts(read_inclusion(inclusion), reperfusion)
    reasons = [_reason_lines(cohort) for cohort in cohorts]
    heights = [ROWS_MM + (_reasons_height(lines) if lines else 0.0) for lines in reasons]
    height = HEAD_MM + sum(heights) + GAP_MM * len(cohorts) + FOOT_MM
    figure, axis = drawing_area(PAGE_MM, height)
    _draw_heads(axis, height)
    top = height - HEAD_MM
    for cohort, lines, tall in zip(cohorts, reasons, heights, strict=True):
        _draw_cohort(axis, cohort, lines, top)
        top -= tall + GAP_MM
    _draw_totals(axis, cohorts, top)
    footnote(figure, simulated)
    save(figure, svg, png)


def _box(axis, left, middle, width, height, text, edge=INK, face="white", **options):
    """Draw a box around text, centred at the height ``middle``."""
    axis.add_patch(FancyBboxPatch((left, middle - height / 2), width, height, boxstyle="round,pad=0,rounding_size=1", ec=edge, fc=face, lw=0.8))
    axis.text(left + width / 2, middle, text, **({"ha": "center", "va": "center", "fontsize": NORMAL, "color": INK, "linespacing": 1.25} | options))


def _arrow(axis, start, end):
    axis.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "lw": 0.8, "color": INK, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 6})


def _wrapped(text, width_mm):
    """Wrap text so that lines in small type fit a width."""
    return textwrap.wrap(text, int(width_mm * CHARACTERS_PER_MM))


def _reason_lines(cohort):
    """Lines of the box of excluded patients, none if there are none."""
    if not cohort.excluded:
        return []
    width = INCLUDED[0] + INCLUDED[1] - COHORT[0] - 2 * PADDING_MM
    lines = [f"Excluded: {sum(cohort.excluded.values())}"]
    for reason, count in cohort.excluded.items():
        first, *rest = _wrapped(f"{count}: {reason}", width)
        lines += [first, *(f"    {line}" for line in rest)]
    return lines


def _reasons_height(lines):
    """Height of the box of excluded patients in mm."""
    return LINE_MM * len(lines) + 2 * PADDING_MM - 0.6


def _draw_heads(axis, height):
    """Draw the titles of the columns."""
    columns = {"Dataset": COHORT, "Included": INCLUDED, "Reperfusion status": STATUS}
    for title, (left, width) in columns.items():
        axis.text(left + width / 2, height - HEAD_MM / 2, title, ha="center", va="center", fontsize=NORMAL, fontweight="bold", color=INK)
    for model, (left, width) in MODELS.items():
        title = MODEL_TITLES[model]
        axis.text(left + width / 2, height - HEAD_MM / 2, title, ha="center", va="center", fontsize=SMALL, fontweight="bold", color=INK)


def _draw_cohort(axis, cohort, lines, top):
    """Draw the rows of one cohort below the height ``top``."""
    axis.axhline(top + GAP_MM / 2, color=GREY, lw=0.4)
    middle = top - ROWS_MM / 2
    uses = {"test": "train and are tested", "training": "train only"}.get(cohort.role, "images prepared only")
    title = [*textwrap.wrap(cohort.name.replace("_", " "), 20)[:3], f"{cohort.total} patients"]
    _box(axis, COHORT[0], middle, COHORT[1], 13, "\n".join(title), fontweight="bold")
    _box(axis, INCLUDED[0], middle, INCLUDED[1], 13, f"{sum(cohort.included.values())} included\n{uses}")
    _arrow(axis, (COHORT[0] + COHORT[1], middle), (INCLUDED[0], middle))
    if lines:
        width, height, box_top = INCLUDED[0] + INCLUDED[1] - COHORT[0], _reasons_height(lines), top - ROWS_MM + 1
        shape = "round,pad=0,rounding_size=1"
        axis.add_patch(FancyBboxPatch((COHORT[0], box_top - height), width, height, boxstyle=shape, ec=GREY, fc=PALE, lw=0.6))
        axis.text(COHORT[0] + PADDING_MM, box_top - PADDING_MM, "\n".join(lines), va="top", fontsize=SMALL, color=INK, linespacing=1.3)
        turn = (COHORT[0] + COHORT[1] + INCLUDED[0]) / 2
        _arrow(axis, (turn, middle), (turn, box_top))
    for status, rule, row in zip(STATUS_LABELS, cohort.rules, (middle + 5.2, middle - 5.2), strict=True):
        colour, count = STATUS_COLOURS[status], cohort.included[status]
        _box(axis, STATUS[0], row, STATUS[1], 9, f"{count} {STATUS_LABELS[status]}\n({rule})", edge=colour)
        _arrow(axis, (INCLUDED[0] + INCLUDED[1], middle), (STATUS[0], row))
        for model, (left, width) in MODELS.items():
            _draw_use(axis, model_use(cohort.role, status, model), count, left, row, width, colour)


def _draw_use(axis, use, count, left, row, width, colour):
    """Draw the cell of a status and a model: filled where patients train it, framed where they are only tested by it."""
    trains, tests = (wanted and count > 0 for wanted in use)
    if not trains and not tests:
        axis.text(left + width / 2, row, "–", ha="center", va="center", color=GREY)
        return
    words = "train + test" if trains and tests else "train only" if trains else "test only"
    face, ink = (colour, "white") if trains else ("white", colour)
    _box(axis, left, row, width, 8, f"{count}\n{words}", edge=colour, face=face, color=ink, fontsize=SMALL)


def _draw_totals(axis, cohorts, top):
    """Draw how many patients train and test each model."""
    axis.axhline(top + GAP_MM / 2, color=INK, lw=0.8)
    total, excluded = sum(cohort.total for cohort in cohorts), sum(sum(cohort.excluded.values()) for cohort in cohorts)
    row = top - 5
    _total(axis, COHORT, row, f"{total} patients")
    _total(axis, INCLUDED, row, f"{total - excluded} included")
    _total(axis, STATUS, row, "\n".join(f"{sum(c.included[status] for c in cohorts)} {label}" for status, label in STATUS_LABELS.items()))
    for model, column in MODELS.items():
        groups = [(cohort.included[status], *model_use(cohort.role, status, model)) for cohort in cohorts for status in STATUS_LABELS]
        trained, tested = (sum(group[0] for group in groups if group[place]) for place in (1, 2))
        _total(axis, column, row, f"trained: {trained}\ntested: {tested}", SMALL)
    rule = "Train + test: by cross-validation, never on a patient that trained the same network."
    axis.text(PAGE_MM - 3, 2.0, rule, ha="right", va="center", fontsize=SMALL, color=GREY)


def _total(axis, column, row, text, size=NORMAL):
    axis.text(column[0] + column[1] / 2, row, text, ha="center", va="center", fontsize=size, fontweight="bold", color=INK, linespacing=1.3)
