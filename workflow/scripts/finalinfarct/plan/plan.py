"""The lists that the rules need, known when the DAG is built: patients, their images, transforms and model families."""

import json
import logging
import os
import time
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryFile

from finalinfarct.dataset.check import Fault, check_dataset, report_faults
from finalinfarct.dataset.contract import PARTICIPANT_COLUMNS, patient_files
from finalinfarct.dataset.description import made_by_simulation
from finalinfarct.dataset.files import sha256, unwritable, write_text
from finalinfarct.dataset.images import sidecar_path
from finalinfarct.dataset.inclusion import reperfusion_status
from finalinfarct.dataset.memory import CheckMemory, image_settings, remembered_faults, state_of
from finalinfarct.dataset.tables import read_table
from finalinfarct.errors import InputError
from finalinfarct.imaging.brain import check_method
from finalinfarct.learning.devices import EXECUTION
from finalinfarct.learning.ensemble import find_networks
from finalinfarct.learning.families import FULL, STATUSES, Family, model_families
from finalinfarct.plan.code import analysis_sources, code_hash, door_hashes
from finalinfarct.plan.config import check_config
from finalinfarct.simulation.naming import participant_ids

# What the user's command found in the dataset, for the processes of a cluster's jobs.
FOUND = Path(".snakemake") / "dataset_found.json"
SIMULATED_FILES = {"dwi", "bval", "flair", "dsc", "followup_flair", "final_lesion", "dwi_lesion"}
SIMULATED_H3_FILES = {"h3_dsc"}
SIMULATED_OUTCOME_FILES = {"followup_flair", "final_lesion"}
REFERENCE_IMAGE = {"dwi": "b0", "dsc": "perfref"}
# By scan and image, the one that is positive where both were measured. Tmax itself can be 0.
MEASURED = {"diffusion": {"ADC": "ADC"}, "perfusion": {"Tmax": "CBF", "CBF": "CBF", "CBV": "CBF"}}
MEASURED_IN_BRAIN = {"diffusion": {"b0": "b0", "DWI": "DWI"}, "perfusion": {"perfref": "perfref"}}


def _of_session(name, wildcards):
    """Key of ``patient_files`` for an image in the session of a job."""
    return f"h3_{name}" if getattr(wildcards, "session", "baseline") == "h3" else name


