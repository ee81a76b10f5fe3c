"""Layers for JAX in forms that XLA compiles well on a GPU: the weights and the function of Keras's own, tested against them.

XLA takes Keras's variance in two passes over the images, and the library that it calls has slow kernels for convolutions with groups or stride.
"""

from contextlib import contextmanager

import jax
import jax.numpy as jnp
import keras
import numpy as np

__all__ = ["BatchNormalization", "Conv2D", "Conv2DTranspose", "counting"]
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
    """Keras's batch normalisation of channels-last images, with mean and variance from one pass over them.

    In float32 the variance is exact to rounding where the mean of the batch is not hundreds of standard deviations from the moving average.
    """

    def call(self, inputs, training=None, mask=None):
        """Normalise (slices, X, Y, channels), float32 or bfloat16; in training by the batch, with the moving averages updated."""
        scale, offset, mean, variance = (jnp.asarray(v.value, "float32") for v in (self.gamma, self.beta, self.moving_mean, self.moving_variance))
        images = inputs.astype("float32")
        if training:
            moving = mean, variance
            # From about where the mean is, so that the difference of squares does not cancel.
            shifted = images - mean
            shift, square = _means(shifted), _means(shifted * shifted)
            mean, variance = mean + shift, jnp.maximum(square - shift * shift, 0.0)
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
        kernel, bias = (keras.ops.convert_to_tensor(weight) for weight in (self.kernel, self.bias))
        own, filters = kernel.shape[2:]
        same_group = np.repeat(np.arange(self.groups), own)[:, None] == np.repeat(np.arange(self.groups), filters // self.groups)
        kernel = jnp.where(same_group, jnp.tile(kernel, (1, 1, self.groups, 1)), jnp.zeros((), kernel.dtype))
        return self.activation(keras.ops.conv(inputs, kernel, padding=self.padding) + bias)


class Conv2DTranspose(keras.layers.Conv2DTranspose):
    """Transposed convolution with a 2x2 kernel and stride 2, whose windows do not overlap, as a matrix product."""

    def call(self, inputs):
        """Double (slices, X, Y, channels) along X and Y."""
        kernel, bias = (keras.ops.convert_to_tensor(weight) for weight in (self.kernel, self.bias))
        windows = jnp.einsum("nxyc,abdc->nxaybd", inputs, kernel)
        _, height, _, width, _, filters = windows.shape
        return windows.reshape(-1, 2 * height, 2 * width, filters) + bias


def _means(images):
    """Mean by channel over the slices that count."""
    if _counted is None:
        return jnp.mean(images, (0, 1, 2))
    weights = _counted / (jnp.sum(_counted) * images.shape[1] * images.shape[2])
    return jnp.sum(images * weights[:, None, None, None], (0, 1, 2))
