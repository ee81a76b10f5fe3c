"""The leakage gate: passes a clean run, and each kind of leak made by hand stops it by name."""

import json

import numpy as np
import pandas as pd
import pytest

from finalinfarct.dataset.images import read_image, write_image, write_json
from finalinfarct.dataset.tables import read_table, write_table
from finalinfarct.door import door
from finalinfarct.errors import InputError
from finalinfarct.evaluation.leakage import check_leakage
from finalinfarct.imaging.normalisation import normalise
from finalinfarct.learning.folds import make_folds, write_folds

AFFINE = np.diag([2.0, 2.0, 5.0, 1.0])
SETTINGS = {"normalisation": "minmax", "scope": "volume", "probability_threshold": 0.5, "tmax_threshold_s": 6.0}


@pytest.fixture
def run(tmp_path):
    """Write what a run of eight tested patients and one of the second cohort leaves behind, and return the arguments of the gate."""
    tested = [f"sub-a{k}" for k in range(8)]
    rows = [(name, "a", "test", "2b", None, "reperfused" if k < 4 else "nonreperfused", "yes", None) for k, name in enumerate(tested)]
    rows.append(("sub-b0", "b", "training", None, 0.1, "nonreperfused", "yes", None))
    columns = ["participant_id", "cohort", "role", "mtici", "reperfusion_ratio", "status", "included", "reason"]
    inclusion = pd.DataFrame(rows, columns=columns)
    write_table(inclusion, tmp_path / "inclusion.tsv")
    folds = make_folds(inclusion.assign(included=True), 2, 0)
    write_folds(folds, tmp_path / "folds.json")
    write_table(pd.DataFrame({"participant_id": tested, "metric": "dsc", "value": 0.5}), tmp_path / "metrics.tsv")
    environments = []
    for fold in folds["folds"]:
        environments.append(tmp_path / f"fold-{fold['fold']}.json")
        write_json(environments[-1], {"fold": fold["fold"], "training_set": "all", "patients": fold["training_sets"]["all"]})
        for name in fold["test"]:
            mask = tmp_path / "cnn" / f"{name}_space-reference_label-lesion_mask.nii.gz"
            write_image(mask, np.ones((4, 4, 2)), AFFINE, {"Fold": fold["fold"], "Threshold": 0.5}, dtype=np.uint8)
            write_image(
                tmp_path / "mismatch" / mask.name, np.ones((4, 4, 2)), AFFINE, {"TmaxThreshold": {"Above": 6.0, "Units": "s"}}, dtype=np.uint8
            )
    random, raw, normalised = np.random.default_rng(0), {}, []
    for name in [*tested, "sub-b0"]:
        image, scaled, mask = (tmp_path / f"{name}_{kind}.nii.gz" for kind in ("DWI", "scaled", "brain"))
        write_image(image, random.random((4, 4, 2)), AFFINE)
        write_image(mask, np.ones((4, 4, 2)), AFFINE, dtype=np.uint8)
        normalise([(image, scaled)], mask)
        raw[name] = [image]
        normalised.append((image, scaled, mask))
    return {
        "folds": tmp_path / "folds.json",
        "inclusion": tmp_path / "inclusion.tsv",
        "metrics": tmp_path / "metrics.tsv",
        "environments": environments,
        "predictions": [tmp_path / "cnn", tmp_path / "mismatch"],
        "raw": raw,
        "normalised": normalised,
        "sources": {"adc.py": ["adc.py", "finalinfarct/imaging/diffusion.py"]},
    }


def stopped(run, tmp_path, *said):
    with pytest.raises(InputError) as fault:
        check_leakage(run, SETTINGS, tmp_path / "leakage.tsv")
    assert not (tmp_path / "leakage.tsv").exists()
    return all(words in str(fault.value) for words in said)


def test_clean_run_passes_with_its_evidence(run, tmp_path):
    check_leakage(run, SETTINGS, tmp_path / "leakage.tsv")
    table = read_table(tmp_path / "leakage.tsv")
    assert len(table) == 7
    assert {"2 trainings", "8 tested patients", "16 predictions", "9 images of 9 patients", "9 normalised images"} <= set(table["examined"])


def test_training_on_a_test_patient(run, tmp_path):
    record = json.loads(run["environments"][0].read_text())
    test = json.loads(run["folds"].read_text())["folds"][0]["test"]
    record["patients"]["training"].append(test[0])
    write_json(run["environments"][0], record)
    assert stopped(run, tmp_path, "fold-1.json: trained on", test[0])


def test_training_on_others_than_the_folds_say(run, tmp_path):
    record = json.loads(run["environments"][1].read_text())
    record["patients"]["training"].pop()
    write_json(run["environments"][1], record)
    assert stopped(run, tmp_path, "fold-2.json: other patients than the folds assign")


