import csv
import hashlib
import json
import logging

import numpy as np
import pytest
from learning_toys import SETTINGS, inclusion, make_patients

from finalinfarct.errors import InputError
from finalinfarct.learning.folds import make_folds, write_folds
from finalinfarct.learning.slices import load_slices, pack_slices
from finalinfarct.learning.training import train

INPUTS = ["DWI", "ADC"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("training")
    patients = make_patients(folder, 14)
    pack_slices(patients, INPUTS, folder / "slices.h5")
    write_folds(make_folds(inclusion(patients), 3, 1), folder / "folds.json")
    return folder


def run(data, target, **changes):
    arguments = {"training_set": "all", "inputs": INPUTS, "fusion": "late", "matrix": 32, "fold": 1} | changes
    settings = SETTINGS | {"epochs": 2} | arguments.pop("settings", {})
    outputs = [target / name for name in ("model.weights.h5", "history.csv", "environment.json")]
    train(
        data / "slices.h5",
        data / "folds.json",
        settings=settings,
        **dict(zip(("weights_out", "history_out", "environment_out"), outputs, strict=True)),
        **arguments,
    )
    return outputs


def read_weights(path, fusion="late", inputs=2):
    from finalinfarct.learning.network import build_network

    network = build_network(fusion, inputs, 32)
    network.load_weights(path)
    return network.get_weights()


def test_same_seed_gives_the_same_weights_and_another_seed_others(data, tmp_path):
    first, second, other = (run(data, tmp_path / name, settings={"seed": seed}) for name, seed in (("a", 5), ("b", 5), ("c", 6)))
    assert all(np.array_equal(a, b) for a, b in zip(read_weights(first[0]), read_weights(second[0]), strict=True))
    assert first[0].read_bytes() == second[0].read_bytes()
    assert not all(np.array_equal(a, b) for a, b in zip(read_weights(first[0]), read_weights(other[0]), strict=True))
    environments = [json.loads(outputs[2].read_text()) for outputs in (first, second)]
    assert environments[0].pop("timing")["training_s"] > 0
    environments[1].pop("timing")
    assert environments[0] == environments[1]
    columns = [[{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(outputs[1].open())] for outputs in (first, second)]
    assert columns[0] == columns[1]
    assert sorted(p.name for p in first[0].parent.iterdir()) == ["environment.json", "history.csv", "model.weights.h5"]


def test_the_loss_is_that_of_the_settings(data, tmp_path):
    """All slices in one batch, at a rate that leaves the weights as they were: the loss is that of the network that is written."""
    from finalinfarct.learning.network import build_network

    settings = {"epochs": 1, "batch_size": 1000, "learning_rate": 1e-12, "dropout": 0.0, "l2": 0.01}
    settings |= {"lesion_weight": 3.0, "dice_denominator": "linear"}
    weights, history, _ = run(data, tmp_path, inputs=["DWI"], settings=settings)
    members = json.loads((data / "folds.json").read_text())["folds"][0]["training_sets"]["all"]["training"]
    images, labels = load_slices(data / "slices.h5", members, ["DWI"])
    network = build_network("late", 1, 32)
    network.load_weights(weights)
    probability, truth = np.asarray(network(images, training=True)), np.eye(3)[labels]
    background, healthy, lesion = 2 * (probability * truth).sum((0, 1, 2)) / (probability + truth).sum((0, 1, 2))
    kernels = [layer.get_weights()[0] for layer in network.layers if "Conv2D" in type(layer).__name__]
    expected = 1 - (3 * lesion + healthy + background) / 5 + 0.01 * sum((kernel**2).sum() for kernel in kernels)
    assert float(next(csv.DictReader(history.open()))["loss"]) == pytest.approx(expected, rel=1e-4)


def test_records_say_what_was_trained(data, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        _, history, environment = run(data, tmp_path, fusion="early", training_set="nonreperfused", fold=2)
    rows = list(csv.DictReader(history.open()))
    assert list(rows[0]) == ["epoch", "loss", "validation_dice", "learning_rate", "seconds"]
    content = json.loads(environment.read_text())
    folds = json.loads((data / "folds.json").read_text())["folds"]
    part = folds[1]["training_sets"]["nonreperfused"]
    slices = {key: len(load_slices(data / "slices.h5", part[key], INPUTS)[0]) for key in ("training", "validation")}
    assert content["slices"] == slices
    assert content["patients"] == part
    # The rate of the last update of each epoch, from the number of batches.
    batches = -(-slices["training"] // SETTINGS["batch_size"])
    for epoch, row in enumerate(rows, start=1):
        expected = SETTINGS["learning_rate"] / (1 + SETTINGS["learning_rate_decay"] * (epoch * batches - 1))
        assert float(row["learning_rate"]) == pytest.approx(expected, rel=1e-5)
    assert content["trainable_parameters"] == 487427
    assert content["sha256"]["folds"] == hashlib.sha256((data / "folds.json").read_bytes()).hexdigest()
    assert content["sha256"]["slices"] == hashlib.sha256((data / "slices.h5").read_bytes()).hexdigest()
    assert content["settings"]["epochs"] == 2 and content["seed"] == 5 and content["epochs"] == 2
    assert {"tensorflow", "keras", "numpy", "python"} <= set(content["versions"])
    lines = [r.getMessage() for r in caplog.records if r.getMessage().startswith("epoch ")]
    assert len(lines) == 2
    assert all(word in lines[0] for word in ("loss", "validation Dice", "rate", " s left"))


def test_training_stops_early_and_keeps_the_best_weights(data, tmp_path):
    # No epoch can rise by more than 1, so the first is the last improvement.
    changes = {"epochs": 9, "early_stopping": {"minimum_improvement": 1.0, "patience": 2}}
    _, history, _ = run(data, tmp_path / "stopped", inputs=["DWI"], settings=changes)
    assert len(list(csv.DictReader(history.open()))) == 3


def test_best_and_last_weights_are_of_their_epochs(data, tmp_path, monkeypatch):
    from finalinfarct.learning import training

    dice = (0.3, 0.6, 0.5, 0.4)
    scripted = iter(3 * dice)
    monkeypatch.setattr(training, "_validation_dice", lambda *arguments: next(scripted))
    kept, records = {}, {}
    for weights, epochs in (("best", 4), ("last", 4), ("last", 2)):
        outputs = run(data, tmp_path / f"{weights}{epochs}", inputs=["DWI"], settings={"epochs": epochs, "weights": weights})
        scripted = iter(3 * dice)
        kept[weights, epochs] = read_weights(outputs[0], inputs=1)
        records[weights, epochs] = json.loads(outputs[2].read_text())["kept_epoch"]
    assert records == {("best", 4): 2, ("last", 4): 4, ("last", 2): 2}
    assert all(np.array_equal(a, b) for a, b in zip(kept["best", 4], kept["last", 2], strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(kept["best", 4], kept["last", 4], strict=True))


def test_history_is_written_for_tensorboard_when_asked(data, tmp_path):
    import tensorflow as tf

    outputs = run(data, tmp_path, inputs=["DWI"], settings={"tensorboard": True}, events=tmp_path / "events")
    (path,) = tmp_path.glob("events/late_DWI_all_fold-1/events.*")
    events = [tf.compat.v1.Event.FromString(record.numpy()) for record in tf.data.TFRecordDataset(str(path))]
    found = {(e.step, v.tag): float(tf.make_ndarray(v.tensor)) for e in events for v in e.summary.value}
    for row in csv.DictReader(outputs[1].open()):
        for name in ("loss", "validation_dice", "learning_rate"):
            assert found[int(row["epoch"]), name] == pytest.approx(float(row[name]), rel=1e-5)
    assert len(found) == 2 * 4


@pytest.mark.parametrize("weights", ["best", "last"])
def test_validation_that_is_no_number_is_named(data, tmp_path, monkeypatch, weights):
    from finalinfarct.learning import training

    monkeypatch.setattr(training, "_validation_dice", lambda *arguments: float("nan"))
    with pytest.raises(InputError, match=r"validation Dice nan in epoch 1.*learning_rate"):
        run(data, tmp_path, inputs=["DWI"], settings={"weights": weights})


def test_grouped_branches_write_the_weights_of_the_plain_network(data, tmp_path):
    separate, grouped = (run(data, tmp_path / kind, settings={"branches": kind, "dropout": 0.0, "epochs": 1}) for kind in ("separate", "grouped"))
    for one, other in zip(read_weights(separate[0]), read_weights(grouped[0]), strict=True):
        assert np.quantile(np.abs(one - other), 0.9) < 1e-3
    assert json.loads(grouped[2].read_text())["branches"] == "grouped"


def test_update_equals_keras_adam_on_loss_and_penalty():
    import keras
    import tensorflow as tf

    from finalinfarct.learning.loss import weighted_dice_loss
    from finalinfarct.learning.network import build_network
    from finalinfarct.learning.step_tensorflow import TrainingStep

    generator = np.random.default_rng(0)
    images, labels = generator.random((10, 16, 16, 1)).astype(np.float32), generator.integers(0, 3, (10, 16, 16)).astype(np.uint8)
    batches = np.split(generator.permutation(10), (4, 8))
    rates = (0.01, 0.005, 0.002)
    keras.utils.set_random_seed(0)
    ours = build_network("late", 1, 16, dropout=0.0)
    theirs = build_network("late", 1, 16, dropout=0.0)
    theirs.set_weights(ours.get_weights())
    step, adam = TrainingStep(ours, (images, labels), (images, labels), 4, 8.0, "squared"), keras.optimizers.Adam()
    for updates, (rows, rate) in enumerate(zip(batches, rates, strict=True)):
        loss = step(rows, rate, updates)
        with tf.GradientTape() as tape:
            expected = weighted_dice_loss(labels[rows], theirs(images[rows], training=True)) + sum(theirs.losses)
        adam.learning_rate = rate
        adam.apply(tape.gradient(expected, [v.value for v in theirs.trainable_variables]), theirs.trainable_variables)
        assert float(loss) == pytest.approx(float(expected), abs=1e-4)
    # Adam divides by the gradient's size, so a gradient that is zero but for rounding may move a weight by its rate: compare all but a few.
    difference = np.concatenate([np.abs(a - b).ravel() for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True)])
    assert np.quantile(difference, 0.99) < 1e-4
    assert len(step._update._list_all_concrete_functions()) == 1


def test_faults_of_the_user_are_named(data, tmp_path):
    with pytest.raises(InputError, match=r"slices of 32x32 voxels.*images\.matrix"):
        run(data, tmp_path, matrix=64)
    with pytest.raises(InputError, match="CBF not in the file"):
        run(data, tmp_path, inputs=["CBF"])
    with pytest.raises(InputError, match="no fold 7"):
        run(data, tmp_path, fold=7)
    with pytest.raises(InputError, match=r"the loss became nan.*learning_rate"):
        run(data, tmp_path, inputs=["DWI"], settings={"learning_rate": 1e30})
    assert not list(tmp_path.iterdir())
