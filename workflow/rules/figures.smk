"""Figures of the paper and beyond it, and the table of reliability that one of them is drawn from."""

FIGURES = ["figure1", "figure2", "figure3", "figure4", "paired_dice", "bland_altman", "reliability", "dice_by_volume"]
PATIENT_IMAGES = {
    **{name: RESAMPLED.format(participant="{participant}", session="baseline", image=name) for name in INPUTS},
    "FLAIR": RESAMPLED.format(participant="{participant}", session="followup", image="FLAIR"),
    "brain_mask": BRAIN_MASK,
    "final_lesion": FINAL_LESION,
}
STATUS_MODELS = collect(PREDICTED, fusion="late", inputs=FULL, training_set=STATUSES)
PREDICTED_MASKS = {name: f"{folder}/{{participant}}_space-reference_label-lesion_mask.nii.gz" for name, folder in plan.shown_predictions().items()}


rule reliability:
    input:
        inclusion="results/inclusion.tsv",
        models=STATUS_MODELS,
        final_lesion=collect(FINAL_LESION, participant=plan.with_role("test")),
        brain_mask=collect(BRAIN_MASK, participant=plan.with_role("test")),
    output:
        reliability="results/reliability.tsv",
    log:
        "logs/evaluation/reliability.log",
    group:
        "report"
    conda:
        "../../envs/analysis.yaml"
    params:
        patterns={"final_lesion": FINAL_LESION, "brain_mask": BRAIN_MASK},
        probabilities={name: pattern.replace("_mask", "_probseg") for name, pattern in PREDICTED_MASKS.items()},
        code=plan.code("reliability.py"),
    message:
        "Reliability of the predicted probabilities"
    script:
        "../scripts/reliability.py"


rule figure1:
    input:
        inclusion="results/inclusion.tsv",
    output:
        svg="results/figures/figure1.svg",
        png=report(
            "results/figures/figure1.png",
            caption="../report/figure1.rst",
            category="Figures",
            labels={"figure": "Figure 1", "what": "patient inclusion"},
        ),
    log:
        "logs/reporting/figure1.log",
    group:
        "report"
    conda:
        "../../envs/analysis.yaml"
    params:
        reperfusion={name: cohort["reperfusion"] for name, cohort in plan.cohorts().items()},
        simulated=plan.of_simulation,
        code=plan.code("figure1.py"),
    message:
        "Figure 1: patient inclusion"
    script:
        "../scripts/figure1.py"


rule figure2:
    output:
        svg="results/figures/figure2.svg",
        png=report(
            "results/figures/figure2.png",
            caption="../report/figure2.rst",
            category="Figures",
            labels={"figure": "Figure 2", "what": "network architecture"},
        ),
    log:
        "logs/reporting/figure2.log",
    group:
        "report"
    conda:
        "../../envs/training.yaml"
    params:
        inputs=INPUTS,
        matrix=MATRIX,
        settings=plan.training_settings(),
        code=plan.code("figure2.py"),
    message:
        "Figure 2: network architecture"
    script:
        "../scripts/figure2.py"


rule figure3:
    input:
        metrics=plan.metric_files("table3"),
        inclusion="results/inclusion.tsv",
        volumes="results/lesion_volumes.tsv",
        predictions=list(plan.shown_predictions().values()),
        images=collect(list(PATIENT_IMAGES.values()), participant=plan.with_role("test")),
    output:
        svg="results/figures/figure3.svg",
        png=report(
            "results/figures/figure3.png",
            caption="../report/figure3.rst",
            category="Figures",
            labels={"figure": "Figure 3", "what": "predictions of all models in typical patients"},
        ),
    log:
        "logs/reporting/figure3.log",
    group:
        "report"
    conda:
        "../../envs/analysis.yaml"
    params:
        images=PATIENT_IMAGES,
        predictions=PREDICTED_MASKS,
        simulated=plan.of_simulation,
        code=plan.code("figure3.py"),
    message:
        "Figure 3: predictions of all models in typical patients"
    script:
        "../scripts/figure3.py"


