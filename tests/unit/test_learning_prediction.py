import json

import nibabel as nib
import numpy as np
import pytest
from learning_toys import AFFINE, SETTINGS, inclusion, make_patients

from finalinfarct.errors import InputError
from finalinfarct.learning.folds import make_folds, read_folds, write_folds
from finalinfarct.learning.prediction import predict_family, predicted_mask
from finalinfarct.learning.slices import pack_slices
from finalinfarct.learning.training import train

INPUTS = ["DWI", "ADC"]


@pytest.fixture(scope="module")
def family(tmp_path_factory):
    """One network, trained on fold 1, that stands for all folds but differs in its head's bias in fold 2."""
    folder = tmp_path_factory.mktemp("prediction")
    patients = make_patients(folder, 14)
    pack_slices(patients, INPUTS, folder / "slices.h5")
    write_folds(make_folds(inclusion(patients), 2, 1), folder / "folds.json")
    first, history, environment = (folder / name for name in ("model.weights.h5", "history.csv", "environment.json"))
    train(folder / "slices.h5", folder / "folds.json", 1, "all", INPUTS, "late", 32, SETTINGS, first, history, environment)
    from finalinfarct.learning.network import network_from_settings

    network = network_from_settings("late", INPUTS, 32, SETTINGS)
    network.load_weights(first)
    head = network.get_layer("head")
    kernel, _ = head.get_weights()
    head.set_weights([kernel * 0, np.array([0.0, 0.0, np.log(2.0)])])
    second = folder / "second.weights.h5"
    network.save_weights(second)
    images = {p["participant_id"]: p["images"] for p in patients}
    return folder, read_folds(folder / "folds.json"), {1: first, 2: second}, images, patients


def predict(family, output, **changes):
    _, folds, weights, images, _ = family
    arguments = {"folds": folds, "weights": weights, "patients": images, "inputs": INPUTS, "matrix": 32, "threshold": 0.7} | changes
    predict_family(fusion="late", settings=SETTINGS, output_folder=output, training_set="all", **arguments)


def test_training_learns_the_lesion_and_all_test_patients_are_predicted(family, tmp_path):
    folder, folds, _, _, patients = family
    losses = np.loadtxt(folder / "history.csv", delimiter=",", skiprows=1)[:, 1]
    assert losses[-1] < 0.5 * losses[0]
    predict(family, tmp_path / "late" / "all")
    tested = {p for fold in folds["folds"] for p in fold["test"]}
    statuses = inclusion(patients).set_index("participant_id").status
    assert set(statuses[sorted(tested)]) == {"reperfused", "nonreperfused"}
    kinds = ("probseg.nii.gz", "probseg.json", "mask.nii.gz", "mask.json")
    expected = {f"{p}_space-reference_label-lesion_{kind}" for p in tested for kind in kinds}
    assert {p.name for p in (tmp_path / "late" / "all").iterdir()} == expected
    assert [p.name for p in (tmp_path / "late").iterdir()] == ["all"]
    truth = {p["participant_id"]: np.asarray(nib.load(p["dseg"]).dataobj) == 2 for p in patients}
    for fold in folds["folds"]:
        for name in fold["test"]:
            stem = tmp_path / "late" / "all" / f"{name}_space-reference_label-lesion"
            probability, mask = nib.load(f"{stem}_probseg.nii.gz"), nib.load(f"{stem}_mask.nii.gz")
            assert probability.get_data_dtype() == np.float32 and mask.get_data_dtype() == np.uint8
            assert probability.shape == mask.shape == truth[name].shape
            np.testing.assert_allclose(probability.affine, AFFINE)
            voxels, predicted = probability.get_fdata(dtype=np.float32), np.asarray(mask.dataobj)
            np.testing.assert_array_equal(predicted, voxels >= 0.7)
            side = json.loads((stem.parent / f"{stem.name}_mask.json").read_text())
            assert (side["Fusion"], side["Inputs"], side["Fold"], side["TrainingSet"]) == ("late", INPUTS, fold["fold"], "all")
            if fold["fold"] == 1:
                assert 2 * (predicted & truth[name]).sum() / (predicted.sum() + truth[name].sum()) > 0.6
            else:
                # Fold 2's network gives every voxel 2 / (1 + 1 + 2): its weights and no other's were used, on all slices.
                np.testing.assert_allclose(voxels, 0.5, atol=1e-6)


def test_threshold_itself_is_lesion():
    probability = np.array([0.49999997, 0.5, 0.7, 0.6999999], np.float32)
    np.testing.assert_array_equal(predicted_mask(probability, 0.5), [0, 1, 1, 1])
    np.testing.assert_array_equal(predicted_mask(probability, 0.7), [0, 0, 1, 0])


def test_faults_leave_the_old_folder_alone(family, tmp_path):
    folder, folds, weights, images, _ = family
    target = tmp_path / "predictions"
    target.mkdir()
    (target / "old").write_text("x")
    last = folds["folds"][-1]["test"][-1]
    with pytest.raises(InputError, match=f"no images for the test patients {last}"):
        predict(family, target, patients={k: v for k, v in images.items() if k != last})
    with pytest.raises(InputError, match="does not exist"):
        predict(family, target, weights=weights | {2: folder / "none.weights.h5"})
    with pytest.raises(InputError, match="do not fit the network"):
        predict(family, target, inputs=["DWI"])
    with pytest.raises(InputError, match="32x32 voxels in plane where 48x48"):
        predict(family, target, matrix=48)
    (tmp_path / "damaged.weights.h5").write_bytes(weights[1].read_bytes()[:5000])
    with pytest.raises(InputError, match="do not fit the network"):
        predict(family, target, weights=weights | {2: tmp_path / "damaged.weights.h5"})
    assert [p.name for p in target.iterdir()] == ["old"]
    predict(family, target, weights={"1": weights[1]})
    assert len(list(target.iterdir())) == 4 * len(folds["folds"][0]["test"])
