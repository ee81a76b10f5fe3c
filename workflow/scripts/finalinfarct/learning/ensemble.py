"""Prediction for patients whom no network has seen: the mean over the networks of all folds, for each reperfusion status."""

import json
import logging
import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from finalinfarct.dataset.images import spatial_reference, voxel_volume_ml, write_image
from finalinfarct.errors import InputError
from finalinfarct.learning.backend import load_step
from finalinfarct.learning.network import network_from_settings
from finalinfarct.learning.prediction import check_weights, load_weights, predict_volume, predicted_mask

log = logging.getLogger(__name__)

WEIGHTS, RECORD = "model.weights.h5", "environment.json"
COUNT, TEXT, SECTION = {"type": "integer", "minimum": 1}, {"type": "string", "minLength": 1}, {"type": "object"}
TEXTS = {"type": "array", "items": TEXT, "minItems": 1}


def _with(**properties):
    """JSON Schema of an object that has these."""
    return {"type": "object", "properties": properties, "required": list(properties)}


# JSON Schemas of what is needed of the record of a training.
NEEDED = {
    "fusion": TEXT,
    "inputs": TEXTS,
    "training_set": TEXT,
    "fold": COUNT,
    "folds": COUNT,
    "matrix": COUNT,
    "settings": SECTION,
    "sha256": SECTION,
    "patients": _with(training=TEXTS, validation=TEXTS),
    "preparation": _with(
        simulated={"type": "boolean"},
        images=SECTION,
        perfusion=SECTION,
        references={"type": "object", "additionalProperties": TEXTS},
        maps={"type": "object", "additionalProperties": TEXT},
    ),
    "weights_sha256": TEXT,
}
# Networks that answer together come from one run.
OF_ONE_RUN = ("folds", "settings", "sha256", "preparation")


class Network(NamedTuple):
    """A trained network: its folder, with ``model.weights.h5`` and ``environment.json``, and the SHA-256 of its weights."""

    folder: Path
    weights_sha256: str


def find_networks(folder, families, preparation, participants):
    """Find the trained networks that predict new patients; refuse a set that is not whole, not of one run, or not for these patients.

    Parameters
    ----------
    folder : str or Path
        ``results/models`` of the run that trained them.
    families : dict of str to (str, str, str)
        Fusion, inputs (joined by hyphens) and training set of each family, by training set.
    preparation : dict
        What the images of the new patients go through: ``images`` and ``perfusion`` as the configuration has them, and by patient ``references``
        ([reference, registration]) and ``maps`` (``computed`` or ``given``).
    participants : iterable of str
        The new patients.

    Returns
    -------
    dict of str to list of Network
        The network of every fold, by training set.

    Raises
    ------
    InputError
        Names the file and what is wrong with it, or the patient who trained a network.
    """
    folder = Path(os.path.expanduser(folder)).resolve()
    found, records = {}, []
    for name, family in families.items():
        place = folder.joinpath(*family)
        numbered = {int(path.name.removeprefix("fold-")): path for path in place.glob("fold-*") if re.fullmatch("fold-[1-9][0-9]*", path.name)}
        if not numbered:
            raise InputError(
                place, "no trained network", "train the networks first, or set new_patients.models to results/models of the run that did"
            )
        found[name] = []
        for number, path in sorted(numbered.items()):
            record = _read_record(path / RECORD)
            records.append((path / RECORD, record))
            _check_place(path / RECORD, record, family, number)
            _check_run(path / RECORD, record, *records[0])
            if not (path / WEIGHTS).is_file():
                raise InputError(path / WEIGHTS, "the file does not exist", "copy the folder of the networks whole")
            _check_patients(path / RECORD, record, participants)
            found[name].append(Network(path, record["weights_sha256"]))
        for number in sorted(set(numbered) ^ set(range(1, record["folds"] + 1))):
            if number in numbered:
                raise InputError(place, f"fold {number} of {record['folds']}", "remove what an earlier run left over")
            raise InputError(place, f"no network of fold {number} of {record['folds']}", "wait until all are trained, or copy the folder whole")
    for path, record in records:
        _check_preparation(path, record, preparation)
    return found


def _read_record(path):
    """Content of an ``environment.json``, with all that is needed of it."""
    from jsonschema import Draft202012Validator  # where the plan is made, not where it is predicted

    if not path.is_file():
        raise InputError(path, "the file does not exist", "copy the folder of the networks whole")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as fault:
        raise InputError(path, f"not valid JSON ({fault})", "copy the networks again") from None
    absent = [key for key, schema in NEEDED.items() if not isinstance(record, dict) or not Draft202012Validator(schema).is_valid(record.get(key))]
    if absent:
        raise InputError(path, f"no record of networks that can predict: {', '.join(absent)} missing or unsound", "train with this version")
    return record


