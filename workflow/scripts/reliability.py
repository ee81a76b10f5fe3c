"""Door: reliability of the probabilities of each status's own model."""

from finalinfarct.dataset.inclusion import read_inclusion
from finalinfarct.door import door
from finalinfarct.evaluation.reliability import write_reliability

with door(snakemake):
    table, params = read_inclusion(snakemake.input.inclusion), snakemake.params
    patients = [
        {
            "participant_id": row.participant_id,
            "status": row.status,
            "training_set": row.status,
            "probability": params.probabilities[row.status].format(participant=row.participant_id),
            **{image: pattern.format(participant=row.participant_id) for image, pattern in params.patterns.items()},
        }
        for row in table[table["included"] & (table["role"] == "test")].itertuples()
    ]
    write_reliability(patients, snakemake.output.reliability)
