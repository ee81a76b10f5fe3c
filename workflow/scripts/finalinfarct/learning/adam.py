"""Adam with Keras's constants, in plain operators, for arrays of any backend."""

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7


def adam(weight, gradient, first, second, rate, updates):
    """One update of one array by Adam (Kingma and Ba 2015, section 2, the faster order of computation, which is Keras's too).

    Parameters
    ----------
    weight, gradient, first, second : array
        Weight, its gradient, and the first and second moments, all of one shape.
    rate : float
        Learning rate of this update.
    updates : int or float
        Number of updates done before.

    Returns
    -------
    weight, first, second : array
        New values.
    """
    first = BETA_1 * first + (1.0 - BETA_1) * gradient
    second = BETA_2 * second + (1.0 - BETA_2) * gradient * gradient
    unbiased_rate = rate * (1.0 - BETA_2 ** (updates + 1.0)) ** 0.5 / (1.0 - BETA_1 ** (updates + 1.0))
    return weight - unbiased_rate * first / (second**0.5 + EPSILON), first, second
