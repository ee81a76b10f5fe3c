"""Door: the example picture."""

from finalinfarct.door import door
from finalinfarct.reporting.example import draw_example

with door(snakemake):
    params = snakemake.params
    draw_example(snakemake.input.metrics, params.images, params.predictions, params.simulated, snakemake.output.picture)
