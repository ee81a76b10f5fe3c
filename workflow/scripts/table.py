"""Door: table 2, 3, 4 or C.6 of the paper."""

from finalinfarct.door import door
from finalinfarct.reporting import tables

WRITERS = {"table2": tables.write_table2, "table3": tables.write_table3, "table4": tables.write_table4, "tableC6": tables.write_table_c6}

with door(snakemake):
    write = WRITERS[snakemake.wildcards.table]
    files, out, params = snakemake.input, snakemake.output, snakemake.params
    more = {"volumes": files.volumes} if files.volumes else {}
    write(files.metrics, files.printed, out.csv, out.md, hausdorff=params.hausdorff, simulated=params.simulated, **more)
