"""The check of the dataset against its contract, and who takes part."""


rule check_dataset:
    input:
        participants=f"{DATASET}/participants.tsv",
        images=plan.all_raw,
    output:
        faults="results/dataset_check.tsv",
    log:
        "logs/dataset/check.log",
    # First of all: a fault ends the run early, and while this job waits the scheduler weighs its hundreds of inputs again and again.
    priority: 100
    group:
        "cohort"
    conda:
        "../../envs/preprocessing.yaml"
    params:
        dataset=plan.folder,
        cohorts=plan.cohorts(),
        faults=plan.faults,
        code=plan.code("check_dataset.py"),
    message:
        "Checking the dataset"
    script:
        "../scripts/check_dataset.py"


rule inclusion:
    input:
        participants=f"{DATASET}/participants.tsv",
        faults="results/dataset_check.tsv",
        ratios=collect("results/reperfusion/{participant}.json", participant=plan.with_h3()),
    output:
        inclusion="results/inclusion.tsv",
    log:
        "logs/dataset/inclusion.log",
    group:
        "cohort"
    conda:
        "../../envs/analysis.yaml"
    params:
        cohorts=plan.cohorts(),
        participants=plan.participants_state(),
        code=plan.code("inclusion.py"),
    message:
        "Reperfusion status and inclusion of all patients"
    script:
        "../scripts/inclusion.py"
