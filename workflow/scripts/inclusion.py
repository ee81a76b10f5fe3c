"""Door: reperfusion status and inclusion of all patients."""

from finalinfarct.dataset.inclusion import write_inclusion
from finalinfarct.door import door

with door(snakemake):
    write_inclusion(
        snakemake.input.participants, snakemake.input.faults, snakemake.input.ratios, snakemake.params.cohorts, snakemake.output.inclusion
    )
