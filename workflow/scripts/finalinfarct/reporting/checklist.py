"""TRIPOD+AI, the reporting guideline for prediction models (Collins 2024, BMJ 385:e078378), answered as far as a run knows the answers."""

from collections import Counter

from finalinfarct.dataset.contract import PARTICIPANT_COLUMNS
from finalinfarct.dataset.files import write_text
from finalinfarct.dataset.inclusion import read_inclusion
from finalinfarct.dataset.tables import read_table
from finalinfarct.learning.families import TRAINING_SETS
from finalinfarct.learning.folds import read_folds
from finalinfarct.reporting.lesion_sources import count_sources, read_sources
from finalinfarct.reporting.markdown import document, mean_and_sd, pipe_table
from finalinfarct.reporting.summary import STATUS

AUTHORS = "For the authors to write: no run can know it."
REPERFUSION = {"mtici": "mTICI 2b to 3", "h3_perfusion": "an H3 perfusion ratio of at least 0.5"}
OUTCOME = {"followup": "the follow-up image", "baseline": "the baseline DWI"}
TUNED_BEFORE = (
    "The run tunes no setting, but epochs, rate and smoothing of perfusion maps of the default configuration were chosen by looking at the DSC of "
    "its simulated cohort, so that this DSC is no unbiased estimate (docs/measurements.md)."
)


def write_checklist(files, settings, output):
    """Write the checklist.

    Parameters
    ----------
    files : dict
        ``inclusion``, ``folds``, ``participants``, ``volumes`` (lesion volumes) and ``table3`` (CSV).
    settings : dict
        ``cohorts``, ``images``, ``training``, ``folds``, ``evaluation``, ``faults`` (refuse or exclude) and ``simulated``, as configured; and
        ``perfusion_maps``, numbers of patients by what their maps come from (``Plan.sources_of_perfusion``).
    output : str or Path
        Markdown page: item, topic in short, answer. The items' own wording is in the guideline.
    """
    run = _Run(files, settings)
    rows = [*_introduction(), *_data(run), *_models(run), *_open_science(run), *_results(run), *_discussion(run)]
    answered = sum(answer != AUTHORS for _, _, answer in rows)
    caption = (
        f"{answered} of {len(rows)} items have an answer from this run; the others are the authors'. Topics are given in short: the guideline has "
        "the items themselves."
    )
    page = document("TRIPOD+AI checklist", caption, [("Items", pipe_table(("Item", "Topic", "Answer"), rows))], [], settings["simulated"])
    write_text(output, page)


class _Run:
    """What several items ask of a run; ``files`` and ``settings`` are those of ``write_checklist``."""

    def __init__(self, files, settings):
        self.files, self.settings = files, settings
        self.inclusion = read_inclusion(files["inclusion"])
        self.folds = read_folds(files["folds"])["folds"]
        # Configurations add up, so that more cohorts are configured than have patients.
        self.cohorts = {name: cohort for name, cohort in settings["cohorts"].items() if name in set(self.inclusion["cohort"])}
        self.chosen = self.inclusion[self.inclusion["included"]]
        self.tested, self.added = (self.chosen[self.chosen["role"] == role] for role in ("test", "training"))
        self.taking_part = [self.cohorts[name] for name in self.chosen["cohort"].unique()]
        self.maps = settings["perfusion_maps"]
        self.simulated = "Simulated cohort: no person was scanned. " if settings["simulated"] else ""

    def words(self, key, meanings):
        """Meanings of the values that a key has among the cohorts that take part."""
        return " or ".join(meaning for value, meaning in meanings.items() if any(cohort[key] == value for cohort in self.taking_part))


# Each part of the guideline: triples of item, topic and answer.


def _introduction():
    yield "1", "Title", AUTHORS
    yield "2", "Abstract", AUTHORS
    yield "3a-c", "Background, purpose, known inequalities", AUTHORS
    yield "4", "Objectives", "Develop and internally validate models of the final infarct; compare status-specific, general and mismatch models."


