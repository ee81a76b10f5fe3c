"""Circular deconvolution of tissue curves by the arterial input: truncated (cSVD) and with the oscillation index (oSVD)."""

import numpy as np
from scipy import fft, linalg

VOXELS_AT_A_TIME = 65536
# The curves of so many voxels, and what is computed from them, stay in the processor's cache.
VOXELS_IN_CACHE = 4096
# The search of oSVD starts from the singular values of at least this share of the largest: near what most voxels of simulated patients keep. In noisy
# voxels it can end at one of several borders, so the start depends on the arterial input alone and not on other voxels.
START_SHARE = 0.2


def deconvolve(concentration, arterial_input, repetition_time_s, method="csvd", truncation=0.1, oscillation_index=0.035):
    """Flow-scaled residue function of every voxel (Wu 2003; Debs et al. 2021, section 2.1.2).

    The curve is the arterial input convolved with the residue function, on the time grid zero-padded to 2N frames, so that the matrix of
    the convolution is circulant. Its eigenvectors are the Fourier basis and its singular values the magnitudes of the transform of the
    arterial input: dropping small singular values is dropping frequencies.

    Parameters
    ----------
    concentration : numpy.ndarray
        (V, N), V voxels, 1/s.
    arterial_input : numpy.ndarray
        (N,), same unit.
    repetition_time_s : float
        Time between frames, s.
    method : str
        ``csvd``: singular values below ``truncation`` times the largest are dropped. ``osvd``: for each voxel as many of the smallest
        are dropped as bring the oscillation index below ``oscillation_index``, beginning from those below a fifth of the largest.
    truncation, oscillation_index : float
        See ``method``.

    Returns
    -------
    numpy.ndarray
        float32, (V, 2N): flow times residue function, 1/s, at lags 0, 1, ... N-1, then (from the end) -1, -2, ... frames.
    """
    curves = np.asarray(concentration, np.float32)
    frames = curves.shape[1]
    spectrum = fft.rfft(np.asarray(arterial_input, float), 2 * frames) * repetition_time_s
    size = np.abs(spectrum)
    if method == "csvd":
        return curves @ _inverse_matrix(spectrum, frames, size >= truncation * size.max())
    if method != "osvd":
        raise ValueError(f"unknown deconvolution: {method}")
    seen, shown = _waves(spectrum, frames, np.argsort(-size, kind="stable"))
    start_count = int(np.count_nonzero(size >= START_SHARE * size.max()))
    residue = np.empty((len(curves), 2 * frames), np.float32)
    for start in range(0, len(curves), VOXELS_IN_CACHE):
        part = slice(start, start + VOXELS_IN_CACHE)
        coefficients = seen @ curves[part].T
        counts = _smooth_counts(coefficients, shown, oscillation_index, start_count)
        rows = 2 * counts.max()
        coefficients[:rows] *= np.arange(rows)[:, None] < 2 * counts
        np.matmul(coefficients[:rows].T, shown[:, :rows].T, out=residue[part])
    return residue


def _inverse_matrix(spectrum, frames, kept):
    """Pseudo-inverse (N, 2N) of the circulant matrix for zero-padded curves, of the frequencies kept; one matrix product then serves all voxels."""
    inverse = np.zeros_like(spectrum)
    kept = kept & (spectrum != 0)
    inverse[kept] = 1.0 / spectrum[kept]
    response = fft.irfft(inverse, 2 * frames)
    return linalg.circulant(response).T[:frames].astype(np.float32)


def _waves(spectrum, frames, order):
    """Factors of the pseudo-inverse, two rows and columns a frequency in this order: (2F, N), to coefficients, and (2N, 2F), to residue functions."""
    waves = np.exp(2j * np.pi * np.outer(order, np.arange(2 * frames)) / (2 * frames))
    # all but the first and the last stand in the transform for their negative, too
    weight = np.where((order == 0) | (order == frames), 1, 2) / (2 * frames)
    gain = np.divide(weight, spectrum[order], out=np.zeros(order.size, complex), where=spectrum[order] != 0)
    seen, shown = waves[:, :frames], gain[:, None] * waves
    seen = np.stack([seen.real, seen.imag], axis=1).reshape(-1, frames)
    shown = np.stack([shown.real, shown.imag], axis=1).reshape(-1, 2 * frames).T
    return seen.astype(np.float32), np.ascontiguousarray(shown, np.float32)


def _smooth_counts(coefficients, shown, limit, start):
    """How many frequencies (V,), largest of the arterial input first, can be kept with an oscillation index below the limit; at least one.

    Counted by steps of one from ``start``: up while the index stays below the limit, else down until it falls below. As a rule the index grows with
    the number of frequencies; in noisy voxels it may cross the limit more than once, and the border found is the next one from the start. A step
    adds or takes one frequency, which costs a fraction of a product with the whole matrix.
    """
    counts = np.full(coefficients.shape[1], start)
    # time runs along the first axis, which makes sums over it fast
    residue = shown[:, : 2 * start] @ coefficients[: 2 * start]
    smooth = oscillation(residue.T) < limit

    def change(number, active):
        """What a frequency adds to the residue functions of some voxels."""
        rows = slice(2 * number, 2 * number + 2)
        return shown[:, rows] @ coefficients[rows].take(active, axis=1)

    active = np.flatnonzero(smooth)
    trial = residue.take(active, axis=1)
    for count in range(start, len(coefficients) // 2):
        trial += change(count, active)
        on = np.flatnonzero(oscillation(trial.T) < limit)
        active, trial = active.take(on), trial.take(on, axis=1)
        counts[active] = count + 1
        if not on.size:
            break
    active = np.flatnonzero(~smooth)
    trial = residue.take(active, axis=1)
    for count in range(start - 1, 0, -1):
        trial -= change(count, active)
        counts[active] = count
        on = np.flatnonzero(oscillation(trial.T) >= limit)
        active, trial = active.take(on), trial.take(on, axis=1)
        if not on.size:
            break
    return counts


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
    samples = residue.T
    slope = samples[1:] - samples[:-1]
    bend = slope[1:] - slope[:-1]
    top = samples.max(axis=0)
    return np.where(top > 0, np.abs(bend, out=bend).sum(axis=0) / np.where(top > 0, top, 1) / len(samples), np.inf)


def peak(residue, repetition_time_s):
    """Height and time of the maximum of circular residue functions, between frames by a parabola through three samples.

    Parameters
    ----------
    residue : numpy.ndarray
        (V, 2N), from ``deconvolve``.
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
    at = residue.argmax(axis=1)
    before, top, after = residue[rows, at - 1], residue[rows, at], residue[rows, (at + 1) % length]
    bend = before - 2 * top + after
    shift = np.where(bend < 0, 0.5 * (before - after) / np.where(bend < 0, bend, -1), 0)
    lag = at + np.clip(shift, -0.5, 0.5)
    lag = np.where(lag > length / 2, lag - length, lag)
    return top, (lag * repetition_time_s).astype(np.float32)
