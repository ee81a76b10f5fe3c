"""All that speaks JAX: its set-up, one compiled training update, and inference. JAX's CPU threads are its own choice."""

import os

# Read when JAX is imported: else it takes most of a GPU's memory, which several processes share.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import jax
import jax.numpy as jnp
import keras
import numpy as np

from finalinfarct.learning.adam import adam
from finalinfarct.learning.loss import dice_terms, weighted_dice_loss


def configure(threads, seed):
    """Set the seed of the process; JAX offers no setting for ``threads``, and is deterministic on the CPU."""
    keras.utils.set_random_seed(seed)


def device_name():
    """Name of the device that computes, such as ``CPU`` or that of the graphics card."""
    device = jax.devices()[0]
    return "CPU" if device.platform == "cpu" else device.device_kind


class TrainingStep:
    """One update by Adam on the weighted Dice loss plus the L2 penalty; see ``step_tensorflow.TrainingStep``."""

    def __init__(self, network, images, labels, lesion_weight, denominator):
        self.network, self.lesion_weight, self.denominator = network, lesion_weight, denominator
        self.slices = jnp.asarray(images), jnp.asarray(labels)
        # Weights and other variables of the network, first and second moments: copies, since each update writes over the last one's.
        zeros = [[jnp.zeros(v.shape) for v in network.trainable_variables] for _ in range(2)]
        self.state = [*([jnp.array(value) for value in values] for values in _values(network)), *zeros]
        self._update = jax.jit(self._trace, donate_argnums=0)

    def __call__(self, rows, rate, updates):
        """Update the weights once and return the loss before; see ``step_tensorflow.TrainingStep.__call__``."""
        loss, self.state = self._update(self.state, *self.slices, np.asarray(rows, np.int32), float(rate), float(updates))
        return loss

    def write_back(self):
        """Put the weights into the network: assigning hundreds of variables takes too long for every update."""
        for variables, values in zip((self.network.trainable_variables, self.network.non_trainable_variables), self.state[:2], strict=True):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(jnp.array(value))

    def moments(self):
        """Copy out Adam's moments, a list of arrays."""
        return [np.array(moment) for moments in self.state[2:] for moment in moments]

    def set_moments(self, values):
        """Set what ``moments`` returned."""
        moments = [jnp.array(value) for value in values]
        self.state[2:] = moments[: len(moments) // 2], moments[len(moments) // 2 :]

    def _trace(self, state, images, labels, rows, rate, updates):
        trainable, others, first_moments, second_moments = state
        images, labels = images[rows], labels[rows]

        def loss_of(weights):
            probabilities, changed, penalties = self.network.stateless_call(weights, others, images, training=True, return_losses=True)
            return weighted_dice_loss(labels, probabilities, self.lesion_weight, self.denominator) + sum(penalties), changed

        (loss, changed), gradients = jax.value_and_grad(loss_of, has_aux=True)(trainable)
        places = zip(trainable, gradients, first_moments, second_moments, strict=True)
        trainable, first_moments, second_moments = map(list, zip(*(adam(*place, rate, updates) for place in places), strict=True))
        return loss, [trainable, changed, first_moments, second_moments]


def make_inference(network):
    """Compile a network's prediction: images (slices, X, Y, inputs) to probabilities (slices, X, Y, 3). It follows later changes of the weights."""
    compiled = jax.jit(lambda trainable, others, images: network.stateless_call(trainable, others, images, training=False)[0])
    return lambda images: compiled(*_values(network), images)


def make_validation(network, denominator):
    """Compile ``dice_terms`` of a network's prediction: images, labels to (2, 3)."""

    def terms(trainable, others, images, labels):
        return dice_terms(labels, network.stateless_call(trainable, others, images, training=False)[0], denominator)

    compiled = jax.jit(terms)
    return lambda images, labels: compiled(*_values(network), images, labels)


def _values(network):
    """Values of the trainable and of the other variables, as two lists."""
    return [v.value for v in network.trainable_variables], [v.value for v in network.non_trainable_variables]
