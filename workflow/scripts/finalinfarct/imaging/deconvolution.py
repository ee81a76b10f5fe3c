"""Circular deconvolution of tissue curves by the arterial input: truncated (cSVD) and with the oscillation index (oSVD)."""

import numpy as np
from scipy import fft, linalg

VOXELS_AT_A_TIME = 16384


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
        ``csvd``: singular values below ``truncation`` times the largest are dropped. ``osvd``: as many of the smallest are dropped, for
        each voxel, as bring the oscillation index below ``oscillation_index``.
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
    if method == "csvd":
        return curves @ _inverse_matrix(spectrum, frames, truncation)
    if method != "osvd":
        raise ValueError(f"unknown deconvolution: {method}")
    residue = np.empty((len(curves), 2 * frames), np.float32)
    for start in range(0, len(curves), VOXELS_AT_A_TIME):
        part = slice(start, start + VOXELS_AT_A_TIME)
        residue[part] = _least_oscillating(curves[part], spectrum, oscillation_index)
    return residue


def _inverse_matrix(spectrum, frames, truncation):
    """Pseudo-inverse (N, 2N) of the circulant matrix for zero-padded curves; one matrix product then serves all voxels."""
    size = np.abs(spectrum)
    kept = size >= truncation * size.max()
    inverse = np.zeros_like(spectrum)
    inverse[kept] = 1.0 / spectrum[kept]
    response = fft.irfft(inverse, 2 * frames)
    return linalg.circulant(response).T[:frames].astype(np.float32)


def _least_oscillating(curves, spectrum, limit):
    """Residue functions (V, 2N) with the most frequencies, largest of the arterial input first, whose oscillation index is below the limit.

    The index grows with the number of frequencies kept, so bisection over that number finds the border in log2(N) transforms.
    """
    frames = curves.shape[1]
    size = np.abs(spectrum)
    rank = np.empty(size.size, int)
    rank[np.argsort(-size, kind="stable")] = np.arange(size.size)
    inverse = np.zeros(size.size, np.complex64)
    inverse[size > 0] = (1.0 / spectrum[size > 0]).astype(np.complex64)
    quotient = fft.rfft(curves, 2 * frames, axis=1) * inverse
    low, high = np.ones(len(curves), int), np.full(len(curves), size.size + 1)
    best = fft.irfft(np.where(rank < 1, quotient, 0), 2 * frames, axis=1)
    for _ in range(int(np.ceil(np.log2(size.size)))):
        middle = (low + high) // 2
        candidate = fft.irfft(np.where(rank < middle[:, None], quotient, 0), 2 * frames, axis=1)
        smooth = oscillation(candidate) < limit
        best[smooth] = candidate[smooth]
        low, high = np.where(smooth, middle, low), np.where(smooth, high, middle)
    return best


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
    bend = np.abs(residue[:, 2:] - 2 * residue[:, 1:-1] + residue[:, :-2]).sum(axis=1)
    top = residue.max(axis=1)
    return np.where(top > 0, bend / np.where(top > 0, top, 1) / residue.shape[1], np.inf)


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
