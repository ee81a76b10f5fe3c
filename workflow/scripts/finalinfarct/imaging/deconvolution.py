"""Circular deconvolution of tissue curves by the arterial input: truncated (cSVD) and with the oscillation index (oSVD)."""

import functools

import numpy as np
from scipy import fft, linalg

VOXELS_AT_A_TIME = 65536
# The curves of so many voxels, and what is computed from them, stay in the processor's cache.
VOXELS_IN_CACHE = 4096
# The search of oSVD starts from the singular values of at least this share of the largest: near what most voxels of simulated patients keep. In noisy
# voxels it can end at one of several borders, so the start depends on the arterial input alone and not on other voxels.
START_SHARE = 0.2


def deconvolve(concentration, arterial_input, repetition_time_s, method="csvd", truncation=0.1, oscillation_index=0.035):
    """Flow-scaled residue function of every voxel (Wu 2003; protocol section 2).

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
    rank = np.empty(spectrum.size, int)
    rank[np.argsort(-size, kind="stable")] = np.arange(spectrum.size)
    inverse = functools.cache(lambda count: _inverse_matrix(spectrum, frames, rank < count))
    start_count = int(np.count_nonzero(size >= START_SHARE * size.max()))
    residue = np.empty((len(curves), 2 * frames), np.float32)
    for start in range(0, len(curves), VOXELS_IN_CACHE):
        part = curves[start : start + VOXELS_IN_CACHE]
        counts = _smooth_counts(part, inverse, spectrum.size, oscillation_index, start_count)
        for count in np.unique(counts):
            rows = np.flatnonzero(counts == count)
            residue[start + rows] = part[rows] @ inverse(count)
    return residue


def _inverse_matrix(spectrum, frames, kept):
    """Pseudo-inverse (N, 2N) of the circulant matrix for zero-padded curves, of the frequencies kept; one matrix product then serves all voxels."""
    inverse = np.zeros_like(spectrum)
    kept = kept & (spectrum != 0)
    inverse[kept] = 1.0 / spectrum[kept]
    response = fft.irfft(inverse, 2 * frames)
    return linalg.circulant(response).T[:frames].astype(np.float32)


def _smooth_counts(curves, inverse, most, limit, start):
    """How many frequencies (V,), largest of the arterial input first, can be kept with an oscillation index below the limit; at least one.

    Counted by steps of one from ``start``: up while the index stays below the limit, else down until it falls below. As a rule the index grows with
    the number of frequencies; in noisy voxels it may cross the limit more than once, and the border found is the next one from the start.
    """
    counts = np.full(len(curves), start)
    smooth = _is_smooth(curves, inverse(start), limit)
    active, count = np.flatnonzero(smooth), start + 1
    while active.size and count <= most:
        active = active[_is_smooth(curves[active], inverse(count), limit)]
        counts[active] = count
        count += 1
    active, count = np.flatnonzero(~smooth), start - 1
    while active.size and count >= 1:
        counts[active] = count
        active = active[~_is_smooth(curves[active], inverse(count), limit)]
        count -= 1
    return counts


def _is_smooth(curves, inverse, limit):
    """Whether the oscillation index is below the limit, (V,); time runs along the first axis of the product, which makes sums over it fast."""
    return oscillation((inverse.T @ curves.T).T) < limit


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
