"""Door: images of one scan onto the up-sampled grid of the reference."""

from finalinfarct.door import door
from finalinfarct.imaging.registration import resample

with door(snakemake):
    images = [(snakemake.input[name.removeprefix("linear_")], path) for name, path in snakemake.output.items()]
    params, transform = snakemake.params, snakemake.input.transform or None
    measured = {snakemake.output[name]: snakemake.input[positive] for name, positive in params.measured.items()}
    resample(images, snakemake.input.reference, params.matrix, transform=transform, raw=params.raw, measured=measured)
