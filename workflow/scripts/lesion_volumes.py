"""Door: lesion volumes of all patients."""

from finalinfarct.door import door
from finalinfarct.evaluation.volumes import lesion_volumes

with door(snakemake):
    names = ("participant_id", "diffusion_lesion", "final_lesion")
    rows = zip(snakemake.params.participants, snakemake.input.diffusion_lesion, snakemake.input.final_lesion, strict=True)
    lesion_volumes([dict(zip(names, row, strict=True)) for row in rows], snakemake.output.volumes)
