"""Door: the page that leads to the quality pages of all patients."""

from finalinfarct.door import door
from finalinfarct.reporting.quality_index import write_quality_index

with door(snakemake):
    strips = dict(zip(snakemake.params.participants, snakemake.input.strips, strict=True))
    write_quality_index(snakemake.input.quality, strips, snakemake.params.simulated, snakemake.output.html)
