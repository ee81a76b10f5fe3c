import math
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist

from finalinfarct.dataset.images import write_image
from finalinfarct.evaluation.auc import roc_auc
from finalinfarct.evaluation.diffusion import evaluate_masks
from finalinfarct.evaluation.metrics import SEGMENTATION_METRICS, hausdorff_distances, overlap_metrics, segmentation_metrics, surface
from finalinfarct.evaluation.volumes import lesion_volumes

REFERENCE = Path(__file__).parents[1] / "reference"
sys.path.insert(0, str(REFERENCE))
from mask_pairs import mask_pairs  # noqa: E402

SIZES = (1.25, 1.5, 5.0)
PAIRS = list(mask_pairs())


def box(*edges):
    mask = np.zeros((12, 12, 6), dtype=bool)
    mask[tuple(slice(*edge) for edge in edges)] = True
    return mask


def simpleitk_image(sitk, mask, sizes):
    image = sitk.GetImageFromArray(mask.astype(np.uint8).transpose(2, 1, 0))
    image.SetSpacing([float(size) for size in sizes])
    return image


def test_two_boxes_by_hand():
    # 4 x 4 x 2 voxels each, shifted by 2 along x: 16 shared of 32 and 32.
    found = segmentation_metrics(box((0, 4), (0, 4), (0, 2)), box((2, 6), (0, 4), (0, 2)), SIZES)
    volume = 32 * 1.25 * 1.5 * 5.0 / 1000
    assert list(found) == list(SEGMENTATION_METRICS)
    expected = {"dsc": 0.5, "volumetric_similarity": 1.0, "precision": 0.5, "recall": 0.5}
    expected |= {"hausdorff_distance_mm": 2.5, "hausdorff_distance_voxels": 2.0, "volume_predicted_ml": volume, "volume_final_ml": volume}
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_precision_recall_and_volume_by_hand():
    found = overlap_metrics(box((0, 3), (0, 4), (0, 1)), box((0, 1), (0, 4), (0, 2)))
    # 12 predicted, 8 there, 4 shared: FP 8, FN 4.
    assert found == pytest.approx({"dsc": 8 / 20, "volumetric_similarity": 1 - 4 / 20, "precision": 4 / 12, "recall": 4 / 8})


def test_empty_masks():
    empty, full = np.zeros((12, 12, 6), dtype=bool), box((0, 2), (0, 2), (0, 2))
    both = segmentation_metrics(empty, empty, SIZES)
    assert both["dsc"] == both["volumetric_similarity"] == 1
    assert all(both[name] == 0 for name in SEGMENTATION_METRICS if name.startswith(("hausdorff", "volume_")))
    assert math.isnan(both["precision"]) and math.isnan(both["recall"])
    nothing = segmentation_metrics(empty, full, SIZES)
    assert nothing["dsc"] == nothing["volumetric_similarity"] == nothing["recall"] == 0 and math.isnan(nothing["precision"])
    invented = segmentation_metrics(full, empty, SIZES)
    assert invented["dsc"] == invented["volumetric_similarity"] == invented["precision"] == 0 and math.isnan(invented["recall"])
    for found in (nothing, invented):
        assert all(math.isnan(found[name]) for name in SEGMENTATION_METRICS if name.startswith("hausdorff"))


def test_masks_on_other_grids_are_refused():
    with pytest.raises(ValueError, match="shapes"):
        segmentation_metrics(np.ones((2, 2, 2)), np.ones((2, 2, 3)), SIZES)


def test_ball_against_its_shell_is_at_the_radius():
    # Equation 5 is between sets: the centre of the ball is 4 voxels from the shell, though the outer surfaces agree.
    ball = sum((axis - 6.0) ** 2 for axis in np.indices((13, 13, 13))) <= 25
    shell = ball & (sum((axis - 6.0) ** 2 for axis in np.indices((13, 13, 13))) >= 16)
    assert hausdorff_distances(ball, shell, np.ones(3))[0] == 4.0


@pytest.mark.parametrize("seed", range(12))
def test_hausdorff_equals_brute_force(seed):
    rng = np.random.default_rng(seed)
    first, second = (rng.random((9, 8, 5)) < rng.choice([0.02, 0.3, 0.9]) for _ in range(2))
    first[0, 0, 0] = second[-1, -1, -1] = True
    spacing = rng.uniform(0.5, 5.0, 3)
    between = cdist(np.argwhere(first) * spacing, np.argwhere(second) * spacing)
    surfaces = cdist(np.argwhere(surface(first)) * spacing, np.argwhere(surface(second)) * spacing)
    maximum, percentile = hausdorff_distances(first, second, spacing)
    assert maximum == pytest.approx(max(between.min(axis=0).max(), between.min(axis=1).max()), rel=1e-12)
    assert percentile == pytest.approx(np.percentile(np.concatenate([surfaces.min(axis=0), surfaces.min(axis=1)]), 95), rel=1e-12)


