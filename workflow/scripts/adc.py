"""Door: b0, diffusion-weighted image and ADC of one patient."""

from finalinfarct.door import door
from finalinfarct.imaging.diffusion import compute_adc

with door(snakemake):
    out = snakemake.output
    compute_adc(snakemake.input.dwi, snakemake.input.adc or None, out.b0, out.dwi, out.adc)
