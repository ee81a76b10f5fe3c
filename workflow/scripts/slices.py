"""Door: the slices of all included patients that hold final infarct."""

from finalinfarct.dataset.inclusion import read_inclusion
from finalinfarct.door import door
from finalinfarct.learning.slices import pack_slices

with door(snakemake):
    inclusion, inputs, patterns = read_inclusion(snakemake.input.inclusion), snakemake.params.inputs, snakemake.params.patterns
    patients = [
        {
            "participant_id": name,
            "images": {image: patterns["images"].format(participant=name, image=image) for image in inputs},
            "dseg": patterns["labels"].format(participant=name),
        }
        for name in inclusion.loc[inclusion["included"], "participant_id"]
    ]
    pack_slices(patients, inputs, snakemake.output.slices)
