"""The numbers of the paper's prose, table A.5 and appendix B, one by one, with what this run has for each."""

import json
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from finalinfarct.dataset.files import write_text
from finalinfarct.dataset.tables import read_table, write_table
from finalinfarct.errors import InputError
from finalinfarct.evaluation.responders import DSC_BELOW, VOLUME_EXCESS_PERCENT
from finalinfarct.evaluation.statistics import fisher_exact, hodges_lehmann, pearson, wilcoxon_rank_sum, wilcoxon_signed_rank
from finalinfarct.learning.folds import read_folds
from finalinfarct.reporting import notes
from finalinfarct.reporting.auc_table import METHOD
from finalinfarct.reporting.lesion_sources import count_sources
from finalinfarct.reporting.markdown import document, p_text, pipe_table
from finalinfarct.reporting.patients import COUNTS, MEDIANS, included_patients
from finalinfarct.reporting.summary import STATUS, read_wide, values_of
from finalinfarct.reporting.tables import MISMATCH, late

COLUMNS = ("where", "fact", "reading", "unit", "value", "printed_value", "n", "note", "contradiction")
# The paper's cohorts by the role that they have in it.
COHORTS = {"test": "HIBISCUS-STROKE", "training": "I-KNOW"}
LEVELS = {"ICA+M1": "M1", "M1": "M1", "ICA+M2": "M2", "M2": "M2"}
FOLD_SETS = {"all": "general", **STATUS}
COMPARED = {"age": "age", "NIHSS": "nihss", "onset to MRI": "onset_to_mri_min", "DWI lesion size": "diffusion_lesion_ml"}
CAPTION = (
    "Every number that the paper states outside tables 1 to 4 and C.6, and sentences that stand for one. Quartiles by linear interpolation (R's type "
    "7); tests are two-sided and uncorrected."
)


class Found(NamedTuple):
    """What this run has for a printed number: value, of how many patients, a remark, and the reading where the paper leaves several open."""

    value: float | str
    n: int | None = None
    note: str | None = None
    reading: str | None = None


def write_text_results(files, printed, out_csv, out_md, simulated=False):
    """Write every printed fact beside this run's value.

    Parameters
    ----------
    files : dict
        Paths: participants (participants.tsv), inclusion, volumes (lesion volumes), metrics (list: tables of the two status-specific late-fusion
        networks with five inputs and of the mismatch model), responders, folds, auc, table1, table_a5 (CSV), environments (list: what the trainings
        recorded).
    printed : str or Path
        ``resources/printed/facts.csv``.
    out_csv, out_md : str or Path
        Columns ``COLUMNS``: value ``n/a`` where this run or its dataset cannot give it, with the reason in note; contradiction is a sentence where
        the paper contradicts itself. And a page with a table per section of the paper.
    simulated : bool
        The cohort is simulated, which the page says first.

    Raises
    ------
    InputError
        A printed fact that nothing is computed for, or tables that do not belong together.
    """
    found = reproduced(files)
    rows = []
    for fact in read_table(printed, text=("fact", "value", "unit", "where")).to_dict("records"):
        if fact["fact"] not in found:
            raise InputError(printed, f"nothing is computed for the fact {fact['fact']!r}", "correct its name, or remove the row")
        own = found[fact["fact"]]
        for value in [own] if isinstance(own, Found) else own:
            contradiction = notes.OF_FACT.get(fact["fact"])
            rows.append((fact["where"], fact["fact"], value.reading, fact["unit"], value.value, fact["value"], value.n, value.note, contradiction))
    frame = pd.DataFrame(rows, columns=COLUMNS)
    write_table(frame.assign(value=frame["value"].map(full_digits), n=frame["n"].astype("Int64")), out_csv)
    sections = []
    for where, group in frame.groupby("where", sort=False):
        header = ("Number", "This run", "Printed", "n", "Note")
        sections.append((where[0].upper() + where[1:], pipe_table(header, [_line(row) for row in group.to_dict("records")])))
    page = document("Numbers in the text of the paper", CAPTION, sections, [*dict.fromkeys(frame["contradiction"].dropna())], simulated)
    write_text(out_md, page)


