"""Door: perfusion maps that a scanner or another program made."""

from finalinfarct.door import door
from finalinfarct.imaging.perfusion import use_given_maps

with door(snakemake):
    use_given_maps(snakemake.input.Tmax, snakemake.input.CBF, snakemake.input.CBV, dict(snakemake.output.items()))
