"""Door: a patient's predicted lesion in the space of the native DWI."""

from finalinfarct.door import door
from finalinfarct.imaging.registration import write_native

with door(snakemake):
    files, stem, out = snakemake.input, snakemake.params.get("stem"), snakemake.output
    predicted = [f"{stem}{kind}.nii.gz" for kind in ("mask", "probseg")] if stem else [files.mask, files.probability]
    write_native(*predicted, files.dwi, files.inverse or None, out.mask, out.probability)
