"""A picture of one patient's diffusion lesion and final lesion over the baseline images."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from finalinfarct.dataset.images import read_image, voxel_sizes

SLICES = 5
ADC_SHOWN_UM2_S = (0, 2000)


def draw_lesions(images, brain_mask, diffusion_lesion, final_lesion, title, output):
    """Draw five slices through the final lesion: one row per image, with the contours of both lesions.

    Parameters
    ----------
    images : dict of str to path
        Image by name, such as DWI, ADC, FLAIR, on one grid.
    brain_mask, diffusion_lesion, final_lesion : str or Path
        Masks on that grid.
    title : str
        Title of the picture.
    output : str or Path
        PNG.
    """
    brain, diffusion, final = (read_image(path, ndim=3).get_fdata() > 0 for path in (brain_mask, diffusion_lesion, final_lesion))
    levels = _levels(final)
    volumes = {name: read_image(path, ndim=3) for name, path in images.items()}
    figure, axes = plt.subplots(len(volumes), len(levels), figsize=(1.9 * len(levels), 2.1 * len(volumes) + 0.6), squeeze=False, facecolor="black")
    for row, (name, image) in zip(axes, volumes.items(), strict=True):
        data, sizes = image.get_fdata(), voxel_sizes(image.affine)
        low, high = ADC_SHOWN_UM2_S if name == "ADC" else np.percentile(data[brain], (1, 99.7))
        for axis, level in zip(row, levels, strict=True):
            axis.imshow(data[:, :, level].T, cmap="gray", vmin=low, vmax=high, origin="lower", aspect=sizes[1] / sizes[0])
            for mask, colour in ((diffusion, "deepskyblue"), (final, "lime")):
                if mask[:, :, level].any():
                    axis.contour(mask[:, :, level].T, levels=[0.5], colors=colour, linewidths=0.8)
            axis.set_axis_off()
        row[0].text(0.02, 0.98, name, color="white", fontsize=9, va="top", transform=row[0].transAxes)
    figure.suptitle(f"{title}. Blue: diffusion lesion. Green: final lesion.", color="white", fontsize=10)
    figure.tight_layout(rect=(0, 0, 1, 0.96), h_pad=0.2, w_pad=0.2)
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=120, facecolor="black", metadata={"Software": None})
    plt.close(figure)


def _levels(lesion):
    """Up to five slices that hold the lesion, evenly spread."""
    inside = np.flatnonzero(lesion.any(axis=(0, 1)))
    if not inside.size:
        inside = np.arange(lesion.shape[2])
    return np.unique(inside[np.linspace(0, inside.size - 1, SLICES).round().astype(int)])
