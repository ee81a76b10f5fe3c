"""Predictions for patients without outcome: which models answer, what they answer together, and what the page and the table say of it."""

import io
import json
import re
import shutil

import keras
import matplotlib.image
import nibabel as nib
import numpy as np
import pytest
from learning_toys import SETTINGS, make_patients

from finalinfarct.dataset.contract import patient_files
from finalinfarct.dataset.files import sha256
from finalinfarct.dataset.images import write_image, write_json
from finalinfarct.dataset.tables import read_table
from finalinfarct.errors import InputError
from finalinfarct.evaluation.new_patient import measure_new_patient, write_new_patients
from finalinfarct.imaging.lesions import make_labels
from finalinfarct.learning.ensemble import find_networks, predict_new_patient
from finalinfarct.learning.network import network_from_settings
from finalinfarct.learning.prediction import predict_family
from finalinfarct.plan.config import check_config
from finalinfarct.plan.plan import Plan
from finalinfarct.reporting import new_patient_page
from finalinfarct.reporting.new_patient_page import draw_predictions, write_new_patient

INPUTS = ["DWI", "ADC"]
FAMILIES = {name: ("late", "DWI-ADC", name) for name in ("reperfused", "nonreperfused")}
PREPARATION = {
    "simulated": True,
    "images": {"matrix": 32, "normalisation": "minmax"},
    "perfusion": {"cbv_window_s": 36.0},
    "references": {"sub-new": ["dwi", "nonlinear"], "sub-other": ["dsc", "affine"]},
    "maps": {"sub-new": "computed", "sub-other": "computed"},
}
# What the record of a training says: references and maps by patient.
RECORDED = PREPARATION | {
    "references": {"sub-1": ["dwi", "nonlinear"], "sub-2": ["dwi", "nonlinear"], "sub-8": ["dwi", "rigid"], "sub-9": ["dsc", "affine"]},
    "maps": {"sub-1": "computed", "sub-2": "computed", "sub-8": "given", "sub-9": "computed"},
}
VOXEL_ML = 3.75 * 3.75 * 5 / 1000


def write_networks(folder, lesion_bias):
    """Write networks of both statuses as a training leaves them; ``lesion_bias`` has a value for each fold, or None for a random head with a say."""
    keras.utils.set_random_seed(1)
    for status, biases in lesion_bias.items():
        for fold, bias in enumerate(biases, start=1):
            network = network_from_settings("late", INPUTS, 32, SETTINGS)
            head = network.get_layer("head")
            kernel = head.get_weights()[0]
            head.set_weights([kernel * 50, np.zeros(3)] if bias is None else [kernel * 0, np.array([0.0, 0.0, bias])])
            place = folder / "late" / "DWI-ADC" / status / f"fold-{fold}"
            place.mkdir(parents=True)
            network.save_weights(place / "model.weights.h5")
            record = {"fusion": "late", "inputs": INPUTS, "training_set": status, "fold": fold, "folds": len(biases), "matrix": 32}
            record |= {"settings": SETTINGS, "preparation": RECORDED, "sha256": {"slices": "s", "folds": "f", "code": "c"}}
            record |= {"patients": {"training": [f"sub-{fold}", "sub-9"], "validation": ["sub-8"]}}
            write_json(place / "environment.json", record | {"weights_sha256": sha256(place / "model.weights.h5")})
    return folder


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """Two networks of each status that give every voxel one lesion probability: 0.5 and 0.8 reperfused, 0.2 and 0.2 not."""
    odds = {"reperfused": np.log([2.0, 8.0]), "nonreperfused": np.log([0.5, 0.5])}
    return write_networks(tmp_path_factory.mktemp("networks"), odds)


@pytest.fixture
def copied(networks, tmp_path):
    """Return a copy of the networks that a test may spoil: the folder of the families."""
    return shutil.copytree(networks, tmp_path / "copied") / "late" / "DWI-ADC"


def changed(**sections):
    return {key: value | sections.get(key, {}) if isinstance(value, dict) else sections.get(key, value) for key, value in PREPARATION.items()}


def recorded(**sections):
    return RECORDED | sections


