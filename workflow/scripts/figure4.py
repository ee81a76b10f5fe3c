"""Door: figure 4, good and difficult patients."""

from finalinfarct.door import door
from finalinfarct.reporting.figure_cases import draw_cases

with door(snakemake):
    files, params, out = snakemake.input, snakemake.params, snakemake.output
    draw_cases(files.metrics, files.inclusion, files.volumes, params.images, params.predictions, params.simulated, out.svg, out.png)
