"""Door: model card and learning curves of one model family."""

from finalinfarct.door import door
from finalinfarct.reporting.model_card import write_model_card

with door(snakemake):
    write_model_card(
        environments=snakemake.input.environments,
        histories=snakemake.input.histories,
        metrics=snakemake.input.metrics,
        hausdorff=snakemake.params.hausdorff,
        simulated=snakemake.params.simulated,
        card=snakemake.output.card,
        svg=snakemake.output.svg,
        png=snakemake.output.png,
    )
