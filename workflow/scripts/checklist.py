"""Door: the TRIPOD+AI checklist."""

from finalinfarct.door import door
from finalinfarct.reporting.checklist import write_checklist

with door(snakemake):
    write_checklist(dict(snakemake.input.items()), snakemake.params.settings, snakemake.output.page)
