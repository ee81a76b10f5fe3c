"""Door: what makes a folder of finished images a BIDS derivative."""

from pathlib import Path

from finalinfarct.dataset.description import describe_derivative
from finalinfarct.door import door

with door(snakemake):
    describe_derivative(Path(snakemake.output.description).parent, snakemake.params.simulated)