def find(copied, preparation=PREPARATION, participants=("sub-new",)):
    return find_networks(copied.parents[1], FAMILIES, preparation, participants)


def rewrite(copied, status, place, **values):
    path = copied / status / f"fold-{place}" / "environment.json"
    write_json(path, json.loads(path.read_text(encoding="utf-8")) | values)


def test_networks_are_found_with_their_hashes(copied):
    (copied / "reperfused" / "fold-1 (copy)").mkdir()
    found = find(copied)
    assert {name: [network.folder.name for network in some] for name, some in found.items()} == {name: ["fold-1", "fold-2"] for name in FAMILIES}
    assert found["reperfused"][1].weights_sha256 == sha256(copied / "reperfused" / "fold-2" / "model.weights.h5")


@pytest.mark.parametrize(
    ("preparation", "said"),
    [
        (changed(images={"normalisation": "robust"}), "images.normalisation minmax (here robust)"),
        (changed(perfusion={"cbv_window_s": 300.0}), "perfusion.cbv_window_s 36.0 (here 300.0)"),
        (changed(images={"scope": "volume"}), "images.scope not recorded (here volume)"),
        (changed(references={"sub-new": ["dwi", "rigid"]}), "reference and registration dsc affine or dwi nonlinear (here dwi rigid)"),
        (changed(maps={"sub-other": "given"}), "perfusion maps computed (here given)"),
    ],
)
def test_networks_of_other_preparation_are_refused_with_what_differs(copied, preparation, said):
    with pytest.raises(InputError, match=re.escape(said)):
        find(copied, preparation)


def test_settings_of_maps_that_are_not_computed_do_not_matter(copied):
    for status in FAMILIES:
        for fold in (1, 2):
            rewrite(copied, status, fold, preparation=recorded(maps=dict.fromkeys(RECORDED["maps"], "given")))
    given = {"simulated": False, "references": {"sub-new": ["dwi", "nonlinear"]}, "maps": {"sub-new": "given"}}
    assert find(copied, changed(perfusion={"cbv_window_s": 300.0}) | given)


@pytest.mark.parametrize(
    ("patients", "said"),
    [
        (["sub-1", "sub-2"], "reference and registration dwi nonlinear (here dsc affine)"),
        (["sub-stranger"], "reference and registration none recorded (here dsc affine), perfusion maps none recorded (here computed)"),
    ],
)
def test_each_network_is_held_against_the_patients_who_trained_it(copied, patients, said):
    here = PREPARATION | {"references": {"sub-new": ["dsc", "affine"]}}
    assert find(copied, here)
    rewrite(copied, "nonreperfused", 2, patients={"training": patients, "validation": ["sub-9"]})
    with pytest.raises(InputError, match="nonreperfused/fold-2/environment.json.*" + re.escape(said)):
        find(copied, here)


def swap(copied):
    (copied / "reperfused").rename(copied / "third")
    (copied / "nonreperfused").rename(copied / "reperfused")
    (copied / "third").rename(copied / "nonreperfused")


def one_fold(copied):
    shutil.rmtree(copied / "reperfused/fold-2")
    for status, fold in (("reperfused", 1), ("nonreperfused", 1), ("nonreperfused", 2)):
        rewrite(copied, status, fold, folds=1)


def leave_over(copied):
    shutil.copytree(copied / "reperfused/fold-2", copied / "reperfused/fold-3")
    rewrite(copied, "reperfused", 3, fold=3, folds=3)


