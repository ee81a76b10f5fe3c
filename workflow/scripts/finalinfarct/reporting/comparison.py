"""Every number that the paper prints beside this run's, as a table in long form and as a page."""

import math
from itertools import groupby

import pandas as pd

from finalinfarct.dataset.files import write_text
from finalinfarct.dataset.inclusion import read_inclusion
from finalinfarct.dataset.tables import read_table, write_table
from finalinfarct.evaluation.statistics import stars
from finalinfarct.learning.families import FULL
from finalinfarct.reporting import notes
from finalinfarct.reporting.encoder import PRINTED_MATRIX
from finalinfarct.reporting.html_page import bar, cell, notes_list, page, paragraph, table
from finalinfarct.reporting.lesion_sources import source_note
from finalinfarct.reporting.markdown import fixed, mean_and_sd, p_text
from finalinfarct.reporting.tables import SIGNIFICANT, WORDS
from finalinfarct.reporting.text_results import full_digits, is_p_value, shown

COLUMNS = (
    *("table", "panel", "row", "metric", "statistic", "unit", "n", "value", "sd", "ci_low", "ci_high", "p_value", "p_value_holm", "shift", "stars"),
    *("printed", "printed_sd", "printed_stars", "difference", "sd_difference", "difference_in_printed_sd"),
    *("corrected", "corrected_sd", "corrected_stars", "corrected_difference", "corrected_difference_in_sd", "correction"),
    *("verdict", "printed_verdict", "same_verdict", "note"),
)
CELL_TEXT = ("panel", "row", "metric", "stars", "best", "direction", "printed_stars")
EXCHANGED = {"Precision": "Recall", "Recall": "Precision"}
ALL_INPUTS = FULL.replace("-", "+")
# The paper tests late fusion twice, in panels of tables C.6 and 2, and the stars of the first do not fit the p-values of the second.
TESTED_IN_TABLE_2 = {"a": "b", "b": "d"}
# Printed rows that repeat table 2(c), general model, and the row that should stand there.
REPEATED = {("3", "reperfused", "cnn"): ("2", "a", "reperfused"), ("4", "a", ALL_INPUTS): ("2", "a", "reperfused")}
TITLES = {
    "1": "Table 1. Encoder",
    "2": "Table 2. General, reperfused and non-reperfused models",
    "3": "Table 3. CNN and mismatch model",
    "4": "Table 4. Ablation of the inputs",
    "C.6": "Table C.6. Early and late fusion",
    "AUC": "AUC (section 3.2)",
    "A.5": "Table A.5. Baseline characteristics",
    "text": "Numbers in the text",
}
# A printed number stands beside several readings of this run, which ``metric`` tells apart.
WITH_READINGS = ("AUC", "A.5", "text")
PANELS = {
    "2": {
        "a": "(a) Reperfused patients",
        "b": "(b) Comparisons, reperfused",
        "c": "(c) Non-reperfused patients",
        "d": "(d) Comparisons, non-reperfused",
    },
    "3": {"reperfused": "Reperfused patients", "nonreperfused": "Non-reperfused patients"},
    "4": {"a": "(a) Reperfused model and patients", "b": "(b) Non-reperfused model and patients"},
    "C.6": {"a": "(a) Reperfused patients", "b": "(b) Non-reperfused patients"},
    "AUC": {"reperfused": "Reperfused patients", "nonreperfused": "Non-reperfused patients"},
}
ROWS = {**WORDS, "cnn": "CNN", "mismatch": "Mismatch model"}
NONE = "no difference"
AGREEMENT = {"yes": ("agrees", "same"), "scaled": ("agrees, scaled to this matrix", "same"), "no": ("differs", "other")}
BANNER = (
    "The cohort is simulated: these numbers say nothing about patients.",
    "Agreement and disagreement with the paper below show what the software does, not how the method fares.",
)
LEAD = (
    "Every number that Debs et al. 2021 (NeuroImage: Clinical 29, 102548) print, beside the number of this run. The software computes what "
    "the paper's equations say and copies none of its errors.",
    "Printed: as it stands in the paper. Read as: the printed number under its right name, where the paper contradicts itself; this run is "
    "then compared with that. Differences are this run minus the paper, also in standard deviations as printed (the spread over patients): "
    "the bar ends at 2.",
    "Tests: whether the row is higher or lower than what it is tested against at P < 0.05, or n.s., here and in print. Both come out the same "
    "where neither finds a difference, or both find one of the same direction.",
)


