"""Door: out-of-fold predictions of one model family."""

from finalinfarct.door import door
from finalinfarct.learning.folds import read_folds
from finalinfarct.learning.prediction import check_weights, predict_family

with door(snakemake):
    folds, inputs = read_folds(snakemake.input.folds), snakemake.wildcards.inputs.split("-")
    pattern = snakemake.params.patterns["images"]
    for weights, environment in zip(snakemake.input.weights, snakemake.input.environments, strict=True):
        check_weights(weights, environment)
    tested = [name for fold in folds["folds"] for name in fold["test"]]
    predict_family(
        folds=folds,
        weights=dict(zip(snakemake.params.folds, snakemake.input.weights, strict=True)),
        patients={name: {image: pattern.format(participant=name, image=image) for image in inputs} for name in tested},
        inputs=inputs,
        fusion=snakemake.wildcards.fusion,
        matrix=snakemake.params.matrix,
        settings=snakemake.params.settings,
        threshold=snakemake.params.threshold,
        output_folder=snakemake.output.folder,
        threads=snakemake.threads,
        training_set=snakemake.wildcards.training_set,
    )
