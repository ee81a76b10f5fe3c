"""The leakage gate: nothing of a test patient reaches the model that predicts them, and no hidden truth of the simulation reaches any analysis.

Every check looks at what a run left behind (folds, records of the trainings, side files, images), not at what the code means to do.
"""

import hashlib
import json
import logging
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from finalinfarct.dataset.contract import TRUTH_FOLDER
from finalinfarct.dataset.images import read_image, read_sidecar
from finalinfarct.dataset.inclusion import read_inclusion
from finalinfarct.dataset.tables import read_table, write_table
from finalinfarct.errors import InputError
from finalinfarct.imaging.normalisation import normalise_array
from finalinfarct.learning.folds import read_folds

log = logging.getLogger(__name__)
MISMATCH = "mismatch"  # the folder of its predictions
MASK_ENDING = "_label-lesion_mask.nii.gz"


def check_leakage(files, settings, output):
    """Run all checks and write what each looked at.

    Parameters
    ----------
    files : dict
        ``folds``, ``inclusion``, ``metrics`` (paths); ``environments`` (list of the trainings' ``environment.json``); ``predictions`` (folders of
        predicted masks, the mismatch model's called ``mismatch``); ``raw`` (dict of participant to list of images of the dataset); ``normalised``
        (list of triples image, normalised image, brain mask); ``sources`` (dict of door to the source files behind it, of the analysis alone).
    settings : dict
        ``normalisation``, ``scope``, ``probability_threshold``, ``tmax_threshold_s``, as configured.
    output : str or Path
        Table with the columns check, examined (a count with its unit).

    Raises
    ------
    InputError
        A check failed: names every fault of every check. The table is then not written.
    """
    folds = read_folds(files["folds"])["folds"]
    inclusion = read_inclusion(files["inclusion"]).set_index("participant_id")
    checks = {
        "no patient trains or validates the model of the fold that tests them": lambda: trained_patients(folds, files["environments"]),
        "only included patients of cohorts with role test are tested": lambda: tested_patients(folds, inclusion, files["metrics"]),
        "every prediction is out of fold": lambda: predicted_patients(folds, files["predictions"]),
        "no two patients share an image": lambda: shared_images(files["raw"]),
        "every image is normalised by its own brain alone": lambda: own_normalisation(
            files["normalised"], settings["normalisation"], settings["scope"]
        ),
        "thresholds are those of the configuration": lambda: thresholds(
            files["predictions"], settings["probability_threshold"], settings["tmax_threshold_s"]
        ),
        "the simulated truth is read by no analysis": lambda: truth_apart(files["raw"], files["sources"]),
    }
    rows, faults = [], []
    for name, check in checks.items():
        examined, found = check()
        log.info("%s: %s, %d faults", name, examined, len(found))
        rows.append((name, examined))
        faults += [f"{name}: NO, {fault}" for fault in found]
    if faults:
        raise InputError(
            "leakage gate", "\n  - " + "\n  - ".join(faults) + "\n", "no table of this run can be trusted; remove what is named, and run again"
        )
    write_table(pd.DataFrame(rows, columns=["check", "examined"]), output)


def trained_patients(folds, environments):
    """Compare what each training recorded with the folds; returns what was examined and the faults, as all checks do."""
    by_number, faults = {fold["fold"]: fold for fold in folds}, []
    for path in environments:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
        fold = by_number[record["fold"]]
        used = set(record["patients"]["training"]) | set(record["patients"]["validation"])
        leaked = sorted(used & set(fold["test"]))
        if leaked:
            faults.append(f"{path}: trained on {', '.join(leaked)}, tested in fold {record['fold']}")
        if record["patients"] != fold["training_sets"][record["training_set"]]:
            faults.append(f"{path}: other patients than the folds assign to {record['training_set']}, fold {record['fold']}")
    return f"{len(environments)} trainings", faults