@pytest.mark.parametrize(("name", "prediction", "truth", "sizes"), PAIRS, ids=[f"{pair[0]}-{pair[3][2]:g}mm" for pair in PAIRS])
def test_dice_and_hausdorff_equal_simpleitk(name, prediction, truth, sizes):
    sitk = pytest.importorskip("SimpleITK")
    first, second = simpleitk_image(sitk, prediction, sizes), simpleitk_image(sitk, truth, sizes)
    distance, overlap = sitk.HausdorffDistanceImageFilter(), sitk.LabelOverlapMeasuresImageFilter()
    distance.Execute(first, second)
    overlap.Execute(first, second)
    found = segmentation_metrics(prediction, truth, sizes)
    assert found["dsc"] == pytest.approx(overlap.GetDiceCoefficient(), rel=1e-12)
    # ITK's distance maps are single precision.
    assert found["hausdorff_distance_mm"] == pytest.approx(distance.GetHausdorffDistance(), rel=1e-6)


def test_percentile_equals_medpy():
    stored = pd.read_csv(REFERENCE / "hausdorff_medpy.csv")
    assert len(stored) == len(PAIRS)
    same_maximum = 0
    for (name, prediction, truth, sizes), row in zip(PAIRS, stored.to_dict("records"), strict=True):
        assert (name, *sizes) == (row["name"], row["size_x"], row["size_y"], row["size_z"])
        maximum, percentile = hausdorff_distances(prediction, truth, sizes)
        assert percentile == pytest.approx(row["hd95"], rel=1e-10), name
        same_maximum += maximum == pytest.approx(row["hd"], rel=1e-10)
    # MedPy's maximum is between surfaces; it differs only where one mask has a hole or lies scattered in the other.
    assert same_maximum >= 18


def test_fast_enough_for_a_patient_of_the_paper():
    x, y, z = np.indices((192, 192, 24))
    truth = ((x - 60) / 25) ** 2 + ((y - 90) / 35) ** 2 + ((z - 12) / 6) ** 2 < 1
    prediction = ((x - 66) / 25) ** 2 + ((y - 85) / 30) ** 2 + ((z - 11) / 7) ** 2 < 1
    segmentation_metrics(prediction, truth, SIZES)
    start = time.process_time()
    segmentation_metrics(prediction, truth, SIZES)
    assert time.process_time() - start < 0.3


def test_mask_tables(tmp_path):
    affine = np.diag([2.0, 2.0, 5.0, 1.0])
    first, second = box((0, 4), (0, 4), (0, 2)), box((3, 6), (0, 4), (0, 2))
    write_image(tmp_path / "a.nii.gz", first, affine, {"LesionSource": "automatic"}, dtype=np.uint8)
    write_image(tmp_path / "b.nii.gz", second, affine, {"LesionSource": "expert"}, dtype=np.uint8)
    evaluate_masks([("sub-1", tmp_path / "a.nii.gz", tmp_path / "b.nii.gz")], tmp_path / "t.tsv")
    table = pd.read_csv(tmp_path / "t.tsv", sep="\t")
    assert list(table.columns) == ["participant_id", "source", "metric", "value"]
    assert set(table["source"]) == {"automatic"}
    values = table.set_index("metric")["value"]
    assert values[["precision", "recall", "hausdorff_distance_mm"]].tolist() == pytest.approx([8 / 32, 8 / 24, 6.0])
    patient = {"participant_id": "sub-1", "diffusion_lesion": tmp_path / "a.nii.gz", "final_lesion": tmp_path / "b.nii.gz"}
    lesion_volumes([patient], tmp_path / "v.tsv")
    volumes = pd.read_csv(tmp_path / "v.tsv", sep="\t").iloc[0]
    expected = {"participant_id": "sub-1", "diffusion_lesion_ml": 0.64, "final_lesion_ml": 0.48, "diffusion_lesion_source": "automatic"}
    assert volumes.to_dict() == expected


def test_known_answers_of_a_real_case(realdata):
    stem = str(realdata / "isles22" / "sub-strokecase0009_ses-0001_")
    dwi, expert = nib.load(stem + "dwi.nii.gz"), nib.load(stem + "msk.nii.gz")
    intensity, truth = dwi.get_fdata(), expert.get_fdata() > 0
    prediction = intensity > np.percentile(intensity[intensity > 0], 99)
    found = segmentation_metrics(prediction, truth, nib.affines.voxel_sizes(dwi.affine))
    assert found["dsc"] == pytest.approx(0.1738013698630137, rel=1e-12)
    assert abs(found["volume_predicted_ml"] - found["volume_final_ml"]) == pytest.approx(10.32, abs=0.005)
    assert found["volumetric_similarity"] == pytest.approx(0.447774, abs=1e-6)
    assert found["hausdorff_distance_voxels"] == pytest.approx(46.840154, abs=1e-6)
    assert roc_auc(prediction, truth) == pytest.approx(0.693193, abs=1e-6)