SPOILED = {
    "no networks": (
        lambda copied: shutil.rmtree(copied / "reperfused"),
        "reperfused: no trained network. Mend: train the networks first",
    ),
    "no weights": (lambda copied: (copied / "reperfused/fold-2/model.weights.h5").unlink(), "model.weights.h5: the file does not exist"),
    "no record": (lambda copied: (copied / "reperfused/fold-2/environment.json").unlink(), "environment.json: the file does not exist"),
    "no JSON": (lambda copied: (copied / "reperfused/fold-1/environment.json").write_text("{"), "environment.json: not valid JSON"),
    "nested JSON": (lambda copied: (copied / "reperfused/fold-1/environment.json").write_text("[" * 100000), "environment.json: not valid JSON"),
    "list": (lambda copied: (copied / "reperfused/fold-1/environment.json").write_text("[]"), "fusion, inputs, training_set, fold, folds, matrix"),
    "older version": (
        lambda copied: rewrite(copied, "reperfused", 1, preparation=None),
        "preparation missing or unsound. Mend: train with",
    ),
    "null for patients": (lambda copied: rewrite(copied, "reperfused", 1, patients={"training": None}), "patients missing or unsound"),
    "no patients": (lambda copied: rewrite(copied, "reperfused", 1, patients={}), "patients missing or unsound"),
    "text for patients": (lambda copied: rewrite(copied, "reperfused", 1, patients={"training": "sub-new"}), "patients missing or unsound"),
    "list for images": (lambda copied: rewrite(copied, "reperfused", 1, preparation=recorded(images=[1])), "preparation missing or unsound"),
    "number for maps": (lambda copied: rewrite(copied, "reperfused", 1, preparation=recorded(maps=1)), "preparation missing or unsound"),
    "references of all": (
        lambda copied: rewrite(copied, "reperfused", 1, preparation=recorded(references=[["dwi", "nonlinear"]], maps=["computed"])),
        "preparation missing or unsound. Mend: train with",
    ),
    "true for folds": (lambda copied: rewrite(copied, "reperfused", 1, folds=True), "folds missing or unsound"),
    "other matrix": (lambda copied: rewrite(copied, "reperfused", 1, matrix=64), "matrix 64, but images of another"),
    "too few folds": (one_fold, "nonreperfused: fold 2 of 1"),
    "fold missing": (lambda copied: shutil.rmtree(copied / "nonreperfused/fold-2"), "nonreperfused: no network of fold 2 of 2"),
    "fold left over": (leave_over, "of another run than"),
    "fold copied": (
        lambda copied: shutil.copytree(copied / "reperfused/fold-1", copied / "reperfused/fold-3"),
        "the record of another network (late fusion of DWI-ADC, trained on reperfused patients, fold 1)",
    ),
    "statuses swapped": (swap, "the record of another network (late fusion of DWI-ADC, trained on nonreperfused patients, fold 1)"),
    "other run": (lambda copied: rewrite(copied, "nonreperfused", 2, sha256={"slices": "other"}), "(sha256 differ)"),
    "one simulated": (lambda copied: rewrite(copied, "nonreperfused", 2, preparation=recorded(simulated=False)), "(preparation differ)"),
}


@pytest.mark.parametrize(("spoil", "said"), SPOILED.values(), ids=SPOILED)
def test_networks_that_are_not_whole_or_not_of_one_run_are_refused(copied, spoil, said):
    spoil(copied)
    with pytest.raises(InputError, match=re.escape(said)):
        find(copied)


def test_patients_of_the_training_are_refused(copied):
    with pytest.raises(InputError, match="trained on sub-8, who is to be predicted"):
        find(copied, participants=["sub-new", "sub-8"])


def predict(networks, folder, threshold, images):
    outputs = {name: (folder / f"{name}_probseg.nii.gz", folder / f"{name}_mask.nii.gz") for name in FAMILIES}
    folders = {name: sorted((networks / "late" / "DWI-ADC" / name).glob("fold-*")) for name in FAMILIES}
    predict_new_patient(folders, images, "tensorflow", 4, threshold, outputs)
    return outputs


