"""Door: diffusion lesion of one patient, and where it is known final lesion and tissue classes."""

from finalinfarct.door import door
from finalinfarct.imaging.lesions import make_labels

with door(snakemake):
    files, params, out = snakemake.input, snakemake.params, snakemake.output
    make_labels(
        final_lesion=files.final_lesion or None,
        final_transform=files.final_transform or None,
        dwi_lesion=files.dwi_lesion or None,
        dwi_transform=files.dwi_transform or None,
        reference=files.reference,
        matrix=params.matrix,
        adc=files.adc,
        brain_mask=files.brain_mask,
        settings={name: params[name] for name in ("adc_threshold_um2_s", "minimum_component_ml")},
        diffusion_out=out.diffusion,
        final_out=out.get("final"),
        dseg_out=out.get("labels"),
    )
