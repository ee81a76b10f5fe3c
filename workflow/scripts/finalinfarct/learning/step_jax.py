"""What speaks JAX beside the layers: set-up, one compiled training update, validation and inference. JAX's CPU threads are its own choice."""

import math
import os
from pathlib import Path

# Read when JAX is imported: else it takes most of a GPU's memory, which several processes share.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import jax
import jax.numpy as jnp
import keras
import numpy as np

from finalinfarct.dataset.contract import CLASSES
from finalinfarct.learning import layers_jax
from finalinfarct.learning.adam import adam
from finalinfarct.learning.loss import dice_terms, weighted_dice_loss


def configure(threads, seed):
    """Set the seed of the process and, on a GPU, the folder of compiled programs, unless JAX_COMPILATION_CACHE_DIR names one.

    JAX offers no setting for ``threads``, and is deterministic on the CPU.
    """
    keras.utils.set_random_seed(seed)
    if device_name() != "CPU" and not jax.config.jax_compilation_cache_dir:
        # Compiling takes longer than hundreds of updates, and trainings of one kind of network need the same programs. The folder is the user's own:
        # programs are code, and what another user left in a shared one would be run. Those for CPUs may fail on other CPUs that share the folder.
        caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        jax.config.update("jax_compilation_cache_dir", str(Path(caches) / "finalinfarct" / "jax"))


def device_name():
    """Name of the device that computes, such as ``CPU`` or that of the graphics card."""
    device = jax.devices()[0]
    return "CPU" if device.platform == "cpu" else device.device_kind


class TrainingStep:
    """One update by Adam on the weighted Dice loss plus the L2 penalty; see ``step_tensorflow.TrainingStep``.

    Weights, moving averages and moments are one vector each, so that an update is called with a dozen arrays in place of hundreds and Adam is one
    kernel.
    """

    def __init__(self, network, training, validation, size, lesion_weight, denominator):
        self.network, self.lesion_weight, self.denominator = network, lesion_weight, denominator
        # Batches are filled up to this.
        self.size = min(size, max(len(training[0]), len(validation[0])))
        self.training, self.validation = (tuple(map(jnp.asarray, part)) for part in (training, validation))
        averages = [v for v in network.non_trainable_variables if v.dtype == "float32"]
        self.variables = network.trainable_variables, averages
        self.random = [v for v in network.non_trainable_variables if v.dtype != "float32"]
        # Copies, since each update writes over the last one's.
        weights, averages = (_join([v.value for v in variables]) for variables in self.variables)
        self.state = [weights, averages, jnp.zeros_like(weights), jnp.zeros_like(weights), [jnp.array(v.value) for v in self.random]]
        self.penalties = _join([jnp.full(v.shape, v.regularizer.l2 if v.regularizer else 0.0) for v in network.trainable_variables])
        # Apart from the update, so that its program does not depend on the number of slices.
        self._take = jax.jit(_take)
        self._update, self._validate = jax.jit(self._trace, donate_argnums=0), jax.jit(self._terms)

    def __call__(self, rows, rate, updates):
        """Update the weights once and return the loss before; see ``step_tensorflow.TrainingStep.__call__``."""
        loss, self.state = self._update(self.state, self.penalties, *self._batch(self.training, rows), float(rate), float(updates))
        return loss

    def validate(self):
        """Add up ``dice_terms`` of the validation slices; see ``step_tensorflow.TrainingStep.validate``."""
        rows = np.arange(len(self.validation[0]))
        batches = (self._batch(self.validation, some) for some in np.split(rows, range(self.size, len(rows), self.size)))
        return np.asarray([self._validate(*self.state[:2], *batch) for batch in batches], np.float64).sum(0)

    def _batch(self, slices, rows):
        """Images and labels of some slices, filled up to the size of a full batch, and which of them count: one compiled program fits all batches.

        Slices that fill up have the label of no class.
        """
        filled = np.zeros(self.size, np.int32)
        filled[: len(rows)] = rows
        return self._take(*slices, filled, np.arange(self.size) < len(rows))

    def write_back(self):
        """Put the weights into the network: assigning hundreds of variables takes too long for every update."""
        for variables, joined in zip(self.variables, self.state, strict=False):
            for variable, value in zip(variables, _part(np.asarray(joined), variables), strict=True):
                # Copied: JAX would share the memory of a state that the next update writes over.
                variable.assign(jnp.array(value))
        for variable, value in zip(self.random, self.state[-1], strict=True):
            variable.assign(jnp.array(value))

    def moments(self):
        """Copy out Adam's moments, a list of arrays."""
        return [np.array(moment) for joined in self.state[2:4] for moment in _part(np.asarray(joined), self.variables[0])]

    def set_moments(self, values):
        """Set what ``moments`` returned."""
        half = len(values) // 2
        self.state[2:4] = _join(values[:half]), _join(values[half:])

    def _trace(self, state, penalties, images, labels, counted, rate, updates):
        weights, averages, first_moments, second_moments, random = state

        def loss_of(parts):
            with layers_jax.counting(counted):
                probabilities, changed = self.network.stateless_call(parts, self._others(averages, random), images, training=True)
            return weighted_dice_loss(labels, probabilities * counted[:, None, None, None], self.lesion_weight, self.denominator), changed

        (loss, changed), gradients = jax.value_and_grad(loss_of, has_aux=True)(_part(weights, self.variables[0]))
        loss += jnp.sum(penalties * weights * weights)
        gradient = _join(gradients) + 2.0 * penalties * weights
        weights, first_moments, second_moments = adam(weights, gradient, first_moments, second_moments, rate, updates)
        averages = _join([value for value in changed if value.dtype == jnp.float32])
        random = [value for value in changed if value.dtype != jnp.float32]
        return loss, [weights, averages, first_moments, second_moments, random]

    def _terms(self, weights, averages, images, labels, counted):
        others = self._others(averages, [v.value for v in self.random])
        probabilities = self.network.stateless_call(_part(weights, self.variables[0]), others, images, training=False)[0]
        return dice_terms(labels, probabilities * counted[:, None, None, None], self.denominator)

    def _others(self, averages, random):
        """Values of the network's other variables in its order."""
        parts, random = iter(_part(averages, self.variables[1])), iter(random)
        return [next(parts if v.dtype == "float32" else random) for v in self.network.non_trainable_variables]


def make_inference(network):
    """Compile a network's prediction: images (slices, X, Y, inputs) to probabilities (slices, X, Y, 3). It follows later changes of the weights."""
    compiled = jax.jit(lambda trainable, others, images: network.stateless_call(trainable, others, images, training=False)[0])
    return lambda images: compiled(*([v.value for v in vs] for vs in (network.trainable_variables, network.non_trainable_variables)), images)


def _take(images, labels, rows, counted):
    return images[rows], jnp.where(counted[:, None, None], labels[rows], len(CLASSES)), counted.astype("float32")


def _join(arrays):
    """Arrays as one vector."""
    return jnp.concatenate([jnp.ravel(array) for array in arrays])


def _part(joined, variables):
    """Undo ``_join``: parts with the shapes of variables."""
    sizes = [math.prod(v.shape) for v in variables]
    return [joined[end - size : end].reshape(v.shape) for end, size, v in zip(np.cumsum(sizes), sizes, variables, strict=True)]
