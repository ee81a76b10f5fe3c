"""Door: the long table of all metrics."""

from finalinfarct.door import door
from finalinfarct.evaluation.family import join_metrics

with door(snakemake):
    join_metrics([*snakemake.input.cnn, snakemake.input.mismatch], snakemake.output.metrics)