def test_patient_of_the_second_cohort_tested(run, tmp_path):
    table = read_table(run["metrics"])
    write_table(pd.concat([table, table.iloc[:1].assign(participant_id="sub-b0")]), run["metrics"])
    assert stopped(run, tmp_path, "sub-b0 is tested, but is no included patient of role test")


def test_prediction_by_a_model_of_another_fold(run, tmp_path):
    path = next(iter(sorted((tmp_path / "cnn").glob("*.json"))))
    side = json.loads(path.read_text())
    write_json(path, side | {"Fold": 3 - side["Fold"]})
    assert stopped(run, tmp_path, path.name.split("_")[0], "predicted by the model of fold")


def test_missing_prediction(run, tmp_path):
    next(iter((tmp_path / "mismatch").glob("*.nii.gz"))).unlink()
    assert stopped(run, tmp_path, "too many or missing")


def test_one_image_in_two_patients(run, tmp_path):
    write_image(run["raw"]["sub-a1"][0], read_image(run["raw"]["sub-b0"][0]).get_fdata(), AFFINE)
    assert stopped(run, tmp_path, "the same voxels in", "sub-a1_DWI", "sub-b0_DWI")


def test_normalisation_by_other_patients(run, tmp_path):
    image, scaled, _ = run["normalised"][2]
    pooled = read_image(image).get_fdata() / 2
    write_image(scaled, pooled, AFFINE)
    assert stopped(run, tmp_path, "sub-a2_scaled.nii.gz", "by its own brain")


@pytest.mark.parametrize(("folder", "change"), [("cnn", {"Threshold": 0.4}), ("mismatch", {"TmaxThreshold": {"Above": 5.0}})])
def test_threshold_other_than_configured(run, tmp_path, folder, change):
    path = next(iter((tmp_path / folder).glob("*.json")))
    write_json(path, json.loads(path.read_text()) | change)
    assert stopped(run, tmp_path, "thresholds are those of the configuration: NO", path.name.removesuffix(".json"))


@pytest.mark.parametrize(
    ("folder", "key", "said"),
    [
        ("cnn", "Fold", "its side file names no fold"),
        ("cnn", "Threshold", "its side file names no threshold"),
        ("mismatch", "TmaxThreshold", "its side file names no threshold"),
    ],
)
@pytest.mark.parametrize("whole", [False, True])
def test_missing_evidence_is_a_fault(run, tmp_path, folder, key, said, whole):
    path = next(iter((tmp_path / folder).glob("*.json")))
    side = json.loads(path.read_text())
    del side[key]
    path.unlink() if whole else write_json(path, side)
    assert stopped(run, tmp_path, f"{path.name.removesuffix('.json')}.nii.gz: {said}")


def test_a_diffusion_lesion_alone_has_no_threshold(run, tmp_path):
    write_json(next(iter((tmp_path / "mismatch").glob("*.json"))), {"ReperfusionStatus": "reperfused"})
    check_leakage(run, SETTINGS, tmp_path / "leakage.tsv")


def test_truth_as_input_and_simulation_imported(run, tmp_path):
    hidden = tmp_path / "derivatives" / "truth" / "delay.nii.gz"
    write_image(hidden, np.ones((2, 2, 2)), AFFINE)
    run["raw"]["sub-a0"].append(hidden)
    run["sources"]["adc.py"].append("finalinfarct/simulation/patient.py")
    assert stopped(run, tmp_path, "delay.nii.gz is an input", "adc.py imports finalinfarct/simulation/patient.py")


def test_a_folder_of_the_user_may_be_called_truth(run, tmp_path):
    for name in ("truth", "derivatives"):
        image = tmp_path / "truth" / name / "sub-a0_FLAIR.nii.gz"
        write_image(image, np.full((2, 2, 2), len(name)), AFFINE)
        run["raw"]["sub-a0"].append(image)
    check_leakage(run, SETTINGS, tmp_path / "leakage.tsv")


class Job:
    log, wildcards, config = (), {}, {"dataset": {"path": "bids", "simulated": True}}


@pytest.mark.parametrize("name", ["delay.nii.gz", "status.json"])
def test_a_door_of_the_analysis_cannot_open_the_truth(tmp_path, name, capsys):
    hidden = tmp_path / "derivatives" / "truth" / name
    write_image(hidden, np.ones((2, 2, 2)), AFFINE) if name.endswith(".gz") else write_json(hidden, {})
    with pytest.raises(SystemExit), door(Job()):
        hidden.open("rb")
    assert "no analysis may read" in capsys.readouterr().err
    with pytest.raises(SystemExit), door(Job()):
        read_image(hidden)
    with door(Job(), analysis=False):
        assert hidden.open("rb").read(1)
    assert hidden.open("rb").read(1)
