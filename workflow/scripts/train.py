"""Door: one training, of one model family on one fold."""

from finalinfarct.door import door
from finalinfarct.learning.devices import EXECUTION
from finalinfarct.learning.training import train

with door(snakemake):
    wildcards = snakemake.wildcards
    # These are no params: changed, they must not start trainings anew.
    settings = snakemake.params.settings | {key: snakemake.config["training"][key] for key in EXECUTION}
    train(
        slices=snakemake.input.slices,
        folds=snakemake.input.folds,
        fold=int(wildcards.fold),
        training_set=wildcards.training_set,
        inputs=wildcards.inputs.split("-"),
        fusion=wildcards.fusion,
        matrix=snakemake.params.matrix,
        settings=settings,
        weights_out=snakemake.output.weights,
        history_out=snakemake.output.history,
        environment_out=snakemake.output.environment,
        threads=snakemake.threads,
        code=snakemake.params.code,
        checkpoints=snakemake.params.checkpoints,
        events=snakemake.params.events,
        preparation=snakemake.params.preparation,
    )
