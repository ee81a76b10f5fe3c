"""A hand-made cohort of 6 reperfused and 3 non-reperfused patients whose tables are known in closed form."""

import itertools
import math
from pathlib import Path

import numpy as np
import pandas as pd

from finalinfarct.dataset.contract import PARTICIPANT_COLUMNS
from finalinfarct.dataset.images import write_json
from finalinfarct.dataset.tables import write_table
from finalinfarct.evaluation.family import COLUMNS, METRICS
from finalinfarct.learning.families import ABLATED, FULL
from finalinfarct.learning.folds import make_folds, write_folds
from finalinfarct.reporting.auc_table import write_auc
from finalinfarct.reporting.encoder import PRINTED_LAYERS, write_table1
from finalinfarct.reporting.patients import write_table_a5

FACTS = Path(__file__).parents[2] / "resources" / "printed" / "facts.csv"
PRINTED = FACTS.with_name("metrics.csv")
REPERFUSED = [f"sub-r{number}" for number in range(6)]
NOT_REPERFUSED = [f"sub-n{number}" for number in range(3)]
BASE = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])


def families():
    yield from itertools.product(["cnn"], ["late", "early"], [FULL], ["all", "reperfused", "nonreperfused"])
    yield from itertools.product(["cnn"], ["late"], ABLATED, ["reperfused", "nonreperfused"])
    yield ("mismatch", None, None, None)


def better_by(family):
    """How much a model is above the general late-fusion one, in units of 0.001 (patient number + 1)."""
    method, fusion, inputs, training = family
    if method == "mismatch":
        return -20
    return (10 if training == "reperfused" else 0) + (0 if fusion == "late" else -5) - (0 if inputs == FULL else len(inputs))


def write_metrics(path):
    """Write the long table of metrics and return its path: all metrics fall or rise together, HD is 100 minus 10 times the DSC in mm."""
    rows = []
    for family in families():
        for number, name in enumerate(REPERFUSED + NOT_REPERFUSED):
            status = "reperfused" if name in REPERFUSED else "nonreperfused"
            value = BASE[number % 6] + 0.001 * (number + 1) * better_by(family)
            for metric in METRICS:
                shown = 100 - 10 * value if metric == "hausdorff_distance_mm" else 200 - 10 * value if metric.startswith("hausdorff") else value
                if metric == "hausdorff_distance_mm" and name == "sub-r5" and family[0] == "mismatch":
                    shown = math.nan
                rows.append((name, status, *family, 1, metric, shown))
    write_table(pd.DataFrame(rows, columns=COLUMNS), path)
    return path


def write_volumes(path, automatic=()):
    """Write lesion volumes of the tested patients and return the path; the diffusion lesions are an expert's but in those named."""
    names = REPERFUSED + NOT_REPERFUSED
    sources = ["automatic" if name in automatic else "expert" for name in names]
    write_table(pd.DataFrame({"participant_id": names, "diffusion_lesion_ml": 10.0, "diffusion_lesion_source": sources}), path)
    return path


def write_cohort(folder, cohorts=("hibiscus", "iknow")):
    """Write all that the numbers in the text are computed from, for the patients above and three non-reperfused ones of a training cohort.

    Volumes of diffusion lesions are 100 times the DSC of the own model; those of reperfused patients and of sub-n0 are an expert's. Returns the paths
    by name, as ``write_text_results`` takes them.
    """
    names = ("participants", "inclusion", "volumes", "metrics", "responders", "folds", "auc", "table1", "table_a5")
    files = {name: folder / f"{name}.{'csv' if name in ('auc', 'table1', 'table_a5') else 'tsv'}" for name in names} | {"printed": FACTS}
    own = [value + 0.01 * (number + 1) for number, value in enumerate(BASE)] + BASE[:3].tolist()
    clinical = [(f"sub-r{n}", "hibiscus", "3", 50 + n, "F", 10, 60, "yes", "ICA+M2", "no", 100 * own[n], "reperfused") for n in range(6)]
    clinical += [(f"sub-n{n}", "hibiscus", "0", 60 + n, "F", 10 + n, 90 + n, "no", "M1", "no", 100 * own[6 + n], "nonreperfused") for n in range(3)]
    clinical += [(f"sub-i{n}", "iknow", None, 70 + n, "M", None, 10 + n, "no", "M2", "yes", 5 + 10 * n, "nonreperfused") for n in range(3)]
    frame = pd.DataFrame(clinical, columns=[*PARTICIPANT_COLUMNS, "diffusion_lesion_ml", "status"])
    frame.loc[frame["participant_id"].isin(["sub-n1", "sub-i2"]), "occlusion_site"] = ["ICA+M1", "ICA+M2"]
    frame = frame[frame["cohort"].isin(cohorts)]
    write_table(frame[list(PARTICIPANT_COLUMNS)], files["participants"])
    expert = (frame["status"] == "reperfused") | (frame["participant_id"] == "sub-n0")
    sources = frame[["participant_id", "diffusion_lesion_ml"]].assign(diffusion_lesion_source=np.where(expert, "expert", "automatic"))
    write_table(sources, files["volumes"])
    inclusion = frame[["participant_id", "cohort", "mtici", "status"]].assign(included="yes", reason=None, reperfusion_ratio=None)
    inclusion["role"] = inclusion["cohort"].map({"hibiscus": "test", "iknow": "training"})
    write_table(inclusion, files["inclusion"])
    write_folds(make_folds(inclusion.assign(included=True), number=3, seed=1), files["folds"])
    write_metrics(files["metrics"])
    answers = pd.DataFrame({"participant_id": REPERFUSED + NOT_REPERFUSED, "responder": ["yes"] * 4 + ["no"] * 5})
    write_table(answers, files["responders"])
    write_auc(files["metrics"], files["volumes"], FACTS, files["auc"], folder / "auc.md")
    counts = {"late fusion, 5 inputs": 1997851, "late fusion, 3 inputs": 1242603, "late fusion, 1 inputs": 487355}
    write_table1(list(PRINTED_LAYERS), counts, files["table1"], folder / "table1.md")
    write_table_a5(files["participants"], files["inclusion"], files["volumes"], FACTS, files["table_a5"], folder / "a5.md")
    files["environments"] = [folder / f"environment{hours}.json" for hours in (1, 2)]
    for hours, path in zip((1, 2), files["environments"], strict=True):
        write_json(path, {"timing": {"training_s": 3600 * hours}, "device": "CPU", "processor": "x86_64", "threads": 4})
    return files
