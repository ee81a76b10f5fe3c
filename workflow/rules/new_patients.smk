"""New patients: the infarct predicted with and without reperfusion by networks that were trained before."""

NEW = "results/new_patients/{participant}/{participant}_space-reference_label-lesion_desc-"
NEW_NATIVE = "results/new_patients/{participant}/{participant}_space-dwi_label-lesion_desc-{training_set}_"


use rule lesions as diffusion_lesion_mask with:
    input:
        final_lesion=[],
        final_transform=[],
        dwi_lesion=plan.expert_diffusion_lesion,
        dwi_transform=plan.transform("dwi"),
        reference=plan.reference,
        adc="results/preprocessed/{participant}/{participant}_ses-baseline_space-reference_ADC.nii.gz",
        brain_mask=BRAIN_MASK,
    output:
        diffusion=DIFFUSION_LESION,
    wildcard_constraints:
        participant=plan.outcome_pattern(known=False),
    message:
        "Diffusion lesion of {wildcards.participant} (patient {params.position})"


rule predict_new_patient:
    input:
        **{name: NORMALISED.replace("{image}", name) for name in INPUTS},
        weights=[str(network.folder / "model.weights.h5") for networks in plan.networks.values() for network in networks],
        records=[str(network.folder / "environment.json") for networks in plan.networks.values() for network in networks],
    output:
        reperfused=f"{NEW}reperfused_mask.nii.gz",
        nonreperfused=f"{NEW}nonreperfused_mask.nii.gz",
        reperfused_side=f"{NEW}reperfused_mask.json",
        nonreperfused_side=f"{NEW}nonreperfused_mask.json",
        probability_reperfused=f"{NEW}reperfused_probseg.nii.gz",
        probability_nonreperfused=f"{NEW}nonreperfused_probseg.nii.gz",
    log:
        "logs/new_patients/{participant}_predict.log",
    group:
        "patient"
    conda:
        "../../envs/training.yaml"
    threads: config["training"]["threads"]
    resources:
        mem_mb=plan.memory(2000),
        runtime=10,
    params:
        networks={name: [str(network.folder) for network in networks] for name, networks in plan.networks.items()},
        # Files that were copied keep their times: older networks in the place of others must predict again.
        sha256=[network.weights_sha256 for networks in plan.networks.values() for network in networks],
        settings={key: config["training"][key] for key in ("backend", "batch_size")},
        threshold=config["evaluation"]["probability_threshold"],
        position=plan.position,
        code=plan.code("predict_new_patient.py"),
    message:
        "Predicting {wildcards.participant} with and without reperfusion (patient {params.position})"
    script:
        "../scripts/predict_new_patient.py"


use rule native as native_new_patient with:
    input:
        mask=f"{NEW}{{training_set}}_mask.nii.gz",
        probability=f"{NEW}{{training_set}}_probseg.nii.gz",
        dwi="results/maps/{participant}/{participant}_ses-baseline_b0.nii.gz",
        inverse=plan.inverse("dwi"),
    output:
        mask=f"{NEW_NATIVE}mask.nii.gz",
        probability=f"{NEW_NATIVE}probseg.nii.gz",
    log:
        "logs/new_patients/{participant}_{training_set}_native.log",
    wildcard_constraints:
        participant=plan.pattern_of_role("new"),
    params:
        stem=None,


rule new_patient:
    input:
        reperfused=f"{NEW}reperfused_mask.nii.gz",
        nonreperfused=f"{NEW}nonreperfused_mask.nii.gz",
        probability_reperfused=f"{NEW}reperfused_probseg.nii.gz",
        probability_nonreperfused=f"{NEW}nonreperfused_probseg.nii.gz",
        side_files=[f"{NEW}reperfused_mask.json", f"{NEW}nonreperfused_mask.json"],
        dwi="results/preprocessed/{participant}/{participant}_ses-baseline_space-reference_DWI.nii.gz",
        tmax=TMAX,
        cbf=TMAX.replace("Tmax", "CBF"),
        diffusion_lesion=DIFFUSION_LESION,
        brain_mask=BRAIN_MASK,
        quality="results/quality/{participant}.json",
    output:
        numbers="results/new_patients/{participant}.json",
        html=report(
            "results/new_patients/{participant}.html",
            caption="../report/new_patient.rst",
            category="New patients",
            labels={"patient": "{participant}", "form": "page"},
        ),
    log:
        "logs/new_patients/{participant}.log",
    group:
        "patient"
    conda:
        "../../envs/analysis.yaml"
    params:
        tmax_threshold_s=config["mismatch"]["tmax_threshold_s"],
        simulated=plan.of_simulation,
        position=plan.position,
        code=plan.code("new_patient.py"),
    message:
        "Page of {wildcards.participant} (patient {params.position})"
    script:
        "../scripts/new_patient.py"


rule new_patients:
    input:
        numbers=collect("results/new_patients/{participant}.json", participant=plan.with_role("new")),
    output:
        table=report(
            "results/new_patients.tsv",
            caption="../report/new_patients.rst",
            category="New patients",
            labels={"patient": "all", "form": "table"},
        ),
    log:
        "logs/new_patients/table.log",
    group:
        "report"
    conda:
        "../../envs/analysis.yaml"
    params:
        simulated=plan.of_simulation,
        code=plan.code("new_patients.py"),
    message:
        "Table of the new patients"
    script:
        "../scripts/new_patients.py"
