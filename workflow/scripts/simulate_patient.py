"""Door: raw acquisitions of one simulated patient."""

from finalinfarct.door import door
from finalinfarct.simulation.cohort import simulate_patient

with door(snakemake, analysis=False):
    simulate_patient(snakemake.wildcards.participant, snakemake.params.settings, snakemake.params.dataset, sessions=snakemake.params.sessions)
