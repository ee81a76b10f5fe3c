"""Door: DSC of network and mismatch model in each patient."""

from finalinfarct.door import door
from finalinfarct.reporting.figure_statistics import draw_paired_dice

with door(snakemake):
    files, out = snakemake.input, snakemake.output
    draw_paired_dice(files.metrics, files.volumes, snakemake.params.simulated, out.svg, out.png)