def _data(run):
    images = run.settings["images"]
    cohorts = "; ".join(
        f"{name}: role {c['role']}, reference {c['reference']}, {c['registration']} registration, status from {c['reperfusion']}"
        for name, c in run.cohorts.items()
    )
    yield "5a", "Sources of data", f"{run.simulated}Cohorts: {cohorts}."
    yield "5b", "Dates", AUTHORS
    yield "6a", "Setting", AUTHORS
    yield "6b", "Eligibility", f"{len(run.inclusion)} patients in participants.tsv, {len(run.chosen)} included: results/inclusion.tsv, figure 1."
    yield "6c", "Treatments", f"iv_tpa in table A.5. Reperfusion by {run.words('reperfusion', REPERFUSION)}."
    yield (
        *("7", "Data preparation"),
        f"Registration, up-sampling to {images['matrix']}x{images['matrix']}, brain mask ({images['brain_mask']}), normalisation "
        f"({images['normalisation']}, by {images['normalisation_scope']}), by the configuration of the cohort. Perfusion maps: computed in "
        f"{run.maps['computed']} patients, given in {run.maps['given']}. Leakage: results/leakage.tsv.",
    )
    yield "8a", "Outcome", f"Final infarct, voxel by voxel, on {run.words('final_lesion', OUTCOME)}."
    yield "8b-c", "Outcome assessors, blinding", AUTHORS
    yield "9a-b", "Predictors", "DWI, ADC, Tmax, CBF, CBV at baseline, and subsets of them (table 4); no clinical variable enters a network."
    sources = read_sources(run.files["volumes"], run.tested["participant_id"])
    assessors = count_sources(sources) + ("; the expert is simulated" if run.simulated and (sources == "expert").any() else "")
    marked = f"Arterial voxels marked by hand in {run.maps['marked']} patients" if run.maps["marked"] else "None"
    yield "9c", "Predictor assessors", f"{marked} for the networks. Mismatch model: {assessors}."
    status = ", ".join(f"{int((run.tested['status'] == key).sum())} {name}" for key, name in STATUS.items())
    more = f", {len(run.added)} more train only" if len(run.added) else ""
    yield "10", "Sample size", f"All patients available: {len(run.tested)} tested ({status}){more}. No calculation was made."
    absent = Counter(run.inclusion.loc[~run.inclusion["included"], "reason"])
    participants = read_table(run.files["participants"], text=("participant_id", "sex"))
    missing = participants.set_index("participant_id").loc[run.chosen["participant_id"]].isna().sum()
    missing = {name: int(count) for name, count in missing.items() if count and name in PARTICIPANT_COLUMNS and name != "mtici"}
    yield (
        *("11", "Missing data"),
        f"dataset.faults is {run.settings['faults']}. Left out: {'; '.join(f'{count} {reason}' for reason, count in absent.items()) or 'nobody'}. "
        f"Clinical values missing: {', '.join(f'{count} {name}' for name, count in missing.items()) or 'none'} (not imputed; table A.5 only).",
    )


def _models(run):
    training, evaluation = run.settings["training"], run.settings["evaluation"]
    sizes = [len(fold["test"]) for fold in run.folds]
    validated = [len(fold["training_sets"][name]["validation"]) for fold in run.folds for name in TRAINING_SETS]
    yield (
        *("12a", "Use of data"),
        f"{len(run.folds)}-fold cross-validation over patients, stratified by status, seed {run.settings['folds']['seed']}; test patients per fold: "
        f"{_range(sizes)}; results/folds.json.",
    )
    yield "12b", "Handling of predictors", "Images scaled to 0..1 within each patient's own brain."
    yield (
        *("12c", "Model, tuning, internal validation"),
        f"U-Net, late or early fusion (table 1, figure 2): at most {training['epochs']} epochs, batch {training['batch_size']}, rate "
        f"{training['learning_rate']:g}. {TUNED_BEFORE if run.simulated else 'The run tunes no setting.'} Validation patients "
        f"({_range(validated)} per training) decide {_decided_by_validation(training)}.",
    )
    named = f"Cohort{'s' if len(run.cohorts) > 1 else ''} {', '.join(run.cohorts)}"
    untested = any(cohort["role"] != "test" for cohort in run.cohorts.values())
    yield "12d", "Heterogeneity between centres", f"{named}{'; only those with role test are tested' if untested else ''}."
    yield "12e", "Performance measures", "DSC, volumetric similarity, precision, recall, Hausdorff distance, AUC in three modes, reliability diagram."
    yield "12f", "Model updating", "None."
    yield (
        "12g",
        "Calculation of predictions",
        f"Lesion probability at least {evaluation['probability_threshold']:g}, out of fold: results/predictions.",
    )
    yield "13", "Class imbalance", f"Slices with final infarct only; lesion weighted {training['lesion_weight']:g} times in the Dice loss."
    yield "14", "Fairness", "Not examined by the run; age and sex are in participants.tsv, values per patient in results/metrics.tsv."
    yield "15", "Model output", f"Probability per voxel, and a mask at {evaluation['probability_threshold']:g}."
    yield (
        "16",
        "Development against evaluation",
        "Every model is tested on all tested patients, whatever their status; development and test by cross-validation."
        + (f" The {len(run.added)} patients of role training are never tested: item 20c." if len(run.added) else ""),
    )
    yield "17", "Ethical approval", "Not needed: no person was scanned." if run.simulated else AUTHORS


