"""Door: agreement of predicted and final volumes."""

from finalinfarct.door import door
from finalinfarct.reporting.figure_statistics import draw_bland_altman

with door(snakemake):
    files, out = snakemake.input, snakemake.output
    draw_bland_altman(files.metrics, files.volumes, snakemake.params.simulated, out.svg, out.png)
