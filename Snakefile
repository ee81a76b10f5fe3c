"""Final infarct prediction from baseline MRI: every table of Debs et al. 2021 as a target, from raw images in BIDS form."""

from snakemake.utils import min_version

min_version("9.0")


configfile: f"{workflow.basedir}/config/config.yaml"


include: "workflow/rules/common.smk"


if config["dataset"]["simulated"]:

    include: "workflow/rules/simulation.smk"


include: "workflow/rules/dataset.smk"
include: "workflow/rules/imaging.smk"
include: "workflow/rules/quality.smk"


if plan.networks:

    include: "workflow/rules/new_patients.smk"

    wanted = [
        "results/new_patients.tsv",
        *collect("results/new_patients/{participant}.html", participant=plan.with_role("new")),
        *collect(f"{NEW_NATIVE}{{kind}}.nii.gz", participant=plan.with_role("new"), training_set=plan.networks, kind=["mask", "probseg"]),
    ]

else:

    include: "workflow/rules/learning.smk"
    include: "workflow/rules/evaluation.smk"
    include: "workflow/rules/reporting.smk"
    include: "workflow/rules/figures.smk"
    include: "workflow/rules/audit.smk"

    wanted = [
        "results/metrics.tsv",
        "results/leakage.tsv",
        "results/reporting_checklist.md",
        *collect("results/{table}.{ending}", table=TABLES, ending=["csv", "md"]),
        *collect("results/paper_comparison.{ending}", ending=["csv", "html"]),
        *collect("results/figures/{figure}.{ending}", figure=FIGURES, ending=["svg", "png"]),
        *(f"{FAMILY}/model_card.md".format(**family._asdict()) for family in plan.families),
    ]
    if not plan.with_role("test"):
        wanted = []


rule all:
    default_target: True
    input:
        collect("results/{folder}/dataset_description.json", folder=["maps", "preprocessed"]),
        "results/inclusion.tsv",
        "results/quality.tsv",
        "results/quality/index.html",
        collect("results/quality/{participant}.html", participant=plan.patients),
        wanted,
    localrule: True


onstart:
    try:
        plan.start()
    except (InputError, OSError) as fault:
        raise WorkflowError(str(fault)) from None


onsuccess:
    print(plan.closing_words())
