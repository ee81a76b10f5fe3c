"""The mismatch model, metrics of every prediction, responders, lesion volumes and the agreement of diffusion and final lesion."""

# By name: the images of tested patients that predictions are evaluated with.
EVALUATED_IMAGES = {"final_lesion": FINAL_LESION, "diffusion_lesion": DIFFUSION_LESION, "tmax": TMAX, "brain_mask": BRAIN_MASK}
EVALUATED = {
    "inclusion": "results/inclusion.tsv",
    "folds": "results/folds.json",
    **{name: collect(pattern, participant=plan.with_role("test")) for name, pattern in EVALUATED_IMAGES.items()},
}


rule mismatch:
    input:
        inclusion="results/inclusion.tsv",
        diffusion_lesion=collect(DIFFUSION_LESION, participant=plan.with_role("test")),
        tmax=collect(TMAX, participant=plan.with_role("test")),
        brain_mask=collect(BRAIN_MASK, participant=plan.with_role("test")),
    output:
        folder=directory("results/predictions/mismatch"),
    log:
        "logs/evaluation/mismatch.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        patterns={"diffusion_lesion": DIFFUSION_LESION, "tmax": TMAX, "brain_mask": BRAIN_MASK},
        tmax_threshold_s=config["mismatch"]["tmax_threshold_s"],
        code=plan.code("mismatch.py"),
    message:
        "Predictions of the perfusion-diffusion mismatch model"
    script:
        "../scripts/mismatch.py"


rule evaluate:
    input:
        **EVALUATED,
        predictions=PREDICTED,
    output:
        metrics="results/metrics/{fusion}/{inputs}/{training_set}.tsv",
    log:
        "logs/evaluation/{fusion}_{inputs}_{training_set}.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        patterns=EVALUATED_IMAGES,
        seed=config["evaluation"]["auc_seed"],
        code=plan.code("evaluate.py"),
    message:
        "Metrics of {wildcards.fusion} fusion of {wildcards.inputs} trained on {wildcards.training_set} patients"
    script:
        "../scripts/evaluate.py"


use rule evaluate as evaluate_mismatch with:
    input:
        **EVALUATED,
        predictions="results/predictions/mismatch",
    output:
        metrics="results/metrics/mismatch.tsv",
    log:
        "logs/evaluation/mismatch_metrics.log",
    message:
        "Metrics of the mismatch model"


rule metrics:
    input:
        cnn=[f"results/metrics/{family.fusion}/{family.inputs}/{family.training_set}.tsv" for family in plan.families],
        mismatch="results/metrics/mismatch.tsv",
    output:
        metrics="results/metrics.tsv",
    log:
        "logs/evaluation/metrics.log",
    group:
        "report"
    conda:
        "../../envs/analysis.yaml"
    params:
        code=plan.code("metrics.py"),
    message:
        "Joining the metrics"
    script:
        "../scripts/metrics.py"


rule responders:
    input:
        reperfused=plan.shown_predictions()["reperfused"],
        nonreperfused=plan.shown_predictions()["nonreperfused"],
        inclusion="results/inclusion.tsv",
        folds="results/folds.json",
    output:
        responders="results/responders.tsv",
    log:
        "logs/evaluation/responders.log",
    group:
        "report"
    conda:
        "../../envs/analysis.yaml"
    params:
        code=plan.code("responders.py"),
    message:
        "Predictions with and without reperfusion against each other"
    script:
        "../scripts/responders.py"


rule lesion_volumes:
    input:
        diffusion_lesion=collect(DIFFUSION_LESION, participant=plan.patients),
        final_lesion=collect(FINAL_LESION, participant=plan.patients),
    output:
        volumes="results/lesion_volumes.tsv",
    log:
        "logs/evaluation/lesion_volumes.log",
    group:
        "report"
    conda:
        "../../envs/analysis.yaml"
    params:
        participants=list(plan.patients),
        code=plan.code("lesion_volumes.py"),
    message:
        "Lesion volumes of all patients, and the sources of their diffusion lesions"
    script:
        "../scripts/lesion_volumes.py"


rule diffusion_lesion:
    input:
        diffusion_lesion=collect(DIFFUSION_LESION, participant=plan.patients),
        final_lesion=collect(FINAL_LESION, participant=plan.patients),
    output:
        agreement="results/diffusion_lesion.tsv",
    log:
        "logs/evaluation/diffusion_lesion.log",
    group:
        "report"
    conda:
        "../../envs/analysis.yaml"
    params:
        participants=list(plan.patients),
        code=plan.code("diffusion_lesion.py"),
    message:
        "Agreement of the diffusion lesion with the final lesion"
    script:
        "../scripts/diffusion_lesion.py"
