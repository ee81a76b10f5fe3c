"""Door: agreement of the diffusion lesion with the final lesion."""

from finalinfarct.door import door
from finalinfarct.evaluation.diffusion import evaluate_masks

with door(snakemake):
    pairs = zip(snakemake.params.participants, snakemake.input.diffusion_lesion, snakemake.input.final_lesion, strict=True)
    evaluate_masks(list(pairs), snakemake.output.agreement)