def is_p_value(fact):
    """Whether a printed fact is a p-value."""
    return fact.endswith(" p") or "p-value" in fact


def shown(row):
    """Value of a row (``COLUMNS``) as the paper would print it: its decimals, and at least two digits; p-values with two digits."""
    value = row["value"]
    if isinstance(value, str):
        return value
    if is_p_value(row["fact"]) or math.isnan(value):
        return p_text(value)
    decimals = len(row["printed_value"].partition(".")[2])
    if value and not float(value).is_integer():
        decimals = max(decimals, 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{decimals}f}"


def full_digits(value):
    """Value of a column that holds numbers and text, with the digits of ``write_table``; None where undefined."""
    return value if isinstance(value, str) else None if pd.isna(value) else f"{value:.12g}"


def _line(row):
    """Row of the page."""
    name = row["fact"] if pd.isna(row["reading"]) else f"{row['fact']} ({row['reading']})"
    own, printed = shown(row), row["printed_value"]
    if not pd.isna(row["unit"]):
        own, printed = own if own == "n/a" else f"{own} {row['unit']}", f"{printed} {row['unit']}"
    n, note = "" if pd.isna(row["n"]) else f"{row['n']:.0f}", "" if pd.isna(row["note"]) else row["note"]
    return name, own, printed, n, note


def reproduced(files):
    """Compute every fact: dict of str to ``Found``, or to a list of them where the paper leaves several readings open; ``files`` as above."""
    patients = included_patients(files["participants"], files["inclusion"], files["volumes"])
    wide = read_wide(files["metrics"])
    return {
        **_patients(patients),
        **_auc(files["auc"]),
        **_predicted_volumes(wide),
        **_above_mismatch(wide),
        **_responders(files["responders"]),
        **_correlation(wide, patients),
        **_cohort_differences(patients),
        **_characteristics(files["table_a5"], patients),
        **_networks(files["table1"], files["environments"]),
        **_fold_sizes(files["folds"]),
        "median delay of I-KNOW follow-up perfusion": Found(math.nan, note="the dataset holds no times of acquisition"),
    }


def _patients(patients):
    """Numbers of patients, of their status and of their occlusions (sections 2.1.1, 4.1, 4.3 and 4.4)."""
    n, reperfused, tested = len(patients), patients["status"] == "reperfused", patients["role"] == "test"
    found = {
        "patients": Found(n, n),
        "reperfused patients": Found(int(reperfused.sum()), n),
        "non-reperfused patients": Found(int((~reperfused).sum()), n),
        "reperfused share of the patients of the general model": Found(100.0 * reperfused.mean(), n),
        "reperfused share of the tested patients": Found(100.0 * reperfused[tested].mean(), int(tested.sum())),
    }
    for role, paper in COHORTS.items():
        group = patients[patients["role"] == role]
        lost = group[group["status"] == "nonreperfused"]
        names = ", ".join(sorted(group["cohort"].unique()))
        note = f"cohorts with role {role}: {names}" if names else f"no patient of a cohort with role {role}"
        found[f"non-reperfused patients from {paper}"] = Found(len(lost) if names else math.nan, len(group), note)
        levels = lost["occlusion_site"].map(LEVELS).dropna()
        for level in ("M1", "M2"):
            count = int((levels == level).sum()) if len(levels) else math.nan
            remark = f"{note}; {level} or intracranial ICA + {level}" if len(levels) else f"{note}; no occlusion site is known"
            found[f"{level} occlusions of non-reperfused {paper} patients"] = Found(count, len(levels), remark)
    return found


def _auc(path):
    """AUC of section 3.2, in each mode."""
    cells = read_table(path, text=("panel", "row", "metric")).set_index(["panel", "row"]).sort_index()
    found = {}
    for status, word in STATUS.items():
        for method, name in METHOD.items():
            rows = cells.loc[(status, method)]
            for part in ("mean", "sd"):
                found[f"AUC {name} {word} {part}"] = [Found(row[part], row["n"], reading=row["metric"]) for row in rows.to_dict("records")]
        rows = cells.loc[(status, "cnn")].to_dict("records")
        found[f"AUC {word} p-value below"] = [Found(row["p_value"], int(row["n_pairs"]), reading=row["metric"]) for row in rows]
    return found