def _open_science(run):
    yield "18a-d", "Funding, conflicts, protocol, registration", AUTHORS
    yield "18e", "Data sharing", "The simulated cohort is made by this workflow from its seed." if run.simulated else AUTHORS
    yield "18f", "Code sharing", "This workflow, MIT licence; versions, seeds and hashes in each model's environment.json."
    yield "19", "Patient and public involvement", AUTHORS


def _results(run):
    yield "20a", "Participant flow", "Figure 1, results/inclusion.tsv."
    yield "20b", "Characteristics", "Table A.5."
    yield "20c", "Development against evaluation, characteristics", _compared_cohorts(run.chosen)
    trained = {name: [len(fold["training_sets"][name]["training"]) for fold in run.folds] for name in TRAINING_SETS}
    counts = "; ".join(f"{name} {_range(values)}" for name, values in trained.items())
    yield "21", "Participants and outcomes in each analysis", f"Training patients per fold: {counts}. Each has a final infarct."
    yield "22", "Full model", "Weights and history of each training in results/models."
    table = read_table(run.files["table3"], text=("panel", "row", "metric", "stars"))
    dice = table[(table["metric"] == "DSC") & (table["row"] == "cnn")]
    performance = "; ".join(
        f"{row.panel} patients: DSC {mean_and_sd(row.mean, row.sd)} (95 % CI {row.mean_ci_low:.2f} to {row.mean_ci_high:.2f}, n = {row.n})"
        for row in dice.itertuples()
    )
    yield "23a", "Performance", f"{performance}. All others: tables 2 to 4 and C.6, results/auc.csv."
    yield "23b", "Heterogeneity of performance", "By reperfusion status in every table; by lesion volume in results/figures/dice_by_volume."
    yield "24", "Model updating", "None."


def _discussion(run):
    yield "25", "Interpretation", AUTHORS
    limits = f"Internal validation only; {len(run.tested)} tested patients. What the paper itself contradicts: results/paper_comparison.html."
    yield "26", "Limitations", run.simulated + limits
    yield "27a", "Poor or missing input", "Refused or excluded with the reason: results/dataset_check.tsv, results/inclusion.tsv."
    masks = "; an expert's DWI lesion mask is used where given" if any(c["diffusion_lesion"] == "expert" for c in run.taking_part) else ""
    masks += "; a mask of arterial voxels likewise" if run.maps["marked"] else ""
    yield "27b", "Users' part and expertise", f"Images in BIDS form{masks}."
    yield "27c", "Next steps", AUTHORS


def _decided_by_validation(training):
    """What the validation patients of a training decide, by its settings."""
    best, may_stop = training["weights"] == "best", training["early_stopping"]["patience"] + 1 < training["epochs"]
    if may_stop:
        return "when a training stops" + (", and which epoch's weights are kept" if best else "; its last epoch's weights are kept")
    return "which epoch's weights are kept" if best else "nothing: the last epoch's weights are kept"


def _compared_cohorts(chosen):
    """Where patients who only train are compared with the tested; ``chosen`` are the included rows of the inclusion table."""
    if not (chosen["role"] == "training").any():
        return "The same patients, by cross-validation."
    # As text_results compares them.
    names = sorted(chosen.loc[chosen["status"] == "nonreperfused", "cohort"].unique())
    if len(names) != 2:
        return "Patients of role training are not compared with the tested."
    return f"results/text_results.csv compares the non-reperfused patients of {' and '.join(names)}."


def _range(values):
    """``7`` or ``7 to 9``."""
    return f"{min(values)}" if min(values) == max(values) else f"{min(values)} to {max(values)}"
