"""The U-Net with one encoder branch per input (late fusion) or one for all inputs (early fusion)."""

import math
import random

import numpy as np

from finalinfarct.dataset.contract import CLASSES
from finalinfarct.errors import InputError

ENCODER_WIDTHS = (8, 16, 32, 64, 128)
DECODER_WIDTHS = (64, 32, 16, 8)
GROUPED = "branches"


def build_network(
    fusion,
    n_inputs,
    matrix,
    dropout=0.5,
    l2=2e-4,
    initializer="glorot_uniform",
    batch_normalization_momentum=0.99,
    batch_normalization_epsilon=1e-3,
    precision="float32",
    branches="separate",
):
    """Build the network of Debs et al. 2021 (section 2.3, table 1), with random weights from Keras's global seed.

    Each block is (3x3 convolution with bias, ReLU, batch normalisation) twice. The encoder has five blocks with 2x2 max-pooling between them and
    dropout after the fourth (before its pooling) and the fifth. Late fusion gives each input its own encoder and concatenates them at the bottleneck;
    the decoder's 2x2 transposed convolutions are concatenated with the skips of all encoders. These choices give the printed parameter counts.

    Parameters
    ----------
    fusion : str
        ``late`` or ``early``.
    n_inputs : int
        Number of input images.
    matrix : int
        Height and width of a slice in voxels, a multiple of 16.
    dropout : float
        Dropout rate.
    l2 : float
        Every convolution kernel w, also of the transposed ones, adds l2 * sum(w^2) to the network's ``losses``.
    initializer : str
        Keras initializer of the convolution kernels.
    batch_normalization_momentum, batch_normalization_epsilon : float
        Momentum of the moving averages; constant added to the variance.
    precision : str
        ``float32``; or ``bfloat16`` for what the layers compute, with weights, moving averages and the head in float32 as ever.
    branches : str
        ``separate``, or ``grouped``: the encoders of late fusion as one whose convolutions have a group for each input. The function and the number
        of parameters are the same (``copy_weights``), the initial weights not: Keras scales them by the width of the layer.

    Returns
    -------
    keras.Model
        (slices, matrix, matrix, n_inputs) to class probabilities (slices, matrix, matrix, 3): background, healthy tissue, lesion.

    Raises
    ------
    InputError
        The matrix is not a multiple of 16, or the fusion is unknown.
    """
    import keras
    from keras import layers

    if matrix < 16 or matrix % 16:
        raise InputError("images.matrix", f"{matrix} cannot be halved four times", "set it to a multiple of 16")
    if fusion not in ("late", "early"):
        raise InputError("fusion", f"unknown kind '{fusion}'", "use late or early")
    fast = _layers_of_backend()
    together = n_inputs if fusion == "late" and branches == "grouped" else 1
    policy = {"dtype": "mixed_bfloat16" if precision == "bfloat16" else "float32"}
    kernel = {"kernel_initializer": initializer, "kernel_regularizer": keras.regularizers.L2(l2)}
    moments = {"momentum": batch_normalization_momentum, "epsilon": batch_normalization_epsilon}

    def block(x, width, name, groups=1):
        for part in (1, 2):
            x = fast.Conv2D(width * groups, 3, padding="same", groups=groups, activation="relu", name=f"{name}_conv{part}", **kernel, **policy)(x)
            x = fast.BatchNormalization(name=f"{name}_norm{part}", **moments, **policy)(x)
        return x

    def encoder(x, name):
        skips = []
        for level, width in enumerate(ENCODER_WIDTHS, start=1):
            x = block(x, width, f"{name}_block{level}", together)
            if level >= 4:
                # Drawn as Keras would. Without a seed PyTorch's dropout follows a state of the process that no checkpoint holds.
                seed = random.randint(1, 10**9) if dropout else None
                x = layers.Dropout(dropout, seed=seed, name=f"{name}_dropout{level}", **policy)(x)
            if level < len(ENCODER_WIDTHS):
                skips.append(x)
                x = layers.MaxPooling2D(2, name=f"{name}_pool{level}", **policy)(x)
        return x, skips

    images = keras.Input((matrix, matrix, n_inputs), name="images")
    if together > 1:
        encoded = [encoder(images, GROUPED)]
    else:
        separate = keras.ops.split(images, n_inputs, axis=-1) if fusion == "late" and n_inputs > 1 else [images]
        encoded = [encoder(x, f"branch{number}") for number, x in enumerate(separate, start=1)]
    ends = [end for end, _ in encoded]
    x = layers.Concatenate(name="concatenation", **policy)(ends) if len(ends) > 1 else ends[0]
    for level, width in zip((4, 3, 2, 1), DECODER_WIDTHS, strict=True):
        x = fast.Conv2DTranspose(width, 2, strides=2, name=f"decoder{level}_up", **kernel, **policy)(x)
        x = layers.Concatenate(name=f"decoder{level}_skips", **policy)([x] + [skips[level - 1] for _, skips in encoded])
        x = block(x, width, f"decoder{level}")
    probabilities = layers.Conv2D(len(CLASSES), 3, padding="same", activation="softmax", name="head", dtype="float32", **kernel)(x)
    return keras.Model(images, probabilities, name=f"{fusion}_fusion_{n_inputs}_inputs")


