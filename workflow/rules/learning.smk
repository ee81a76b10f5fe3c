"""Folds, lesion slices, one training per model and fold, and out-of-fold predictions."""


rule folds:
    input:
        inclusion="results/inclusion.tsv",
    output:
        folds="results/folds.json",
    log:
        "logs/learning/folds.log",
    group:
        "cohort"
    conda:
        "../../envs/training.yaml"
    params:
        settings=config["folds"],
        code=plan.code("folds.py"),
    message:
        "Drawing the folds"
    script:
        "../scripts/folds.py"


rule slices:
    input:
        inclusion="results/inclusion.tsv",
        images=collect(NORMALISED, participant=plan.with_role("test", "training"), image=INPUTS),
        labels=collect(TISSUE_LABELS, participant=plan.with_role("test", "training")),
    output:
        slices="results/slices.h5",
    log:
        "logs/learning/slices.log",
    group:
        "cohort"
    conda:
        "../../envs/training.yaml"
    params:
        inputs=INPUTS,
        patterns={"images": NORMALISED, "labels": TISSUE_LABELS},
        code=plan.code("slices.py"),
    message:
        "Collecting the slices that hold final infarct"
    script:
        "../scripts/slices.py"


rule train:
    input:
        slices="results/slices.h5",
        folds="results/folds.json",
    output:
        weights=f"{TRAINED}/model.weights.h5",
        history=f"{TRAINED}/history.csv",
        environment=f"{TRAINED}/environment.json",
    log:
        "logs/learning/{fusion}_{inputs}_{training_set}_fold-{fold}.log",
    benchmark:
        "logs/learning/{fusion}_{inputs}_{training_set}_fold-{fold}.benchmark.tsv"
    conda:
        "../../envs/training.yaml"
    threads: config["training"]["threads"]
    resources:
        gpu=1,
        mem_mb=plan.memory(4000),
        runtime=240,
    params:
        matrix=MATRIX,
        settings=plan.training_settings(),
        checkpoints="results/checkpoints",
        events="results/tensorboard",
        preparation=plan.preparation("test", "training"),
        code=plan.code("train.py"),
    message:
        "Training {wildcards.fusion} fusion of {wildcards.inputs} on {wildcards.training_set} patients, fold {wildcards.fold}"
    script:
        "../scripts/train.py"


rule predict:
    input:
        weights=collect(f"{TRAINED}/model.weights.h5", fold=plan.folds, allow_missing=True),
        environments=collect(f"{TRAINED}/environment.json", fold=plan.folds, allow_missing=True),
        folds="results/folds.json",
        images=lambda wildcards: collect(NORMALISED, participant=plan.with_role("test"), image=wildcards.inputs.split("-")),
    output:
        folder=directory(PREDICTED),
    log:
        "logs/learning/{fusion}_{inputs}_{training_set}_predict.log",
    conda:
        "../../envs/training.yaml"
    threads: config["training"]["threads"]
    resources:
        mem_mb=plan.memory(2000),
        runtime=60,
    params:
        patterns={"images": NORMALISED},
        matrix=MATRIX,
        folds=plan.folds,
        settings=plan.training_settings(),
        threshold=config["evaluation"]["probability_threshold"],
        code=plan.code("predict.py"),
    message:
        "Out-of-fold predictions: {wildcards.fusion} fusion of {wildcards.inputs} trained on {wildcards.training_set} patients"
    script:
        "../scripts/predict.py"
