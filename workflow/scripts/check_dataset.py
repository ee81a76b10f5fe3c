"""Door: every fault of the dataset, as a table."""

from finalinfarct.dataset.check import report_dataset
from finalinfarct.door import door

with door(snakemake):
    report_dataset(snakemake.params.dataset, snakemake.params.cohorts, snakemake.params.faults, snakemake.output.faults)
