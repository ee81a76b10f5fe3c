"""Door: agreement of predicted and final volumes."""

from finalinfarct.door import door
from finalinfarct.reporting.figure_statistics import draw_bland_altman

with door(snakemake):
    draw_bland_altman(snakemake.input.metrics, snakemake.params.simulated, snakemake.output.svg, snakemake.output.png)