def _tested(wide, models, metric):
    """One metric of all tested patients, by participant_id; ``models`` is the model of each status."""
    return pd.concat([values_of(wide, model, status)[metric] for status, model in models.items()])


def _predicted_volumes(wide):
    """Volumes that the two status-specific models predict, over all tested patients (section 3.1)."""
    found, volumes = {}, {}
    for training, word in STATUS.items():
        volumes[training] = _tested(wide, dict.fromkeys(STATUS, late(training)), "volume_predicted_ml")
        quartiles = np.percentile(volumes[training], [50, 75, 25]) if len(volumes[training]) else [math.nan] * 3
        for name, value in zip(("median", "quartile 3", "quartile 1"), quartiles, strict=True):
            found[f"predicted volume {word} model {name}"] = Found(float(value), len(volumes[training]))
    pair = volumes["nonreperfused"], volumes["reperfused"]
    note = f"signed-rank test over all tested patients; Hodges-Lehmann shift of the non-reperfused model {hodges_lehmann(*pair):+.3g} ml"
    return found | {"predicted volume p-value": Found(wilcoxon_signed_rank(*pair)[1], len(pair[0]), note)}


def _above_mismatch(wide):
    """Share of patients in whom the network's DSC is above the mismatch model's (section 3.2)."""
    found = {}
    for status, word in STATUS.items():
        network, mismatch = (values_of(wide, model, status)["dsc"] for model in (late(status), MISMATCH))
        ties = int((network == mismatch).sum())
        share = 100.0 * float((network > mismatch).mean())
        found[f"patients with CNN DSC above mismatch {word}"] = Found(share, len(network), f"strictly above; {ties} equal, counted as not above")
    return found


def _responders(path):
    """Responders and their rule (section 4.1)."""
    answers = read_table(path)["responder"] == "yes"
    return {
        "responders (substantially larger non-reperfused prediction)": Found(int(answers.sum()), len(answers)),
        "responders percentage": Found(100.0 * answers.mean(), len(answers)),
        "responder rule DSC between models below": Found(DSC_BELOW, note="the rule that is applied"),
        "responder rule volume excess at least": Found(VOLUME_EXCESS_PERCENT, note="the rule that is applied"),
    }


def _correlation(wide, patients):
    """Correlation of the DSC of the model of the own status with the volume of the baseline diffusion lesion (section 4.2)."""
    dsc = _tested(wide, {status: late(status) for status in STATUS}, "dsc")
    absent = sorted(set(dsc.index) - set(patients.index))
    if absent:
        raise InputError("metrics", f"tested patients that are not included: {', '.join(absent)}", "evaluate again")
    r, p_value = pearson(dsc, patients.loc[dsc.index, "diffusion_lesion_ml"])
    name, note = "correlation DSC with baseline DWI volume", "Pearson; the model of the patients' own status, all tested patients"
    sources = count_sources(patients.loc[dsc.index, "diffusion_lesion_source"])
    return {f"{name} r": Found(r, len(dsc), f"{note}; {sources}"), f"{name} p": Found(p_value, len(dsc), note)}


def _cohort_differences(patients):
    """Non-reperfused patients of the two cohorts against each other (section 4.4)."""
    lost = patients[patients["status"] == "nonreperfused"]
    cohorts = sorted(lost["cohort"].unique())
    levels = {"M1 against M2": lost["occlusion_site"].map(LEVELS), "all sites": lost["occlusion_site"]}
    found = {
        "sex cohort difference Fisher p": _difference(lost["sex"], lost["cohort"], cohorts, _fisher),
        "occlusion site cohort difference Fisher p": [_difference(site, lost["cohort"], cohorts, _fisher, key) for key, site in levels.items()],
    }
    for name, column in COMPARED.items():
        found[f"{name} cohort difference Wilcoxon p"] = _difference(lost[column].astype(float), lost["cohort"], cohorts, _rank_sum)
    size = "DWI lesion size cohort difference Wilcoxon p"
    if found[size].n:
        found[size] = found[size]._replace(note=f"{found[size].note}; {count_sources(lost['diffusion_lesion_source'])}")
    return found


