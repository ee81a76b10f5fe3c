"""Circular deconvolution of tissue curves by the arterial input: truncated (cSVD) and with the oscillation index (oSVD)."""

import functools

import numpy as np
from scipy import fft, linalg

# The search of oSVD starts from the singular values of at least this share of the largest: near what most voxels of simulated patients keep. In noisy
# voxels it can end at one of several borders, so the start depends on the arterial input alone and not on other voxels.
START_SHARE = 0.2
# Coefficients of so many frequencies are computed together: few voxels keep more than these beyond the start.
FREQUENCIES_AT_A_TIME = 8


def deconvolver(arterial_input, repetition_time_s, method="csvd", truncation=0.1, oscillation_index=0.035):
    """Make the function that deconvolves curves by this arterial input (Wu 2003; Debs et al. 2021, section 2.1.2).

    The curve is the arterial input convolved with the residue function, on the time grid zero-padded to 2N frames, so that the matrix of
    the convolution is circulant. Its eigenvectors are the Fourier basis and its singular values the magnitudes of the transform of the
    arterial input: dropping small singular values is dropping frequencies.

    Parameters
    ----------
    arterial_input : numpy.ndarray
        (N,), 1/s.
    repetition_time_s : float
        Time between frames, s.
    method : str
        ``csvd``: singular values below ``truncation`` times the largest are dropped. ``osvd``: for each voxel as many of the smallest
        are dropped as bring the oscillation index below ``oscillation_index``, beginning from those below a fifth of the largest.
    truncation, oscillation_index : float
        See ``method``.

    Returns
    -------
    callable
        From curves, (V, N), V voxels, float32, in the unit of the arterial input, to flow times residue functions, (V, 2N), float32, 1/s, at lags
        0, 1, ... N-1, then (from the end) -1, -2, ... frames. It is fastest where these stay in the processor's cache: some 4,096 voxels.
    """
    frames = len(arterial_input)
    spectrum = fft.rfft(np.asarray(arterial_input, float), 2 * frames) * repetition_time_s
    size = np.abs(spectrum)
    if method == "csvd":
        inverse = _inverse_matrix(spectrum, frames, size >= truncation * size.max())
        return lambda curves: curves @ inverse
    if method != "osvd":
        raise ValueError(f"unknown deconvolution: {method}")
    analysis, synthesis = _waves(spectrum, frames, np.argsort(-size, kind="stable"))
    start = int(np.count_nonzero(size >= START_SHARE * size.max()))
    return functools.partial(_smooth_residue, analysis=analysis, synthesis=synthesis, limit=oscillation_index, start=start)


def _inverse_matrix(spectrum, frames, kept):
    """Pseudo-inverse (N, 2N) of the circulant matrix for zero-padded curves, of the frequencies kept; one matrix product then serves all voxels."""
    inverse = np.zeros_like(spectrum)
    kept = kept & (spectrum != 0)
    inverse[kept] = 1.0 / spectrum[kept]
    response = fft.irfft(inverse, 2 * frames)
    return linalg.circulant(response).T[:frames].astype(np.float32)


def _waves(spectrum, frames, order):
    """Factors of the pseudo-inverse, two rows a frequency in this order: (2F, N), to coefficients, and (2F, 2N), to residue functions."""
    waves = np.exp(2j * np.pi * np.outer(order, np.arange(2 * frames)) / (2 * frames))
    # all but the first and the last stand in the transform for their negative, too
    weight = np.where((order == 0) | (order == frames), 1, 2) / (2 * frames)
    gain = np.divide(weight, spectrum[order], out=np.zeros(order.size, complex), where=spectrum[order] != 0)
    analysis, synthesis = waves[:, :frames], gain[:, None] * waves
    return tuple(np.stack([part.real, part.imag], axis=1).reshape(2 * order.size, -1).astype(np.float32) for part in (analysis, synthesis))


