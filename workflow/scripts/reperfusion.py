"""Door: reperfusion ratio of one patient."""

from finalinfarct.door import door
from finalinfarct.imaging.reperfusion import write_reperfusion_ratio

with door(snakemake):
    write_reperfusion_ratio(
        snakemake.wildcards.participant, snakemake.input.h0, snakemake.input.h3, snakemake.input.brain_mask, snakemake.output.ratio
    )
