"""JAX's own layers against Keras's, and batches that are filled up against ones that are not; each test in a process that runs on JAX."""

import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from learning_toys import SETTINGS

from project import ROOT

MATRIX = 16


def random_weights(layer, generator, mean):
    """Set random weights, the moving average of batch normalisation near the mean of its images."""
    layer.set_weights([generator.uniform(0.5, 1.5, w.shape) + (mean if w.path.endswith("moving_mean") else 0.0) for w in layer.weights])


def compare_layers():
    import jax
    import keras

    from finalinfarct.learning import layers_jax

    generator = np.random.default_rng(0)
    # Far from the moving average, of 1 or so, the mean of squares alone would lose the variance.
    images = {
        "near": generator.normal(2.0, 1.0, (3, 8, 8, 4)).astype(np.float32),
        "far": generator.normal(50.0, 0.5, (3, 8, 8, 4)).astype(np.float32),
    }
    slope = {}
    for name, data, training, make in (
        ("normalisation", "near", True, lambda kit: kit.BatchNormalization(momentum=0.8, epsilon=1e-2)),
        ("normalisation", "far", True, lambda kit: kit.BatchNormalization(momentum=0.8, epsilon=1e-2)),
        ("normalisation", "near", False, lambda kit: kit.BatchNormalization(momentum=0.8, epsilon=1e-2)),
        ("groups", "near", True, lambda kit: kit.Conv2D(6, 3, padding="same", groups=2, activation="relu")),
        ("no groups", "near", True, lambda kit: kit.Conv2D(6, 3, padding="same", activation="relu")),
        ("transposed", "near", True, lambda kit: kit.Conv2DTranspose(5, 2, strides=2)),
    ):
        results = []
        for kit in (layers_jax, keras.layers):
            layer = make(kit)
            layer.build(images[data].shape)
            random_weights(layer, np.random.default_rng(1), images[data].mean())
            arguments = {"training": training} if name == "normalisation" else {}

            def weighted(weights, x, layer=layer, arguments=arguments, key=(name, data)):
                y, others = layer.stateless_call(weights, [v.value for v in layer.non_trainable_variables], x, **arguments)
                slope.setdefault(key, np.random.default_rng(2).normal(size=y.shape).astype(np.float32))
                return (y * slope[key]).sum(), (y, others)

            weights = [v.value for v in layer.trainable_variables]
            gradients, (y, others) = jax.grad(weighted, argnums=(0, 1), has_aux=True)(weights, images[data])
            results.append([y, *others, *gradients[0], gradients[1]])
        for ours, theirs in zip(*results, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=2e-3, err_msg=f"{name}, {data}, training {training}")


def compare_filled_batches():
    import keras

    from finalinfarct.learning import step_jax
    from finalinfarct.learning.network import network_from_settings

    generator = np.random.default_rng(0)
    for fusion, inputs, branches, number, size in (("late", 2, "grouped", 3, 5), ("late", 1, "separate", 1, 4), ("early", 2, "separate", 4, 4)):
        images = generator.random((size, MATRIX, MATRIX, inputs), np.float32)
        labels = generator.integers(0, 3, images.shape[:-1]).astype(np.uint8)
        results = []
        # Filled up from ``number`` to ``size`` slices, which are there as others of the training; and alone.
        for slices, full in ((slice(None), size), (slice(0, number), number)):
            keras.utils.set_random_seed(1)
            network = network_from_settings(fusion, range(inputs), MATRIX, SETTINGS | {"dropout": 0.0}, branches=branches)
            update = step_jax.TrainingStep(network, (images[slices], labels[slices]), (images[:1], labels[:1]), full, 8.0, "squared")
            loss = float(update(np.arange(number), 1e-3, 0))
            moments, terms = update.moments(), update.validate()
            update.write_back()
            averages = [v.numpy() for v in network.non_trainable_variables if "moving" in v.path]
            assert averages
            results.append([np.array(loss), terms, *moments, *averages])
        for filled, alone in zip(*results, strict=True):
            np.testing.assert_allclose(filled, alone, rtol=1e-4, atol=1e-5)


def compare_precisions():
    import keras

    from finalinfarct.learning import step_jax
    from finalinfarct.learning.network import copy_weights, network_from_settings

    generator = np.random.default_rng(0)
    images = generator.random((6, MATRIX, MATRIX, 3), np.float32)
    labels = generator.integers(0, 3, images.shape[:-1]).astype(np.uint8)
    keras.utils.set_random_seed(1)
    plain = network_from_settings("late", range(3), MATRIX, SETTINGS | {"dropout": 0.0})
    losses = []
    for precision, branches in (("float32", "separate"), ("bfloat16", "grouped")):
        network = network_from_settings("late", range(3), MATRIX, SETTINGS | {"dropout": 0.0}, precision, branches)
        copy_weights(plain, network)
        update = step_jax.TrainingStep(network, (images, labels), (images, labels), 4, 8.0, "squared")
        losses.append([float(update(rows, 1e-3, number)) for number, rows in enumerate((np.arange(4), np.arange(4, 6), np.arange(4)))])
        assert {v.dtype for v in network.trainable_variables} == {"float32"}
    np.testing.assert_allclose(*losses, atol=0.02)
    assert losses[0] != losses[1]


@pytest.mark.parametrize("check", [compare_layers, compare_filled_batches, compare_precisions])
def test_with_jax(check):
    if find_spec("jax") is None:
        pytest.skip("jax is not installed")
    folders = [str(ROOT / name) for name in ("workflow/scripts", "tests", "tests/unit")]
    environment = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "PYTHONPATH": os.pathsep.join(folders)}
    subprocess.run([sys.executable, "-c", f"import test_learning_jax; test_learning_jax.{check.__name__}()"], check=True, env=environment)
