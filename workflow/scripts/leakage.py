"""Door: the leakage gate."""

from finalinfarct.door import door
from finalinfarct.evaluation.leakage import check_leakage

with door(snakemake):
    files, params = snakemake.input, snakemake.params
    check_leakage(
        {
            "folds": files.folds,
            "inclusion": files.inclusion,
            "metrics": files.metrics,
            "environments": files.environments,
            "predictions": files.predictions,
            "raw": params.raw,
            "normalised": list(zip(files.images, files.normalised, files.brain_masks, strict=True)),
            "sources": params.sources,
        },
        params.settings,
        snakemake.output.table,
    )
