"""Door: DSC against lesion volumes."""

from finalinfarct.door import door
from finalinfarct.reporting.figure_statistics import draw_dice_by_volume

with door(snakemake):
    files, out = snakemake.input, snakemake.output
    draw_dice_by_volume(files.metrics, files.volumes, snakemake.params.simulated, out.svg, out.png)
