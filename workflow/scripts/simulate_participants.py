"""Door: clinical data and description of the simulated cohort."""

from finalinfarct.door import door
from finalinfarct.simulation.cohort import simulate_participants

with door(snakemake, analysis=False):
    simulate_participants(snakemake.params.settings, snakemake.params.dataset)