def test_prediction_is_the_mean_of_the_networks(tmp_path):
    """softmax(0, 0, ln o) gives the lesion o / (o + 2): 0.2, 0.8 and 0.9, together 0.633; and 0.2, 0.2 and 0.9, together 0.433."""
    odds = {"reperfused": np.log([0.5, 8.0, 18.0]), "nonreperfused": np.log([0.5, 0.5, 18.0])}
    networks = write_networks(tmp_path / "networks", odds)
    outputs = predict(networks, tmp_path, 0.6, make_patients(tmp_path, 1)[0]["images"])
    for status, probability, voxels, alone in (("reperfused", 1.9 / 3, 1, [0, 1, 1]), ("nonreperfused", 1.3 / 3, 0, [0, 0, 1])):
        image, mask = (nib.load(path) for path in outputs[status])
        whole = image.shape[0] * image.shape[1] * image.shape[2] * VOXEL_ML
        np.testing.assert_allclose(image.get_fdata(), probability, atol=1e-6)
        np.testing.assert_array_equal(np.asarray(mask.dataobj), voxels)
        side = json.loads((tmp_path / f"{status}_mask.json").read_text())
        assert side["NetworkVolumesMl"] == pytest.approx([whole * one for one in alone])
        assert side["VolumeMl"] == pytest.approx(whole * voxels)
        assert (side["TrainingSet"], side["TrainingPatients"], side["TrainedOnSimulatedPatients"]) == (status, 4, True)
        assert side["Networks"] == [sha256(networks / "late" / "DWI-ADC" / status / f"fold-{fold}" / "model.weights.h5") for fold in (1, 2, 3)]


def test_prediction_is_that_of_the_same_networks_in_the_cross_validation(tmp_path):
    """Random networks, which see what they are shown: order of the inputs, orientation and grid are those of ``predict_family``."""
    networks = write_networks(tmp_path / "networks", dict.fromkeys(FAMILIES, (None, None)))
    images = make_patients(tmp_path / "images", 1)[0]["images"]
    outputs = predict(networks, tmp_path, 0.5, images)
    for status in FAMILIES:
        parts = []
        for fold in (1, 2):
            weights = {fold: networks / "late" / "DWI-ADC" / status / f"fold-{fold}" / "model.weights.h5"}
            folds = {"folds": [{"fold": fold, "test": ["sub-00"]}]}
            predict_family(folds, weights, {"sub-00": images}, INPUTS, "late", 32, SETTINGS, 0.5, tmp_path / f"{status}{fold}")
            parts.append(nib.load(tmp_path / f"{status}{fold}" / "sub-00_space-reference_label-lesion_probseg.nii.gz"))
        mean = np.mean([part.get_fdata() for part in parts], axis=0)
        assert np.ptp(mean) > 0.05 and not np.allclose(mean, mean[::-1], atol=0.01)
        np.testing.assert_allclose(nib.load(outputs[status][0]).get_fdata(), mean, atol=1e-6)
        np.testing.assert_allclose(nib.load(outputs[status][0]).affine, parts[0].affine)


def test_weights_of_another_record_are_refused(networks, copied, tmp_path):
    (copied / "reperfused" / "fold-1" / "model.weights.h5").write_bytes(b"another")
    with pytest.raises(InputError, match="not the weights that"):
        predict(copied.parents[1], tmp_path, 0.5, make_patients(tmp_path, 1)[0]["images"])


@pytest.fixture
def patient(tmp_path):
    """Return the files of a patient on a grid of 10 x 10 x 4 voxels of 1 ml, each region a block of slices' columns, and its quality numbers."""
    affine, shape = np.diag([10.0, 10.0, 10.0, 1.0]), (10, 10, 4)

    def block(columns, value=1.0):
        data = np.zeros(shape, np.float32)
        data[:, :columns] = value
        return data

    names = {
        "reperfused": block(2),  # 80 ml
        "nonreperfused": block(6),  # 240 ml
        "diffusion_lesion": block(1),  # 40 ml
        "brain_mask": block(9),
        "tmax": block(10, 7.0) - block(4, 0.7),  # above 6 s also outside the brain
        "cbf": block(10, 40.0) - block(1, 40.0),  # nothing measured in the first 40 ml
        "dwi": block(9, 500.0) + np.arange(10, dtype=np.float32)[:, None, None],
        "probability_reperfused": block(2, 0.9),
        "probability_nonreperfused": block(6, 0.7),
    }
    files = {name: tmp_path / f"{name}.nii.gz" for name in names}
    for name, data in names.items():
        mask = name in ("reperfused", "nonreperfused", "diffusion_lesion", "brain_mask")
        side = {"LesionSource": "automatic"} if name == "diffusion_lesion" else {}
        if name in FAMILIES:
            side = {"NetworkVolumesMl": [70.0, 95.0, 60.0], "Networks": ["a" * 64, "b" * 64, "c" * 64], "TrainedOnSimulatedPatients": False}
            side |= {"TrainingPatients": 74, "Fusion": "late", "Inputs": INPUTS}
        write_image(files[name], data, affine, side, dtype=np.uint8 if mask else np.float32)
    quality = tmp_path / "quality.json"
    write_json(quality, {"flags": [{"about": "baseline perfusion", "flag": "motion: the head moved by <2.1> mm"}]})
    return files, quality


