"""Door: reliability diagram."""

from finalinfarct.door import door
from finalinfarct.reporting.figure_statistics import draw_reliability

with door(snakemake):
    draw_reliability(snakemake.input.reliability, snakemake.params.simulated, snakemake.output.svg, snakemake.output.png)
