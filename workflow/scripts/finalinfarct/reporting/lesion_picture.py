"""A picture of one patient's diffusion lesion and final lesion over the baseline images."""

from finalinfarct.dataset.images import read_sidecar
from finalinfarct.reporting.canvas import DIFFUSION_LESION, FINAL_LESION, PAGE_MM, new_figure, save
from finalinfarct.reporting.lesion_sources import WORDS
from finalinfarct.reporting.panels import RANGES, brain_limits, lesion_levels, outline, read_volume, show_image, write_on

SLICES = 5
PANEL_MM = 42.0


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
    brain, diffusion, final = (read_volume(path)[0] > 0 for path in (brain_mask, diffusion_lesion, final_lesion))
    levels = lesion_levels(final, SLICES)
    figure = new_figure(PAGE_MM, PANEL_MM * len(images) + 8, facecolor="black")
    axes = figure.subplots(len(images), len(levels), squeeze=False)
    for row, (name, path) in zip(axes, images.items(), strict=True):
        data, sizes = read_volume(path)
        limits = RANGES.get(name) or brain_limits(data, brain)
        for axis, level in zip(row, levels, strict=True):
            show_image(axis, data[:, :, level].T, sizes[1] / sizes[0], limits)
            for mask, colour in ((diffusion, DIFFUSION_LESION), (final, FINAL_LESION)):
                outline(axis, mask[:, :, level].T, colour)
        write_on(row[0], name, x=0.02, y=0.98, ha="left")
    source = WORDS[read_sidecar(diffusion_lesion).get("LesionSource", "unknown")]
    figure.suptitle(f"{title}. Blue: diffusion lesion, {source}. Green: final lesion. The patient's left is on the right.", color="white")
    save(figure, output)
