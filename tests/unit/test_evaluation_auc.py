import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from finalinfarct.evaluation.auc import (
    affected_hemisphere,
    auc_modes,
    balanced_sample,
    midsagittal_offset,
    roc_auc,
    tissue_at_risk,
)

AFFINE = np.diag([2.0, 2.0, 5.0, 1.0])
AFFINE[:3, 3] = [-48.0, -48.0, -20.0]
SHAPE = (48, 48, 10)


def world():
    return np.tensordot(AFFINE[:3, :3], np.indices(SHAPE), axes=1) + AFFINE[:3, 3].reshape(3, 1, 1, 1)


def head(shift_mm=0.0, yaw_deg=0.0):
    x, y, z = world()
    angle = np.radians(yaw_deg)
    right = (x - shift_mm) * np.cos(angle) + y * np.sin(angle)
    front = -(x - shift_mm) * np.sin(angle) + y * np.cos(angle)
    return (right / 30) ** 2 + (front / 40) ** 2 + (z / 30) ** 2 < 1, right


@pytest.mark.parametrize("seed", range(8))
def test_roc_auc_equals_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    truth = rng.random(2000) < rng.uniform(0.01, 0.5)
    scores = (rng.normal(size=2000) + truth).astype(np.float32)
    if seed % 2:
        scores = np.round(scores, 0 if seed % 4 == 1 else 1)
    assert roc_auc(scores, truth) == pytest.approx(roc_auc_score(truth, scores), rel=1e-12)


def test_roc_auc_by_hand():
    # Pairs (0.5 over 0.1), (0.5 ties 0.5), (0.9 over both): 3.5 of 4.
    assert roc_auc([0.1, 0.5, 0.5, 0.9], [0, 0, 1, 1]) == 3.5 / 4
    assert roc_auc([1, 1, 1], [0, 1, 1]) == 0.5
    assert math.isnan(roc_auc([0.1, 0.2], [1, 1])) and math.isnan(roc_auc([0.1, 0.2], [0, 0]))


def test_auc_of_a_mask_is_its_operating_point():
    rng = np.random.default_rng(3)
    prediction, truth = rng.random(500) < 0.3, rng.random(500) < 0.2
    sensitivity, specificity = prediction[truth].mean(), (~prediction[~truth]).mean()
    assert roc_auc(prediction, truth) == pytest.approx((sensitivity + specificity) / 2, rel=1e-12)


@pytest.mark.parametrize(("shift_mm", "yaw_deg"), [(0, 0), (6, 0), (-4, 12), (3, -20)])
def test_midsagittal_plane_follows_a_shifted_and_turned_head(shift_mm, yaw_deg):
    brain, right = head(shift_mm, yaw_deg)
    assert np.abs(midsagittal_offset(brain, AFFINE) - right)[brain].max() < 1.0


def test_midsagittal_plane_reads_sides_from_the_affine():
    brain, _ = head()
    mirrored = AFFINE.copy()
    mirrored[0] *= -1
    assert midsagittal_offset(brain, AFFINE)[40, 24, 5] > 0 > midsagittal_offset(brain, mirrored)[40, 24, 5]
    swapped = AFFINE[:, [1, 0, 2, 3]]
    np.testing.assert_allclose(midsagittal_offset(brain.transpose(1, 0, 2), swapped), midsagittal_offset(brain, AFFINE).transpose(1, 0, 2), atol=1e-9)


def test_midsagittal_plane_of_one_section_and_of_a_round_brain():
    brain, right = head()
    one = brain & (np.indices(SHAPE)[2] == 4)
    assert np.abs(midsagittal_offset(one, AFFINE) - right)[one].max() < 1.0
    x, y, z = world()
    assert np.isfinite(midsagittal_offset(x**2 + y**2 + z**2 < 900, AFFINE)).all()


def test_affected_hemisphere_is_decided_by_baseline_images():
    brain, right = head(4.0)
    tmax = np.where((right < -5) & brain, 8.0, 1.0)
    lesion = brain & (right > 10)
    assert affected_hemisphere(lesion, tmax, brain, AFFINE)[brain & (right > 3)].all()
    side = affected_hemisphere(np.zeros(SHAPE, bool), tmax, brain, AFFINE)
    assert side[brain & (right < -3)].all() and not side[brain & (right > 3)].any() and not side[~brain].any()
    assert affected_hemisphere(np.zeros(SHAPE, bool), np.zeros(SHAPE), brain, AFFINE) is None


def test_tissue_at_risk_is_lesion_or_tmax_above_4_s_on_the_affected_side():
    brain, lesion, side = np.array([1, 1, 1, 1, 0], bool), np.array([1, 0, 0, 0, 0], bool), np.array([1, 1, 1, 0, 0], bool)
    tmax = np.array([0.0, 4.0, 4.1, 9.0, 9.0])
    assert tissue_at_risk(lesion, tmax, brain, side).tolist() == [True, False, True, False, False]
    assert tissue_at_risk(lesion, tmax, brain, None).tolist() == [True, False, True, True, False]


def test_balanced_sample():
    rng = np.random.default_rng(0)
    brain, at_risk = rng.random(SHAPE) < 0.8, rng.random(SHAPE) < 0.4
    truth = rng.random(SHAPE) < 0.05
    chosen = balanced_sample(truth, brain, at_risk, [1, 2])
    assert chosen[truth & brain].all() and (chosen & ~truth).sum() == (truth & brain).sum()
    assert not (chosen & ~truth & ~(at_risk & brain)).any()
    assert (balanced_sample(truth, brain, at_risk, [1, 2]) == chosen).all()
    assert (balanced_sample(truth, brain, at_risk, [1, 3]) != chosen).any()


def test_balanced_sample_takes_all_where_few_are_at_risk(caplog):
    truth = np.array([1, 1, 1, 0, 0], bool)
    with caplog.at_level("INFO"):
        chosen = balanced_sample(truth, np.ones(5, bool), np.array([1, 1, 1, 1, 0], bool), 1)
    assert chosen.tolist() == [True, True, True, True, False]
    assert "1 voxels at risk" in caplog.text


def test_modes_use_their_voxels():
    brain, right = head()
    truth = brain & (right > 15)
    at_risk = brain & (right > 0)
    rng = np.random.default_rng(5)
    score = (rng.random(SHAPE) + 0.3 * truth).astype(np.float32)
    found = auc_modes(score, truth, brain, at_risk, right > 0, [7])
    side = brain & (right > 0)
    assert found["auc_brain"] == pytest.approx(roc_auc_score(truth[brain], score[brain]), rel=1e-12)
    assert found["auc_hemisphere"] == pytest.approx(roc_auc_score(truth[side], score[side]), rel=1e-12)
    sample = balanced_sample(truth, brain, at_risk, [7])
    assert found["auc_balanced"] == pytest.approx(roc_auc_score(truth[sample], score[sample]), rel=1e-12)
    unknown = auc_modes(score, truth, brain, at_risk, None, [7])
    assert math.isnan(unknown["auc_hemisphere"]) and unknown["auc_brain"] == found["auc_brain"]
