"""Training of one network: one model family, one fold."""

import csv
import logging
import platform
import sys
import time
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from finalinfarct.dataset.files import sha256, whole
from finalinfarct.dataset.images import write_json
from finalinfarct.errors import InputError
from finalinfarct.learning.backend import choose_branches, choose_precision, load_step, processor_name
from finalinfarct.learning.checkpoint import Checkpoint
from finalinfarct.learning.devices import EXECUTION, memory_faults_named
from finalinfarct.learning.folds import find_fold, read_folds
from finalinfarct.learning.loss import multiclass_dice
from finalinfarct.learning.network import copy_weights, count_parameters, network_from_settings
from finalinfarct.learning.schedule import EarlyStopping, learning_rate
from finalinfarct.learning.slices import load_slices

HISTORY_COLUMNS = ("epoch", "loss", "validation_dice", "learning_rate", "seconds")
RESERVED_BYTES = 2**21  # what HDF5 may add to the weights themselves
log = logging.getLogger(__name__)


def train(
    slices,
    folds,
    fold,
    training_set,
    inputs,
    fusion,
    matrix,
    settings,
    weights_out,
    history_out,
    environment_out,
    threads=1,
    code="",
    checkpoints=None,
    events=None,
    preparation=None,
):
    """Train the network of one model family on one fold (Debs et al. 2021, appendix B).

    With the same seed, machine, backend and number of threads, the weights on a CPU are the same, bit for bit, also when the training was killed
    and begun again in between. Begun again on another machine or with other threads it goes on all the same, exact to rounding, unless there ``auto``
    stands for another precision or way of computing branches: then it begins anew.

    Parameters
    ----------
    slices : str or Path
        File of ``pack_slices``.
    folds : str or Path
        File of ``write_folds``.
    fold : int
        Fold, from 1.
    training_set : str
        ``all``, ``reperfused`` or ``nonreperfused``.
    inputs : list of str
        Inputs of the network, such as ``["DWI", "ADC"]``.
    fusion : str
        ``late`` or ``early``.
    matrix : int
        Height and width of a slice in voxels.
    settings : dict
        ``training`` of the configuration: seed (of initial weights, dropout and the order of the slices), epochs, batch_size, learning_rate,
        learning_rate_decay, l2, dropout, lesion_weight, dice_denominator, batch_normalization_momentum, batch_normalization_epsilon, initializer,
        weights (best or last), checkpoint_interval_s, backend, precision, branches (separate, grouped or auto), slots_per_gpu, tensorboard and
        early_stopping (minimum_improvement, patience).
    weights_out, history_out, environment_out : str or Path
        Keras weights (``.weights.h5``); CSV with one row an epoch; JSON with versions, device, seed, hashes and counts. What differs between two
        equal trainings stands under its key ``timing``.
    threads : int
        CPU threads.
    code : str
        Hash of the code, recorded, and part of what a checkpoint must share with the training that goes on from it.
    checkpoints : str or Path, optional
        Folder below which this training keeps its checkpoint until it has ended well; without it nothing is kept.
    events : str or Path, optional
        Folder below which this training writes its history for TensorBoard, if the settings say so.
    preparation : dict, optional
        What the images went through, ``references`` and ``maps`` by patient, for the record: new patients are held against those who trained.

    Raises
    ------
    InputError
        The slices do not fit the folds, inputs or matrix, the training diverged, or the memory of the device is full.
    """
    with memory_faults_named():
        step = load_step(settings["backend"], settings["slots_per_gpu"])
        begin = time.perf_counter()  # after what it may have waited for a GPU
        drawn = read_folds(folds)
        members = find_fold(drawn, fold)["training_sets"][training_set]
        data = _load(slices, members, inputs, matrix)
        counts = {part: len(images) for part, (images, _) in data.items()}
        log.info("fold %s: %d training and %d validation slices", fold, counts["training"], counts["validation"])
        step.configure(threads, settings["seed"])
        backend, device = settings["backend"], step.device_name()
        precision = choose_precision(settings["precision"], backend, device)
        branches = choose_branches(settings["branches"], backend, device, fusion, len(inputs))
        network, plain = _networks(fusion, inputs, matrix, settings, precision, branches)
        log.info(
            "%s fusion of %s: %d parameters, %s, %s branches on %s (%s), ready after %.1f s",
            *(fusion, ", ".join(inputs), count_parameters(network), precision, branches, device, backend),
            time.perf_counter() - begin,
        )
        identity = {
            "backend": backend,
            "precision": precision,
            "branches": branches,
            "versions": _versions(backend),
            "fold": int(fold),
            "training_set": training_set,
            "inputs": list(inputs),
            "fusion": fusion,
            "matrix": int(matrix),
            "seed": settings["seed"],
            "settings": {key: value for key, value in settings.items() if key not in EXECUTION},
            "sha256": {"slices": sha256(slices), "folds": sha256(folds), "code": code},
        }
        name = f"{fusion}_{'-'.join(inputs)}_{training_set}_fold-{fold}"
        checkpoint = None if checkpoints is None else Checkpoint(Path(checkpoints) / name, identity, settings["checkpoint_interval_s"])
        write_events = _event_writer(Path(events) / name) if settings["tensorboard"] else None
        progress = _fit(step, network, data, settings, slices, checkpoint, write_events)
    network.set_weights(progress.kept)
    if network is not plain:
        copy_weights(network, plain)
    _save_weights(plain, weights_out)
    _write_history(progress.history, history_out)
    trained_s = sum(row["seconds"] for row in progress.history)
    environment = identity | {
        "device": device,
        "processor": processor_name(),
        "threads": int(threads),
        "trainable_parameters": count_parameters(network),
        "folds": len(drawn["folds"]),
        "preparation": preparation,
        "patients": members,
        "slices": counts,
        "epochs": progress.epoch,
        "kept_epoch": progress.kept_epoch,
        "weights_sha256": sha256(weights_out),
        "timing": {
            "training_s": round(trained_s, 1),
            "last_process_s": round(time.perf_counter() - begin, 1),
            "resumed_after_epoch": progress.resumed,
        },
    }
    write_json(environment_out, environment)
    if checkpoint:
        checkpoint.remove()