def tested_patients(folds, inclusion, metrics):
    """Roles of all patients who are tested, by the folds and by the metrics."""
    tested = {name for fold in folds for name in fold["test"]}
    measured = set(read_table(metrics)["participant_id"])
    allowed = set(inclusion.index[inclusion["included"] & (inclusion["role"] == "test")])
    faults = [f"{name} is tested, but is no included patient of role test" for name in sorted((tested | measured) - allowed)]
    faults += [f"{name} is in the folds or in the metrics only" for name in sorted(tested ^ measured)]
    return f"{len(tested)} tested patients", faults


def predicted_patients(folds, folders):
    """Patients and folds of all predicted masks."""
    fold_of = {name: fold["fold"] for fold in folds for name in fold["test"]}
    faults, count = [], 0
    for folder in folders:
        masks = _masks(folder)
        count += len(masks)
        if set(masks) != set(fold_of):
            faults.append(f"{folder}: masks of {', '.join(sorted(set(masks) ^ set(fold_of)))} are too many or missing")
        if Path(folder).name == MISMATCH:
            continue  # a model without training, hence without folds
        for name, path in masks.items():
            fold = read_sidecar(path).get("Fold")
            if fold is None:
                faults.append(f"{path}: its side file names no fold")
            elif fold != fold_of.get(name):
                faults.append(f"{path}: predicted by the model of fold {fold}, but tested in fold {fold_of.get(name)}")
    return f"{count} predictions", faults


def shared_images(raw):
    """Images whose voxels stand in the folders of two patients."""
    owners, count = defaultdict(set), 0
    for name, paths in raw.items():
        for path in paths:
            voxels = np.asarray(read_image(path).dataobj)
            owners[hashlib.sha256(str(voxels.shape).encode() + voxels.tobytes()).hexdigest()].add((name, str(path)))
            count += 1
    faults = []
    for same in owners.values():
        if len({name for name, _ in same}) > 1:
            faults.append("the same voxels in " + ", ".join(sorted(path for _, path in same)))
    return f"{count} images of {len(raw)} patients", sorted(faults)


def own_normalisation(triples, method, scope):
    """Normalise every image again from its own voxels and compare."""
    faults = []
    for image, normalised, mask in triples:
        brain = read_image(mask).get_fdata() > 0.5
        again = normalise_array(read_image(image).get_fdata(dtype=np.float32), brain, method, scope)
        if not np.array_equal(again, read_image(normalised).get_fdata(dtype=np.float32)):
            faults.append(f"{normalised} is not the image of {image} scaled by its own brain")
    return f"{len(triples)} normalised images", faults


def thresholds(folders, probability_threshold, tmax_threshold_s):
    """Compare the thresholds behind all predicted masks with the configured ones."""
    faults, count = [], 0
    for folder in folders:
        for path in _masks(folder).values():
            count += 1
            side, wanted = read_sidecar(path), probability_threshold
            used = side.get("Threshold")
            if Path(folder).name == MISMATCH:
                if side.get("ReperfusionStatus") == "reperfused":
                    continue  # the diffusion lesion alone
                used, wanted = side.get("TmaxThreshold", {}).get("Above"), tmax_threshold_s
            if used is None:
                faults.append(f"{path}: its side file names no threshold")
            elif used != wanted:
                faults.append(f"{path}: made with threshold {used}, not {wanted}")
    return f"{count} predictions", faults


def truth_apart(raw, sources):
    """Inputs that lie in the folder of the truth, and scripts of the analysis that import the simulation.

    While such a script runs, ``finalinfarct.door`` besides refuses to open any file of that folder.
    """
    hidden = ("derivatives", TRUTH_FOLDER)
    faults = [f"{path} is an input" for paths in raw.values() for path in paths if hidden in pairwise(Path(path).parts)]
    faults += [f"{door} imports {path}" for door, paths in sources.items() for path in paths if "simulation" in Path(path).parts]
    return f"{sum(map(len, raw.values()))} images, {len(sources)} scripts and the modules they import", faults


def _masks(folder):
    """Predicted masks in a folder by participant."""
    return {path.name.split("_")[0]: path for path in sorted(Path(folder).glob(f"*{MASK_ENDING}"))}
