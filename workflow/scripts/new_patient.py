"""Door: numbers and page of one new patient's predictions."""

from finalinfarct.door import door
from finalinfarct.reporting.new_patient_page import write_new_patient

with door(snakemake):
    files, params = dict(snakemake.input.items()), snakemake.params
    quality = files.pop("quality")
    del files["side_files"]  # read with their masks
    write_new_patient(
        snakemake.wildcards.participant,
        files,
        params.tmax_threshold_s,
        params.simulated,
        quality,
        snakemake.output.numbers,
        snakemake.output.html,
    )
