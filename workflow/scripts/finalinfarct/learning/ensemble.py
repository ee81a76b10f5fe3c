"""Prediction for patients whom no model has seen: the mean over the models of all folds, for each reperfusion status."""

import json
import logging
from pathlib import Path

import numpy as np

from finalinfarct.dataset.images import voxel_volume_ml, write_image
from finalinfarct.errors import InputError
from finalinfarct.learning.backend import load_step
from finalinfarct.learning.network import network_from_settings
from finalinfarct.learning.prediction import check_weights, load_weights, predict_volume, predicted_mask

log = logging.getLogger(__name__)

WEIGHTS, RECORD = "model.weights.h5", "environment.json"


def find_models(folder, families, preparation):
    """Find the trained models that predict new patients, and refuse those that were trained on images prepared in another way.

    Parameters
    ----------
    folder : str or Path
        ``results/models`` of the run that trained them.
    families : dict of str to (str, str, str)
        Fusion, inputs (joined by hyphens) and training set of each family, by training set.
    preparation : dict
        What the images of the new patients go through: ``images`` and ``perfusion``, as the configuration has them.

    Returns
    -------
    dict of str to list of Path
        Folder of every fold's model, with ``model.weights.h5`` and ``environment.json``, by training set.

    Raises
    ------
    InputError
        A family has no model, a model lacks a file, or its images were prepared otherwise.
    """
    models = {}
    for name, family in families.items():
        place = Path(folder, *family)
        models[name] = sorted(place.glob("fold-*"), key=lambda path: (len(path.name), path.name))
        if not models[name]:
            raise InputError(place, "no trained model", "train the models first, or set new_patients.models to results/models of the run that did")
        for model in models[name]:
            for file in (WEIGHTS, RECORD):
                if not (model / file).is_file():
                    raise InputError(model / file, "the file does not exist", "copy the models whole, or train them again")
            _check_preparation(model / RECORD, preparation)
    return models


def _check_preparation(path, preparation):
    """InputError where the record of a training names other steps of preparation than these."""
    trained = _read_record(path).get("preparation", {})
    for section in ("images", "perfusion"):
        given, wanted = preparation[section], trained.get(section, {})
        other = sorted(key for key in {*given, *wanted} if given.get(key) != wanted.get(key))
        if other:
            found = ", ".join(f"{section}.{key} {wanted.get(key, 'not recorded')} (here {given.get(key)})" for key in other)
            raise InputError(path, f"trained on images prepared with {found}", "use the configuration that the models were trained with")


def _read_record(path):
    """Content of an ``environment.json``."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as fault:
        raise InputError(path, f"not valid JSON ({fault})", "copy the models again") from None


def predict_new_patient(models, images, backend, batch_size, threshold, outputs, threads=1):
    """Predict the infarct of one patient for each reperfusion status.

    The lesion probability is the mean over the models of a status; a voxel is predicted as infarct where it reaches the threshold.

    Parameters
    ----------
    models : dict of str to list of path
        Folders of the models by training set (``find_models``).
    images : dict of str to path
        Normalised image, (X, Y, Z), by input.
    backend : str
        Keras's: tensorflow, jax or torch.
    batch_size : int
        Slices predicted at once.
    threshold : float
        See above.
    outputs : dict of str to (path, path)
        Probability map (float32) and mask (uint8) by training set. Their side files name the models by the SHA-256 of their weights, say how
        much each model alone predicts (ml), and whether they were trained on simulated patients.
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
    for training_set, folders in models.items():
        records = [_read_record(folder / RECORD) for folder in map(Path, folders)]
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
            "TrainedOnSimulatedPatients": first["preparation"]["simulated"],
            "TrainingPatients": len({name for record in records for name in record["patients"]["training"]}),
            "Models": [record["weights_sha256"] for record in records],
            "ModelVolumesMl": [float(predicted_mask(part, threshold).sum() * volume_ml) for part in maps],
        }
        mask = predicted_mask(mean, threshold)
        described = "of the final infarct, mean over the models of all folds"
        write_image(outputs[training_set][0], mean, affine, about | {"Description": f"Probability {described}"})
        mask_about = about | {"Description": "Predicted final infarct", "Threshold": float(threshold), "VolumeMl": float(mask.sum() * volume_ml)}
        write_image(outputs[training_set][1], mask, affine, mask_about, dtype=np.uint8)
        log.info("%s models (%d): %.1f ml of infarct", training_set, len(maps), mask.sum() * volume_ml)
