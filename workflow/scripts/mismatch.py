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
            "diffusion_lesion": params.diffusion_lesion.format(participant=row.participant_id),
            "tmax": params.tmax.format(participant=row.participant_id, session="baseline", image="Tmax"),
            "brain_mask": params.brain_mask.format(participant=row.participant_id),
        }
        for row in table[table["included"] & (table["role"] == "test")].itertuples()
    ]
    predict_mismatch(patients, {"tmax_threshold_s": params.tmax_threshold_s}, snakemake.output.folder)
