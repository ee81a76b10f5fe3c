"""What a change of one image or one module makes again, after a finished run: its dependants, and nothing else."""

import os
import shutil
from contextlib import contextmanager

import pytest

REPLACED, OTHER = "sub-hibiscus003", "sub-hibiscus004"
GIVEN = {"dataset": {"path": "results/dataset", "simulated": False}}
# Rules that read all patients or their inclusion, and what follows from them.
FIGURES = {
    *("figure1", "figure3", "figure4", "figure_paired_dice", "figure_bland_altman", "figure_reliability", "figure_dice_by_volume"),
}
OF_INCLUSION = {
    *("inclusion", "folds", "slices", "train", "predict", "mismatch", "evaluate", "evaluate_mismatch", "metrics", "responders", "reliability"),
    *("table", "auc_table", "table_a5", "text_results", "comparison", "model_card", "leakage_gate", "checklist"),
    *FIGURES,
}
QUALITY_OF_ALL = {"quality_table", "quality_index"}
SIMULATION = {"simulate_participants", "simulate_patient", "simulate_h3"}
# Read neither patients' images after the maps nor who takes part.
APART = {"table1", "figure2", "check_dataset", *SIMULATION}


def rules(pending, name=None):
    """Rules of the outputs that would be made, of one patient or of all."""
    return {rule for output, rule in pending.items() if name is None or name in output}


@pytest.fixture(scope="module")
def given(finished, tmp_path_factory):
    """A finished run of a given dataset: the simulated one without its truth, whose steps of reporting were made again for it."""
    run = finished.copy(tmp_path_factory.mktemp("given") / "run")
    shutil.rmtree(run.folder / "results/dataset/derivatives/truth")
    run.succeed(config=GIVEN)
    assert run.pending(config=GIVEN) == {}
    return run


def test_an_older_table_of_patients_makes_again_what_reads_it(given, tmp_path):
    run = given.copy(tmp_path / "run")
    table = run.folder / "results/dataset/participants.tsv"
    lines = table.read_text(encoding="utf-8").splitlines()
    column = lines[0].split("\t").index("age")
    cells = lines[1].split("\t")
    cells[column] = "21" if cells[column] != "21" else "22"
    table.write_text("\n".join([lines[0], "\t".join(cells), *lines[2:]]) + "\n", encoding="utf-8")
    os.utime(table, (1.5e9, 1.5e9))
    # who takes part stays the same, so that nothing is trained again
    run.succeed("results/inclusion.tsv", config=GIVEN)
    pending = rules(run.pending(config=GIVEN))
    assert {"table_a5", "text_results", "checklist"} <= pending <= {"table_a5", "text_results", "checklist", "comparison", "check_dataset"}


def test_replaced_image_makes_its_dependants_again(given):
    series = "results/dataset/{0}/ses-baseline/perf/{0}_ses-baseline_dsc.nii.gz"
    shutil.copyfile(given.folder / series.format(OTHER), given.folder / series.format(REPLACED))
    pending = given.pending(config=GIVEN)
    # The cohort's reference is the b0: its masks and diffusion images know nothing of the perfusion.
    own = {output for output, rule in pending.items() if REPLACED in output}
    folder = f"results/{{}}/{REPLACED}/{REPLACED}"
    maps = [f"{folder}_ses-baseline_{name}".format("maps") for name in ("perfref", "Tmax", "CBF", "CBV", "MTT", "TTP")]
    space = f"{folder}_ses-baseline_space-reference_".format("preprocessed")
    expected = {
        *(f"{name}.nii.gz" for name in maps),
        *(f"{folder}_ses-baseline_{name}".format("maps") for name in ("aif.tsv", "label-AIF_mask.nii.gz", "perfusion.json")),
        *(f"{folder}_{name}_xfm.h5".format("registration") for name in ("from-dsc_to-reference", "from-reference_to-dsc")),
        *(f"{space}{name}.nii.gz" for name in ("perfref", "Tmax", "CBF", "CBV")),
        *(f"{space}desc-{kind}_{name}.nii.gz" for kind in ("linear", "normalised") for name in ("Tmax", "CBF", "CBV")),
        *(f"results/quality/{REPLACED}.{ending}" for ending in ("json", "html", "png")),
    }
    assert own == expected
    cohort = {output: rule for output, rule in pending.items() if output not in own}
    assert not [output for output in cohort if "sub-" in output]
    assert rules(cohort) == {"check_dataset", *OF_INCLUSION, *QUALITY_OF_ALL}
    assert len([output for output, rule in cohort.items() if rule == "train"]) == 3 * 28


@contextmanager
def edited(module):
    """A module of the package with a line more."""
    text = module.read_text(encoding="utf-8")
    module.write_text(f"{text}\nEDITED = True\n", encoding="utf-8")
    try:
        yield
    finally:
        module.write_text(text, encoding="utf-8")


@pytest.fixture
def pending_after(finished):
    """Return a function that edits a module and returns what would be made again."""

    def pending(module):
        with edited(finished.repository / "workflow/scripts/finalinfarct" / module):
            found = finished.pending()
        assert finished.pending() == {}
        return found

    return pending


def test_edit_of_motion_correction_makes_perfusion_and_its_dependants_again(pending_after):
    pending = pending_after("imaging/motion.py")
    # Where the b0 is the reference, only what moves with the perfusion.
    assert rules(pending, "sub-hibiscus") == {"perfusion", "register", "resample_perfusion", "normalise_perfusion", "quality"}
    moved = {output.split("_from-")[1] for output, rule in pending.items() if rule == "register" and "hibiscus" in output}
    assert moved == {"dsc_to-reference_xfm.h5", "reference_to-dsc_xfm.h5"}
    # Where the perfusion is, all that lies on its grid.
    on_its_grid = {"resample_diffusion", "resample_followup", "brain_mask", "lesions", "normalise_diffusion", "reperfusion"}
    assert rules(pending, "sub-iknow") == {"perfusion", "register", "resample_perfusion", "normalise_perfusion", "quality", *on_its_grid}
    cohort = {output: rule for output, rule in pending.items() if "sub-" not in output}
    assert rules(cohort) == {*OF_INCLUSION, *QUALITY_OF_ALL, "lesion_volumes"}
    assert not rules(pending) & APART


def test_edit_of_the_canvas_makes_pictures_again(pending_after):
    pending = pending_after("reporting/canvas.py")
    # The index of the quality pages names the strips.
    assert rules(pending) == {*FIGURES, "figure2", "model_card", "quality", "quality_index", "quality_table"}


def test_edit_of_the_mismatch_model_makes_its_metrics_and_their_readers_again(pending_after):
    readers = {"mismatch", "evaluate_mismatch", "metrics", "table", "auc_table", "text_results", "comparison", "leakage_gate", "checklist"}
    figures = FIGURES - {"figure1", "figure_reliability"}
    assert rules(pending_after("evaluation/mismatch.py")) == readers | figures


def test_edit_of_the_simulation_makes_everything_again_but_the_architecture(finished, pending_after):
    pending = pending_after("simulation/signals.py")
    assert {"simulate_patient", "simulate_h3", "perfusion", "train", "comparison"} <= rules(pending)
    assert not rules(pending) & {"table1", "figure2"}
