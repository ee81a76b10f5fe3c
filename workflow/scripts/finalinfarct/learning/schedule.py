"""Learning rate over the updates, and when to stop."""

from dataclasses import dataclass


def learning_rate(initial, decay, updates):
    """Rate of the next update: initial / (1 + decay * updates), the ``decay`` of Keras 2's optimizers (Debs et al. 2021, appendix B).

    Parameters
    ----------
    initial : float
        Rate of the first update.
    decay : float
        Decay per update.
    updates : int
        Number of updates done before.
    """
    return initial / (1.0 + decay * updates)


@dataclass
class EarlyStopping:
    """Whether training goes on, from the validation Dice of each epoch (Debs et al. 2021, appendix B).

    An epoch improves only when it beats the reference by more than ``minimum_improvement``; it then becomes the reference. Training stops after
    ``patience`` epochs in a row without improvement. Apart from that, ``best`` is the highest value of all, since small rises too decide which
    weights are kept.

    Parameters
    ----------
    minimum_improvement : float
        Rise of the validation Dice that counts.
    patience : int
        Number of epochs without such a rise after which training stops.
    """

    minimum_improvement: float
    patience: int
    reference: float = float("-inf")
    best: float = float("-inf")
    waited: int = 0

    def update(self, value):
        """Take the value of one more epoch; return whether it is the highest so far."""
        if value > self.reference + self.minimum_improvement:
            self.reference, self.waited = value, 0
        else:
            self.waited += 1
        highest = value > self.best
        self.best = max(self.best, value)
        return highest

    @property
    def stop(self):
        """Whether training is over."""
        return self.waited >= self.patience
