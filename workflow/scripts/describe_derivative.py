"""Door: what makes a folder of finished images a BIDS derivative."""

from finalinfarct.dataset.description import describe_derivative
from finalinfarct.door import door

with door(snakemake):
    describe_derivative(snakemake.output.description, snakemake.wildcards.folder, snakemake.params.simulated)
