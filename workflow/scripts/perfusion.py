"""Door: perfusion maps from one raw DSC series."""

from finalinfarct.door import door
from finalinfarct.imaging.perfusion import compute_perfusion

with door(snakemake):
    compute_perfusion(snakemake.input.series, snakemake.params.settings, dict(snakemake.output.items()), aif_mask_in=snakemake.input.aif_mask or None)
