"""What a reader may ask of a finished run: the leakage gate, and the reporting checklist."""


rule leakage_gate:
    input:
        folds="results/folds.json",
        inclusion="results/inclusion.tsv",
        metrics="results/metrics.tsv",
        environments=[f"{TRAINED}/environment.json".format(**family._asdict(), fold=fold) for family in plan.families for fold in plan.folds],
        predictions=[*(PREDICTED.format(**family._asdict()) for family in plan.families), "results/predictions/mismatch"],
        raw=plan.all_raw,
        images=collect(RESAMPLED, participant=plan.with_role("test", "training"), session="baseline", image=NETWORK_IMAGES),
        normalised=collect(NORMALISED, participant=plan.with_role("test", "training"), image=INPUTS),
        brain_masks=[BRAIN_MASK.format(participant=name) for name in plan.with_role("test", "training") for _ in INPUTS],
    output:
        table="results/leakage.tsv",
    log:
        "logs/evaluation/leakage.log",
    group:
        "report"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=plan.memory(3000),
        runtime=60,
    params:
        raw=plan.raw_images(),
        sources=plan.sources,
        settings={
            "normalisation": config["images"]["normalisation"],
            "scope": config["images"]["normalisation_scope"],
            "probability_threshold": config["evaluation"]["probability_threshold"],
            "tmax_threshold_s": config["mismatch"]["tmax_threshold_s"],
        },
        code=plan.code("leakage.py"),
    message:
        "Leakage gate"
    script:
        "../scripts/leakage.py"


rule checklist:
    input:
        inclusion="results/inclusion.tsv",
        folds="results/folds.json",
        participants=f"{DATASET}/participants.tsv",
        volumes="results/lesion_volumes.tsv",
        table3="results/table3.csv",
    output:
        page="results/reporting_checklist.md",
    log:
        "logs/reporting/checklist.log",
    group:
        "report"
    conda:
        "../../envs/analysis.yaml"
    params:
        settings={
            **{name: config[name] for name in ("cohorts", "images", "training", "folds", "evaluation")},
            "faults": config["dataset"]["faults"],
            "simulated": plan.of_simulation,
            "perfusion_maps": plan.sources_of_perfusion(),
        },
        people=plan.participants_state(),
        code=plan.code("checklist.py"),
    message:
        "TRIPOD+AI checklist"
    script:
        "../scripts/checklist.py"
