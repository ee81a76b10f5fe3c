"""Soft Dice: the loss that is minimised and the validation Dice that decides when to stop. Written in ``keras.ops``, for any backend."""

from finalinfarct.dataset.contract import CLASSES

EPSILON = 1e-6
"""Added to numerator and denominator: a class that is neither there nor predicted has a Dice of 1; else it changes nothing that counts."""


def dice_terms(labels, probabilities, denominator="squared"):
    """Numerator and denominator of the soft Dice of each class, summed over the batch, so that batches can be added up.

    With truth y (0 or 1) and probability p the Dice is 2 sum(p y) / (sum(p^2) + sum(y^2)) when ``squared`` (Milletari et al. 2016) and
    2 sum(p y) / (sum(p) + sum(y)) when ``linear``.

    Parameters
    ----------
    labels : tensor
        Integer, (slices, X, Y): 0 background, 1 healthy tissue, 2 lesion.
    probabilities : tensor
        float32, (slices, X, Y, 3).
    denominator : str
        ``squared`` or ``linear``.

    Returns
    -------
    tensor
        float32, (2, 3): numerators and denominators by class.
    """
    from keras import ops

    truth = ops.one_hot(ops.cast(labels, "int32"), len(CLASSES), dtype="float32")
    axes = (0, 1, 2)
    overlap = ops.sum(probabilities * truth, axis=axes)
    # The truth is 0 or 1 and thus its own square.
    mass = ops.sum(probabilities * probabilities if denominator == "squared" else probabilities, axis=axes) + ops.sum(truth, axis=axes)
    return ops.stack([2.0 * overlap, mass])


def class_dice(terms):
    """Soft Dice by class, (3,), from the terms of ``dice_terms``."""
    return (terms[0] + EPSILON) / (terms[1] + EPSILON)


def weighted_dice_loss(labels, probabilities, lesion_weight=8.0, denominator="squared"):
    """Loss 1 - (w D_lesion + D_healthy + D_background) / (w + 2), D the soft Dice over the batch (Debs et al. 2021, appendix B, w = 8).

    Parameters
    ----------
    labels, probabilities, denominator
        As for ``dice_terms``.
    lesion_weight : float
        Weight w of the lesion class.

    Returns
    -------
    tensor
        Scalar, 0 for a perfect prediction.
    """
    dice = class_dice(dice_terms(labels, probabilities, denominator))
    return 1.0 - (lesion_weight * dice[2] + dice[1] + dice[0]) / (lesion_weight + 2.0)


def multiclass_dice(terms):
    """Unweighted mean of the soft Dice of the three classes (scalar), the validation figure of early stopping.

    Parameters
    ----------
    terms : tensor
        (2, 3), of ``dice_terms``, added up over all batches.
    """
    from keras import ops

    return ops.mean(class_dice(terms))
