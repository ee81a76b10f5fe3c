"""Door: the slices of all included patients that hold final infarct."""

from finalinfarct.dataset.inclusion import read_inclusion
from finalinfarct.door import door
from finalinfarct.learning.slices import pack_slices

with door(snakemake):
    inclusion, inputs = read_inclusion(snakemake.input.inclusion), snakemake.params.inputs
    patients = [
        {
            "participant_id": name,
            "images": {image: snakemake.params.images.format(participant=name, image=image) for image in inputs},
            "dseg": snakemake.params.labels.format(participant=name),
        }
        for name in inclusion.loc[inclusion["included"], "participant_id"]
    ]
    pack_slices(patients, inputs, snakemake.output.slices)
