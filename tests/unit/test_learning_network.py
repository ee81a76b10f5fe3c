import numpy as np
import pytest

from finalinfarct.errors import InputError


def build(*arguments, **settings):
    from finalinfarct.learning.network import build_network

    return build_network(*arguments, **settings)


@pytest.mark.parametrize(
    ("fusion", "inputs", "printed"),
    # Debs et al. 2021, appendix B; early fusion: four channels more into 8 filters of 3 x 3.
    [("late", 5, 1997851), ("late", 3, 1242603), ("late", 1, 487355), ("early", 5, 487643)],
)
def test_parameters_are_those_of_the_paper(fusion, inputs, printed):
    from finalinfarct.learning.network import count_parameters

    network = build(fusion, inputs, 32)
    assert count_parameters(network) == printed
    assert network.input_shape == (None, 32, 32, inputs)
    assert network.output_shape == (None, 32, 32, 3)


def test_encoder_is_table_1():
    from finalinfarct.learning.network import encoder_table

    assert encoder_table(build("late", 5, 192)) == [
        ("Conv Block 1", (192, 192, 8)),
        ("2D MaxPooling", (96, 96, 8)),
        ("Conv Block 2", (96, 96, 16)),
        ("2D MaxPooling", (48, 48, 16)),
        ("Conv Block 3", (48, 48, 32)),
        ("2D MaxPooling", (24, 24, 32)),
        ("Conv Block 4", (24, 24, 64)),
        ("Dropout + 2D MaxPooling", (12, 12, 64)),
        ("Conv Block 5 + Dropout", (12, 12, 128)),
        ("Concatenation", (12, 12, 640)),
    ]
    assert encoder_table(build("early", 5, 64))[-1] == ("Conv Block 5 + Dropout", (4, 4, 128))


def source(network, layer):
    """Names of the layers whose outputs a layer takes."""
    tensors = network.get_layer(layer).input
    return [tensor._keras_history.operation.name for tensor in (tensors if isinstance(tensors, list) else [tensors])]


def test_blocks_are_convolution_relu_normalisation_twice():
    network = build("late", 2, 32)
    assert network.get_layer("branch2_block3_conv1").activation.__name__ == "relu"
    assert source(network, "branch2_block3_conv1") == ["branch2_pool2"]
    assert source(network, "branch2_block3_norm1") == ["branch2_block3_conv1"]
    assert source(network, "branch2_block3_conv2") == ["branch2_block3_norm1"]
    assert source(network, "branch2_block3_norm2") == ["branch2_block3_conv2"]
    assert source(network, "branch2_pool3") == ["branch2_block3_norm2"]
    assert source(network, "branch1_pool4") == ["branch1_dropout4"]
    assert source(network, "concatenation") == ["branch1_dropout5", "branch2_dropout5"]
    assert source(network, "decoder4_up") == ["concatenation"]
    assert source(network, "decoder4_skips") == ["decoder4_up", "branch1_dropout4", "branch2_dropout4"]
    assert source(network, "decoder1_skips") == ["decoder1_up", "branch1_block1_norm2", "branch2_block1_norm2"]
    assert network.get_layer("head").activation.__name__ == "softmax"
    assert network.get_layer("head").kernel_size == (3, 3)


def test_settings_reach_the_layers():
    from finalinfarct.learning.network import network_from_settings

    settings = {"dropout": 0.3, "l2": 0.01, "initializer": "he_normal"}
    settings |= {"batch_normalization_momentum": 0.7, "batch_normalization_epsilon": 0.02}
    network = network_from_settings("late", ["DWI", "ADC"], 32, settings)
    norm = network.get_layer("decoder2_norm1")
    assert (norm.momentum, norm.epsilon) == (0.7, 0.02)
    assert network.get_layer("branch1_dropout5").rate == 0.3
    assert type(network.get_layer("head").kernel_initializer).__name__ == "HeNormal"
    assert float(network.get_layer("head").kernel_regularizer.l2) == pytest.approx(0.01)
    default = build("late", 1, 32).get_layer("decoder2_norm1")
    assert (default.momentum, default.epsilon) == (0.99, 1e-3)


def test_l2_penalty_is_the_weighted_sum_of_squared_kernels():
    network = build("late", 2, 32, l2=2e-4)
    kernels = [w for layer in network.layers if "Conv2D" in type(layer).__name__ for w in layer.get_weights()[:1]]
    assert len(kernels) == 2 * 10 + 4 * 3 + 1
    expected = 2e-4 * sum((kernel.astype(np.float64) ** 2).sum() for kernel in kernels)
    assert float(sum(network.losses)) == pytest.approx(expected, rel=1e-5)


def test_late_branches_see_their_own_input_only():
    import keras

    network = build("late", 2, 32)
    ends = keras.Model(network.input, [network.get_layer(f"branch{n}_block2_norm2").output for n in (1, 2)])
    images = np.random.default_rng(0).normal(size=(1, 32, 32, 2)).astype(np.float32)
    other = images.copy()
    other[..., 1] += 1
    first, second = (np.asarray(x) for x in ends(images))
    first_again, second_again = (np.asarray(x) for x in ends(other))
    np.testing.assert_array_equal(first, first_again)
    assert np.abs(second - second_again).max() > 1e-3


@pytest.mark.parametrize(("fusion", "matrix"), [("late", 100), ("late", 0), ("middle", 64)])
def test_unsuitable_networks_are_refused(fusion, matrix):
    with pytest.raises(InputError, match=r"multiple of 16|late or early"):
        build(fusion, 2, matrix)


@pytest.mark.parametrize("training", [True, False])
def test_fused_normalisation_equals_keras(training):
    import keras
    import tensorflow as tf

    from finalinfarct.learning.layers_tensorflow import BatchNormalization

    generator = np.random.default_rng(1)
    x = tf.constant(generator.normal(2, 3, (3, 4, 4, 5)).astype(np.float32))
    slope = tf.constant(generator.normal(0, 1, x.shape).astype(np.float32))
    weights = [generator.uniform(0.5, 2, 5) for _ in range(4)]
    outputs = []
    for kind in (BatchNormalization, keras.layers.BatchNormalization):
        layer = kind(momentum=0.8, epsilon=1e-2)
        layer.build(x.shape)
        layer.set_weights(weights)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=training)
            value = tf.reduce_mean(y**2 * slope)
        outputs.append([y, *tape.gradient(value, [x, layer.gamma.value, layer.beta.value]), *layer.get_weights()])
    for fused, composed in zip(*outputs, strict=True):
        np.testing.assert_allclose(np.asarray(fused), np.asarray(composed), rtol=1e-4, atol=1e-5)


def test_weights_file_fits_the_network_with_keras_own_layers(tmp_path, monkeypatch):
    import keras

    from finalinfarct.learning import network as module

    fused = build("late", 2, 32)
    fused.set_weights([np.random.default_rng(i).uniform(0.1, 0.2, w.shape) for i, w in enumerate(fused.get_weights())])
    fused.save_weights(tmp_path / "model.weights.h5")
    monkeypatch.setattr(module, "_layers_of_backend", lambda: keras.layers)
    plain = build("late", 2, 32)
    plain.load_weights(tmp_path / "model.weights.h5")
    images = np.random.default_rng(0).normal(size=(2, 32, 32, 2)).astype(np.float32)
    np.testing.assert_allclose(np.asarray(fused(images)), np.asarray(plain(images)), atol=1e-5)