def _load(slices, members, inputs, matrix):
    """Images and classes of the slices of training and of validation, by part; InputError where they have another matrix."""
    data = {part: load_slices(slices, members[part], inputs) for part in ("training", "validation")}
    found = data["training"][0].shape[1:3]
    if found != (matrix, matrix):
        raise InputError(slices, f"slices of {found[0]}x{found[1]} voxels", f"set images.matrix, now {matrix}, to that, or make the slices again")
    return data


def _networks(fusion, inputs, matrix, settings, precision, branches):
    """The network that is trained and the plain one of the same weights, whose file is written: one and the same unless branches are grouped."""
    plain = network_from_settings(fusion, inputs, matrix, settings, precision)
    if branches != "grouped":
        return plain, plain
    network = network_from_settings(fusion, inputs, matrix, settings, precision, branches)
    copy_weights(plain, network)
    return network, plain


@dataclass
class Progress:
    """Where a training stands at the end of an epoch, apart from the network and the moments of Adam.

    Parameters
    ----------
    stopping : EarlyStopping
        State of early stopping.
    epoch, updates : int
        Number of epochs and updates done.
    history : list of dict
        One row an epoch, with the keys ``HISTORY_COLUMNS``.
    kept : list of numpy.ndarray
        Weights to keep.
    kept_epoch : int
        Epoch that they are of.
    resumed : int
        Epoch after which this process took over, 0 if it did all.
    """

    stopping: EarlyStopping
    epoch: int = 0
    updates: int = 0
    history: list = field(default_factory=list)
    kept: list = field(default_factory=list)
    kept_epoch: int = 0
    resumed: int = 0


