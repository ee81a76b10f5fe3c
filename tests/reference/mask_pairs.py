"""Pairs of masks, made from simple rules, for the comparison with independent programs."""

import numpy as np


def mask_pairs():
    """Yield (name, prediction, truth, voxel sizes in mm): balls, hollow, scattered and touching masks, on cubic and on flat voxels."""
    shape = (40, 36, 12)
    x, y, z = np.indices(shape)

    def ball(centre, radii):
        return sum(((axis - middle) / radius) ** 2 for axis, middle, radius in zip((x, y, z), centre, radii, strict=True)) < 1

    large, small = ball((18, 18, 6), (9.5, 8.5, 4.5)), ball((18, 18, 6), (4.5, 4.5, 2.5))
    scattered = (7 * x + 11 * y + 13 * z) % 97 == 0
    pairs = {
        "same": (large, large),
        "inside": (small, large),
        "shifted": (ball((21, 17, 6), (9, 9, 4)), large),
        "apart": (ball((5, 6, 2), (3, 3, 2)), ball((33, 28, 9), (5, 4, 2))),
        "hollow": (large & ~small, large),
        "scattered": (scattered, large),
        "with a stray voxel": (large | ((x == 39) & (y == 35) & (z == 11)), large),
        "on the edge": (x < 6, x < 9),
        "single voxels": ((x == 3) & (y == 4) & (z == 5), (x == 13) & (y == 8) & (z == 2)),
    }
    for name, (prediction, truth) in pairs.items():
        for sizes in ((1.0, 1.0, 1.0), (1.25, 1.25, 5.0), (0.9, 1.7, 6.3)):
            yield name, prediction, truth, sizes
