"""Door: metrics of one model family, or of the mismatch model, patient by patient."""

from finalinfarct.dataset.inclusion import read_inclusion
from finalinfarct.door import door
from finalinfarct.evaluation.family import evaluate_predictions
from finalinfarct.learning.folds import read_folds

with door(snakemake):
    params, family = snakemake.params, [snakemake.wildcards.get(name) for name in ("fusion", "inputs", "training_set")]
    method = "cnn" if family[0] else "mismatch"
    status = read_inclusion(snakemake.input.inclusion).set_index("participant_id")["status"]
    stem = f"{snakemake.input.predictions}/{{}}_space-reference_label-lesion_{{}}.nii.gz"
    patients = [
        {
            "participant_id": name,
            "status": status[name],
            "fold": fold["fold"],
            "mask": stem.format(name, "mask"),
            "probability": stem.format(name, "probseg") if method == "cnn" else None,
            **{image: pattern.format(participant=name) for image, pattern in params.patterns.items()},
        }
        for fold in read_folds(snakemake.input.folds)["folds"]
        for name in fold["test"]
    ]
    evaluate_predictions(patients, method, *family, params.seed, snakemake.output.metrics)