rule figure4:
    input:
        metrics=plan.metric_files("table3"),
        inclusion="results/inclusion.tsv",
        volumes="results/lesion_volumes.tsv",
        predictions=list(plan.shown_predictions().values()),
        images=collect(list(PATIENT_IMAGES.values()), participant=plan.with_role("test")),
    output:
        svg="results/figures/figure4.svg",
        png=report(
            "results/figures/figure4.png",
            caption="../report/figure4.rst",
            category="Figures",
            labels={"figure": "Figure 4", "what": "good and difficult patients"},
        ),
    log:
        "logs/reporting/figure4.log",
    group:
        "report"
    conda:
        "../../envs/analysis.yaml"
    params:
        images=PATIENT_IMAGES,
        predictions=PREDICTED_MASKS,
        simulated=plan.of_simulation,
        code=plan.code("figure4.py"),
    message:
        "Figure 4: good and difficult patients"
    script:
        "../scripts/figure4.py"


rule figure_paired_dice:
    input:
        metrics=plan.metric_files("table3"),
        volumes="results/lesion_volumes.tsv",
    output:
        svg="results/figures/paired_dice.svg",
        png=report(
            "results/figures/paired_dice.png",
            caption="../report/paired_dice.rst",
            category="Figures",
            labels={"figure": "Paired DSC", "what": "CNN against mismatch model"},
        ),
    log:
        "logs/reporting/paired_dice.log",
    group:
        "report"
    conda:
        "../../envs/analysis.yaml"
    params:
        simulated=plan.of_simulation,
        code=plan.code("figure_paired_dice.py"),
    message:
        "Paired DSC: CNN against mismatch model"
    script:
        "../scripts/figure_paired_dice.py"


rule figure_bland_altman:
    input:
        metrics=plan.metric_files("table3"),
        volumes="results/lesion_volumes.tsv",
    output:
        svg="results/figures/bland_altman.svg",
        png=report(
            "results/figures/bland_altman.png",
            caption="../report/bland_altman.rst",
            category="Figures",
            labels={"figure": "Bland-Altman", "what": "predicted against final volumes"},
        ),
    log:
        "logs/reporting/bland_altman.log",
    group:
        "report"
    conda:
        "../../envs/analysis.yaml"
    params:
        simulated=plan.of_simulation,
        code=plan.code("figure_bland_altman.py"),
    message:
        "Bland-Altman: predicted against final volumes"
    script:
        "../scripts/figure_bland_altman.py"


rule figure_reliability:
    input:
        reliability="results/reliability.tsv",
    output:
        svg="results/figures/reliability.svg",
        png=report(
            "results/figures/reliability.png",
            caption="../report/reliability.rst",
            category="Figures",
            labels={"figure": "Reliability", "what": "predicted probability against observed frequency"},
        ),
    log:
        "logs/reporting/reliability.log",
    group:
        "report"
    conda:
        "../../envs/analysis.yaml"
    params:
        simulated=plan.of_simulation,
        code=plan.code("figure_reliability.py"),
    message:
        "Reliability: predicted probability against observed frequency"
    script:
        "../scripts/figure_reliability.py"


rule figure_dice_by_volume:
    input:
        metrics=plan.metric_files("table3"),
        volumes="results/lesion_volumes.tsv",
    output:
        svg="results/figures/dice_by_volume.svg",
        png=report(
            "results/figures/dice_by_volume.png",
            caption="../report/dice_by_volume.rst",
            category="Figures",
            labels={"figure": "DSC by volume", "what": "DSC against lesion volumes"},
        ),
    log:
        "logs/reporting/dice_by_volume.log",
    group:
        "report"
    conda:
        "../../envs/analysis.yaml"
    params:
        simulated=plan.of_simulation,
        code=plan.code("figure_dice_by_volume.py"),
    message:
        "DSC by volume: DSC against lesion volumes"
    script:
        "../scripts/figure_dice_by_volume.py"
