"""Layers for TensorFlow: those of Keras, and batch normalisation as one fused kernel where Keras composes it from many."""

import keras
import tensorflow as tf
from keras.layers import Conv2D, Conv2DTranspose

__all__ = ["BatchNormalization", "Conv2D", "Conv2DTranspose"]


class BatchNormalization(keras.layers.BatchNormalization):
    """Keras's batch normalisation of channels-last images by TensorFlow's fused kernel.

    It has the same weights, arithmetic and, by its name, the same place in a weights file as the layer that it derives from.
    """

    def call(self, inputs, training=None, mask=None):
        """Normalise (slices, X, Y, channels), float32 or bfloat16; in training by the batch, with the moving averages updated."""
        scale, offset, mean, variance = (v.value for v in (self.gamma, self.beta, self.moving_mean, self.moving_variance))
        # The kernel for bfloat16 takes twenty times as long when the channels do not fill its registers.
        images = tf.cast(inputs, tf.float32) if inputs.shape[-1] % 16 else inputs
        kernel = {"x": images, "scale": scale, "offset": offset, "epsilon": self.epsilon}
        if not training:
            return tf.cast(tf.raw_ops.FusedBatchNormV3(mean=mean, variance=variance, is_training=False, **kernel).y, inputs.dtype)
        result = tf.raw_ops.FusedBatchNormV3(mean=[], variance=[], is_training=True, **kernel)
        # The kernel returns the variance with n - 1 in the denominator; Keras's moving average takes the one with n.
        biased = result.batch_variance * (1.0 - inputs.shape[-1] / tf.cast(tf.size(inputs), tf.float32))
        mean.assign_sub((mean - result.batch_mean) * (1.0 - self.momentum))
        variance.assign_sub((variance - biased) * (1.0 - self.momentum))
        return tf.cast(result.y, inputs.dtype)
