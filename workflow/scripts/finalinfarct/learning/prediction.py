"""Out-of-fold prediction: every model predicts all test patients of its fold, of both statuses, on all slices."""

import json
import logging
import warnings
from pathlib import Path

import numpy as np

from finalinfarct.dataset.contract import LESION
from finalinfarct.dataset.files import sha256, whole
from finalinfarct.dataset.images import spatial_reference, write_image
from finalinfarct.errors import InputError
from finalinfarct.learning.backend import load_step
from finalinfarct.learning.folds import find_fold
from finalinfarct.learning.network import network_from_settings
from finalinfarct.learning.slices import read_stack

log = logging.getLogger(__name__)


def predict_family(folds, weights, patients, inputs, fusion, matrix, settings, threshold, output_folder, threads=1, training_set=None):
    """Predict the test patients of all folds with the models of one family.

    Parameters
    ----------
    folds : dict
        As ``read_folds`` returns it.
    weights : dict of int to path
        Weights file by fold; the test patients of these folds are predicted.
    patients : dict of str to dict
        Path of the normalised image by input, by participant_id.
    inputs : list of str
        Inputs of the network, in the order of training.
    fusion : str
        ``late`` or ``early``.
    matrix : int
        Height and width of a slice in voxels.
    settings : dict
        ``training`` of the configuration.
    threshold : float
        A voxel is predicted as infarct where its lesion probability is at least this (0.5 in Debs et al. 2021, section 2.3).
    output_folder : str or Path
        Folder, replaced whole or not at all, of ``{id}_space-reference_label-lesion_probseg.nii.gz`` (float32) and
        ``{id}_space-reference_label-lesion_mask.nii.gz`` (uint8), with JSON side files that name the family and the fold.
    threads : int
        CPU threads.
    training_set : str, optional
        Training set of the family, for the side files.

    Raises
    ------
    InputError
        A test patient without images, images of another matrix, or weights of another network.
    """
    test = {fold: find_fold(folds, fold)["test"] for fold in sorted(weights, key=int)}
    absent = sorted({p for names in test.values() for p in names} - set(patients))
    if absent:
        raise InputError("prediction", f"no images for the test patients {', '.join(absent)}", "prepare their images, or make the folds again")
    # On the CPU: it takes seconds, and a GPU would have to be waited for.
    step = load_step(settings["backend"])
    step.configure(threads, settings.get("seed", 0))
    network = network_from_settings(fusion, inputs, matrix, settings)
    infer = step.make_inference(network)
    with whole(output_folder) as partial:
        partial.mkdir()
        done, total = 0, sum(map(len, test.values()))
        for fold, participants in test.items():
            load_weights(network, weights[fold])
            for participant in participants:
                probability, affine = predict_volume(infer, patients[participant], inputs, matrix, settings["batch_size"])
                about = {"Fusion": fusion, "Inputs": list(inputs), "Fold": int(fold)} | ({"TrainingSet": training_set} if training_set else {})
                about |= spatial_reference(patients[participant][inputs[0]])
                stem = f"{participant}_space-reference_label-lesion"
                write_image(partial / f"{stem}_probseg.nii.gz", probability, affine, about | {"Description": "Probability of final infarct"})
                mask = predicted_mask(probability, threshold)
                mask_about = about | {"Description": "Predicted final infarct", "Threshold": float(threshold)}
                write_image(partial / f"{stem}_mask.nii.gz", mask, affine, mask_about, dtype=np.uint8)
                done += 1
                log.info("%s (fold %s): %d voxels of infarct (patient %d of %d)", participant, fold, int(mask.sum()), done, total)


def predict_volume(infer, images, inputs, matrix, batch_size):
    """Lesion probability of one patient.

    Parameters
    ----------
    infer : callable
        Compiled prediction, images (slices, X, Y, inputs) to probabilities (slices, X, Y, 3).
    images : dict of str to path
        Normalised image by input.
    inputs, matrix, batch_size
        Inputs in the order of training, voxels along X and Y, slices predicted at once.

    Returns
    -------
    probability : numpy.ndarray
        float32, (X, Y, Z).
    affine : numpy.ndarray
        (4, 4), of the first input.
    """
    stack, first = read_stack(images, inputs)
    if stack.shape[1:3] != (matrix, matrix):
        raise InputError(
            images[inputs[0]], f"{stack.shape[1]}x{stack.shape[2]} voxels in plane where {matrix}x{matrix} are needed", "resample the images"
        )
    parts = [np.asarray(infer(stack[i : i + batch_size]))[..., LESION] for i in range(0, len(stack), batch_size)]
    return np.moveaxis(np.concatenate(parts), 0, 2), first.affine


def predicted_mask(probability, threshold):
    """Predicted infarct, uint8: where the lesion probability is at least ``threshold``."""
    return (probability >= np.float32(threshold)).astype(np.uint8)


def check_weights(weights, environment):
    """Refuse a weights file that is not the one that its training wrote: HDF5 would read damaged weights as others.

    Parameters
    ----------
    weights, environment : str or Path
        ``.weights.h5`` file, and the ``environment.json`` of its training, which holds its SHA-256.

    Raises
    ------
    InputError
        The two do not belong together.
    """
    if sha256(weights) != json.loads(Path(environment).read_text(encoding="utf-8")).get("weights_sha256"):
        raise InputError(weights, f"not the weights that {environment} tells of", "remove both, and train the model again")


def load_weights(network, path):
    """Load a weights file into a network.

    Only arrays are read: files that could hold a model, and with it code, are refused whatever they contain.

    Raises
    ------
    InputError
        The file is absent, unreadable, of another network, or of another kind.
    """
    if not Path(path).exists():
        raise InputError(path, "the file does not exist", "train the model first")
    if not str(path).endswith(".weights.h5"):
        raise InputError(path, "not a file of weights alone", "give one whose name ends in .weights.h5")
    try:
        with warnings.catch_warnings():
            # Keras only warns of layers for which the file has nothing, and leaves them random.
            warnings.simplefilter("error", UserWarning)
            network.load_weights(path)
    except Exception as fault:  # h5py and Keras raise several types for damaged files and for other networks
        raise InputError(path, f"weights that do not fit the network ({fault})", "remove the file and train the model again") from None
