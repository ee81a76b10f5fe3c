"""Door: diffusion lesion of one patient, and where it is known final lesion and tissue classes."""

from finalinfarct.door import door
from finalinfarct.imaging.lesions import make_labels

with door(snakemake):
    make_labels(
        snakemake.input.final_lesion or None,
        snakemake.input.final_transform or None,
        snakemake.input.dwi_lesion or None,
        snakemake.input.dwi_transform or None,
        snakemake.input.reference,
        snakemake.params.matrix,
        snakemake.input.adc,
        snakemake.input.brain_mask,
        {name: snakemake.params[name] for name in ("adc_threshold_um2_s", "minimum_component_ml")},
        snakemake.output.diffusion,
        snakemake.output.get("final"),
        snakemake.output.get("labels"),
    )
