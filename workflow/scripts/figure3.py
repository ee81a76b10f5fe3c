"""Door: figure 3, predictions of all models in two typical patients."""

from finalinfarct.door import door
from finalinfarct.reporting.figure_predictions import draw_predictions

with door(snakemake):
    files, params, out = snakemake.input, snakemake.params, snakemake.output
    draw_predictions(files.metrics, files.inclusion, files.volumes, params.images, params.predictions, params.simulated, out.svg, out.png)
