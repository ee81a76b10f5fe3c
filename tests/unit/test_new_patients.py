"""Predictions for patients without outcome: which models answer, what they answer together, and what the page and the table say of it."""

import json
import re

import nibabel as nib
import numpy as np
import pytest
from learning_toys import AFFINE, SETTINGS, make_patients

from finalinfarct.dataset.files import sha256
from finalinfarct.dataset.images import write_image, write_json
from finalinfarct.dataset.tables import read_table
from finalinfarct.errors import InputError
from finalinfarct.evaluation.new_patient import measure_new_patient, write_new_patients
from finalinfarct.imaging.lesions import make_labels
from finalinfarct.learning.ensemble import find_models, predict_new_patient
from finalinfarct.learning.network import network_from_settings
from finalinfarct.plan.config import check_config
from finalinfarct.plan.plan import Plan
from finalinfarct.reporting.new_patient_page import write_new_patient

INPUTS = ["DWI", "ADC"]
FAMILIES = {name: ("late", "DWI-ADC", name) for name in ("reperfused", "nonreperfused")}
PREPARATION = {"simulated": True, "images": {"matrix": 32, "normalisation": "minmax"}, "perfusion": {"cbv_window_s": 36.0}}
VOXEL_ML = 3.75 * 3.75 * 5 / 1000


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two networks of each status that give every voxel one lesion probability: 0.5 and 0.8 reperfused, 0.2 and 0.2 not."""
    folder = tmp_path_factory.mktemp("models")
    network = network_from_settings("late", INPUTS, 32, SETTINGS)
    head = network.get_layer("head")
    kernel, _ = head.get_weights()
    for status, odds in (("reperfused", (2.0, 8.0)), ("nonreperfused", (0.5, 0.5))):
        for fold, one in enumerate(odds, start=1):
            head.set_weights([kernel * 0, np.array([0.0, 0.0, np.log(one)])])
            place = folder / "late" / "DWI-ADC" / status / f"fold-{fold}"
            place.mkdir(parents=True)
            network.save_weights(place / "model.weights.h5")
            record = {"fusion": "late", "inputs": INPUTS, "matrix": 32, "settings": SETTINGS, "preparation": PREPARATION}
            record |= {"patients": {"training": [f"sub-{fold}", "sub-9"]}, "weights_sha256": sha256(place / "model.weights.h5")}
            write_json(place / "environment.json", record)
    return folder


def changed(**sections):
    return {key: PREPARATION[key] | sections.get(key, {}) if isinstance(PREPARATION[key], dict) else PREPARATION[key] for key in PREPARATION}


def test_models_are_found_in_the_order_of_their_folds(models, tmp_path):
    found = find_models(models, FAMILIES, PREPARATION)
    assert {name: [folder.name for folder in folders] for name, folders in found.items()} == {name: ["fold-1", "fold-2"] for name in FAMILIES}
    for number in (1, 2, 10):
        place = tmp_path / "late" / "DWI-ADC" / "reperfused" / f"fold-{number}"
        place.mkdir(parents=True)
        (place / "model.weights.h5").touch()
        write_json(place / "environment.json", {"preparation": PREPARATION})
    found = find_models(tmp_path, {"reperfused": FAMILIES["reperfused"]}, PREPARATION)
    assert [folder.name for folder in found["reperfused"]] == ["fold-1", "fold-2", "fold-10"]


@pytest.mark.parametrize(
    ("preparation", "said"),
    [
        (changed(images={"normalisation": "robust"}), "images.normalisation minmax (here robust)"),
        (changed(perfusion={"cbv_window_s": 300.0}), "perfusion.cbv_window_s 36.0 (here 300.0)"),
        (changed(images={"scope": "volume"}), "images.scope not recorded (here volume)"),
    ],
)
def test_models_of_other_preparation_are_refused_with_the_keys(models, preparation, said):
    with pytest.raises(InputError, match=re.escape(said)):
        find_models(models, FAMILIES, preparation)


def test_skull_stripping_may_differ_and_who_is_simulated_does_not_matter(models):
    assert find_models(models, FAMILIES, PREPARATION | {"simulated": False})


def test_absent_models_and_files_are_named(models, tmp_path):
    with pytest.raises(InputError, match=r"reperfused: no trained model\. Mend: .*new_patients\.models"):
        find_models(tmp_path, FAMILIES, PREPARATION)
    place = tmp_path / "late" / "DWI-ADC" / "reperfused" / "fold-1"
    place.mkdir(parents=True)
    (place / "model.weights.h5").touch()
    with pytest.raises(InputError, match=r"environment\.json: the file does not exist"):
        find_models(tmp_path, FAMILIES, PREPARATION)
    (place / "environment.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match=r"environment\.json: not valid JSON"):
        find_models(tmp_path, FAMILIES, PREPARATION)


def predicted(models, folder, threshold):
    images = make_patients(folder, 1)[0]["images"]
    outputs = {name: (folder / f"{name}_probseg.nii.gz", folder / f"{name}_mask.nii.gz") for name in FAMILIES}
    predict_new_patient(find_models(models, FAMILIES, PREPARATION), images, "tensorflow", 4, threshold, outputs)
    return outputs


def test_prediction_is_the_mean_of_the_networks(models, tmp_path):
    """softmax(0, 0, ln o) gives the lesion o / (o + 2): 0.5 and 0.8, together 0.65; of 0.5 each network says 0.2."""
    outputs = predicted(models, tmp_path, 0.6)
    for status, probability, voxels, alone in (("reperfused", 0.65, 1, [0, 1]), ("nonreperfused", 0.2, 0, [0, 0])):
        image, mask = (nib.load(path) for path in outputs[status])
        whole = image.shape[0] * image.shape[1] * image.shape[2] * VOXEL_ML
        np.testing.assert_allclose(image.get_fdata(), probability, atol=1e-6)
        np.testing.assert_array_equal(np.asarray(mask.dataobj), voxels)
        np.testing.assert_allclose(mask.affine, AFFINE)
        side = json.loads((tmp_path / f"{status}_mask.json").read_text())
        assert side["ModelVolumesMl"] == pytest.approx([whole * one for one in alone])
        assert side["VolumeMl"] == pytest.approx(whole * voxels)
        assert (side["TrainingSet"], side["TrainingPatients"], side["TrainedOnSimulatedPatients"]) == (status, 3, True)
        assert side["Models"] == [sha256(models / "late" / "DWI-ADC" / status / f"fold-{fold}" / "model.weights.h5") for fold in (1, 2)]


def test_weights_of_another_record_are_refused(models, tmp_path):
    other = tmp_path / "late" / "DWI-ADC"
    for status in FAMILIES:
        (other / status / "fold-1").mkdir(parents=True)
        for name in ("model.weights.h5", "environment.json"):
            (other / status / "fold-1" / name).write_bytes((models / "late" / "DWI-ADC" / "nonreperfused" / "fold-1" / name).read_bytes())
    (other / "reperfused" / "fold-1" / "model.weights.h5").write_bytes(b"another")
    with pytest.raises(InputError, match="not the weights that"):
        predicted(tmp_path, tmp_path / "new", 0.5)


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
        "tmax": block(10, 7.0),  # above 6 s also outside the brain
        "dwi": block(9, 500.0) + np.arange(10, dtype=np.float32)[:, None, None],
        "probability_reperfused": block(2, 0.9),
        "probability_nonreperfused": block(6, 0.7),
    }
    files = {name: tmp_path / f"{name}.nii.gz" for name in names}
    for name, data in names.items():
        mask = name in ("reperfused", "nonreperfused", "diffusion_lesion", "brain_mask")
        side = {"LesionSource": "automatic"} if name == "diffusion_lesion" else {}
        if name in FAMILIES:
            side = {"ModelVolumesMl": [70.0, 95.0, 60.0], "Models": ["a" * 64, "b" * 64, "c" * 64], "TrainedOnSimulatedPatients": False}
            side |= {"TrainingPatients": 74, "Fusion": "late", "Inputs": INPUTS}
        write_image(files[name], data, affine, side, dtype=np.uint8 if mask else np.float32)
    quality = tmp_path / "quality.json"
    write_json(quality, {"flags": [{"about": "baseline perfusion", "flag": "motion: the head moved by <2.1> mm"}]})
    return files, quality


def test_numbers_of_a_patient(patient, tmp_path):
    files, quality = patient
    measure_new_patient("sub-1", files, 6.0, quality, tmp_path / "numbers.json")
    write_new_patients([tmp_path / "numbers.json"], tmp_path / "table.tsv")
    (row,) = read_table(tmp_path / "table.tsv").to_dict("records")
    expected = {"volume_reperfused_ml": 80, "volume_nonreperfused_ml": 240, "spared_ml": 160, "lowest_reperfused_ml": 60, "highest_reperfused_ml": 95}
    expected |= {"dsc_between_models": 2 * 80 / (80 + 240), "mismatch_reperfused_ml": 40, "mismatch_nonreperfused_ml": 360, "quality_flags": 1}
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
    with pytest.raises(InputError, match=r"tmax\.nii\.gz: not on the grid of"):
        measure_new_patient("sub-1", files, 6.0, quality, tmp_path / "numbers.json")


@pytest.mark.parametrize(
    ("simulated", "trained_on_simulated", "warning"),
    [(False, False, None), (False, True, "Trained on simulated patients only"), (True, True, "Simulated cohort")],
)
def test_page_says_what_is_predicted_and_warns_of_what_is_simulated(patient, tmp_path, simulated, trained_on_simulated, warning):
    files, quality = patient
    side = tmp_path / "reperfused.json"
    write_json(side, json.loads(side.read_text()) | {"TrainedOnSimulatedPatients": trained_on_simulated})
    write_new_patient("sub-1", files, 6.0, simulated, quality, tmp_path / "numbers.json", tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert all(
        words in text for words in ("80.0 ml", "240.0 ml", "60.0 to 95.0 ml", "160.0 ml are predicted", "no responder", "Not a medical device")
    )
    assert "moved by &lt;2.1&gt; mm" in text and "data:image/png;base64," in text and 'src="http' not in text
    banners = re.findall(r'<div class="banner" role="alert">([^<]*)', text)
    assert len(banners) == (warning is not None) and all(warning in banner for banner in banners)


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


def test_new_patients_beside_trained_ones_are_refused(config, dataset):
    """sub-01 would be predicted by models whose training the row of sub-02 belongs to."""
    config["dataset"] |= {"path": str(dataset), "simulated": False}
    config["cohorts"]["hibiscus"] |= NEW
    with pytest.raises(InputError, match=r"role new \(sub-01, \.\.\.\) beside patients to train on or test \(sub-02, \.\.\.\)"):
        Plan(config)