def test_numbers_of_a_patient(patient, tmp_path):
    files, quality = patient
    measure_new_patient("sub-1", files, 6.5, quality, tmp_path / "numbers.json")
    write_new_patients([tmp_path / "numbers.json"], tmp_path / "table.tsv")
    (row,) = read_table(tmp_path / "table.tsv").to_dict("records")
    expected = {
        "volume_reperfused_ml": 80,
        "volume_nonreperfused_ml": 240,
        "salvageable_ml": 160,
        "lowest_reperfused_ml": 60,
        "highest_reperfused_ml": 95,
    }
    expected |= {"dsc_between_predictions": 2 * 80 / (80 + 240), "mismatch_reperfused_ml": 40, "mismatch_nonreperfused_ml": 240, "quality_flags": 1}
    expected["without_perfusion_ml"] = 40
    assert {name: row[name] for name in expected} == pytest.approx(expected)
    # The DSC is 0.5, not below it.
    assert (row["participant_id"], row["responder"], row["diffusion_lesion_source"], row["trained_on_simulated"]) == (
        "sub-1",
        "no",
        "automatic",
        "no",
    )


def test_images_on_another_grid_are_refused(patient, tmp_path):
    files, quality = patient
    write_image(files["tmax"], np.zeros((10, 10, 4), np.float32), np.diag([9.0, 10.0, 10.0, 1.0]))
    with pytest.raises(InputError, match=r"tmax\.nii\.gz: on another grid than"):
        measure_new_patient("sub-1", files, 6.0, quality, tmp_path / "numbers.json")


@pytest.mark.parametrize(
    ("simulated", "trained_on_simulated", "warning"),
    [(False, False, None), (False, True, "Trained on simulated patients only"), (True, True, "Simulated cohort")],
)
def test_page_says_what_is_predicted_and_warns_of_what_is_simulated(patient, tmp_path, simulated, trained_on_simulated, warning):
    files, quality = patient
    side = tmp_path / "nonreperfused.json"  # one that was is enough
    write_json(side, json.loads(side.read_text()) | {"TrainedOnSimulatedPatients": trained_on_simulated})
    write_new_patient("sub-1", files, 6.5, simulated, quality, tmp_path / "numbers.json", tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert all(
        words in text
        for words in ("80.0 ml", "240.0 ml", "60.0 to 95.0 ml", "160.0 ml are predicted", "40.0 ml of either", "no responder", "Not a medical device")
    )
    rows = [re.findall("<td[^>]*>([^<]*)", row) for row in re.findall("<tr.*?</tr>", text, re.DOTALL)]
    assert ["with reperfusion", "80.0 ml", "60.0 to 95.0 ml", "40.0 ml"] in rows
    assert ["without reperfusion", "240.0 ml", "60.0 to 95.0 ml", "240.0 ml"] in rows
    assert "moved by &lt;2.1&gt; mm" in text and "data:image/png;base64," in text and 'src="http' not in text
    banners = re.findall(r'<div class="banner" role="alert">([^<]*)', text)
    assert len(banners) == (warning is not None) and all(warning in banner for banner in banners)


def test_picture_shows_the_larger_prediction_in_the_row_without_reperfusion(patient, monkeypatch):
    words = []
    monkeypatch.setattr(new_patient_page, "write_on", lambda axis, text, **_: words.append(text))
    picture = matplotlib.image.imread(io.BytesIO(draw_predictions(patient[0])))[..., :3]
    *_, reperfused, nonreperfused = np.array_split(np.ptp(picture, axis=2) > 0.1, 4)
    # two of nine columns of brain against six
    assert nonreperfused.sum() == pytest.approx(3 * reperfused.sum(), rel=0.1)
    assert words[2:] == ["with reperfusion", "without reperfusion"]


def test_lesions_of_a_patient_without_outcome(tmp_path):
    affine, shape = np.diag([10.0, 10.0, 5.0, 1.0]), (16, 16, 4)
    adc, brain = np.full(shape, 800.0, np.float32), np.zeros(shape, np.uint8)
    brain[2:14, 2:14] = 1
    adc[4:8, 4:8] = 400.0
    write_image(tmp_path / "adc.nii.gz", adc, affine)
    write_image(tmp_path / "brain.nii.gz", brain, affine, dtype=np.uint8)
    settings = {"adc_threshold_um2_s": 620.0, "minimum_component_ml": 0.5}
    out = tmp_path / "diffusion.nii.gz"
    adc_path, brain_path = tmp_path / "adc.nii.gz", tmp_path / "brain.nii.gz"
    make_labels(None, None, None, None, adc_path, 16, adc_path, brain_path, settings, out, None, None)
    np.testing.assert_array_equal(np.asarray(nib.load(out).dataobj) == 1, adc == 400.0)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["adc.nii.gz", "brain.nii.gz", "diffusion.json", "diffusion.nii.gz"])


