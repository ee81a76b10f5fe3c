"""What speaks TensorFlow beside the layers: set-up, one training update, validation and inference.

A training of the small protocol has about a hundred updates, so that tracing costs as much as training. Hence kernels that do in one operation what
Keras composes from many: Adam here, batch normalisation in ``layers_tensorflow``, each tested against Keras's own.
"""

import logging

import keras
import numpy as np
import tensorflow as tf

from finalinfarct.learning.adam import BETA_1, BETA_2, EPSILON
from finalinfarct.learning.loss import dice_terms, weighted_dice_loss

log = logging.getLogger(__name__)


def configure(threads, seed):
    """Set threads, seed and determinism of the process. Threads can only be set before TensorFlow's first operation.

    Parameters
    ----------
    threads : int
        Threads within and between operations.
    seed : int
        Seed of Python, NumPy and Keras: initial weights and dropout.
    """
    current = (tf.config.threading.get_intra_op_parallelism_threads(), tf.config.threading.get_inter_op_parallelism_threads())
    if current != (threads, threads):
        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
        except RuntimeError:
            log.warning("TensorFlow runs already with other thread settings than %d; they stay", threads)
    for card in tf.config.list_physical_devices("GPU"):
        try:
            tf.config.experimental.set_memory_growth(card, True)
        except RuntimeError:
            log.warning("the memory of %s is reserved already", card.name)
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def device_name():
    """Name of the device that computes, such as ``CPU`` or that of the graphics card."""
    cards = tf.config.list_physical_devices("GPU")
    return tf.config.experimental.get_device_details(cards[0]).get("device_name", "GPU") if cards else "CPU"


def event_writer(folder):
    """Return a function that writes what an epoch gave, a dict of numbers with its ``epoch``, as scalars that TensorBoard shows."""
    writer = tf.summary.create_file_writer(str(folder))
    # What tf.summary.scalar sets; that function comes with TensorBoard, which need not be installed.
    metadata = tf.compat.v1.SummaryMetadata(plugin_data={"plugin_name": "scalars"}, data_class="DATA_CLASS_SCALAR")

    def write(row):
        with writer.as_default(step=row["epoch"]):
            for name, value in row.items():
                if name != "epoch":
                    tf.summary.write(name, tf.constant(value, tf.float32), metadata=metadata)
        writer.flush()

    return write


class TrainingStep:
    """One update by Adam (Kingma and Ba 2015, with Keras's constants) on the weighted Dice loss plus the L2 penalty.

    Parameters
    ----------
    network : keras.Model
        Network to train.
    training, validation : (numpy.ndarray, numpy.ndarray)
        All slices to train on and to validate with: images float32 (slices, X, Y, inputs), labels uint8 (slices, X, Y). They go to the device once.
    size : int
        Number of slices in a full batch.
    lesion_weight, denominator
        As for ``weighted_dice_loss``.
    """

    def __init__(self, network, training, validation, size, lesion_weight, denominator):
        self.network, self.size = network, size
        # As float32, which GPUs gather too, the labels stay on the device.
        self.training, self.validation = ((tf.constant(images), tf.constant(labels.astype(np.float32))) for images, labels in (training, validation))
        self.lesion_weight, self.denominator = lesion_weight, denominator
        self.weights = [variable.value for variable in network.trainable_variables]
        self.first_moments = [tf.Variable(tf.zeros(w.shape), trainable=False) for w in self.weights]
        self.second_moments = [tf.Variable(tf.zeros(w.shape), trainable=False) for w in self.weights]
        # The batch is left open, so that the last, smaller batch of an epoch is not traced again.
        rows, number = tf.TensorSpec((None,), tf.int32), tf.TensorSpec((), tf.float32)
        self._update = tf.function(self._trace, input_signature=[rows, number, number], autograph=False)
        self._validate = tf.function(self._terms, input_signature=[rows], autograph=False)

    def __call__(self, rows, rate, updates):
        """Update the weights once.

        Parameters
        ----------
        rows : numpy.ndarray
            Integers, the batch: which of the training slices.
        rate : float
            Learning rate of this update.
        updates : int
            Number of updates done before.

        Returns
        -------
        tensor
            Scalar, loss before the update. Reading it waits for the device.
        """
        return self._update(np.asarray(rows, np.int32), float(rate), float(updates))

    def validate(self):
        """Add up ``dice_terms`` of all validation slices.

        Returns
        -------
        numpy.ndarray
            float64, (2, 3). How many slices are predicted at once changes nothing but the rounding.
        """
        rows = np.arange(len(self.validation[0]), dtype=np.int32)
        return sum(self._validate(some).numpy().astype(np.float64) for some in np.split(rows, range(self.size, len(rows), self.size)))

    def write_back(self):
        """Put the weights into the network, where they are not already: here each update changes them in place."""

    def moments(self):
        """Copy out Adam's moments, a list of arrays."""
        return [moment.numpy() for moment in (*self.first_moments, *self.second_moments)]

    def set_moments(self, values):
        """Set what ``moments`` returned."""
        for moment, value in zip((*self.first_moments, *self.second_moments), values, strict=True):
            moment.assign(value)

    def _trace(self, rows, rate, updates):
        images, labels = self._take(self.training, rows)
        with tf.GradientTape() as tape:
            probabilities = self.network(images, training=True)
            loss = weighted_dice_loss(labels, probabilities, self.lesion_weight, self.denominator) + tf.add_n(self.network.losses)
        gradients = tape.gradient(loss, self.weights)
        # Made once: constants made anew for each of the 242 variables take an eighth of the time of tracing.
        shared = {
            "lr": rate,
            "beta1": tf.constant(BETA_1),
            "beta2": tf.constant(BETA_2),
            "epsilon": tf.constant(EPSILON),
            "beta1_power": BETA_1 ** (updates + 1.0),
            "beta2_power": BETA_2 ** (updates + 1.0),
        }
        for weight, first, second, gradient in zip(self.weights, self.first_moments, self.second_moments, gradients, strict=True):
            tf.raw_ops.ResourceApplyAdam(var=weight.handle, m=first.handle, v=second.handle, grad=gradient, **shared)
        return loss

    def _terms(self, rows):
        images, labels = self._take(self.validation, rows)
        return dice_terms(labels, self.network(images, training=False), self.denominator)

    @staticmethod
    def _take(slices, rows):
        return tf.gather(slices[0], rows), tf.cast(tf.gather(slices[1], rows), tf.uint8)


def make_inference(network):
    """Compile a network's prediction: images (slices, X, Y, inputs) to probabilities (slices, X, Y, 3). It follows later changes of the weights."""
    signature = [tf.TensorSpec((None, *network.input_shape[1:]), tf.float32)]
    return tf.function(lambda images: network(images, training=False), input_signature=signature, autograph=False)
