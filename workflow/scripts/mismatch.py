"""Door: predictions of the perfusion-diffusion mismatch model."""

from finalinfarct.dataset.inclusion import read_inclusion
from finalinfarct.door import door
from finalinfarct.evaluation.mismatch import predict_mismatch

with door(snakemake):
    table, params = read_inclusion(snakemake.input.inclusion), snakemake.params
    patients = [
        {
            "participant_id": row.participant_id,
            "status": row.status,
            **{image: pattern.format(participant=row.participant_id) for image, pattern in params.patterns.items()},
        }
        for row in table[table["included"] & (table["role"] == "test")].itertuples()
    ]
    predict_mismatch(patients, {"tmax_threshold_s": params.tmax_threshold_s}, snakemake.output.folder)
