"""From the long table of metrics to the cells of a table: means, paired comparisons, and the printed values beside them."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from finalinfarct.dataset.tables import read_table
from finalinfarct.errors import InputError
from finalinfarct.evaluation.family import read_metrics
from finalinfarct.evaluation.statistics import bootstrap_bca, complete_pairs, favoured, hodges_lehmann, holm, stars, wilcoxon_signed_rank

HAUSDORFF = {"mm": "hausdorff_distance_mm", "voxels": "hausdorff_distance_voxels"}
OVERLAP = {"DSC": "dsc", "VS": "volumetric_similarity", "Precision": "precision", "Recall": "recall"}
PRINTED_NAMES = (*OVERLAP, "HD")
LOWER_IS_BETTER = ("HD",)
# Words of the printed facts.
STATUS = {"reperfused": "reperfused", "nonreperfused": "non-reperfused"}
COLUMNS = (
    *("panel", "row", "metric", "mean", "sd", "n", "n_undefined", "p_value", "stars", "best"),
    *("printed_mean", "printed_sd", "printed_p_value", "printed_stars"),
    *("n_pairs", "p_value_holm", "direction", "shift", "mean_ci_low", "mean_ci_high"),
)
MEASURED = ("mean", "sd", "n", "n_undefined", "p_value", "n_pairs", "direction", "shift", "mean_ci_low", "mean_ci_high")
DIRECTION = {1: "higher", 0: "neither", -1: "lower"}


class Model(NamedTuple):
    """Which rows of the long table belong to one model."""

    method: str
    fusion: str
    inputs: str
    training_set: str


class Row(NamedTuple):
    """One row of a panel: its name in the CSV, its cells at the left of the printed table, its model, and the model that it is tested against."""

    name: str
    label: tuple
    model: Model
    against: Model | None = None


class Panel(NamedTuple):
    """One panel: patients of one status.

    ``pairwise`` panels hold p-values alone (table 2 b and d), others means; ``stars`` stand on every row that is tested, or on the one of two
    that the test favours.
    """

    name: str
    title: str
    status: str
    left: tuple
    rows: tuple
    pairwise: bool = False
    stars_on: str = "tested"


def read_wide(paths):
    """Metric tables, one row per patient and model and one column per metric, indexed by participant_id, status and the fields of ``Model``."""
    metrics = read_metrics(paths)
    keys = ["participant_id", "status", *Model._fields]
    metrics[list(Model._fields)] = metrics[list(Model._fields)].fillna("n/a")
    return metrics.pivot(index=keys, columns="metric", values="value")


def values_of(wide, model, status):
    """Return the metrics of one model in the patients of one status, indexed by participant_id.

    Raises
    ------
    InputError
        The model is not in the table at all.
    """
    level = [wide.index.get_level_values(name) for name in Model._fields]
    mine = np.logical_and.reduce([names == wanted for names, wanted in zip(level, model, strict=True)])
    if not mine.any():
        raise InputError("metrics", f"no patient of the model {' '.join(model)}", "give the metric table of that model too")
    chosen = wide[mine & (wide.index.get_level_values("status") == status)]
    return chosen.droplevel(["status", *Model._fields]).sort_index()


def tested_patients(wide):
    """Tested patients, whatever their status, from ``read_wide``: their participant_ids."""
    return wide.index.get_level_values("participant_id").unique()


def compare(first, second):
    """Paired comparison of one metric, two series by participant_id: dict with n_pairs, dropped, p_value, direction, shift (first - second)."""
    if not first.index.equals(second.index):
        other = ", ".join(sorted(first.index.symmetric_difference(second.index)))
        raise InputError("metrics", f"compared models were tested on different patients ({other})", "evaluate both on the same folds")
    x, y, dropped = complete_pairs(first, second)
    test = {"p_value": wilcoxon_signed_rank(x, y)[1], "direction": DIRECTION[favoured(x, y)], "shift": hodges_lehmann(x, y)}
    return {"n_pairs": x.size, "dropped": dropped} | test


def printed_cells(path, table):
    """Cells of one table (``2``, ``3``, ``4``, ``C.6``) of ``resources/printed/metrics.csv``: panel, row, metric, mean, sd, p_value, stars."""
    known = read_table(path, text=("table", "panel", "row", "metric", "stars"))
    return known[known["table"] == table].drop(columns="table")


def summarise(wide, panels, metrics, printed, dot=True):
    """Return the cells of a table in long form.

    Parameters
    ----------
    wide : pandas.DataFrame
        From ``read_wide``.
    panels : sequence of Panel
        What the table shows.
    metrics : dict of str to str
        Column of ``wide`` by the metric's name in the table.
    printed : pandas.DataFrame
        Printed cells, as ``printed_cells`` returns them.
    dot : bool
        Whether p < 0.10 is marked.

    Returns
    -------
    pandas.DataFrame
        Columns ``COLUMNS``. ``sd`` is the sample's (n - 1). ``n`` patients have a defined value (pairs of them in pairwise panels), ``n_undefined``
        have not. ``best`` is yes or no by the means over the patients in whom the metric is defined for every row, in pairwise panels n/a.
        ``p_value`` is uncorrected, as printed; ``p_value_holm`` is corrected over all comparisons of the panel. ``direction`` (higher, lower,
        neither; by the ranks of the test) and ``shift`` (Hodges-Lehmann) are those of the row's model against the one it is tested against (of the
        first against the second in pairwise panels). ``mean_ci_low`` and ``mean_ci_high`` bound the mean at 95 % (BCa bootstrap over patients).
    """
    cells = pd.concat([_panel_cells(wide, panel, metrics, dot) for panel in panels], ignore_index=True)
    known = printed.rename(columns={name: f"printed_{name}" for name in ("mean", "sd", "p_value", "stars")})
    cells = cells.merge(known, on=["panel", "row", "metric"], how="left", validate="one_to_one")
    return cells.assign(printed_stars=cells["printed_stars"].fillna(""))[list(COLUMNS)]


def _panel_cells(wide, panel, metrics, dot):
    """Cells of one panel."""
    values = {model: values_of(wide, model, panel.status) for row in panel.rows for model in (row.model, row.against) if model}
    everywhere = {metric: pd.concat([values[row.model][metric] for row in panel.rows], axis=1).dropna().index for metric in metrics.values()}
    cells = []
    for row in panel.rows:
        for title, metric in metrics.items():
            mine = values[row.model][metric]
            cell = {"panel": panel.name, "row": row.name, "metric": title}
            if row.against:
                cell |= compare(mine, values[row.against][metric]) | {"pair": (*sorted((row.model, row.against)), title)}
            if panel.pairwise:
                cell |= {"n": cell["n_pairs"], "n_undefined": cell["dropped"]}
            else:
                low, high = bootstrap_bca(mine)
                cell |= {"mean": mine.mean(), "sd": mine.std(ddof=1), "n": int(mine.notna().sum()), "n_undefined": int(mine.isna().sum())}
                cell |= {"mean_ci_low": low, "mean_ci_high": high, "mean_everywhere": mine[everywhere[metric]].mean()}
            cells.append(cell)
    frame = pd.DataFrame(cells).reindex(columns=["panel", "row", "metric", "pair", "mean_everywhere", *MEASURED])
    return _mark(frame, panel, dot)


def _mark(frame, panel, dot):
    """Add the columns best, stars and p_value_holm to the cells of a panel."""
    lower_is_better = frame["metric"].isin(LOWER_IS_BETTER)
    score = frame["mean_everywhere"].astype(float) * np.where(lower_is_better, -1.0, 1.0)
    top = score.groupby(frame["metric"]).transform("max")
    best = pd.Series(np.isclose(score, top, rtol=1e-12, atol=0), index=frame.index)
    marks = frame["p_value"].astype(float).map(lambda p: stars(p, dot))
    if panel.stars_on == "favoured":
        marks = marks.where(frame["direction"] == np.where(lower_is_better, "lower", "higher"), "")
    once = frame.dropna(subset="pair").drop_duplicates("pair")
    corrected = dict(zip(once["pair"], holm(once["p_value"]), strict=True))
    best = np.nan if panel.pairwise else best.map({True: "yes", False: "no"})
    return frame.assign(best=best, stars=marks, p_value_holm=frame["pair"].map(corrected))
