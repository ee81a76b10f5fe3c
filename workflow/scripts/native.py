"""Door: a patient's predicted lesion in the space of the native DWI."""

from finalinfarct.door import door
from finalinfarct.imaging.registration import write_native

with door(snakemake):
    predicted = [f"{snakemake.params.stem}{kind}.nii.gz" for kind in ("mask", "probseg")]
    write_native(*predicted, snakemake.input.dwi, snakemake.input.inverse or None, snakemake.output.mask, snakemake.output.probability)
