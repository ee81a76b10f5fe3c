"""Time of all metrics of one patient at 192x192x24, beside the Hausdorff distances of MedPy and of surface-distance, in one run.

``PYTHONPATH=workflow/scripts OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/metrics.py`` prints a table. The two others are compared where they
are installed: ``pip install medpy surface-distance``.
Every figure is the median of the repetitions; the programs take turns, so that a slow moment of the machine meets all of them.
"""

import argparse
import time

import numpy as np
from scipy import ndimage

from finalinfarct.evaluation.family import patient_metrics
from finalinfarct.evaluation.metrics import hausdorff_distances

SHAPE, SIZES_MM = (192, 192, 24), (1.25, 1.25, 5.0)


def example(seed=1):
    """Brain, final lesion, a prediction that overlaps it in part, a probability map, Tmax in s and a diffusion lesion, each (192, 192, 24)."""
    random = np.random.default_rng(seed)
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    brain = (x / 0.62) ** 2 + (y / 0.75) ** 2 + (z / 0.95) ** 2 < 1
    rough = ndimage.gaussian_filter(random.normal(size=SHAPE), (6, 6, 2))
    rough /= rough.std()
    score = -((x - 0.3) ** 2 + y**2 + z**2) * 8 + 0.35 * rough
    truth = brain & (score > -1.0)
    probability = 1 / (1 + np.exp(-(ndimage.gaussian_filter(score, 2) + 0.9 + 0.3 * np.roll(rough, 20, axis=1)) * 3))
    probability = np.where(brain, probability, 0).astype(np.float32)
    tmax = np.where(brain, 9 * np.exp(-((x - 0.35) ** 2 + y**2)), 0).astype(np.float32)
    return brain, truth, probability > 0.5, probability, tmax, brain & (score > -0.5)


def programs(images):
    """Functions to time, by name, each without arguments."""
    brain, truth, prediction, probability, tmax, diffusion = images
    affine = np.diag([*SIZES_MM, 1.0])
    timed = {
        "finalinfarct, all metrics": lambda: patient_metrics(prediction, probability, truth, brain, diffusion, tmax, affine, 1),
        "finalinfarct, Hausdorff and 95th percentile in mm": lambda: hausdorff_distances(prediction, truth, SIZES_MM),
    }
    try:
        from medpy.metric.binary import hd, hd95

        timed["MedPy, hd and hd95"] = lambda: (hd(prediction, truth, SIZES_MM), hd95(prediction, truth, SIZES_MM))
    except ImportError:
        print("MedPy is not installed: not compared")
    try:
        import surface_distance

        def deepmind():
            found = surface_distance.compute_surface_distances(prediction, truth, SIZES_MM)
            return [surface_distance.compute_robust_hausdorff(found, percent) for percent in (100, 95)]

        timed["surface-distance, 100 and 95 %"] = deepmind
    except ImportError:
        print("surface-distance is not installed: not compared")
    return timed


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=15)
    repetitions = parser.parse_args().repetitions
    images = example()
    print(f"{images[1].sum()} voxels of lesion, {images[2].sum()} predicted, in {images[0].sum()} of brain; {repetitions} repetitions, one core")
    timed = programs(images)
    seconds = {name: [] for name in timed}
    for repetition in range(repetitions + 1):
        for name, program in timed.items():
            begin = time.perf_counter()
            program()
            if repetition:  # the first is a warm-up
                seconds[name].append(time.perf_counter() - begin)
    reference = np.array(seconds["finalinfarct, all metrics"])
    print(f"{'':52s}{'median s':>10s}{'ratio to all metrics':>22s}")
    for name, values in seconds.items():
        print(f"{name:52s}{np.median(values):10.3f}{np.median(np.array(values) / reference):22.2f}")


if __name__ == "__main__":
    main()
