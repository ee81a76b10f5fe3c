"""Door: DSC of network and mismatch model in each patient."""

from finalinfarct.door import door
from finalinfarct.reporting.figure_statistics import draw_paired_dice

with door(snakemake):
    draw_paired_dice(snakemake.input.metrics, snakemake.params.simulated, snakemake.output.svg, snakemake.output.png)
