"""Configuration, the plan, wildcards and the path patterns that several rules share."""

import sys

from snakemake.settings.types import DeploymentMethod

sys.path.insert(0, f"{workflow.basedir}/workflow/scripts")

from finalinfarct.errors import InputError
from finalinfarct.learning.families import FULL, INPUTS, STATUSES, TRAINING_SETS
from finalinfarct.plan.config import check_command, check_unique_keys
from finalinfarct.plan.plan import Plan

try:
    check_command(sys.argv if workflow.is_main_process else [])
    check_unique_keys(workflow.configfiles)
    environments = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method
    plan = Plan(config, workflow.is_main_process, environments)
except InputError as fault:
    raise WorkflowError(str(fault)) from None

DATASET = str(plan.root)
MATRIX = config["images"]["matrix"]
TABLES = ["table1", "table2", "table3", "table4", "tableA5", "tableC6", "auc", "text_results"]
RESAMPLED = "results/preprocessed/{participant}/{participant}_ses-{session}_space-reference_{image}.nii.gz"
NETWORK_IMAGES = ["DWI", *(f"desc-linear_{name}" for name in INPUTS if name != "DWI")]
TMAX = "results/preprocessed/{participant}/{participant}_ses-baseline_space-reference_Tmax.nii.gz"
NORMALISED = "results/preprocessed/{participant}/{participant}_ses-baseline_space-reference_desc-normalised_{image}.nii.gz"
BRAIN_MASK = "results/preprocessed/{participant}/{participant}_space-reference_label-brain_mask.nii.gz"
DIFFUSION_LESION = "results/preprocessed/{participant}/{participant}_space-reference_label-diffusionlesion_mask.nii.gz"
FINAL_LESION = "results/preprocessed/{participant}/{participant}_space-reference_label-finallesion_mask.nii.gz"
TISSUE_LABELS = "results/preprocessed/{participant}/{participant}_space-reference_dseg.nii.gz"
TRANSFORM = "results/registration/{participant}/{participant}_from-{image}_to-reference_xfm.h5"
FAMILY = "results/models/{fusion}/{inputs}/{training_set}"
TRAINED = f"{FAMILY}/fold-{{fold}}"
PREDICTED = "results/predictions/{fusion}/{inputs}/{training_set}"


wildcard_constraints:
    participant="sub-[A-Za-z0-9]+",
    session="baseline|h3|followup",
    image="[A-Za-z0-9]+",
    fusion="late|early",
    inputs="[A-Za-z-]+",
    training_set="all|reperfused|nonreperfused",
    fold=r"\d+",
