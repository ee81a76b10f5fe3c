"""Door: patients in order of suspicion."""

from finalinfarct.door import door
from finalinfarct.evaluation.quality import write_quality_table

with door(snakemake):
    write_quality_table(snakemake.input.numbers, snakemake.output.table)