class Plan:
    """What the rules ask when the DAG is built.

    Parameters
    ----------
    config : dict
        The merged configuration.
    main : bool
        Whether this is the process of the user's command, which looks at the dataset and says which patients are left out. The process of a
        cluster's job goes by what that one found: it must take no other patients, and what is found while jobs run must not end those of others.
    environments : bool
        Whether jobs run in conda environments of their own, so that what is installed there cannot be looked for here.

    Attributes
    ----------
    patients : dict of str to str
        Cohort of every patient that takes part, in the order of participants.tsv.
    families : list of Family
        Model families.
    folds : list of int
        Numbers of the folds, from 1.
    faults : list of tuple or None
        Faults of the dataset, found by its check and by steps of earlier runs, each (participant_id, file, found, mend); None of the simulated
        cohort, which is made later.
    networks : dict of str to list of Network
        The trained networks that predict new patients, by training set; empty where there is no such patient.

    Raises
    ------
    InputError
        Faults of the configuration, of the dataset (all at once), of the networks for new patients, or FSL asked for and not installed.
    """

    def __init__(self, config, main=True, environments=False):
        check_config(config)
        if not environments:
            check_method(config["images"]["brain_mask"])
        self.config = config
        self.simulated = config["dataset"]["simulated"]
        self.root = Path(os.path.expanduser(config["dataset"]["path"]))
        # Simulated here, or found as such: what is made of it must say so.
        self.of_simulation = self.simulated or made_by_simulation(self.root)
        self._begin = time.time()
        self.faults = None
        self.patients = self._simulated_patients() if self.simulated else self._given_patients(main)
        self.families = model_families()
        self.folds = list(range(1, config["folds"]["number"] + 1))
        self.code = code_hash
        self.sources = analysis_sources()
        # A patient's files are asked for by a dozen rules, and each time looked for on the disk.
        self.files = cache(partial(patient_files, self.root))
        self.networks = self._networks_for_new_patients()
        self._positions = {name: number for number, name in enumerate(self.patients, start=1)}
        if main and not self.with_role("test", "new"):
            text = "no patient has role test, so nothing can be trained: without targets of your own only images and quality pages are made"
            logging.getLogger(__name__).warning(text)
        if main:
            self._warn_of_other_results()

    def _warn_of_other_results(self):
        """Say so where results/ holds images of none of these patients: most likely --configfile was forgotten."""
        others = sorted({folder.name for folder in Path("results/maps").glob("sub-*")} - set(self._listed))
        if others and not any(Path("results/maps", name).exists() for name in self._listed):
            text = (
                "results/ holds images of other patients (%s%s), whose tables this run would write over: was --configfile forgotten? Else work "
                "in another folder (--directory)"
            )
            logging.getLogger(__name__).warning(text, others[0], ", ..." if len(others) > 1 else "")

    def _simulated_patients(self):
        patients = {name: cohort for cohort, names in participant_ids(self.config["simulation"]).items() for name in names}
        self._listed = patients
        return patients

    def _networks_for_new_patients(self):
        """The networks that predict the new patients, or none where the dataset has no such patients."""
        roles = {cohort["role"] for cohort in self.cohorts().values()}
        if "new" not in roles:
            return {}
        if roles & {"test", "training"}:
            advice = "give new patients a dataset of their own: one more row here would train all networks anew"
            raise InputError(self.root, "patients of role new beside patients to train on or test", advice)
        new, folder = self.with_role("new"), self.config["new_patients"]["models"]
        if not new:
            raise InputError(self.root, "no new patient is left", "mend the dataset")
        if folder is None:
            advice = "set it to results/models of the run that trained the networks, as seen from the folder where snakemake works"
            raise InputError("new_patients.models", "not given, and the dataset has new patients", advice)
        inside = Path(os.path.expanduser(folder)).resolve().is_relative_to(Path("results").resolve())
        if inside or Path("results/folds.json").exists():
            advice = "work in another folder (--directory), where this run does not write over the results of the training"
            raise InputError(Path("results").resolve(), "the results of a training, where this run would write", advice)
        return find_networks(folder, self.shown_families(), self.preparation("new"), new)

    def _look_at_dataset(self):
        """Cohort of every patient by name, and the faults of the dataset, as plain tuples, which a door can read before it knows this package."""
        patients, faults = check_dataset(self.root, self.config["cohorts"], CheckMemory(code_hash("check_dataset.py")))
        kept = remembered_faults(self.root, patients, door_hashes, image_settings(self.config))
        return patients, [tuple(fault) for fault in [*faults, *kept]]

    def _given_patients(self, main):
        if main or not FOUND.exists():
            self._listed, self.faults = self._look_at_dataset()
        else:
            self._listed, faults = json.loads(FOUND.read_text(encoding="utf-8"))
            self.faults = [tuple(fault) for fault in faults]
        # Whom a run is for must not hang on faults: the patients are listed before any is left out.
        patients, faults = self._listed, [Fault(*fault) for fault in self.faults]
        if faults:
            whole = [fault for fault in faults if not fault.participant_id]
            if whole or self.config["dataset"]["faults"] == "refuse":
                advice = "mend these files" + ("" if whole else ", or set dataset.faults to exclude to leave these patients out")
                raise InputError(self.root, report_faults(faults), advice)
            spoiled = {fault.participant_id for fault in faults}
            if main:
                logging.getLogger(__name__).warning("%d of %d patients are left out: %s", len(spoiled), len(patients), report_faults(faults))
            patients = {name: cohort for name, cohort in patients.items() if name not in spoiled}
        if not patients:
            raise InputError(self.root, "no patient is left", "mend the dataset")
        if main:
            self._warn_of_few(patients)
        return patients

    def _warn_of_few(self, patients):
        """Say where tested patients are too few for the folds, as far as mTICI tells: images can be prepared all the same."""
        cohorts, number = self.config["cohorts"], self.config["folds"]["number"]
        table = read_table(self.root / "participants.tsv", text=PARTICIPANT_COLUMNS).set_index("participant_id")
        tested = [name for name, cohort in patients.items() if cohorts[cohort]["role"] == "test"]
        if not tested or any(cohorts[patients[name]]["reperfusion"] != "mtici" for name in tested):
            return
        found = [reperfusion_status("mtici", table.at[name, "mtici"], None) for name in tested]
        for status in ("reperfused", "nonreperfused"):
            if found.count(status) < number:
                text = "%d tested patients are %s, too few for %d folds (folds.number): no network can be trained"
                logging.getLogger(__name__).warning(text, found.count(status), status, number)

    def folder(self, wildcards):
        """Return the folder of the dataset (a params function: not a file of one rule, but the place that its door works in)."""
        return str(self.root)

    def cohorts(self):
        """Return the configuration of the cohorts that have patients: a key of another one changes nothing."""
        return {name: cohort for name, cohort in self.config["cohorts"].items() if name in self._listed.values()}

    def cohort(self, participant):
        """Return the configuration of a patient's cohort."""
        return self.config["cohorts"][self.patients[self._known(participant)]]

    def _known(self, participant):
        """Return the name of a patient; InputError for any other, such as a misspelt one in a target."""
        if participant not in self.patients:
            raise InputError(participant, "not among the patients that take part", "correct the name in the target, or see results/inclusion.tsv")
        return participant

    def cohort_name(self, wildcards):
        """Return the name of a patient's cohort (a params function)."""
        return self.patients[wildcards.participant]

    def with_role(self, *roles):
        """Return the participants whose cohort has one of the roles."""
        return [name for name in self.patients if self.cohort(name)["role"] in roles]

    def position(self, wildcards, input):
        """Return "3 of 30" for messages; that it takes ``input`` keeps it out of what re-runs a job when a patient is added."""
        return f"{self._positions[self._known(wildcards.participant)]} of {len(self.patients)}"

    def training_settings(self):
        """Return the settings of trainings that change what comes out of them."""
        return {key: value for key, value in self.config["training"].items() if key not in EXECUTION}

    def preparation(self, *roles):
        """Return what the images of patients of these roles go through: a new patient's images must do as those of the trainings did."""
        patients = sorted(self.with_role(*roles))
        cohorts = {name: self.cohort(name) for name in patients}
        return {
            "simulated": self.of_simulation,
            # masks of the brain by other means differ little
            "images": {key: value for key, value in self.config["images"].items() if key != "brain_mask"},
            "perfusion": self.config["perfusion"],
            "references": {name: [cohort["reference"], cohort["registration"]] for name, cohort in cohorts.items()},
            "maps": {name: "computed" if self.has(name, "dsc") else "given" for name in patients},
        }

    def sources_of_perfusion(self):
        """Return how many patients who are tested or trained on have maps computed, given, and computed with arterial voxels of the user's."""
        patients = self.with_role("test", "training")
        series = [name for name in patients if self.has(name, "dsc")]
        marked = [name for name in series if self.has(name, "aif_mask") or self.has(name, "h3_aif_mask")]
        return {"computed": len(series), "given": len(patients) - len(series), "marked": len(marked)}

    def memory(self, first_mb):
        """Return a resource function: ``first_mb`` MB at the first attempt and as much more at each next, since memory may be what ended it."""

        def mem_mb(wildcards, attempt):
            return first_mb * attempt

        return mem_mb

    def has(self, participant, name):
        """Whether the dataset holds, or will hold, a patient's file (a key of ``patient_files``)."""
        if self.simulated:
            if name in SIMULATED_OUTCOME_FILES and self.cohort(participant)["final_lesion"] == "none":
                return False
            return name in SIMULATED_FILES or (name in SIMULATED_H3_FILES and self.cohort(participant)["reperfusion"] == "h3_perfusion")
        return self.files(participant)[name].exists()

    def raw(self, name):
        """Return an input function for a file of the dataset; an absent optional file is an empty list. Session h3 chooses the H3 file."""

        def path(wildcards):
            key = _of_session(name, wildcards)
            return str(self.files(wildcards.participant)[key]) if self.has(wildcards.participant, key) else []

        return path

    def state(self, *names):
        """Return a params function for the sizes and times of a patient's files and their side files; None of the simulated cohort.

        Snakemake asks only whether a file is newer than what was made of it, which one put in its place need not be.
        """

        def files(wildcards):
            if self.simulated:
                return None
            paths = [self.files(wildcards.participant)[_of_session(name, wildcards)] for name in names]
            return state_of([path for image in paths for path in (image, sidecar_path(image))])

        return files

    def state_of_moving(self, wildcards):
        """Return ``state`` of the image that is registered, where it is one of the dataset (a params function)."""
        raw = {"flair": "flair", "followup": "followup_flair"}
        return self.state(raw[wildcards.image])(wildcards) if wildcards.image in raw else None

    def participants_state(self):
        """Return a hash of participants.tsv, for the same reason; None of the simulated cohort."""
        return None if self.simulated else sha256(self.root / "participants.tsv")

    def side_files(self, *names):
        """Return an input function for the JSON side files of images that a step reads times or units from, as far as there are any.

        As inputs of their own, since to mend one leaves the image as it is, and what was made of the two must be made again.
        """

        def paths(wildcards):
            patient, keys = wildcards.participant, [_of_session(name, wildcards) for name in names]
            sides = [sidecar_path(self.files(patient)[key]) for key in keys if self.has(patient, key)]
            return [str(side) for side in sides if self.simulated or side.exists()]

        return paths

    def all_raw(self, wildcards):
        """Return every file of the dataset that the analysis may read (an input function)."""
        names = patient_files(self.root, "sub-0")
        return [str(self.files(patient)[name]) for patient in self.patients for name in names if self.has(patient, name)]

    def raw_images(self):
        """Return the raw images of the dataset by participant, masks left out."""
        masks = {"final_lesion", "dwi_lesion", "aif_mask", "h3_aif_mask", "bval"}
        names = [name for name in patient_files(self.root, "sub-0") if name not in masks]
        return {patient: [str(self.files(patient)[name]) for name in names if self.has(patient, name)] for patient in self.patients}

    def pattern(self, series):
        """Return the regular expression of the patients with (True) or without (False) a raw perfusion series."""
        names = [name for name in self.patients if self.cohort(name)["perfusion"] and self.has(name, "dsc") == series]
        return "|".join(names) or "nobody"

    def outcome_pattern(self, known):
        """Return the regular expression of the patients whose final lesion is known (True) or not (False)."""
        names = [name for name in self.patients if (self.cohort(name)["final_lesion"] != "none") == known]
        return "|".join(names) or "nobody"

    def pattern_of_role(self, role):
        """Return the regular expression of the patients of a role: only those tested are predicted out of fold."""
        return "|".join(self.with_role(role)) or "nobody"

    def with_h3(self):
        """Return the participants whose reperfusion is read from the H3 perfusion."""
        return [name for name in self.patients if self.cohort(name)["reperfusion"] == "h3_perfusion"]

    def reference(self, wildcards):
        """Return the native reference image of a patient's cohort (an input function)."""
        name = wildcards.participant
        return f"results/maps/{name}/{name}_ses-baseline_{REFERENCE_IMAGE[self.cohort(name)['reference']]}.nii.gz"

    def resampled_reference(self, wildcards):
        """Return the reference image on the up-sampled grid (an input function)."""
        return self._resampled(wildcards.participant, self.cohort(wildcards.participant)["reference"])

    def image_of_brain(self, wildcards):
        """Return the up-sampled image that the brain mask is made from (an input function): the reference, but b0 where that is a given map of CBF.

        Ischaemic tissue has too little flow to be told from the outside by it.
        """
        name = wildcards.participant
        reference = self.cohort(name)["reference"]
        return self._resampled(name, reference if self.has(name, "dsc") else "dwi")

    def _resampled(self, name, scan):
        return f"results/preprocessed/{name}/{name}_ses-baseline_space-reference_{REFERENCE_IMAGE[scan]}.nii.gz"

    def resampled_flair(self, wildcards):
        """Return the baseline FLAIR on the up-sampled grid where the dataset has one (an input function)."""
        name = wildcards.participant
        return f"results/preprocessed/{name}/{name}_ses-baseline_space-reference_FLAIR.nii.gz" if self.has(name, "flair") else []

    def moving(self, wildcards):
        """Return the native image that stands for ``{image}`` in its registration to the reference (an input function)."""
        name, image = wildcards.participant, wildcards.image
        if image in ("flair", "followup"):
            return str(self.files(name)["flair" if image == "flair" else "followup_flair"])
        session = "h3" if image == "h3" else "baseline"
        return f"results/maps/{name}/{name}_ses-{session}_{REFERENCE_IMAGE['dwi' if image == 'dwi' else 'dsc']}.nii.gz"

    def registration(self, wildcards):
        """Return the kind of transform of an image: its cohort's, but ``epi`` for ``nonlinear`` between DWI and DSC series, which are EPI both."""
        cohort = self.cohort(wildcards.participant)
        pair = {cohort["reference"], "dsc" if wildcards.image == "h3" else wildcards.image}
        between_epi = pair == {"dwi", "dsc"} and self.has(wildcards.participant, "dsc")
        return "epi" if cohort["registration"] == "nonlinear" and between_epi else cohort["registration"]

    def measured(self, scan):
        """Return ``MEASURED`` of a scan, with the images that the dataset itself has stripped of the skull."""
        stripped = self.config["images"]["brain_mask"] == "given"
        return MEASURED[scan] | (MEASURED_IN_BRAIN[scan] if stripped else {})

    def transform(self, image):
        """Return an input function for the transform of ``image`` (dwi, dsc, followup, flair, final) to the reference.

        There is none where the image is the reference itself. Session h3 turns dsc into h3. ``final`` is the image that
        the final lesion was drawn on.
        """

        def path(wildcards):
            name, moving = wildcards.participant, image
            if moving == "final":
                moving = "followup" if self.cohort(name)["final_lesion"] == "followup" else "dwi"
            if getattr(wildcards, "session", "baseline") == "h3":
                moving = "h3"
            if moving == self.cohort(name)["reference"]:
                return []
            return f"results/registration/{name}/{name}_from-{moving}_to-reference_xfm.h5"

        return path

    def inverse(self, image):
        """Return an input function for the inverse of ``transform(image)``; none where the image is the reference itself."""

        def path(wildcards):
            name = wildcards.participant
            return [] if image == self.cohort(name)["reference"] else f"results/registration/{name}/{name}_from-reference_to-{image}_xfm.h5"

        return path

    def quality_files(self, wildcards):
        """Return the finished images of a patient that the quality page shows, by the names of ``imaging.quality`` (an input function to unpack).

        The baseline FLAIR enters no prediction: it is registered for its own sake only in cohorts that take no part in one.
        """
        name, cohort = wildcards.participant, self.cohort(wildcards.participant)
        resampled, maps = f"results/preprocessed/{name}/{name}_", f"results/maps/{name}/{name}_"
        perfusion, after_3_h = cohort["perfusion"], cohort["reperfusion"] == "h3_perfusion"
        wanted = {
            "adc": ("baseline", "ADC", True),
            "tmax": ("baseline", "Tmax", perfusion),
            "cbf": ("baseline", "CBF", perfusion),
            "h3_cbf": ("h3", "CBF", after_3_h),
            "dwi": ("baseline", "b0", cohort["reference"] != "dwi"),
            "dsc": ("baseline", "perfref", perfusion and cohort["reference"] != "dsc"),
            "h3": ("h3", "perfref", after_3_h),
            "flair": ("baseline", "FLAIR", cohort["role"] == "none" and self.has(name, "flair")),
            "followup": ("followup", "FLAIR", cohort["final_lesion"] == "followup"),
        }
        files = {key: f"{resampled}ses-{session}_space-reference_{image}.nii.gz" for key, (session, image, there) in wanted.items() if there}
        if self.has(name, "dsc"):
            endings = {"aif": "aif.tsv", "aif_mask": "label-AIF_mask.nii.gz", "perfref": "perfref.nii.gz", "report": "perfusion.json"}
            sessions = ["baseline"] * perfusion + ["h3"] * after_3_h
            files |= {f"{session}_{key}": f"{maps}ses-{session}_{ending}" for session in sessions for key, ending in endings.items()}
        label = f"{resampled}space-reference_label-"
        masks = {"brain_mask": f"{label}brain_mask.nii.gz"}
        if cohort["final_lesion"] != "none":
            masks["final_lesion"] = f"{label}finallesion_mask.nii.gz"
        return files | masks | {"reference": self.resampled_reference(wildcards)}

    def expert_diffusion_lesion(self, wildcards):
        """Return the expert's DWI lesion mask where there is one and the cohort is to use it (an input function)."""
        wanted = self.cohort(wildcards.participant)["diffusion_lesion"] == "expert"
        return self.raw("dwi_lesion")(wildcards) if wanted else []

    def metric_files(self, table):
        """Return the metric tables that one table of the paper reads."""
        wanted = {
            "table2": [family for family in self.families if family.fusion == "late" and family.inputs == FULL],
            "table3": list(self.shown_families().values()),
            "table4": [family for family in self.families if family.fusion == "late" and family.training_set != "all"],
            "tableC6": [family for family in self.families if family.inputs == FULL],
        }[table]
        files = ["results/metrics/" + "/".join(family) + ".tsv" for family in wanted]
        return files + ["results/metrics/mismatch.tsv"] * (table == "table3")

    def shown_families(self):
        """Return the model families that the figures show and that predict new patients, by training set: late fusion of all inputs, by status."""
        return {name: Family("late", FULL, name) for name in STATUSES}

    def shown_predictions(self):
        """Return the prediction folders of the status-specific models and of the mismatch model, by name."""
        folders = {name: "results/predictions/" + "/".join(family) for name, family in self.shown_families().items()}
        return {**folders, "mismatch": "results/predictions/mismatch"}

    def start(self):
        """Keep what was found in the dataset for the processes of a cluster's jobs; called when a run starts, not when one is only planned.

        Raises
        ------
        InputError or OSError
            That or ``results`` cannot be written; snakemake alone would end in a traceback.
        """
        folder = Path("results")
        try:
            if folder.exists():
                TemporaryFile(dir=folder).close()
        except OSError as fault:
            raise (unwritable(fault, folder) or fault) from None
        if not self.simulated:
            write_text(FOUND, json.dumps([self._listed, self.faults]))

    def closing_words(self):
        """Return what a finished run prints: tables 2 and 3 of this run, where all tables are, and the page beside the paper, if it made them."""
        tables = [path for path in sorted(Path("results").glob("table*.md")) if self._made_now(path)]
        words = [path.read_text(encoding="utf-8").partition("\n## 95 %")[0] for path in tables if path.stem in ("table2", "table3")]
        words.append("Tables (.csv and .md): " + ", ".join(map(str, tables)) if tables else "This run made no table.")
        if self.networks:
            words = ["Predicted infarcts of new patients: results/new_patients.tsv, and a page each in results/new_patients"]
        comparison = Path("results/paper_comparison.html")
        return "\n\n".join([*words, f"Beside the paper's numbers: {comparison}"] if self._made_now(comparison) else words)

    def _made_now(self, path):
        """Whether a file was made since this run was planned."""
        return path.exists() and path.stat().st_mtime >= self._begin
