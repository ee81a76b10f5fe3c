"""Door: picture of the lesions of one patient."""

from finalinfarct.door import door
from finalinfarct.reporting.lesion_picture import draw_lesions

with door(snakemake):
    files = snakemake.input
    images = {name: files[name] for name in ("DWI", "ADC", "FLAIR") if files.get(name)}
    draw_lesions(images, files.brain_mask, files.diffusion_lesion, files.final_lesion, snakemake.wildcards.participant, snakemake.output.picture)