NEW = {"role": "new", "reperfusion": "none", "final_lesion": "none"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (NEW | {"final_lesion": "followup"}, "role new and final_lesion none go together"),
        ({"final_lesion": "none"}, "role new and final_lesion none go together"),
        (NEW | {"reperfusion": "mtici"}, "role new has reperfusion none"),
        (NEW | {"perfusion": False}, "patients without perfusion cannot be trained on, tested or predicted"),
    ],
)
def test_cohorts_that_cannot_be_predicted(config, changes, said):
    config["dataset"]["simulated"] = False
    config["cohorts"]["hibiscus"] |= changes
    with pytest.raises(InputError, match=said):
        check_config(config)


def test_simulation_without_patients_is_refused(config):
    for cohort in config["simulation"]["cohorts"].values():
        cohort["patients"] = cohort["reperfused"] = 0
    with pytest.raises(InputError, match=r"simulation\.cohorts: no patients"):
        check_config(config)


def new_dataset(config, dataset, **roles):
    """Configure the two patients of ``dataset``, sub-01 (hibiscus) and sub-02 (iknow)."""
    config["dataset"] |= {"path": str(dataset), "simulated": False}
    for cohort, role in roles.items():
        config["cohorts"][cohort] |= NEW if role == "new" else {"role": role, "reperfusion": "none"}


def test_new_patients_beside_trained_ones_are_refused(config, dataset):
    new_dataset(config, dataset, hibiscus="new")
    with pytest.raises(InputError, match="patients of role new beside patients to train on or test"):
        Plan(config)


def test_left_out_new_patients_leave_no_training_behind(config, dataset):
    """Whatever is left out for faults, a dataset with new patients is not one to train on."""
    patient_files(dataset, "sub-01")["dwi"].unlink()
    new_dataset(config, dataset, hibiscus="new", iknow="none")
    config["dataset"]["faults"] = "exclude"
    with pytest.raises(InputError, match="no new patient is left"):
        Plan(config)
    config["cohorts"]["iknow"] |= {"role": "training", "reperfusion": "h3_perfusion"}
    with pytest.raises(InputError, match="patients of role new beside patients to train on or test"):
        Plan(config)


def test_networks_must_be_given_and_lie_elsewhere(config, dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    new_dataset(config, dataset, hibiscus="new", iknow="none")
    with pytest.raises(InputError, match=r"new_patients\.models: not given"):
        Plan(config)
    config["new_patients"]["models"] = "results/models"
    with pytest.raises(InputError, match="the results of a training, where this run would write"):
        Plan(config)
    config["new_patients"]["models"] = "~nobody/models"
    with pytest.raises(InputError, match="no trained network"):
        Plan(config)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "folds.json").touch()
    with pytest.raises(InputError, match="the results of a training, where this run would write"):
        Plan(config)
    config["new_patients"]["models"] = "../else{where}"
    with pytest.raises(InputError, match=r"new_patients\.models: .* holds braces"):
        Plan(config)
