import json

import numpy as np
import pandas as pd
import pytest

from finalinfarct.dataset.images import read_image, write_image
from finalinfarct.dataset.tables import read_table
from finalinfarct.errors import InputError
from finalinfarct.evaluation import mismatch
from finalinfarct.evaluation.family import COLUMNS, METRICS, evaluate_predictions, join_metrics, read_metrics
from finalinfarct.evaluation.mismatch import mismatch_prediction, predict_mismatch

AFFINE = np.diag([2.0, 2.0, 5.0, 1.0])
SHAPE = (24, 24, 4)
FAMILY = ("cnn", "late", "DWI-ADC", "all")


def write_patient(folder, name, status="reperfused"):
    """Write one patient's images and return what ``evaluate_predictions`` and ``predict_mismatch`` take."""
    x, y, _ = np.indices(SHAPE)
    brain = (x - 11.5) ** 2 / 100 + (y - 11.5) ** 2 / 120 < 1
    truth = brain & (x > 14) & (y > 13)
    images = {
        "brain_mask": brain,
        "final_lesion": truth,
        "diffusion_lesion": truth & (y > 15),
        "mask": brain & (x > 15) & (y > 8),
        "tmax": np.where(brain & (x > 12), x / 2, 1.0),
        "probability": np.where(brain, x / 24.0, 0.0),
    }
    paths = {}
    for key, data in images.items():
        paths[key] = folder / f"{name}_{key}.nii.gz"
        sidecar = {"LesionSource": "expert"} if key == "diffusion_lesion" else None
        write_image(paths[key], data, AFFINE, sidecar, dtype=np.float32 if key in ("tmax", "probability") else np.uint8)
    return {"participant_id": name, "status": status, "fold": 2, **paths}


def test_mismatch_rule():
    lesion, brain = np.array([1, 0, 0, 0, 0], bool), np.array([1, 1, 1, 1, 0], bool)
    tmax = np.array([1.0, 6.0, 6.001, 9.0, 9.0])
    assert mismatch_prediction(lesion, tmax, brain, True).tolist() == [True, False, False, False, False]
    assert mismatch_prediction(lesion, tmax, brain, False).tolist() == [True, False, True, True, False]
    assert mismatch_prediction(lesion, tmax, brain, False, tmax_threshold_s=8.0).tolist() == [True, False, False, True, False]


def test_mismatch_files(tmp_path):
    patients = [write_patient(tmp_path, "sub-1"), write_patient(tmp_path, "sub-2", "nonreperfused")]
    out = tmp_path / "predictions" / "mismatch"
    predict_mismatch(patients, {"tmax_threshold_s": 8.0}, out)
    lesion = read_image(patients[0]["diffusion_lesion"]).get_fdata() > 0
    masks = {name: read_image(out / f"{name}_space-reference_label-lesion_mask.nii.gz").get_fdata() > 0 for name in ("sub-1", "sub-2")}
    assert (masks["sub-1"] == lesion).all()
    tmax, brain = (read_image(patients[1][key]).get_fdata() for key in ("tmax", "brain_mask"))
    assert (masks["sub-2"] == (lesion | ((tmax > 8) & (brain > 0)))).all() and masks["sub-2"].sum() > lesion.sum()
    about = json.loads((out / "sub-2_space-reference_label-lesion_mask.json").read_text())
    assert about["ReperfusionStatus"] == "nonreperfused" and about["LesionSource"] == "expert"
    assert sorted(path.name for path in out.parent.iterdir()) == ["mismatch"]


def test_mismatch_folder_is_whole_or_not_there(tmp_path):
    good, bad = write_patient(tmp_path, "sub-1"), write_patient(tmp_path, "sub-2")
    write_image(bad["tmax"], np.zeros((5, 5, 5)), AFFINE)
    out = tmp_path / "predictions" / "mismatch"
    with pytest.raises(InputError, match=r"sub-2_tmax.*on another grid.*Mend"):
        predict_mismatch([good, bad], {"tmax_threshold_s": 6.0}, out)
    assert list(out.parent.iterdir()) == []
    with pytest.raises(InputError, match="reperfusion status"):
        mismatch.predict_mismatch([good | {"status": float("nan")}], {"tmax_threshold_s": 6.0}, out)


def test_family_table(tmp_path):
    patients = [write_patient(tmp_path, "sub-1"), write_patient(tmp_path, "sub-2", "nonreperfused")]
    evaluate_predictions(patients, *FAMILY, 1, tmp_path / "cnn.tsv")
    table = read_table(tmp_path / "cnn.tsv")
    assert tuple(table.columns) == COLUMNS and len(table) == 2 * len(METRICS)
    assert set(METRICS) == set(table["metric"])
    first = table[table["participant_id"] == "sub-1"]
    assert set(zip(first["status"], first["method"], first["fusion"], first["inputs"], first["training_set"], first["fold"], strict=True)) == {
        ("reperfused", *FAMILY, 2)
    }
    values = first.set_index("metric")["value"]
    truth, mask = (read_image(patients[0][key]).get_fdata() > 0 for key in ("final_lesion", "mask"))
    assert values["dsc"] == pytest.approx(2 * (truth & mask).sum() / (truth.sum() + mask.sum()))
    assert values["volume_final_ml"] == pytest.approx(truth.sum() * 0.02)