def _fit(step, network, data, settings, slices, checkpoint, write_events):
    """Train until early stopping or the last epoch, from the checkpoint where there is one; return the ``Progress``.

    The slices are taken out of ``data``: the step keeps its own copy.
    """
    progress = Progress(EarlyStopping(**settings["early_stopping"]))
    stopping, state = progress.stopping, checkpoint.read() if checkpoint else None
    if state:
        _restore(progress, network, *state)
    number = len(data["training"][0])
    size, epochs = settings["batch_size"], settings["epochs"]
    objective = settings["lesion_weight"], settings["dice_denominator"]
    update = step.TrainingStep(network, data.pop("training"), data.pop("validation"), size, *objective)
    if state:
        update.set_moments(state[1]["moments"])
    begin = time.perf_counter()
    while progress.epoch < epochs and not stopping.stop:
        epoch_begin = time.perf_counter()
        progress.epoch += 1
        order = np.random.default_rng([settings["seed"], progress.epoch]).permutation(number)
        losses = []
        for rows in np.split(order, range(size, len(order), size)):
            rate = learning_rate(settings["learning_rate"], settings["learning_rate_decay"], progress.updates)
            losses.append((len(rows), update(rows, rate, progress.updates)))
            progress.updates += 1
        loss = sum(count * float(value) for count, value in losses) / number
        dice = _validation_dice(update)
        if not np.isfinite([loss, dice]).all():
            found = f"the loss became {loss}, the validation Dice {dice} in epoch {progress.epoch}"
            raise InputError(slices, found, "lower training.learning_rate, or check the normalised images")
        now = time.perf_counter()
        values = (progress.epoch, loss, dice, rate, now - epoch_begin)
        progress.history.append(dict(zip(HISTORY_COLUMNS, values, strict=True)))
        if write_events:
            write_events(progress.history[-1])
        if stopping.update(dice) or settings["weights"] == "last":
            update.write_back()
            progress.kept, progress.kept_epoch = network.get_weights(), progress.epoch
        left_s = (now - begin) / (progress.epoch - progress.resumed) * (epochs - progress.epoch)
        log.info(
            "epoch %d of %d: loss %.4f, validation Dice %.4f, rate %.3g, %.1f s, at most %.0f s left",
            *(progress.epoch, epochs, loss, dice, rate, now - epoch_begin, left_s),
        )
        if checkpoint:
            checkpoint.write_when_due(lambda: _state(progress, network, update))
    if stopping.stop:
        log.info("stopped: no rise of the validation Dice by more than %g in %d epochs", stopping.minimum_improvement, stopping.patience)
    return progress


def _event_writer(folder):
    """Writer of events for TensorBoard, which only TensorFlow has."""
    if find_spec("tensorflow") is None:
        raise InputError("training.tensorboard", "TensorFlow, which writes the events, is not installed here", "install it, or set it to false")
    from finalinfarct.learning.step_tensorflow import event_writer

    return event_writer(folder)


def _state(progress, network, update):
    """Return the counters and the arrays of a checkpoint; the network's variables hold the random state of dropout too."""
    update.write_back()
    record = asdict(progress)
    return record, {"variables": [variable.numpy() for variable in network.variables], "moments": update.moments(), "kept": record.pop("kept")}


def _restore(progress, network, record, arrays):
    """Put what ``_state`` returned back in its places, but for the moments, which need a ``TrainingStep``."""
    for variable, value in zip(network.variables, arrays["variables"], strict=True):
        variable.assign(value)
    progress.kept, progress.history = arrays["kept"], record["history"]
    progress.epoch, progress.updates, progress.kept_epoch = record["epoch"], record["updates"], record["kept_epoch"]
    progress.resumed = progress.epoch
    vars(progress.stopping).update(record["stopping"])
    log.info("going on after epoch %d, from the checkpoint of a training that was cut off", progress.epoch)


def _validation_dice(update):
    """Multi-class Dice over all validation slices together, whatever the batches."""
    return float(multiclass_dice(update.validate()))


def _save_weights(network, path):
    """Write a Keras weights file, whole or not at all."""
    with whole(path) as partial:
        # HDF5 crashes the process on a full disk, so that Python asks for the space first.
        partial.write_bytes(bytes(RESERVED_BYTES + sum(weights.nbytes for weights in network.get_weights())))
        network.save_weights(partial)


def _write_history(history, path):
    """Write the history as CSV, one row an epoch."""
    with whole(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, HISTORY_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: row[key] if key == "epoch" else f"{row[key]:.6g}" for key in HISTORY_COLUMNS} for row in history)


def _versions(backend):
    """Versions of what computes. Asked of the modules: TensorFlow's distributions have several names."""
    modules = (backend, "keras", "numpy", "h5py")
    return {"python": platform.python_version()} | {name: sys.modules[name].__version__ for name in modules}