def _smooth_residue(curves, analysis, synthesis, limit, start):
    """Residue functions (V, 2N) of curves (V, N) with as many frequencies, largest of the arterial input first, as the limit allows; at least one.

    Counted by steps of one from ``start``: up while the index stays below the limit, else down until it falls below. As a rule the index grows with
    the number of frequencies; in noisy voxels it may cross the limit more than once, and the border found is the next one from the start. A step
    adds or takes one frequency, a product of rank two.
    """
    coefficients = np.empty((len(analysis), len(curves)), np.float32)

    def analyse(first, last):
        rows = slice(2 * first, 2 * last)
        np.matmul(analysis[rows], curves.T, out=coefficients[rows])

    def change(number, active):
        """What a frequency adds to the residue functions of some voxels."""
        rows = slice(2 * number, 2 * number + 2)
        return coefficients[rows].take(active, axis=1).T @ synthesis[rows]

    analysed = start + FREQUENCIES_AT_A_TIME
    analyse(0, analysed)
    residue = coefficients[: 2 * start].T @ synthesis[: 2 * start]
    smooth = oscillation(residue) < limit
    active = np.flatnonzero(smooth)
    trial = residue.take(active, axis=0)
    for number in range(start, len(analysis) // 2):
        if number == analysed:
            analysed += FREQUENCIES_AT_A_TIME
            analyse(number, analysed)
        trial += change(number, active)
        on = np.flatnonzero(oscillation(trial) < limit)
        active, trial = active.take(on), trial.take(on, axis=0)
        residue[active] = trial
        if not on.size:
            break
    active = np.flatnonzero(~smooth)
    trial = residue.take(active, axis=0)
    for number in range(start - 1, 0, -1):
        trial -= change(number, active)
        residue[active] = trial
        on = np.flatnonzero(oscillation(trial) >= limit)
        active, trial = active.take(on), trial.take(on, axis=0)
        if not on.size:
            break
    return residue


def oscillation(residue):
    """Oscillation index of Wu 2003, equation 11: sum of |f(k) - 2 f(k-1) + f(k-2)| over the length and the maximum of f.

    Parameters
    ----------
    residue : numpy.ndarray
        (V, L).

    Returns
    -------
    numpy.ndarray
        (V,); infinite where the maximum is not positive.
    """
    length = residue.shape[1]
    # of all voxels in one row, where NumPy is fast; what crosses from one voxel to the next falls into the last two columns, which are not summed
    slope = np.diff(residue.ravel())
    bend = np.empty(residue.shape, residue.dtype)
    np.subtract(slope[1:], slope[:-1], out=bend.ravel()[:-2])
    roughness = np.abs(bend, out=bend)[:, : length - 2] @ np.ones(length - 2, bend.dtype)
    _, top = _highest(residue)
    return np.divide(roughness, length * top, out=np.full_like(top, np.inf), where=top > 0)


def _highest(residue):
    """Place (V,) and height (V,) of the largest sample of each row; NumPy finds the place in half the time that it takes for the height."""
    at = residue.argmax(axis=1)
    return at, residue.ravel().take(at + np.arange(0, residue.size, residue.shape[1]))


def peak(residue, repetition_time_s):
    """Height and time of the maximum of circular residue functions, between frames by a parabola through three samples.

    Parameters
    ----------
    residue : numpy.ndarray
        (V, 2N), from a ``deconvolver``.
    repetition_time_s : float
        Time between frames, s.

    Returns
    -------
    height : numpy.ndarray
        (V,), the largest sample, in the unit of the residue.
    time_s : numpy.ndarray
        (V,), s; negative (down to -N frames) where the tissue fills before the arterial input.
    """
    length = residue.shape[1]
    rows = np.arange(len(residue))
    at, top = _highest(residue)
    before, after = residue[rows, at - 1], residue[rows, (at + 1) % length]
    bend = before - 2 * top + after
    shift = np.where(bend < 0, 0.5 * (before - after) / np.where(bend < 0, bend, -1), 0)
    lag = at + np.clip(shift, -0.5, 0.5)
    lag = np.where(lag > length / 2, lag - length, lag)
    return top, (lag * repetition_time_s).astype(np.float32)
