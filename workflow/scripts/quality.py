"""Door: quality of one patient's images, as numbers, page and strip of pictures."""

from finalinfarct.door import door
from finalinfarct.reporting.quality_page import write_quality

with door(snakemake):
    out, params = snakemake.output, snakemake.params
    files = dict(snakemake.input.items())
    write_quality(snakemake.wildcards.participant, params.cohort, files, params.thresholds, params.simulated, out.numbers, out.html, out.png)
