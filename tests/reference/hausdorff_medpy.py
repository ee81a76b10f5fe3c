"""MedPy's Hausdorff distances of the mask pairs. They are between surfaces, so the maximum can differ from the paper's, which is between sets."""

import csv
import sys

from mask_pairs import mask_pairs
from medpy.metric.binary import hd, hd95


def main(path):
    """Write name, voxel sizes, hd and hd95."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["name", "size_x", "size_y", "size_z", "hd", "hd95"])
        for name, prediction, truth, sizes in mask_pairs():
            writer.writerow([name, *sizes, repr(float(hd(prediction, truth, sizes))), repr(float(hd95(prediction, truth, sizes)))])


if __name__ == "__main__":
    main(sys.argv[1])
