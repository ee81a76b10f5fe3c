"""The embedded cohort: raw acquisitions simulated from physics, written as a BIDS dataset with its truth apart."""


rule simulate_participants:
    output:
        participants=f"{DATASET}/participants.tsv",
        description=f"{DATASET}/dataset_description.json",
    log:
        "logs/simulation/participants.log",
    conda:
        "../../envs/preprocessing.yaml"
    params:
        settings=config["simulation"],
        dataset=plan.folder,
        code=plan.code("simulate_participants.py"),
    message:
        "Simulating the clinical data of the cohorts"
    script:
        "../scripts/simulate_participants.py"


rule simulate_patient:
    output:
        dwi=f"{DATASET}/{{participant}}/ses-baseline/dwi/{{participant}}_ses-baseline_dwi.nii.gz",
        bval=f"{DATASET}/{{participant}}/ses-baseline/dwi/{{participant}}_ses-baseline_dwi.bval",
        dwi_side=f"{DATASET}/{{participant}}/ses-baseline/dwi/{{participant}}_ses-baseline_dwi.json",
        flair=f"{DATASET}/{{participant}}/ses-baseline/anat/{{participant}}_ses-baseline_FLAIR.nii.gz",
        dsc=f"{DATASET}/{{participant}}/ses-baseline/perf/{{participant}}_ses-baseline_dsc.nii.gz",
        dsc_side=f"{DATASET}/{{participant}}/ses-baseline/perf/{{participant}}_ses-baseline_dsc.json",
        followup=f"{DATASET}/{{participant}}/ses-followup/anat/{{participant}}_ses-followup_FLAIR.nii.gz",
        final_lesion=f"{DATASET}/derivatives/lesions/{{participant}}/ses-followup/anat/{{participant}}_ses-followup_label-lesion_mask.nii.gz",
        dwi_lesion=f"{DATASET}/derivatives/lesions/{{participant}}/ses-baseline/dwi/{{participant}}_ses-baseline_label-lesion_mask.nii.gz",
    log:
        "logs/simulation/{participant}.log",
    wildcard_constraints:
        participant=plan.outcome_pattern(known=True),
    group:
        "patient"
    conda:
        "../../envs/preprocessing.yaml"
    resources:
        mem_mb=plan.memory(2500),
        runtime=10,
    params:
        settings=config["simulation"],
        dataset=plan.folder,
        sessions=["baseline", "followup"],
        position=plan.position,
        code=plan.code("simulate_patient.py"),
    message:
        "Simulating {wildcards.participant} (patient {params.position})"
    script:
        "../scripts/simulate_patient.py"


use rule simulate_patient as simulate_new_patient with:
    output:
        dwi=f"{DATASET}/{{participant}}/ses-baseline/dwi/{{participant}}_ses-baseline_dwi.nii.gz",
        bval=f"{DATASET}/{{participant}}/ses-baseline/dwi/{{participant}}_ses-baseline_dwi.bval",
        dwi_side=f"{DATASET}/{{participant}}/ses-baseline/dwi/{{participant}}_ses-baseline_dwi.json",
        flair=f"{DATASET}/{{participant}}/ses-baseline/anat/{{participant}}_ses-baseline_FLAIR.nii.gz",
        dsc=f"{DATASET}/{{participant}}/ses-baseline/perf/{{participant}}_ses-baseline_dsc.nii.gz",
        dsc_side=f"{DATASET}/{{participant}}/ses-baseline/perf/{{participant}}_ses-baseline_dsc.json",
        dwi_lesion=f"{DATASET}/derivatives/lesions/{{participant}}/ses-baseline/dwi/{{participant}}_ses-baseline_label-lesion_mask.nii.gz",
    wildcard_constraints:
        participant=plan.outcome_pattern(known=False),
    params:
        sessions=["baseline"],
    message:
        "Simulating {wildcards.participant}, without outcome (patient {params.position})"


use rule simulate_patient as simulate_h3 with:
    output:
        dsc=f"{DATASET}/{{participant}}/ses-h3/perf/{{participant}}_ses-h3_dsc.nii.gz",
        dsc_side=f"{DATASET}/{{participant}}/ses-h3/perf/{{participant}}_ses-h3_dsc.json",
    log:
        "logs/simulation/{participant}_h3.log",
    params:
        sessions=["h3"],
    message:
        "Simulating the H3 perfusion of {wildcards.participant} (patient {params.position})"
