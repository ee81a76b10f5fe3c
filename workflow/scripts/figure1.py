"""Door: figure 1, the inclusion of patients."""

from finalinfarct.door import door
from finalinfarct.reporting.figure_inclusion import draw_inclusion

with door(snakemake):
    draw_inclusion(snakemake.input.inclusion, snakemake.params.reperfusion, snakemake.params.simulated, snakemake.output.svg, snakemake.output.png)
