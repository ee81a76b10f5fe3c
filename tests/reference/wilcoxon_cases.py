"""Random paired samples for the reference values of the signed-rank test: all sizes, with and without ties, zeros and missing values."""

import csv
import sys

import numpy as np

KINDS = ("continuous", "rounded", "zeros", "rounded with zeros", "missing", "one sided")
SCALES = (1, 4, 10, 100, 1000)


def case(kind, n, scale, rng):
    """Return two lists of n whole numbers, None where missing."""
    fine = kind in ("continuous", "zeros", "missing", "one sided")
    spread = 10**6 if fine else int(rng.choice([5, 20, 100]))
    x = rng.integers(0, spread + 1, n)
    y = x - rng.integers(1, spread + 2, n) if kind == "one sided" else rng.integers(0, spread + 1, n) + int(rng.normal(0, 0.2) * spread)
    if "zeros" in kind:
        same = rng.random(n) < rng.choice([0.1, 0.4])
        y = np.where(same, x, y)
    x, y = x.tolist(), y.tolist()
    if kind == "missing":
        for values in (x, y):
            for place in np.flatnonzero(rng.random(n) < 0.15):
                values[place] = None
    return x, y


def main(path):
    """Write the cases: id, kind, scale, and the values of both samples as text."""
    rng = np.random.default_rng(20211)
    sizes = [*range(1, 31), 35, 40, 45, 47, 48, 49, 50, 51, 52, 60, 74, 92, 109, 150]
    rows = []
    for kind in KINDS:
        for repeat in range(3 if kind != "one sided" else 1):
            for n in sizes:
                scale = 10**6 if kind in ("continuous", "missing") else SCALES[(n + repeat) % len(SCALES)]
                rows.append((kind, scale, *case(kind, n, scale, rng)))
    rows += [("all zero", 10, [7] * n, [7] * n) for n in (1, 2, 20, 60)]
    rows += [("all equal", 10, [7] * n, [3] * n) for n in (1, 2, 20, 60)]
    rows += [("no shift", 1, [1, 2, 3, 4], [2, 1, 4, 3]), ("one value left", 1, [1, 2, 3], [1, 2, 5])]
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["case", "kind", "scale", "x", "y"])
        for number, (kind, scale, x, y) in enumerate(rows, start=1):
            writer.writerow([number, kind, scale, *(" ".join("NA" if v is None else str(v) for v in values) for values in (x, y))])


if __name__ == "__main__":
    main(sys.argv[1])