def network_from_settings(fusion, inputs, matrix, settings, precision="float32", branches="separate"):
    """Build the network that the training settings (configuration ``training``) describe; only trainings choose precision and branches."""
    keys = ("dropout", "l2", "initializer", "batch_normalization_momentum", "batch_normalization_epsilon")
    return build_network(fusion, len(inputs), matrix, precision=precision, branches=branches, **{key: settings[key] for key in keys})


def copy_weights(source, target):
    """Copy the weights of a network into one of the same function, whichever of them has its branches grouped.

    The last axis of every weight and moving average of a grouped layer holds the branches one after the other. Random states are not copied.

    Parameters
    ----------
    source, target : keras.Model
        Of ``build_network``, alike but for ``precision`` and ``branches``.
    """
    values = {}
    for layer in source.layers:
        names = _plain_names(source, layer)
        for variable in layer.weights:
            for name, part in zip(names, np.split(variable.numpy(), len(names), axis=-1), strict=True):
                values[name, variable.name] = part
    for layer in target.layers:
        for variable in layer.weights:
            variable.assign(np.concatenate([values[name, variable.name] for name in _plain_names(target, layer)], axis=-1))


def _plain_names(network, layer):
    """Names, in a network of separate branches, of the layers that a layer stands for."""
    if not layer.name.startswith(f"{GROUPED}_"):
        return [layer.name]
    return [layer.name.replace(GROUPED, f"branch{number}", 1) for number in range(1, network.input_shape[-1] + 1)]


def _layers_of_backend():
    """Layers of the backend in use: the same weights and arithmetic as Keras's, in the forms that are fastest there."""
    import keras

    if keras.config.backend() == "jax":
        from finalinfarct.learning import layers_jax

        return layers_jax
    if keras.config.backend() == "tensorflow":
        from finalinfarct.learning import layers_tensorflow

        return layers_tensorflow
    return keras.layers


def encoder_table(network):
    """Rows of the paper's table 1, read off the layers of a network.

    Parameters
    ----------
    network : keras.Model
        As ``build_network`` returns it.

    Returns
    -------
    list of (str, tuple of int)
        Layer and its output shape (height, width, channels), of one branch and of their concatenation (late fusion of several inputs only).
    """
    rows = [
        ("Conv Block 1", "branch1_block1_norm2"),
        ("2D MaxPooling", "branch1_pool1"),
        ("Conv Block 2", "branch1_block2_norm2"),
        ("2D MaxPooling", "branch1_pool2"),
        ("Conv Block 3", "branch1_block3_norm2"),
        ("2D MaxPooling", "branch1_pool3"),
        ("Conv Block 4", "branch1_block4_norm2"),
        ("Dropout + 2D MaxPooling", "branch1_pool4"),
        ("Conv Block 5 + Dropout", "branch1_dropout5"),
        ("Concatenation", "concatenation"),
    ]
    shapes = {layer.name: tuple(layer.output.shape[1:]) for layer in network.layers if hasattr(layer, "output")}
    return [(title, shapes[name]) for title, name in rows if name in shapes]


def count_parameters(network):
    """Return the number of trainable parameters."""
    return sum(math.prod(variable.shape) for variable in network.trainable_variables)
