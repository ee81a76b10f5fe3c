"""A threshold between air and head."""

import numpy as np


def otsu_threshold(values, bins=256):
    """Threshold that maximises the variance between two classes of a histogram (Otsu 1979).

    Parameters
    ----------
    values : numpy.ndarray
        Any shape; only positive values count, so that exact zeros of a cropped or stripped image do not.
    bins : int
        Number of bins, from the smallest value to the 99.5th percentile (bright vessels and eyes must not stretch the histogram).

    Returns
    -------
    float
        The threshold, 0 where there are no positive values.
    """
    values = np.asarray(values)
    values = values[values > 0]
    if values.size == 0 or values.min() == values.max():
        return 0.0
    counts, edges = np.histogram(np.minimum(values, np.percentile(values, 99.5)), bins=bins)
    centres = 0.5 * (edges[:-1] + edges[1:])
    below = np.cumsum(counts)
    total, sums = below[-1], np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (sums[-1] * below / total - sums) ** 2 / (below * (total - below))
    return float(centres[np.nanargmax(between)])


def head_mask(image):
    """Rough mask of the head in an image with an air background: half of Otsu's threshold keeps dark tissue.

    Parameters
    ----------
    image : numpy.ndarray
        (X, Y, Z).

    Returns
    -------
    numpy.ndarray
        bool, same shape.
    """
    return np.asarray(image) > 0.5 * otsu_threshold(image)
