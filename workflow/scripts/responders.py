"""Door: predictions of the two status-specific models against each other, patient by patient."""

from finalinfarct.dataset.inclusion import read_inclusion
from finalinfarct.door import door
from finalinfarct.evaluation.responders import write_responders
from finalinfarct.learning.folds import read_folds

with door(snakemake):
    files = snakemake.input
    status = read_inclusion(files.inclusion).set_index("participant_id")["status"]
    mask = "{}/{}_space-reference_label-lesion_mask.nii.gz"
    patients = [
        {
            "participant_id": name,
            "status": status[name],
            "fold": fold["fold"],
            "reperfused": mask.format(files.reperfused, name),
            "nonreperfused": mask.format(files.nonreperfused, name),
        }
        for fold in read_folds(files.folds)["folds"]
        for name in fold["test"]
    ]
    write_responders(patients, snakemake.output.responders)
