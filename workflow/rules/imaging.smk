"""Maps, registration, up-sampling, skull stripping, labels and normalisation, patient by patient."""


rule adc:
    input:
        dwi=plan.raw("dwi"),
        bval=plan.raw("bval"),
        adc=plan.raw("adc"),
        side_files=plan.side_files("dwi", "adc"),
    output:
        b0="results/maps/{participant}/{participant}_ses-baseline_b0.nii.gz",
        dwi="results/maps/{participant}/{participant}_ses-baseline_DWI.nii.gz",
        adc="results/maps/{participant}/{participant}_ses-baseline_ADC.nii.gz",
    log:
        "logs/imaging/{participant}_adc.log",
    group:
        "patient"
    conda:
        "../../envs/preprocessing.yaml"
    params:
        files=plan.state("dwi", "bval", "adc"),
        position=plan.position,
        code=plan.code("adc.py"),
    message:
        "ADC of {wildcards.participant} (patient {params.position})"
    script:
        "../scripts/adc.py"


rule perfusion:
    input:
        series=plan.raw("dsc"),
        aif_mask=plan.raw("aif_mask"),
        side_files=plan.side_files("dsc"),
    output:
        perfref="results/maps/{participant}/{participant}_ses-{session}_perfref.nii.gz",
        Tmax="results/maps/{participant}/{participant}_ses-{session}_Tmax.nii.gz",
        CBF="results/maps/{participant}/{participant}_ses-{session}_CBF.nii.gz",
        CBV="results/maps/{participant}/{participant}_ses-{session}_CBV.nii.gz",
        MTT="results/maps/{participant}/{participant}_ses-{session}_MTT.nii.gz",
        TTP="results/maps/{participant}/{participant}_ses-{session}_TTP.nii.gz",
        aif="results/maps/{participant}/{participant}_ses-{session}_aif.tsv",
        aif_mask="results/maps/{participant}/{participant}_ses-{session}_label-AIF_mask.nii.gz",
        report="results/maps/{participant}/{participant}_ses-{session}_perfusion.json",
    log:
        "logs/imaging/{participant}_ses-{session}_perfusion.log",
    wildcard_constraints:
        participant=plan.pattern(series=True),
    group:
        "patient"
    conda:
        "../../envs/preprocessing.yaml"
    resources:
        mem_mb=plan.memory(1500),
        runtime=10,
    params:
        settings=config["perfusion"],
        files=plan.state("dsc", "aif_mask"),
        position=plan.position,
        code=plan.code("perfusion.py"),
    message:
        "Perfusion maps of {wildcards.participant}, {wildcards.session} (patient {params.position})"
    script:
        "../scripts/perfusion.py"


rule perfusion_given:
    input:
        Tmax=plan.raw("tmax"),
        CBF=plan.raw("cbf"),
        CBV=plan.raw("cbv"),
        side_files=plan.side_files("tmax", "cbf", "cbv"),
    output:
        perfref="results/maps/{participant}/{participant}_ses-{session}_perfref.nii.gz",
        Tmax="results/maps/{participant}/{participant}_ses-{session}_Tmax.nii.gz",
        CBF="results/maps/{participant}/{participant}_ses-{session}_CBF.nii.gz",
        CBV="results/maps/{participant}/{participant}_ses-{session}_CBV.nii.gz",
        MTT="results/maps/{participant}/{participant}_ses-{session}_MTT.nii.gz",
    log:
        "logs/imaging/{participant}_ses-{session}_perfusion.log",
    wildcard_constraints:
        participant=plan.pattern(series=False),
    group:
        "patient"
    conda:
        "../../envs/preprocessing.yaml"
    params:
        files=plan.state("tmax", "cbf", "cbv"),
        position=plan.position,
        code=plan.code("perfusion_given.py"),
    message:
        "Perfusion maps of {wildcards.participant}, {wildcards.session}, as given (patient {params.position})"
    script:
        "../scripts/perfusion_given.py"


rule register:
    input:
        fixed=plan.reference,
        moving=plan.moving,
    output:
        transform=TRANSFORM,
        inverse="results/registration/{participant}/{participant}_from-reference_to-{image}_xfm.h5",
    log:
        "logs/imaging/{participant}_from-{image}_register.log",
    group:
        "patient"
    conda:
        "../../envs/preprocessing.yaml"
    resources:
        mem_mb=plan.memory(1500),
        runtime=10,
    params:
        kind=plan.registration,
        files=plan.state_of_moving,
        position=plan.position,
        code=plan.code("register.py"),
    message:
        "Registering {wildcards.image} of {wildcards.participant} (patient {params.position})"
    script:
        "../scripts/register.py"


