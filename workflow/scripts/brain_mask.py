"""Door: brain mask of one patient."""

from finalinfarct.door import door
from finalinfarct.imaging.brain import brain_mask

with door(snakemake):
    brain_mask(snakemake.input.image, snakemake.output.mask, snakemake.params.method)
