"""Door: reperfusion ratio of one patient."""

from finalinfarct.door import door
from finalinfarct.imaging.reperfusion import write_reperfusion_ratio

with door(snakemake):
    images = snakemake.input
    write_reperfusion_ratio(snakemake.wildcards.participant, images.h0, images.h3, images.h3_flow, images.brain_mask, snakemake.output.ratio)