def _difference(values, cohort, cohorts, test, reading=None):
    """p-value of a difference of the two cohorts, or why there is none."""
    if len(cohorts) != 2:
        return Found(math.nan, None, f"two cohorts are compared; non-reperfused patients are of {len(cohorts)}", reading)
    known = values.dropna()
    groups = [known[cohort[known.index] == name] for name in cohorts]
    sizes = " against ".join(f"{name} {len(group)}" for name, group in zip(cohorts, groups, strict=True))
    if not all(map(len, groups)):
        return Found(math.nan, len(known), f"a cohort has no known value: {sizes}", reading)
    return Found(test(*groups), len(known), sizes, reading)


def _fisher(first, second):
    """Fisher's exact test of two groups of categories."""
    categories = sorted(set(first) | set(second))
    return fisher_exact([[int((group == name).sum()) for name in categories] for group in (first, second)])


def _rank_sum(first, second):
    """Rank-sum test of two groups of numbers."""
    return wilcoxon_rank_sum(first, second)[1]


def _characteristics(path, patients):
    """Values of table A.5; ``patients`` are those of the table."""
    table = read_table(path, text=("row",)).set_index("row")
    found = {}
    for row, (_, _, fact) in COUNTS.items():
        found[fact] = Found(table.loc[row, "count"], int(table.loc[row, "n"]))
        found[f"{fact} percentage"] = Found(table.loc[row, "percentage"], int(table.loc[row, "n"]))
    for row, (_, fact, _) in MEDIANS.items():
        for part in ("median", "quartile 1", "quartile 3"):
            found[f"{fact} {part}"] = Found(table.loc[row, part.replace(" ", "_")], int(table.loc[row, "n"]))
    size = "DWI lesion size median"
    return found | {size: found[size]._replace(note=count_sources(patients["diffusion_lesion_source"]))}


def _networks(table1, environments):
    """Numbers of trainable parameters, and how long a training took (appendix B)."""
    counts = read_table(table1, text=("row", "value")).set_index("row")["value"]
    found = {f"trainable parameters {number} input{'s' * (number > 1)}": Found(int(counts[f"late fusion, {number} inputs"])) for number in (5, 3, 1)}
    trainings = [json.loads(Path(path).read_text(encoding="utf-8")) for path in environments]
    hours = [training["timing"]["training_s"] / 3600 for training in trainings]
    machines = "; ".join(sorted({f"{training['device']} ({training['processor']}), threads: {training['threads']}" for training in trainings}))
    note = (
        f"median of {len(hours)} trainings (late fusion, 5 inputs), {min(hours):.2g} to {max(hours):.2g} h, on {machines}; the paper's on a GTX 1080"
    )
    return found | {"training duration": Found(float(np.median(hours)), note=note)}


def _fold_sizes(path):
    """Patients per fold (appendix B)."""
    folds = read_folds(path)["folds"]
    found = {"test patients": Found(_range(len(fold["test"]) for fold in folds), note=f"{len(folds)} folds")}
    for name, word in FOLD_SETS.items():
        sets = [fold["training_sets"][name] for fold in folds]
        validating = _range(len(members["validation"]) for members in sets)
        note = f"{len(folds)} folds; patients who train or validate (validate: {validating}; the paper mentions none)"
        sizes = _range(len(members["training"]) + len(members["validation"]) for members in sets)
        found[f"training patients {word} model"] = Found(sizes, note=note)
    return found


def _range(sizes):
    """``17-19``, or ``17`` where all are the same."""
    sizes = sorted(set(sizes))
    return str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]}-{sizes[-1]}"
