"""Curves of arteries and tissue in closed form, their deconvolution written out, and the settings of their maps."""

import numpy as np
from scipy.linalg import circulant

TR_S = 1.5
SETTINGS = {"deconvolution": "csvd", "truncation": 0.1, "oscillation_index": 0.035, "hematocrit_factor": 0.73, "density_g_per_ml": 1.04}
SETTINGS |= {"motion_correction": False, "time_smoothing_fwhm_mm": 0.0, "flow_smoothing_fwhm_mm": 0.0, "cbv_window_s": 300.0}


def gamma_variate(time_s, arrival_s=10.0, shape=3.0, scale_s=1.5):
    after = np.maximum(time_s - arrival_s, 0)
    return after**shape * np.exp(-after / scale_s)


def tissue(time_s, flow_per_s, transit_s, delay_s=0.0, fine_s=0.01):
    """Flow times the arterial input convolved with an exponential residue function, integrated on a fine grid."""
    fine = np.arange(0, time_s[-1] + fine_s, fine_s)
    curve = flow_per_s * fine_s * np.convolve(gamma_variate(fine - delay_s), np.exp(-fine / transit_s))[: fine.size]
    return np.interp(time_s, fine, curve)


def explicit_csvd(curves, arterial_input, truncation):
    """Truncated SVD of the circulant matrix, written out."""
    length = 2 * arterial_input.size
    matrix = TR_S * circulant(np.r_[arterial_input, np.zeros(arterial_input.size)])
    left, values, right = np.linalg.svd(matrix)
    inverse = np.where(values >= truncation * values[0], 1 / values, 0)
    padded = np.zeros((len(curves), length))
    padded[:, : curves.shape[1]] = curves
    return padded @ left @ np.diag(inverse) @ right
