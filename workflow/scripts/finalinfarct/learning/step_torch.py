"""All that speaks PyTorch: its set-up, one training update, validation and inference."""

import keras
import numpy as np
import torch

from finalinfarct.learning.adam import adam
from finalinfarct.learning.loss import dice_terms, weighted_dice_loss


def configure(threads, seed):
    """Set threads, seed and determinism of the process; see ``step_tensorflow.configure``."""
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    keras.utils.set_random_seed(seed)


def device_name():
    """Name of the device that computes, such as ``CPU`` or that of the graphics card."""
    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "CPU"


class TrainingStep:
    """One update by Adam on the weighted Dice loss plus the L2 penalty; see ``step_tensorflow.TrainingStep``."""

    def __init__(self, network, training, validation, size, lesion_weight, denominator):
        self.network, self.size, self.lesion_weight, self.denominator = network, size, lesion_weight, denominator
        self.training, self.validation = (tuple(map(_tensor, part)) for part in (training, validation))
        self.weights = [variable.value for variable in network.trainable_variables]
        self.first_moments, self.second_moments = ([torch.zeros_like(weight) for weight in self.weights] for _ in range(2))

    def __call__(self, rows, rate, updates):
        """Update the weights once and return the loss before; see ``step_tensorflow.TrainingStep.__call__``."""
        rows = _tensor(np.asarray(rows, np.int64))
        images, labels = (part[rows] for part in self.training)
        loss = weighted_dice_loss(labels, self.network(images, training=True), self.lesion_weight, self.denominator)
        loss = loss + sum(self.network.losses)
        gradients = torch.autograd.grad(loss, self.weights)
        with torch.no_grad():
            for place in zip(self.weights, gradients, self.first_moments, self.second_moments, strict=True):
                weight, _, first, second = place
                for old, new in zip((weight, first, second), adam(*place, rate, updates), strict=True):
                    old.copy_(new)
        return loss.detach()

    def validate(self):
        """Add up ``dice_terms`` of the validation slices; see ``step_tensorflow.TrainingStep.validate``."""
        with torch.no_grad():
            batches = zip(*(part.split(self.size) for part in self.validation), strict=True)
            terms = [dice_terms(labels, self.network(images, training=False), self.denominator) for images, labels in batches]
        return torch.stack(terms).numpy(force=True).astype(np.float64).sum(0)

    def write_back(self):
        """Do nothing: each update changes the network's weights in place."""

    def moments(self):
        """Copy out Adam's moments, a list of arrays."""
        return [moment.numpy(force=True).copy() for moment in (*self.first_moments, *self.second_moments)]

    def set_moments(self, values):
        """Set what ``moments`` returned."""
        for moment, value in zip((*self.first_moments, *self.second_moments), values, strict=True):
            moment.copy_(torch.from_numpy(np.ascontiguousarray(value)))


def make_inference(network):
    """Return a network's prediction: images (slices, X, Y, inputs) to probabilities (slices, X, Y, 3)."""

    def infer(images):
        with torch.no_grad():
            return network(_tensor(images), training=False).numpy(force=True)

    return infer


def _tensor(array):
    """Array as a tensor on the device that Keras uses."""
    return keras.ops.convert_to_tensor(array)
