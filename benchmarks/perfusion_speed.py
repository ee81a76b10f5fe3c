"""Time and memory of the deconvolution of a 128x128x20x60 series with 140,800 voxels, beside osipy's and one singular value decomposition per voxel.

``PYTHONPATH=workflow/scripts python benchmarks/perfusion_speed.py`` prints a table. osipy is compared where it is installed (``pip install osipy``).
Every figure is the median of the repetitions; the programs take turns, so that a slow moment of the machine meets all of them. Matrix products
take one core, as in a job of the workflow, or as many as ``--cores`` says.
"""

import argparse
import time
import tracemalloc

import numpy as np
from scipy.linalg import circulant
from threadpoolctl import threadpool_limits

from finalinfarct.imaging.perfusion import perfusion_maps

SHAPE, VOXELS, FRAMES, REPETITION_TIME_S = (128, 128, 20), 140_800, 60, 1.5
SETTINGS = {"deconvolution": "csvd", "truncation": 0.1, "oscillation_index": 0.035, "hematocrit_factor": 0.73, "density_g_per_ml": 1.04}
VOXELS_ONE_BY_ONE = 100


def example(seed=1):
    """Curves (V, T) of tissue with noise, float32, and the arterial input (T,), both in 1/s."""
    random = np.random.default_rng(seed)
    time_s = REPETITION_TIME_S * np.arange(FRAMES)
    after = np.maximum(time_s - 10, 0)
    arterial = after**3 * np.exp(-after / 1.5)
    transit_s, delay_s = random.uniform(2, 10, VOXELS), random.uniform(0, 8, VOXELS)
    residue = np.exp(-np.maximum(time_s - delay_s[:, None], 0) / transit_s[:, None]) * (time_s >= delay_s[:, None])
    convolution = np.array([[arterial[k - j] if k >= j else 0.0 for k in range(FRAMES)] for j in range(FRAMES)])
    curves = 0.01 * REPETITION_TIME_S * residue @ convolution
    return (curves + random.normal(0, 0.05 * curves.max(), curves.shape)).astype(np.float32), arterial


def one_by_one(curves, arterial):
    """Truncated singular value decomposition of the circulant matrix, again for each voxel."""
    padded = np.r_[arterial, np.zeros(FRAMES)]
    for curve in curves[:VOXELS_ONE_BY_ONE]:
        left, values, right = np.linalg.svd(REPETITION_TIME_S * circulant(padded))
        kept = np.where(values >= 0.1 * values[0], 1 / values, 0)
        (right.T * kept) @ (left.T @ np.r_[curve, np.zeros(FRAMES)])


def programs(curves, arterial):
    """Functions to time, by name, each without arguments."""
    matrix = np.ones((FRAMES, 2 * FRAMES), np.float32)
    timed = {
        "finalinfarct, cSVD": lambda: perfusion_maps(curves, arterial, REPETITION_TIME_S, SETTINGS),
        "finalinfarct, oSVD": lambda: perfusion_maps(curves, arterial, REPETITION_TIME_S, SETTINGS | {"deconvolution": "osvd"}),
        "one float32 matrix product of that size": lambda: curves @ matrix,
        f"NumPy SVD of each voxel ({VOXELS_ONE_BY_ONE} voxels, scaled up)": lambda: one_by_one(curves, arterial),
    }
    try:
        from osipy.dsc.deconvolution.svd import deconvolve_cSVD
    except ImportError:
        print("osipy is not installed: not compared")
        return timed
    mask = np.zeros(np.prod(SHAPE), bool)
    mask[:VOXELS] = True
    series = np.zeros((mask.size, FRAMES), np.float32)
    series[mask] = curves
    series, mask = series.reshape(*SHAPE, FRAMES), mask.reshape(SHAPE)
    double, time_s = series.astype(float), REPETITION_TIME_S * np.arange(FRAMES)
    return timed | {
        "osipy, cSVD, float32": lambda: deconvolve_cSVD(series, arterial.astype(np.float32), time_s, mask),
        "osipy, cSVD, float64": lambda: deconvolve_cSVD(double, arterial, time_s, mask),
    }


def peak_memory(program):
    """Largest memory, in bytes, that a program held beyond what it was given."""
    tracemalloc.start()
    program()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--cores", type=int, default=1)
    arguments = parser.parse_args()
    with threadpool_limits(arguments.cores):
        measure(arguments.repetitions)


def measure(repetitions):
    """Run the programs in turn, and print the table."""
    curves, arterial = example()
    timed = programs(curves, arterial)
    seconds = {name: [] for name in timed}
    for repetition in range(repetitions + 1):
        for name, program in timed.items():
            begin = time.perf_counter()
            program()
            spent = time.perf_counter() - begin
            if repetition:  # the first is a warm-up
                seconds[name].append(spent * (VOXELS / VOXELS_ONE_BY_ONE if "each voxel" in name else 1))
    reference = np.array(seconds["finalinfarct, cSVD"])
    series_bytes = np.prod(SHAPE) * FRAMES * 4
    print(f"{'':60s}{'median s':>10s}{'ratio to cSVD':>15s}{'memory / series':>17s}")
    for name, values in seconds.items():
        memory = peak_memory(timed[name]) / series_bytes
        print(f"{name:60s}{np.median(values):10.3f}{np.median(np.array(values) / reference):15.2f}{memory:17.2f}")


if __name__ == "__main__":
    main()
