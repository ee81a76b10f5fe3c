"""Door: table of all new patients."""

from finalinfarct.door import door
from finalinfarct.evaluation.new_patient import write_new_patients

with door(snakemake):
    write_new_patients(snakemake.input.numbers, snakemake.output.table)