def _check_place(path, record, family, number):
    """InputError where a record is that of another network than the folder says, or of one that cannot be."""
    told = (record["fusion"], "-".join(record["inputs"]), record["training_set"], record["fold"])
    if record["matrix"] != record["preparation"]["images"].get("matrix"):
        raise InputError(path, f"matrix {record['matrix']}, but images of another", "copy the networks again")
    if told != (*family, number):
        found = "{} fusion of {}, trained on {} patients, fold {}".format(*told)
        raise InputError(path, f"the record of another network ({found})", "remove what was copied or renamed, and copy the networks again")


def _check_run(path, record, first_path, first):
    """InputError where two networks are of different runs."""
    other = [key for key in OF_ONE_RUN if record[key] != first[key]]
    if other:
        raise InputError(path, f"of another run than {first_path} ({', '.join(other)} differ)", "remove what an earlier run left, or train again")


def _check_patients(path, record, participants):
    """InputError where a new patient took part in the training; identifiers are all that is compared."""
    seen = {name for members in record["patients"].values() for name in members}
    known = sorted(seen.intersection(participants))
    if known:
        raise InputError(
            path, f"trained on {known[0]}, who is to be predicted", "leave out patients of the training; their predictions are in its run"
        )


def _check_preparation(path, record, preparation):
    """InputError where the images of those who trained a network went through other steps than they do here."""
    trained, other = record["preparation"], []
    sections = ["images"] + ["perfusion"] * ("computed" in preparation["maps"].values())
    for section in sections:
        given, wanted = preparation[section], trained[section]
        keys = sorted(key for key in {*given, *wanted} if given.get(key) != wanted.get(key))
        other += [f"{section}.{key} {wanted.get(key, 'not recorded')} (here {given.get(key)})" for key in keys]
    for section, words in (("references", "reference and registration"), ("maps", "perfusion maps")):
        of_patient = trained[section]
        seen = {_words(of_patient[name]) for name in record["patients"]["training"] if name in of_patient}
        strange = sorted(set(map(_words, preparation[section].values())) - seen)
        if strange:
            other.append(f"{words} {' or '.join(sorted(seen)) or 'none recorded'} (here {' or '.join(strange)})")
    if other:
        advice = "use the configuration that the networks were trained with, or networks whose training had such patients"
        raise InputError(path, f"trained on images prepared with {', '.join(other)}", advice)


def _words(value):
    return value if isinstance(value, str) else " ".join(value)


def predict_new_patient(networks, images, backend, batch_size, threshold, outputs, threads=1):
    """Predict the infarct of one patient for each reperfusion status.

    The lesion probability is the mean over the networks of a status; a voxel is predicted as infarct where it reaches the threshold.

    Parameters
    ----------
    networks : dict of str to list of path
        Folders of the networks by training set (``find_networks``).
    images : dict of str to path
        Normalised image, (X, Y, Z), by input.
    backend : str
        Keras's: tensorflow, jax or torch.
    batch_size : int
        Slices predicted at once.
    threshold : float
        See above.
    outputs : dict of str to (path, path)
        Probability map (float32) and mask (uint8) by training set. Their side files name the networks by the SHA-256 of their weights, say how
        much each network alone predicts (ml, on this grid), and whether they were trained on simulated patients.
    threads : int
        CPU threads.

    Raises
    ------
    InputError
        Weights that are not those of their record, or images of another matrix.
    """
    # On the CPU, as all predictions.
    step = load_step(backend)
    step.configure(threads, 0)
    for training_set, folders in networks.items():
        records = [json.loads((Path(folder) / RECORD).read_text(encoding="utf-8")) for folder in folders]
        first = records[0]
        network = network_from_settings(first["fusion"], first["inputs"], first["matrix"], first["settings"])
        infer = step.make_inference(network)
        maps = []
        for folder in map(Path, folders):
            check_weights(folder / WEIGHTS, folder / RECORD)
            load_weights(network, folder / WEIGHTS)
            probability, affine = predict_volume(infer, images, first["inputs"], first["matrix"], batch_size)
            maps.append(probability)
        mean, volume_ml = np.mean(maps, axis=0), voxel_volume_ml(affine)
        about = {
            "Fusion": first["fusion"],
            "Inputs": first["inputs"],
            "TrainingSet": training_set,
            "TrainedOnSimulatedPatients": any(record["preparation"]["simulated"] for record in records),
            "TrainingPatients": len({name for record in records for name in record["patients"]["training"]}),
            "Networks": [record["weights_sha256"] for record in records],
            "NetworkVolumesMl": [float(predicted_mask(part, threshold).sum() * volume_ml) for part in maps],
        } | spatial_reference(images[first["inputs"][0]])
        mask = predicted_mask(mean, threshold)
        described = "of the final infarct, mean over the networks of all folds"
        write_image(outputs[training_set][0], mean, affine, about | {"Description": f"Probability {described}"})
        mask_about = about | {"Description": "Predicted final infarct", "Threshold": float(threshold), "VolumeMl": float(mask.sum() * volume_ml)}
        write_image(outputs[training_set][1], mask, affine, mask_about, dtype=np.uint8)
        log.info("networks of %s patients (%d): %.1f ml of infarct", training_set, len(maps), mask.sum() * volume_ml)