def write_comparison(files, hausdorff, out_csv, out_html, simulated=False):
    """Write the comparison with the paper.

    Parameters
    ----------
    files : dict of str to path
        The finished tables in CSV: table1, table2, table3, table4, tableC6, auc, text_results; and inclusion and volumes (lesion volumes).
    hausdorff : str
        Unit of the Hausdorff distance in them, ``mm`` or ``voxels``.
    out_csv : str or Path
        Columns ``COLUMNS``, one row per printed number (a mean with its standard deviation is one row). Differences are this run minus the paper;
        ``corrected`` is the printed number under its right name, and ``correction`` says what was exchanged. ``verdict`` is the direction of a
        comparison at P < 0.05, or ``no difference``.
    out_html : str or Path
        One self-contained page.
    simulated : bool
        The cohort is simulated, which the page says first, in large letters.
    """
    cells = {
        name: read_table(files[key], text=CELL_TEXT)
        for name, key in (("2", "table2"), ("3", "table3"), ("4", "table4"), ("C.6", "tableC6"), ("AUC", "auc"))
    }
    found = [*_encoder_rows(files["table1"]), *_cell_rows(cells, hausdorff), *_fact_rows(files["text_results"])]
    rows = [dict.fromkeys(COLUMNS) | row for row in found]
    rows.sort(key=lambda row: list(TITLES).index(row["table"]))
    frame = pd.DataFrame(rows, columns=COLUMNS)
    mixed = {name: frame[name].map(full_digits) for name in ("value", "printed", "corrected")}
    write_table(frame.assign(**mixed, n=frame["n"].astype("Int64")), out_csv)
    by_table = {name: list(group) for name, group in groupby(rows, key=lambda row: row["table"])}
    sections = [("Overview", _overview(by_table)), ("Where the paper contradicts itself", notes_list(notes.GENERAL))]
    inclusion = read_inclusion(files["inclusion"])
    note = source_note(files["volumes"], inclusion.loc[inclusion["included"] & (inclusion["role"] == "test"), "participant_id"])
    sections += [(TITLES[name], _section(name, group, [note] if name in ("3", "AUC") else [])) for name, group in by_table.items()]
    write_text(out_html, page("Comparison with the paper", LEAD, sections, BANNER if simulated else None))


def _encoder_rows(path):
    """Rows of table 1 and of appendix B's numbers of parameters, where the paper prints them."""
    rows = read_table(path, text=("part", "row", "value", "printed_value")).dropna(subset="printed_value").to_dict("records")
    matrix = rows[0]["value"].split("*")[0]
    for row in rows:
        result = {"table": "1", "panel": row["part"], "row": row["row"], "value": row["value"], "printed": row["printed_value"]}
        if row["part"] == "encoder":
            yield result | {"statistic": "shape", "same_verdict": _same_shape(row, matrix)}
        else:
            difference = float(row["value"]) - float(row["printed_value"])
            yield result | {"statistic": "count", "difference": difference, "same_verdict": "no" if difference else "yes"}


def _same_shape(row, matrix):
    """``yes``; ``scaled`` where only the matrix is another; ``no``."""
    own, printed = ([int(size) for size in row[name].split("*")] for name in ("value", "printed_value"))
    scaled = [size * int(matrix) for size in printed[:2]] == [size * PRINTED_MATRIX for size in own[:2]] and own[2] == printed[2]
    return "yes" if own == printed else "scaled" if scaled else "no"


