"""Door: images of one patient, brain only, between 0 and 1."""

from finalinfarct.door import door
from finalinfarct.imaging.normalisation import normalise

with door(snakemake):
    images = [(snakemake.input[name], path) for name, path in snakemake.output.items()]
    normalise(images, snakemake.input.brain_mask, method=snakemake.params.method, scope=snakemake.params.scope)
