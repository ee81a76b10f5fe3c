"""Door: AUC of the networks and of the mismatch model."""

from finalinfarct.door import door
from finalinfarct.reporting.auc_table import write_auc

with door(snakemake):
    files, out = snakemake.input, snakemake.output
    write_auc(files.metrics, files.volumes, files.printed, out.csv, out.md, simulated=snakemake.params.simulated)
