"""Door: the infarct of one new patient, predicted with and without reperfusion."""

from finalinfarct.door import door
from finalinfarct.learning.ensemble import predict_new_patient

with door(snakemake):
    out, settings = snakemake.output, snakemake.params.settings
    predict_new_patient(
        networks=snakemake.params.networks,
        images={name: path for name, path in snakemake.input.items() if name not in ("weights", "records")},
        backend=settings["backend"],
        batch_size=settings["batch_size"],
        threshold=snakemake.params.threshold,
        outputs={name: (out[f"probability_{name}"], out[name]) for name in snakemake.params.networks},
        threads=snakemake.threads,
    )