def _cell_rows(tables, hausdorff):
    """Rows of tables 2, 3, 4, C.6 and of the AUC."""
    cells = pd.concat([frame.assign(table=name) for name, frame in tables.items()], ignore_index=True)
    cells = cells.fillna({"stars": "", "printed_stars": ""})
    known = {(row["table"], row["panel"], row["row"], row["metric"]): row for row in cells.to_dict("records")}
    for key, own in known.items():
        name, panel, row, metric = key
        pairwise = math.isnan(own["printed_mean"])
        column = "p_value" if pairwise else "mean"
        mean, (mark, _), correction = _read_rightly(known, key)
        result = {
            "table": name,
            "panel": panel,
            "row": row,
            "metric": metric,
            "statistic": column,
            "unit": hausdorff if metric == "HD" and not pairwise else None,
            "n": own["n"],
            "value": own[column],
            "sd": own["sd"],
            "ci_low": own["mean_ci_low"],
            "ci_high": own["mean_ci_high"],
            "p_value": own["p_value"],
            "p_value_holm": own["p_value_holm"],
            "shift": own["shift"],
            "stars": own["stars"],
            "printed": own[f"printed_{column}"],
            "printed_sd": own["printed_sd"],
            "printed_stars": own["printed_stars"],
            "corrected": mean[f"printed_{column}"],
            "corrected_sd": mean["printed_sd"],
            "corrected_stars": mark,
            "correction": correction,
            **_verdicts(known, key),
        }
        result["difference"] = result["value"] - result["printed"]
        result["sd_difference"] = result["sd"] - result["printed_sd"]
        result["difference_in_printed_sd"] = result["difference"] / result["printed_sd"]
        result["corrected_difference"] = result["value"] - result["corrected"]
        result["corrected_difference_in_sd"] = result["corrected_difference"] / result["corrected_sd"]
        yield result


def _read_rightly(known, key):
    """The cell whose printed mean belongs here; the stars that belong here and whether they mean P < 0.05; what was exchanged (None: nothing)."""
    name, panel, row, metric = key
    swapped = EXCHANGED.get(metric, metric)
    source = REPEATED.get((name, panel, row), (name, panel, row))
    printed = known[(name, panel, row, swapped)]
    mark, significant, said = printed["printed_stars"], printed["printed_stars"].startswith("*"), []
    if name == "2":
        significant = printed["printed_p_value"] < SIGNIFICANT
    fusion, _, training = row.partition(" ")
    if name == "C.6" and fusion == "late" and training != "all":
        p_value = known[("2", TESTED_IN_TABLE_2[panel], f"general vs {training}", swapped)]["printed_p_value"]
        mark, significant = stars(p_value), p_value < SIGNIFICANT
        if mark != printed["printed_stars"]:
            said.append("stars of table 2")
    if source != (name, panel, row):
        said.append("row of table 2(a), reperfused model")
    if swapped != metric:
        said.append(f"column {swapped.lower()}")
    return known[(*source, swapped)], (mark, significant), "; ".join(said) or None


def _verdicts(known, key):
    """Direction of the comparison that a row stands for, here and in print (read rightly), and whether they agree; nothing where it is not tested."""
    name, panel, row, metric = key
    own = known[key]
    against = _against(name, panel, row)
    if against is None or math.isnan(own["p_value"]):
        return {}
    means_panel, first, second = against
    # In print the stars of a comparison of two stand on one of its rows.
    marked = (first, second) if name in ("3", "AUC") else (row,)
    significant = any(_read_rightly(known, (name, panel, one, metric))[1][1] for one in marked)
    means = [_read_rightly(known, (name, means_panel, one, metric))[0]["printed_mean"] for one in (first, second)]
    verdict = own["direction"] if own["p_value"] < SIGNIFICANT else NONE
    printed = _direction(significant, means[0] - means[1])
    return {"verdict": verdict, "printed_verdict": printed, "same_verdict": "yes" if verdict == printed else "no"}


def _against(name, panel, row):
    """Panel with the means, and the two rows that a comparison is of; None where the row is the one that others are tested against."""
    if name == "2":
        return ({"b": "a", "d": "c"}[panel], *row.split(" vs ")) if " vs " in row else None
    other = {"3": "mismatch", "AUC": "mismatch", "4": ALL_INPUTS, "C.6": f"{row.split()[0]} all"}[name]
    return None if row == other else (panel, row, other)


def _direction(significant, difference=None):
    """``higher`` or ``lower`` by a difference, ``different`` where it has no direction; ``no difference`` where it is not significant."""
    if not significant:
        return NONE
    return "different" if difference is None else "higher" if difference > 0 else "lower"


