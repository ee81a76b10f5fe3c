"""The real DAG on a tiny configuration: its output tree against a golden list, and the same numbers again without the hidden truth."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from planted import plant, said_in

GOLDEN = Path(__file__).parent / "golden_outputs.txt"
FAMILY = "results/metrics/early/DWI-ADC-Tmax-CBF-CBV/all.tsv"
# The one image that is made of the dataset's own without a map in between.
FLAIR = "results/preprocessed/sub-hibiscus001/sub-hibiscus001_ses-followup_space-reference_FLAIR.nii.gz"


@pytest.fixture(scope="module")
def finished(snakemake, tmp_path_factory):
    """Run the whole tiny workflow once."""
    folder = tmp_path_factory.mktemp("tiny")
    done = snakemake(folder)
    assert done.returncode == 0, done.stdout[-6000:]
    return folder, done.stdout


def outputs(folder):
    """Files below results, predictions and models of the ablated families left to their rules."""
    return sorted(path.relative_to(folder).as_posix() for path in (folder / "results").rglob("*") if path.is_file())


def test_output_tree_is_the_golden_one(finished):
    folder, _ = finished
    assert outputs(folder) == GOLDEN.read_text(encoding="utf-8").split()


def test_run_ends_with_its_tables(finished):
    _, said = finished
    assert "results/table2.md" in said and "simulated" in said.lower()


def test_metrics_are_complete_and_plausible(finished):
    folder, _ = finished
    metrics = pd.read_csv(folder / "results/metrics.tsv", sep="\t", keep_default_na=False, na_values=["n/a"])
    assert metrics["participant_id"].nunique() == 8
    assert metrics.groupby(["method", "fusion", "inputs", "training_set"], dropna=False).ngroups == 15
    dice = metrics.loc[metrics["metric"] == "dsc", "value"]
    assert len(dice) == 15 * 8
    assert dice.between(0, 1).all()
    assert metrics.loc[metrics["participant_id"].str.startswith("sub-iknow")].empty


def test_nothing_is_left_to_do(finished, snakemake):
    done = snakemake(finished[0])
    assert done.returncode == 0 and "Nothing to be done" in done.stdout, done.stdout


def test_same_numbers_from_the_dataset_alone_without_truth_and_no_header_text(finished, snakemake, tmp_path):
    folder, _ = finished
    shutil.copytree(folder / "results/dataset", tmp_path / "given", ignore=shutil.ignore_patterns("truth"))
    assert not list(tmp_path.rglob("*truth*"))
    plant(tmp_path / "given")
    assert len(said_in(tmp_path / "given")) > 100
    given = {"dataset": {"path": str(tmp_path / "given"), "simulated": False, "faults": "refuse"}}
    done = snakemake(tmp_path, FAMILY, FLAIR, config=given)
    assert done.returncode == 0, done.stdout[-6000:]
    assert (tmp_path / FAMILY).read_bytes() == (folder / FAMILY).read_bytes()
    assert len(list((tmp_path / "results").rglob("*.nii.gz"))) > 150
    assert said_in(tmp_path / "results") == said_in(tmp_path / "logs") == []


def test_new_patients_are_predicted_by_the_networks_of_the_run(finished, snakemake):
    """In a folder of their own, without training; the tiny networks are sure of nothing, hence the low threshold."""
    folder = finished[0] / "new_patients"
    overlays, low = ("tests/config/tiny.yaml", "config/new_patients.yaml"), {"evaluation": {"probability_threshold": 0.34}}
    folder.mkdir()
    done = snakemake(folder, overlays=overlays, config=low)
    assert done.returncode == 0, done.stdout[-6000:]
    assert "Training" not in done.stdout and "results/new_patients.tsv" in done.stdout
    table = pd.read_csv(folder / "results/new_patients.tsv", sep="\t").set_index("participant_id")
    assert list(table.index) == ["sub-newcomer001", "sub-newcomer002"]
    for name, row in table.iterrows():
        assert not list((folder / "results/dataset" / name).glob("ses-followup*"))
        place = folder / "results/new_patients" / name
        kinds = [f"{status}_{kind}" for status in ("nonreperfused", "reperfused") for kind in ("mask", "probseg")]
        stems = [f"{name}_space-{space}_label-lesion_desc-{kind}" for space in ("dwi", "reference") for kind in kinds]
        assert sorted(path.name for path in place.iterdir()) == sorted(stem + ending for stem in stems for ending in (".json", ".nii.gz"))
        for status in ("reperfused", "nonreperfused"):
            stem = f"{name}_space-{{}}_label-lesion_desc-{status}_mask"
            mask, native = (nib.load(place / f"{stem.format(space)}.nii.gz") for space in ("reference", "dwi"))
            volumes = [float(np.asarray(one.dataobj).sum() * np.prod(one.header.get_zooms()) / 1000) for one in (mask, native)]
            assert row[f"volume_{status}_ml"] == pytest.approx(volumes[0])
            assert volumes[0] > 100 and volumes[1] == pytest.approx(volumes[0], rel=0.05)
            side = json.loads((place / f"{stem.format('dwi')}.json").read_text(encoding="utf-8"))
            assert side["VolumeMl"] == pytest.approx(volumes[1]) and "NetworkVolumesMl" not in side
            assert native.shape == nib.load(folder / f"results/dataset/{name}/ses-baseline/dwi/{name}_ses-baseline_dwi.nii.gz").shape[:3]
    done = snakemake(folder, overlays=overlays, config=low)
    assert done.returncode == 0 and "Nothing to be done" in done.stdout, done.stdout
    done = snakemake(folder, overlays=overlays, options=("--lint",))
    assert done.returncode == 0, done.stdout
    done = snakemake(folder, overlays=overlays, options=("-n",), config={"images": {"normalisation": "robust"}})
    assert done.returncode != 0 and "Traceback" not in done.stdout, done.stdout
    assert "trained on images prepared with images.normalisation minmax (here robust)" in done.stdout


def validator_errors(dataset):
    """What the official validator calls an error: its exit status and the issues (its warnings are of recommended fields)."""
    validator = Path(sys.executable).with_name("bids-validator-deno")
    done = subprocess.run([validator, "--format", "json", dataset], capture_output=True, text=True, timeout=300)
    return done.returncode, [issue for issue in json.loads(done.stdout)["issues"]["issues"] if issue["severity"] == "error"]


def test_simulated_dataset_is_valid_bids(finished):
    assert validator_errors(finished[0] / "results/dataset") == (0, [])


@pytest.mark.parametrize("folder", ["maps", "preprocessed"])
def test_side_files_of_the_derivatives_are_valid_bids(finished, folder):
    """The validator refuses the flat layout and names that BIDS does not have, and nothing else."""
    made = finished[0] / "results" / folder
    description = json.loads((made / "dataset_description.json").read_text(encoding="utf-8"))
    assert description["DatasetType"] == "derivative" and "simulated" in description["Name"]
    assert {issue["code"] for issue in validator_errors(made)[1]} <= {"NOT_INCLUDED", "ALL_FILENAME_RULES_HAVE_ISSUES", "SIDECAR_WITHOUT_DATAFILE"}


def test_images_on_the_reference_name_it(finished):
    results = finished[0] / "results"
    sides = list(results.rglob("*_space-reference_*.json"))
    assert len(sides) > 10 * 15 + 15 * 8
    for path in sides:
        reference = json.loads(path.read_text(encoding="utf-8"))["SpatialReference"]
        assert (results / "preprocessed" / path.name.split("_")[0] / reference).is_file(), path


def test_leakage_gate_has_looked(finished):
    table = pd.read_csv(finished[0] / "results/leakage.tsv", sep="\t")
    assert "28 trainings" in set(table["examined"]) and "8 tested patients" in set(table["examined"])