def test_mismatch_family_is_scored_by_its_mask_on_the_same_voxels(tmp_path):
    patient = write_patient(tmp_path, "sub-1") | {"probability": None}
    evaluate_predictions([patient], "mismatch", None, None, None, 1, tmp_path / "mismatch.tsv")
    text = (tmp_path / "mismatch.tsv").read_text()
    assert "sub-1\treperfused\tmismatch\tn/a\tn/a\tn/a\t2\tdsc\t" in text
    values = read_table(tmp_path / "mismatch.tsv").set_index("metric")["value"]
    truth, mask, brain = (read_image(patient[key]).get_fdata() > 0 for key in ("final_lesion", "mask", "brain_mask"))
    sensitivity, specificity = mask[truth & brain].mean(), (~mask)[~truth & brain].mean()
    assert values["auc_brain"] == pytest.approx((sensitivity + specificity) / 2)
    # A network whose probability is the mask must get the mask's own values, in every mode.
    evaluate_predictions([patient | {"probability": patient["mask"]}], *FAMILY, 1, tmp_path / "cnn.tsv")
    network = read_table(tmp_path / "cnn.tsv").set_index("metric")["value"]
    pd.testing.assert_series_equal(network, values)


def test_balanced_draw_depends_on_the_patient_and_the_seed_and_on_nothing_else(tmp_path):
    # Two patients with the same images, each evaluated twice, from files of other names.
    (tmp_path / "elsewhere").mkdir()
    balanced, others = [], []
    for folder in (tmp_path, tmp_path / "elsewhere"):
        patients = [write_patient(folder, name) for name in ("sub-1", "sub-2")]
        if folder != tmp_path:
            patients = [
                patient | {"mask": patient["mask"].rename(folder / f"{patient['participant_id']}_renamed.nii.gz")} for patient in patients[::-1]
            ]
        evaluate_predictions(patients, *FAMILY, 1, folder / "t.tsv")
        values = read_table(folder / "t.tsv").pivot(index="participant_id", columns="metric", values="value")
        balanced.append(values.pop("auc_balanced"))
        others.append(values)
    pd.testing.assert_series_equal(*balanced)
    evaluate_predictions(patients, *FAMILY, 2, tmp_path / "seed.tsv")
    other_seed = read_table(tmp_path / "seed.tsv").query("metric == 'auc_balanced'").set_index("participant_id")["value"]
    assert (other_seed[["sub-1", "sub-2"]] != balanced[0]).all()
    assert balanced[0]["sub-1"] != balanced[0]["sub-2"]
    assert (others[0].loc["sub-1"] == others[0].loc["sub-2"]).all() and (others[0] == others[1]).all(axis=None)


def test_family_refuses_images_of_another_grid_and_empty_brains(tmp_path):
    patient = write_patient(tmp_path, "sub-1")
    moved = AFFINE.copy()
    moved[0, 3] = 3.0
    write_image(patient["final_lesion"], np.ones(SHAPE), moved, dtype=np.uint8)
    with pytest.raises(InputError, match=r"sub-1_final_lesion.*on another grid"):
        evaluate_predictions([patient], *FAMILY, 1, tmp_path / "t.tsv")
    patient = write_patient(tmp_path, "sub-2")
    write_image(patient["brain_mask"], np.zeros(SHAPE), AFFINE, dtype=np.uint8)
    with pytest.raises(InputError, match="brain mask is empty"):
        evaluate_predictions([patient], *FAMILY, 1, tmp_path / "t.tsv")
    assert not (tmp_path / "t.tsv").exists()


def test_join(tmp_path):
    patient = write_patient(tmp_path, "sub-1")
    evaluate_predictions([patient], *FAMILY, 1, tmp_path / "a.tsv")
    evaluate_predictions([patient | {"probability": None}], "mismatch", None, None, None, 1, tmp_path / "b.tsv")
    join_metrics([tmp_path / "a.tsv", tmp_path / "b.tsv"], tmp_path / "all.tsv")
    lines = (tmp_path / "all.tsv").read_text().splitlines()
    assert lines[1:] == [line for name in "ab" for line in (tmp_path / f"{name}.tsv").read_text().splitlines()[1:]]
    assert len(read_metrics(tmp_path / "all.tsv")) == len(read_metrics([str(tmp_path / "all.tsv")])) == 2 * len(METRICS)
    with pytest.raises(InputError, match="stands twice"):
        join_metrics([tmp_path / "a.tsv", tmp_path / "a.tsv"], tmp_path / "all.tsv")
    (tmp_path / "c.tsv").write_text("participant_id\tvalue\nsub-1\t1\n")
    with pytest.raises(InputError, match="no column status"):
        read_metrics(tmp_path / "c.tsv")