def _fact_rows(path):
    """Rows of table A.5 and of the numbers in the text that no other table shows."""
    text = ("where", "fact", "reading", "unit", "value", "printed_value", "note", "contradiction")
    for row in read_table(path, text=text).to_dict("records"):
        if row["fact"].startswith(("AUC ", "trainable parameters")):
            continue
        p_value = is_p_value(row["fact"])
        remarks = [row[name] for name in ("note", "contradiction") if pd.notna(row[name])]
        result = {
            "table": "A.5" if row["where"] == "table A.5" else "text",
            "panel": row["where"],
            "row": row["fact"],
            "metric": row["reading"] if pd.notna(row["reading"]) else None,
            "statistic": "p_value" if p_value else "value",
            "unit": row["unit"] if pd.notna(row["unit"]) else None,
            "n": row["n"],
            "value": _number(row["value"]),
            "printed": _number(row["printed_value"]),
            "note": ". ".join(remarks) or None,
        }
        value, printed = result["value"], _number(row["printed_value"].removeprefix("~"))
        if isinstance(value, float) and isinstance(printed, float):
            result["difference"] = value - printed
        if p_value and isinstance(value, float) and not math.isnan(value):
            result["verdict"] = _direction(value < SIGNIFICANT)
            result["printed_verdict"] = _direction(isinstance(printed, float) and printed < SIGNIFICANT)
            result["same_verdict"] = "yes" if result["verdict"] == result["printed_verdict"] else "no"
        yield result


def _number(text):
    """Number where the text is one; NaN where it is missing; else the text."""
    if not isinstance(text, str):
        return math.nan
    try:
        return float(text)
    except ValueError:
        return text


def _overview(by_table):
    """How many printed numbers each table has, how many are near, and how many tests come out the same."""
    lines = []
    for name, rows in by_table.items():
        numbers = {}
        for place, row in enumerate(rows):
            numbers.setdefault((row["panel"], row["row"]) if name in WITH_READINGS else place, []).append(row)
        distances = [
            [abs(row["corrected_difference_in_sd"]) for row in group if pd.notna(row["corrected_difference_in_sd"])] for group in numbers.values()
        ]
        verdicts = [[row["same_verdict"] == "yes" for row in group if row["verdict"]] for group in numbers.values()]
        near, tests = [max(known) < 1 for known in distances if known], [all(known) for known in verdicts if known]
        counts = [f"{sum(kept)} of {len(kept)}" if kept else "" for kept in (near, tests)]
        lines.append([cell(TITLES[name], "text"), cell(str(len(numbers))), *map(cell, counts)])
    header = ("Table", "Printed numbers", "Means within one printed standard deviation", "Tests that come out the same")
    remark = (
        "The paper's headline is a direction: the model of the patients' own status has the highest DSC. See panels (a) and (c) of table 2. A "
        "printed number that several numbers of this run stand beside, such as an AUC in three modes, counts once, and agrees where all of them do."
    )
    return table(header, [(None, lines)], "narrow plain") + paragraph(remark)


def _section(name, rows, remarks):
    """Body of one table's section; ``remarks`` are its first notes."""
    said = {"AUC": notes.AUC, "A.5": notes.TABLE_A5}.get(name, notes.OF_TABLE.get(name, ()))
    body = [notes_list([*remarks, *(sentence for sentence in said if sentence not in notes.GENERAL)])]
    if name not in PANELS:
        return body[0] + _facts(rows)
    for panel, group in groupby(rows, key=lambda row: row["panel"]):
        lines = list(group)
        body.append(f"<h3>{PANELS[name][panel]}</h3>\n" + (_means if lines[0]["statistic"] == "mean" else _tests)(lines))
    return "".join(body)


