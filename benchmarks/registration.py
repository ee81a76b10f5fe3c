"""Registration of real images: two visits of one patient by their correlation, and a stroke's FLAIR onto its DWI as a picture.

``PYTHONPATH=workflow/scripts python benchmarks/registration.py REALDATA PICTURE.png``; REALDATA holds ``ms_longitudinal`` (Lesjak 2016) and
``isles22`` (Hernandez Petzsche 2022), which are not part of this repository.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from finalinfarct.dataset.images import read_image
from finalinfarct.imaging.registration import STAGES, register, resample_array

SLICES = (18, 26, 34, 42, 50)


def correlation(first, second, mask):
    """Normalised cross-correlation of two images in a mask."""
    return float(np.corrcoef(first[mask], second[mask])[0, 1])


def two_visits(folder):
    """Print the correlation of the two FLAIRs inside the brain mask, on the data set's common grid."""
    first, second, brain = (read_image(folder / f"{name}.nii.gz") for name in ("study1_FLAIR", "study2_FLAIR", "brainmask_common"))
    mask, common = brain.get_fdata() > 0.5, [folder / f"study{visit}_FLAIR_to_common_space.txt" for visit in (1, 2)]
    still = resample_array(first, brain.shape, brain.affine, common[0])
    apart = [resample_array(image, brain.shape, brain.affine) for image in (first, second)]
    print(f"{'not registered':32s}{correlation(*apart, mask):8.4f}")
    print(f"{'the affines of the data set':32s}{correlation(still, resample_array(second, brain.shape, brain.affine, common[1]), mask):8.4f}")
    for kind in STAGES:
        with tempfile.TemporaryDirectory() as work:
            there, back, begin = Path(work) / "there.h5", Path(work) / "back.h5", time.perf_counter()
            register(folder / "study1_FLAIR.nii.gz", folder / "study2_FLAIR.nii.gz", kind, there, back)
            seconds = time.perf_counter() - begin
            moved = resample_array(second, brain.shape, brain.affine, [there, common[0]])
        print(f"{'finalinfarct, ' + kind:32s}{correlation(still, moved, mask):8.4f}   in {seconds:.0f} s")


def flair_on_dwi(folder, picture):
    """Draw the border of the DWI's brain and ventricles on the FLAIR, before and after registration."""
    dwi, flair = (next(folder.glob(f"*_{name}.nii.gz")) for name in ("dwi", "flair"))
    fixed, moving = read_image(dwi), read_image(flair)
    with tempfile.TemporaryDirectory() as work:
        register(dwi, flair, "nonlinear", Path(work) / "there.h5", Path(work) / "back.h5")
        rows = [resample_array(moving, fixed.shape, fixed.affine, transform) for transform in (None, Path(work) / "there.h5")]
    edges = fixed.get_fdata()
    figure = Figure(figsize=(11, 5.2), facecolor="black")
    axes = figure.subplots(2, len(SLICES), gridspec_kw={"wspace": 0.02, "hspace": 0.08})
    for row, volume, title in zip(axes, rows, ("FLAIR where the scanner put it", "FLAIR registered onto the DWI"), strict=True):
        for axis, z in zip(row, SLICES, strict=True):
            axis.imshow(np.rot90(volume[..., z]), cmap="gray", vmax=np.percentile(volume[volume > 0], 99.5))
            axis.contour(np.rot90(edges[..., z]), levels=[0.45 * np.median(edges[edges > 0])], colors="#ffb000", linewidths=0.8)
            axis.set_axis_off()
        row[0].set_title(f"{title}; lines: border of the DWI's tissue", color="white", loc="left", fontsize=10)
    figure.savefig(picture, dpi=100, bbox_inches="tight", facecolor="black")


def main():
    """Print the correlations and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("realdata", type=Path)
    parser.add_argument("picture", type=Path)
    arguments = parser.parse_args()
    flair_on_dwi(arguments.realdata / "isles22", arguments.picture)
    two_visits(arguments.realdata / "ms_longitudinal")


if __name__ == "__main__":
    main()
