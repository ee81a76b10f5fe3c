"""Door: the transform from one image to the reference of its cohort."""

from finalinfarct.door import door
from finalinfarct.imaging.registration import register

with door(snakemake):
    register(snakemake.input.fixed, snakemake.input.moving, snakemake.params.kind, *snakemake.output)