def _means(rows):
    """Table of means."""
    header = (
        "Model",
        "Metric",
        "This run",
        "n",
        "95 % interval",
        "Printed",
        "Read as",
        "Difference",
        "In printed SD",
        "Test here",
        "Test in print",
        "Same",
    )
    groups = []
    for label, group in groupby(rows, key=lambda row: row["row"]):
        lines = []
        for row in group:
            decimals = 1 if row["metric"] == "HD" and row["table"] != "C.6" else 2  # as printed
            own = [cell(_mean(row, "value", "sd", "stars", decimals), "own"), cell(str(row["n"]), "soft")]
            own.append(cell(f"{fixed(row['ci_low'], 2)} – {fixed(row['ci_high'], 2)}", "number soft"))
            printed = [cell(_mean(row, "printed", "printed_sd", "printed_stars", decimals)), _corrected(row, decimals)]
            undefined = pd.isna(row["corrected_difference"])
            difference = [cell("" if undefined else f"{row['corrected_difference']:+.2f}"), bar(row["corrected_difference_in_sd"])]
            lines.append([cell(_metric(row)), *own, *printed, *difference, *_test_cells(row)])
        groups.append((_label(label), lines))
    return table(header, groups, "grouped")


def _tests(rows):
    """Table of p-values."""
    header = ("Comparison", "Metric", "P, this run", "n", "P, printed", "Read as", "Test here", "Test in print", "Same")
    groups = []
    for label, group in groupby(rows, key=lambda row: row["row"]):
        lines = []
        for row in group:
            own = [cell(_starred(p_text(row["value"]), row["stars"]), "own"), cell(str(row["n"]), "soft")]
            read = cell(_starred(p_text(row["corrected"]), row["corrected_stars"]), "corrected") if row["correction"] else cell("", "soft")
            lines.append([cell(row["metric"], "text"), *own, cell(_starred(p_text(row["printed"]), row["printed_stars"])), read, *_test_cells(row)])
        groups.append((" vs ".join(map(_label, label.split(" vs "))), lines))
    return table(header, groups, "grouped")


def _facts(rows):
    """Table of single numbers, by where in the paper they stand."""
    header = ("", "Number", "This run", "Printed", "Difference", "n", "Remark")
    groups = [(where[0].upper() + where[1:], [_fact(row) for row in group]) for where, group in groupby(rows, key=lambda row: row["panel"])]
    return table(header, groups, "plain")


def _fact(row):
    """Cells of a single number."""
    name = f"{row['row']} ({row['metric']})" if row["metric"] else row["row"]
    unit = f" {row['unit']}" if row["unit"] else ""
    printed = row["printed"] if isinstance(row["printed"], str) else f"{row['printed']:.12g}"
    own = shown({"fact": row["row"], "value": row["value"], "printed_value": printed})
    difference = "" if pd.isna(row["difference"]) else _signed(row["difference"])
    agreement = cell(*AGREEMENT[row["same_verdict"]]) if row["same_verdict"] else cell(difference)
    n = cell("" if pd.isna(row["n"]) else f"{row['n']:.0f}", "soft")
    own = cell(own if own == "n/a" else own + unit, "own")
    return [cell(name, "text"), own, cell(printed + unit), agreement, n, cell(row["note"] or "", "soft")]


def _mean(row, mean, sd, mark, hd_decimals):
    return _starred(mean_and_sd(row[mean], row[sd], hd_decimals), row[mark])


def _corrected(row, decimals):
    """Cell of the printed number under its right name; empty where it stands there."""
    if not row["correction"]:
        return cell("", "soft")
    return cell(_mean(row, "corrected", "corrected_sd", "corrected_stars", decimals), "corrected")


def _test_cells(row):
    """Cells on how a comparison comes out here and in print."""
    if not row["verdict"]:
        return [cell("", "soft")] * 3
    same = row["same_verdict"] == "yes"
    verdicts = [cell("n.s." if row[name] == NONE else row[name]) for name in ("verdict", "printed_verdict")]
    return [*verdicts, cell("yes" if same else "no", "same" if same else "other")]


def _starred(text, mark):
    return f"{text} ({mark})" if mark else text


def _signed(value):
    """Difference with its sign and three digits."""
    return f"{value:+.3g}" if abs(value) < 1000 else f"{value:+.0f}"


def _metric(row):
    return f"{row['metric']} ({row['unit']})" if row["unit"] else row["metric"]


def _label(name):
    """Row's name as a reader would say it."""
    fusion, _, training = name.partition(" ")
    return f"{fusion.capitalize()}, {WORDS[training].lower()}" if training else ROWS.get(name, name.replace("+", " + "))