rule resample_diffusion:
    input:
        b0="results/maps/{participant}/{participant}_ses-baseline_b0.nii.gz",
        DWI="results/maps/{participant}/{participant}_ses-baseline_DWI.nii.gz",
        ADC="results/maps/{participant}/{participant}_ses-baseline_ADC.nii.gz",
        reference=plan.reference,
        transform=plan.transform("dwi"),
    output:
        b0="results/preprocessed/{participant}/{participant}_ses-baseline_space-reference_b0.nii.gz",
        DWI="results/preprocessed/{participant}/{participant}_ses-baseline_space-reference_DWI.nii.gz",
        ADC="results/preprocessed/{participant}/{participant}_ses-baseline_space-reference_ADC.nii.gz",
        # As the networks of the paper had them: what was not measured, 0, is mixed in.
        linear_ADC="results/preprocessed/{participant}/{participant}_ses-baseline_space-reference_desc-linear_ADC.nii.gz",
    log:
        "logs/imaging/{participant}_resample_diffusion.log",
    group:
        "patient"
    conda:
        "../../envs/preprocessing.yaml"
    params:
        matrix=MATRIX,
        raw=False,
        measured=plan.measured("diffusion"),
        position=plan.position,
        code=plan.code("resample.py"),
    message:
        "Up-sampling diffusion of {wildcards.participant} (patient {params.position})"
    script:
        "../scripts/resample.py"


use rule resample_diffusion as resample_perfusion with:
    input:
        perfref="results/maps/{participant}/{participant}_ses-{session}_perfref.nii.gz",
        Tmax="results/maps/{participant}/{participant}_ses-{session}_Tmax.nii.gz",
        CBF="results/maps/{participant}/{participant}_ses-{session}_CBF.nii.gz",
        CBV="results/maps/{participant}/{participant}_ses-{session}_CBV.nii.gz",
        reference=plan.reference,
        transform=plan.transform("dsc"),
    output:
        perfref="results/preprocessed/{participant}/{participant}_ses-{session}_space-reference_perfref.nii.gz",
        Tmax="results/preprocessed/{participant}/{participant}_ses-{session}_space-reference_Tmax.nii.gz",
        CBF="results/preprocessed/{participant}/{participant}_ses-{session}_space-reference_CBF.nii.gz",
        CBV="results/preprocessed/{participant}/{participant}_ses-{session}_space-reference_CBV.nii.gz",
        linear_Tmax="results/preprocessed/{participant}/{participant}_ses-{session}_space-reference_desc-linear_Tmax.nii.gz",
        linear_CBF="results/preprocessed/{participant}/{participant}_ses-{session}_space-reference_desc-linear_CBF.nii.gz",
        linear_CBV="results/preprocessed/{participant}/{participant}_ses-{session}_space-reference_desc-linear_CBV.nii.gz",
    log:
        "logs/imaging/{participant}_ses-{session}_resample_perfusion.log",
    params:
        measured=plan.measured("perfusion"),
    message:
        "Up-sampling perfusion of {wildcards.participant}, {wildcards.session} (patient {params.position})"


use rule resample_diffusion as resample_followup with:
    input:
        FLAIR=plan.raw("followup_flair"),
        reference=plan.reference,
        transform=plan.transform("followup"),
    output:
        FLAIR="results/preprocessed/{participant}/{participant}_ses-followup_space-reference_FLAIR.nii.gz",
    log:
        "logs/imaging/{participant}_resample_followup.log",
    params:
        files=plan.state("followup_flair"),
        raw=True,
        measured={},
    message:
        "Up-sampling the follow-up FLAIR of {wildcards.participant} (patient {params.position})"


use rule resample_diffusion as resample_flair with:
    input:
        FLAIR=plan.raw("flair"),
        reference=plan.reference,
        transform=plan.transform("flair"),
    output:
        FLAIR="results/preprocessed/{participant}/{participant}_ses-baseline_space-reference_FLAIR.nii.gz",
    log:
        "logs/imaging/{participant}_resample_flair.log",
    params:
        files=plan.state("flair"),
        raw=True,
        measured={},
    message:
        "Up-sampling the baseline FLAIR of {wildcards.participant} (patient {params.position})"


rule brain_mask:
    input:
        image=plan.image_of_brain,
    output:
        mask=BRAIN_MASK,
    log:
        "logs/imaging/{participant}_brain_mask.log",
    group:
        "patient"
    conda:
        "../../envs/preprocessing.yaml"
    params:
        method=config["images"]["brain_mask"],
        position=plan.position,
        code=plan.code("brain_mask.py"),
    message:
        "Skull stripping {wildcards.participant} (patient {params.position})"
    script:
        "../scripts/brain_mask.py"


rule lesions:
    input:
        final_lesion=plan.raw("final_lesion"),
        final_transform=plan.transform("final"),
        dwi_lesion=plan.expert_diffusion_lesion,
        dwi_transform=plan.transform("dwi"),
        reference=plan.reference,
        adc="results/preprocessed/{participant}/{participant}_ses-baseline_space-reference_ADC.nii.gz",
        brain_mask=BRAIN_MASK,
    output:
        diffusion=DIFFUSION_LESION,
        final=FINAL_LESION,
        labels=TISSUE_LABELS,
    log:
        "logs/imaging/{participant}_lesions.log",
    wildcard_constraints:
        participant=plan.outcome_pattern(known=True),
    group:
        "patient"
    conda:
        "../../envs/preprocessing.yaml"
    params:
        matrix=MATRIX,
        adc_threshold_um2_s=config["mismatch"]["adc_threshold_um2_s"],
        minimum_component_ml=config["mismatch"]["minimum_component_ml"],
        files=plan.state("final_lesion", "dwi_lesion"),
        position=plan.position,
        code=plan.code("lesions.py"),
    message:
        "Lesion masks of {wildcards.participant} (patient {params.position})"
    script:
        "../scripts/lesions.py"


