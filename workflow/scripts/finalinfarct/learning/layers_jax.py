"""Layers for JAX in forms that XLA compiles well on a GPU: the weights and the function of Keras's own, tested against them.

XLA takes Keras's variance in two passes over the images, and the library of convolutions has slow kernels for stride 2, for groups, and for the few
channels of the first level. There ``blocks`` come in: images whose blocks of 2x2 voxels are channels, (slices, X/2, Y/2, 4, channels), so that a
convolution from 8 to 8 channels becomes one from 32 to 32. That is four times the multiplications, of which the matrix units have plenty, for a
quarter of the voxels.
"""

from contextlib import contextmanager
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import keras
import numpy as np
from keras.layers import MaxPooling2D

__all__ = ["BatchNormalization", "Conv2D", "Conv2DTranspose", "MaxPooling2D", "blocks", "counting"]
# Which slices of the batch count, (slices,) of 0 and 1, while a training update is traced; None: all.
_counted = None


@contextmanager
def counting(slices):
    """Leave slices that fill up a batch out of batch normalisation: ``slices`` are 1 for those that count, 0 for others."""
    global _counted
    _counted = slices
    try:
        yield
    finally:
        _counted = None


class BatchNormalization(keras.layers.BatchNormalization):
    """Keras's batch normalisation of channels-last images, with mean and variance from one pass over them."""

    def call(self, inputs, training=None, mask=None):
        """Normalise (slices, ..., channels), float32 or bfloat16; in training by the batch, with the moving averages updated."""
        scale, offset, mean, variance = (jnp.asarray(v.value, "float32") for v in (self.gamma, self.beta, self.moving_mean, self.moving_variance))
        images = inputs.astype("float32")
        if training:
            moving = mean, variance
            mean, square = _means(images), _means(images * images)
            variance = jnp.maximum(square - mean * mean, 0.0)
            for variable, old, new in zip((self.moving_mean, self.moving_variance), moving, (mean, variance), strict=True):
                variable.assign(old * self.momentum + jax.lax.stop_gradient(new) * (1.0 - self.momentum))
        factor = scale * jax.lax.rsqrt(variance + self.epsilon)
        return (images * factor + (offset - mean * factor)).astype(inputs.dtype)


class Conv2D(keras.layers.Conv2D):
    """Convolution whose groups, if there are any, are one convolution with a kernel that is zero between groups.

    That is as many times the multiplications as there are groups, in one kernel that fills the matrix units.
    """

    def call(self, inputs):
        """Convolve (slices, X, Y, channels)."""
        if self.groups == 1:
            return super().call(inputs)
        kernel = keras.ops.convert_to_tensor(self.kernel)
        own, filters = kernel.shape[2:]
        same_group = np.repeat(np.arange(self.groups), own)[:, None] == np.repeat(np.arange(self.groups), filters // self.groups)
        kernel = jnp.where(same_group, jnp.tile(kernel, (1, 1, self.groups, 1)), jnp.zeros((), kernel.dtype))
        return self.activation(_convolve(inputs, kernel) + keras.ops.convert_to_tensor(self.bias))


class Conv2DTranspose(keras.layers.Conv2DTranspose):
    """Transposed convolution with a 2x2 kernel and stride 2, whose windows do not overlap, as a matrix product."""

    def call(self, inputs):
        """Double (slices, X, Y, channels) along X and Y."""
        return _from_blocks(self.blocks_of(inputs))

    def blocks_of(self, inputs):
        """Return what it gives as blocks."""
        kernel, bias = (keras.ops.convert_to_tensor(weight) for weight in (self.kernel, self.bias))
        products = jnp.einsum("nxyc,abdc->nxyabd", inputs, kernel)
        return products.reshape(*products.shape[:3], 4, self.filters) + bias


class BlockConv2D(keras.layers.Conv2D):
    """Convolution with a 3x3 kernel of images in blocks."""

    def compute_output_shape(self, input_shape):
        """Shape of the result."""
        return (*input_shape[:-1], self.filters)

    def call(self, inputs):
        """Convolve blocks (slices, X/2, Y/2, 4, channels)."""
        kernel, bias = (keras.ops.convert_to_tensor(weight) for weight in (self.kernel, self.bias))
        _, height, width, _, channels = inputs.shape
        # Voxel a of a block b blocks away lies 2 b + a - p from voxel p of a block: that place of the kernel, if it has it.
        places = 2 * (np.arange(3)[:, None, None] - 1) + np.arange(2)[:, None] - np.arange(2) + 1
        chosen = jnp.asarray(places[..., None] == np.arange(3), kernel.dtype)
        wide = jnp.einsum("iapk,jbql,klcd->ijabcpqd", chosen, chosen, kernel, precision="highest").reshape(3, 3, 4 * channels, 4 * self.filters)
        outputs = _convolve(inputs.reshape(-1, height, width, 4 * channels), wide)
        return self.activation(outputs.reshape(-1, height, width, 4, self.filters) + bias)


class BlockConv2DTranspose(Conv2DTranspose):
    """Transposed convolution whose result is in blocks."""

    def compute_output_shape(self, input_shape):
        """Shape of the result."""
        return (*input_shape[:3], 4, self.filters)

    def call(self, inputs):
        """Double (slices, X, Y, channels) along X and Y."""
        return self.blocks_of(inputs)


class BlockMaxPooling2D(keras.layers.Layer):
    """2x2 max-pooling of blocks. As with other libraries the gradient goes to the first of equal voxels."""

    def __init__(self, pool_size, **settings):
        super().__init__(**settings)
        self.pool_size = pool_size

    def call(self, inputs):
        """Reduce each block to its largest voxel."""
        return _larger(_larger(inputs[..., 0, :], inputs[..., 1, :]), _larger(inputs[..., 2, :], inputs[..., 3, :]))


class ToBlocks(keras.layers.Layer):
    """Images (slices, X, Y, channels) to blocks."""

    def call(self, inputs):
        """Rearrange."""
        return _to_blocks(inputs)


class FromBlocks(keras.layers.Layer):
    """Blocks to images (slices, X, Y, channels)."""

    def call(self, inputs):
        """Rearrange."""
        return _from_blocks(inputs)


blocks = SimpleNamespace(
    BatchNormalization=BatchNormalization,
    Conv2D=BlockConv2D,
    Conv2DTranspose=BlockConv2DTranspose,
    MaxPooling2D=BlockMaxPooling2D,
    begin=ToBlocks,
    end=FromBlocks,
)


def _means(values):
    """Mean by channel over the slices that count."""
    if _counted is None:
        return jnp.mean(values, range(values.ndim - 1))
    weights = (_counted / (jnp.sum(_counted) * np.prod(values.shape[1:-1]))).reshape(-1, *(1,) * (values.ndim - 1))
    return jnp.sum(values * weights, range(values.ndim - 1))


def _convolve(images, kernel):
    return keras.ops.conv(images, kernel, padding="same")


def _to_blocks(images):
    _, height, width, channels = images.shape
    windows = images.reshape(-1, height // 2, 2, width // 2, 2, channels)
    return windows.transpose(0, 1, 3, 2, 4, 5).reshape(-1, height // 2, width // 2, 4, channels)


def _from_blocks(images):
    _, height, width, _, channels = images.shape
    windows = images.reshape(-1, height, width, 2, 2, channels)
    return windows.transpose(0, 1, 3, 2, 4, 5).reshape(-1, 2 * height, 2 * width, channels)


def _larger(first, second):
    """Elementwise maximum whose gradient goes to ``first`` where both are equal."""
    return jnp.where(first >= second, first, second)
