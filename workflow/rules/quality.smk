"""Quality report: numbers, flags and a page for every patient, and the patients in order of suspicion."""


rule quality:
    input:
        unpack(plan.quality_files),
    output:
        numbers="results/quality/{participant}.json",
        html=report(
            "results/quality/{participant}.html",
            caption="../report/quality_page.rst",
            category="Quality",
            subcategory="Patients",
            labels={"patient": "{participant}", "form": "page"},
        ),
        png=report(
            "results/quality/{participant}.png",
            caption="../report/quality_strip.rst",
            category="Quality",
            subcategory="Patients",
            labels={"patient": "{participant}", "form": "strip"},
        ),
    log:
        "logs/quality/{participant}.log",
    group:
        "patient"
    conda:
        "../../envs/analysis.yaml"
    params:
        cohort=plan.cohort_name,
        thresholds={"ADC": config["mismatch"]["adc_threshold_um2_s"], "Tmax": config["mismatch"]["tmax_threshold_s"]},
        simulated=plan.of_simulation,
        position=plan.position,
        code=plan.code("quality.py"),
    message:
        "Quality of the images of {wildcards.participant} (patient {params.position})"
    script:
        "../scripts/quality.py"


rule quality_table:
    input:
        numbers=collect("results/quality/{participant}.json", participant=plan.patients),
    output:
        table=report(
            "results/quality.tsv",
            caption="../report/quality_table.rst",
            category="Quality",
            subcategory="Cohort",
            labels={"patient": "all", "form": "table"},
        ),
    log:
        "logs/quality/table.log",
    group:
        "report"
    conda:
        "../../envs/analysis.yaml"
    params:
        simulated=plan.of_simulation,
        code=plan.code("quality_table.py"),
    message:
        "Patients in order of suspicion"
    script:
        "../scripts/quality_table.py"


rule quality_index:
    input:
        quality="results/quality.tsv",
        strips=collect("results/quality/{participant}.png", participant=plan.patients),
    output:
        html=report(
            "results/quality/index.html",
            caption="../report/quality_index.rst",
            category="Quality",
            subcategory="Cohort",
            labels={"patient": "all", "form": "page"},
        ),
    log:
        "logs/quality/index.log",
    group:
        "report"
    conda:
        "../../envs/analysis.yaml"
    params:
        participants=list(plan.patients),
        simulated=plan.of_simulation,
        code=plan.code("quality_index.py"),
    message:
        "Page of the cohort's image quality"
    script:
        "../scripts/quality_index.py"
