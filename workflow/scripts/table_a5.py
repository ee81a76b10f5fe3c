"""Door: table A.5, baseline characteristics."""

from finalinfarct.door import door
from finalinfarct.reporting.patients import write_table_a5

with door(snakemake):
    files, out = snakemake.input, snakemake.output
    write_table_a5(files.participants, files.inclusion, files.volumes, files.printed, out.csv, out.md, simulated=snakemake.params.simulated)
