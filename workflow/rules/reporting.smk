"""Tables of the paper beside its printed numbers, and pictures of the lesions."""


rule table1:
    output:
        csv=report("results/table1.csv", caption="../report/table1.rst", category="Tables", labels={"table": "Table 1"}),
        md="results/table1.md",
    log:
        "logs/reporting/table1.log",
    group:
        "report"
    conda:
        "../../envs/training.yaml"
    params:
        matrix=MATRIX,
        code=plan.code("table1.py"),
    message:
        "Table 1"
    script:
        "../scripts/table1.py"


rule table:
    input:
        metrics=lambda wildcards: plan.metric_files(wildcards.table),
        volumes=branch(lambda wildcards: wildcards.table == "table3", then="results/lesion_volumes.tsv"),
        printed=f"{workflow.basedir}/resources/printed/metrics.csv",
    output:
        csv=report("results/{table}.csv", caption="../report/table.rst", category="Tables", labels={"table": "{table}"}),
        md="results/{table}.md",
    log:
        "logs/reporting/{table}.log",
    wildcard_constraints:
        table="table2|table3|table4|tableC6",
    group:
        "report"
    conda:
        "../../envs/analysis.yaml"
    params:
        hausdorff=config["evaluation"]["hausdorff_unit"],
        simulated=plan.of_simulation,
        code=plan.code("table.py"),
    message:
        "{wildcards.table}"
    script:
        "../scripts/table.py"


rule auc_table:
    input:
        metrics=plan.metric_files("table3"),
        volumes="results/lesion_volumes.tsv",
        printed=f"{workflow.basedir}/resources/printed/facts.csv",
    output:
        csv=report("results/auc.csv", caption="../report/auc.rst", category="Tables", labels={"table": "AUC (section 3.2)"}),
        md="results/auc.md",
    log:
        "logs/reporting/auc.log",
    group:
        "report"
    conda:
        "../../envs/analysis.yaml"
    params:
        simulated=plan.of_simulation,
        code=plan.code("auc_table.py"),
    message:
        "AUC of the networks and the mismatch model"
    script:
        "../scripts/auc_table.py"


rule table_a5:
    input:
        participants=f"{DATASET}/participants.tsv",
        inclusion="results/inclusion.tsv",
        volumes="results/lesion_volumes.tsv",
        printed=f"{workflow.basedir}/resources/printed/facts.csv",
    output:
        csv=report("results/tableA5.csv", caption="../report/tableA5.rst", category="Tables", labels={"table": "Table A.5"}),
        md="results/tableA5.md",
    log:
        "logs/reporting/tableA5.log",
    group:
        "report"
    conda:
        "../../envs/analysis.yaml"
    params:
        simulated=plan.of_simulation,
        people=plan.participants_state(),
        code=plan.code("table_a5.py"),
    message:
        "Table A.5"
    script:
        "../scripts/table_a5.py"


rule text_results:
    input:
        participants=f"{DATASET}/participants.tsv",
        inclusion="results/inclusion.tsv",
        volumes="results/lesion_volumes.tsv",
        metrics=plan.metric_files("table3"),
        responders="results/responders.tsv",
        folds="results/folds.json",
        auc="results/auc.csv",
        table1="results/table1.csv",
        table_a5="results/tableA5.csv",
        environments=collect(f"{TRAINED}/environment.json", fusion="late", inputs=FULL, training_set=list(TRAINING_SETS), fold=plan.folds),
        printed=f"{workflow.basedir}/resources/printed/facts.csv",
    output:
        csv=report("results/text_results.csv", caption="../report/text_results.rst", category="Tables", labels={"table": "Numbers in the text"}),
        md="results/text_results.md",
    log:
        "logs/reporting/text_results.log",
    group:
        "report"
    conda:
        "../../envs/analysis.yaml"
    params:
        simulated=plan.of_simulation,
        people=plan.participants_state(),
        code=plan.code("text_results.py"),
    message:
        "Numbers in the text of the paper"
    script:
        "../scripts/text_results.py"


rule comparison:
    input:
        table1="results/table1.csv",
        table2="results/table2.csv",
        table3="results/table3.csv",
        table4="results/table4.csv",
        tableC6="results/tableC6.csv",
        auc="results/auc.csv",
        text_results="results/text_results.csv",
        inclusion="results/inclusion.tsv",
        volumes="results/lesion_volumes.tsv",
    output:
        csv=report("results/paper_comparison.csv", caption="../report/paper_comparison.rst", category="Comparison", labels={"form": "table"}),
        html=report("results/paper_comparison.html", caption="../report/paper_comparison.rst", category="Comparison", labels={"form": "page"}),
    log:
        "logs/reporting/paper_comparison.log",
    group:
        "report"
    conda:
        "../../envs/analysis.yaml"
    params:
        hausdorff=config["evaluation"]["hausdorff_unit"],
        simulated=plan.of_simulation,
        code=plan.code("comparison.py"),
    message:
        "Comparison with the paper"
    script:
        "../scripts/comparison.py"


rule model_card:
    input:
        environments=collect(f"{TRAINED}/environment.json", fold=plan.folds, allow_missing=True),
        histories=collect(f"{TRAINED}/history.csv", fold=plan.folds, allow_missing=True),
        metrics="results/metrics/{fusion}/{inputs}/{training_set}.tsv",
    output:
        card=report(
            f"{FAMILY}/model_card.md",
            caption="../report/model_card.rst",
            category="Models",
            labels={"model": "{fusion} fusion of {inputs}", "trained on": "{training_set}", "form": "card"},
        ),
        svg=f"{FAMILY}/learning_curve.svg",
        png=report(
            f"{FAMILY}/learning_curve.png",
            caption="../report/learning_curve.rst",
            category="Models",
            labels={"model": "{fusion} fusion of {inputs}", "trained on": "{training_set}", "form": "learning curves"},
        ),
    log:
        "logs/reporting/{fusion}_{inputs}_{training_set}_model_card.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        hausdorff=config["evaluation"]["hausdorff_unit"],
        simulated=plan.of_simulation,
        code=plan.code("model_card.py"),
    message:
        "Model card: {wildcards.fusion} fusion of {wildcards.inputs} trained on {wildcards.training_set} patients"
    script:
        "../scripts/model_card.py"


rule lesion_picture:
    input:
        DWI="results/preprocessed/{participant}/{participant}_ses-baseline_space-reference_DWI.nii.gz",
        ADC="results/preprocessed/{participant}/{participant}_ses-baseline_space-reference_ADC.nii.gz",
        FLAIR=plan.resampled_flair,
        brain_mask=BRAIN_MASK,
        diffusion_lesion=DIFFUSION_LESION,
        final_lesion=FINAL_LESION,
    output:
        picture="results/pictures/{participant}_lesions.png",
    log:
        "logs/reporting/{participant}_lesion_picture.log",
    group:
        "patient"
    conda:
        "../../envs/analysis.yaml"
    params:
        code=plan.code("lesion_picture.py"),
    message:
        "Picture of the lesions of {wildcards.participant}"
    script:
        "../scripts/lesion_picture.py"