rule normalise_diffusion:
    input:
        DWI="results/preprocessed/{participant}/{participant}_ses-baseline_space-reference_DWI.nii.gz",
        ADC="results/preprocessed/{participant}/{participant}_ses-baseline_space-reference_desc-linear_ADC.nii.gz",
        brain_mask=BRAIN_MASK,
    output:
        DWI="results/preprocessed/{participant}/{participant}_ses-baseline_space-reference_desc-normalised_DWI.nii.gz",
        ADC="results/preprocessed/{participant}/{participant}_ses-baseline_space-reference_desc-normalised_ADC.nii.gz",
    log:
        "logs/imaging/{participant}_normalise_diffusion.log",
    group:
        "patient"
    conda:
        "../../envs/preprocessing.yaml"
    params:
        method=config["images"]["normalisation"],
        scope=config["images"]["normalisation_scope"],
        position=plan.position,
        code=plan.code("normalise.py"),
    message:
        "Normalising diffusion of {wildcards.participant} (patient {params.position})"
    script:
        "../scripts/normalise.py"


use rule normalise_diffusion as normalise_perfusion with:
    input:
        Tmax="results/preprocessed/{participant}/{participant}_ses-baseline_space-reference_desc-linear_Tmax.nii.gz",
        CBF="results/preprocessed/{participant}/{participant}_ses-baseline_space-reference_desc-linear_CBF.nii.gz",
        CBV="results/preprocessed/{participant}/{participant}_ses-baseline_space-reference_desc-linear_CBV.nii.gz",
        brain_mask=BRAIN_MASK,
    output:
        Tmax="results/preprocessed/{participant}/{participant}_ses-baseline_space-reference_desc-normalised_Tmax.nii.gz",
        CBF="results/preprocessed/{participant}/{participant}_ses-baseline_space-reference_desc-normalised_CBF.nii.gz",
        CBV="results/preprocessed/{participant}/{participant}_ses-baseline_space-reference_desc-normalised_CBV.nii.gz",
    log:
        "logs/imaging/{participant}_normalise_perfusion.log",
    message:
        "Normalising perfusion of {wildcards.participant} (patient {params.position})"


rule reperfusion:
    input:
        h0="results/preprocessed/{participant}/{participant}_ses-baseline_space-reference_Tmax.nii.gz",
        h3="results/preprocessed/{participant}/{participant}_ses-h3_space-reference_Tmax.nii.gz",
        h3_flow="results/preprocessed/{participant}/{participant}_ses-h3_space-reference_CBF.nii.gz",
        brain_mask=BRAIN_MASK,
    output:
        ratio="results/reperfusion/{participant}.json",
    log:
        "logs/imaging/{participant}_reperfusion.log",
    group:
        "patient"
    conda:
        "../../envs/preprocessing.yaml"
    params:
        position=plan.position,
        code=plan.code("reperfusion.py"),
    message:
        "Reperfusion ratio of {wildcards.participant} (patient {params.position})"
    script:
        "../scripts/reperfusion.py"


rule describe_derivative:
    output:
        description="results/{folder}/dataset_description.json",
    log:
        "logs/imaging/{folder}_description.log",
    wildcard_constraints:
        folder="maps|preprocessed",
    localrule: True
    conda:
        "../../envs/preprocessing.yaml"
    params:
        simulated=plan.of_simulation,
        code=plan.code("describe_derivative.py"),
    message:
        "Description of results/{wildcards.folder} as a BIDS derivative"
    script:
        "../scripts/describe_derivative.py"


rule native:
    input:
        folder=PREDICTED,
        dwi="results/maps/{participant}/{participant}_ses-baseline_b0.nii.gz",
        inverse=plan.inverse("dwi"),
    output:
        mask="results/native/{fusion}/{inputs}/{training_set}/{participant}_space-dwi_label-lesion_mask.nii.gz",
        probability="results/native/{fusion}/{inputs}/{training_set}/{participant}_space-dwi_label-lesion_probseg.nii.gz",
    log:
        "logs/imaging/{participant}_{fusion}_{inputs}_{training_set}_native.log",
    wildcard_constraints:
        participant=plan.pattern_of_role("test"),
    conda:
        "../../envs/preprocessing.yaml"
    params:
        stem=f"{PREDICTED}/{{participant}}_space-reference_label-lesion_",
        position=plan.position,
        code=plan.code("native.py"),
    message:
        "Prediction of {wildcards.participant} in the space of its DWI (patient {params.position})"
    script:
        "../scripts/native.py"
