"""Door: every printed number beside this run's."""

from finalinfarct.door import door
from finalinfarct.reporting.comparison import write_comparison

with door(snakemake):
    out, params = snakemake.output, snakemake.params
    write_comparison(dict(snakemake.input.items()), params.hausdorff, out.csv, out.html, simulated=params.simulated)
