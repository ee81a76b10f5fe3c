"""Door: the numbers of the paper's prose beside this run's."""

from finalinfarct.door import door
from finalinfarct.reporting.text_results import write_text_results

with door(snakemake):
    files, out = dict(snakemake.input.items()), snakemake.output
    write_text_results(files, files["printed"], out.csv, out.md, simulated=snakemake.params.simulated)
