import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from finalinfarct.dataset.images import write_image
from finalinfarct.dataset.tables import read_table
from finalinfarct.errors import InputError
from finalinfarct.evaluation.reliability import COLUMNS, bin_sums, summarise_bins, write_reliability

AFFINE = np.diag([2.0, 2.0, 5.0, 1.0])


def voxels(n=5000, seed=0):
    """Overconfident probabilities, among them the edges of all bins, and outcomes."""
    random = np.random.default_rng(seed)
    probability = np.concatenate([random.beta(0.3, 0.9, n), np.linspace(0.0, 1.0, 11)])
    return probability, random.random(probability.size) < probability**2


def test_bins_and_scores_are_those_of_scikit_learn():
    probability, infarct = voxels()
    *bins, overall = summarise_bins(bin_sums(probability, infarct))
    frequency, mean = calibration_curve(infarct, probability, n_bins=10)
    assert [row["observed_frequency"] for row in bins] == pytest.approx(frequency.tolist())
    assert [row["mean_probability"] for row in bins] == pytest.approx(mean.tolist())
    assert overall["brier_score"] == pytest.approx(brier_score_loss(infarct, probability))
    counts = np.array([row["voxels"] for row in bins])
    assert counts.sum() == overall["voxels"] == probability.size
    assert overall["calibration_error"] == pytest.approx(np.average(np.abs(frequency - mean), weights=counts))
    assert (overall["mean_probability"], overall["observed_frequency"]) == pytest.approx((probability.mean(), infarct.mean()))
    for row in bins:
        inside = (probability > row["bin_low"]) & (probability <= row["bin_high"]) | (row["bin_low"] == 0) & (probability == 0)
        assert row["voxels"] == inside.sum()
        assert row["brier_score"] == pytest.approx(brier_score_loss(infarct[inside], probability[inside]))


def test_sums_of_patients_add_up():
    probability, infarct = voxels()
    parts = bin_sums(probability[:1000], infarct[:1000]) + bin_sums(probability[1000:], infarct[1000:])
    np.testing.assert_allclose(parts, bin_sums(probability, infarct))


def test_closed_form():
    # Four voxels of 0.75, one of them infarcted, and six of 0, none infarcted.
    *bins, overall = summarise_bins(bin_sums(np.array([0.75] * 4 + [0.0] * 6), np.array([1] + [0] * 9)))
    assert (bins[7]["observed_frequency"], bins[7]["calibration_error"]) == pytest.approx((0.25, 0.5))
    assert overall["calibration_error"] == pytest.approx(0.4 * 0.5)
    assert overall["brier_score"] == pytest.approx((0.25**2 + 3 * 0.75**2) / 10)
    assert np.isnan(bins[3]["observed_frequency"]) and bins[3]["voxels"] == 0


def patient(folder, name, status, probability, final, brain):
    paths = {key: folder / f"{name}_{key}.nii.gz" for key in ("probability", "final_lesion", "brain_mask")}
    write_image(paths["probability"], probability, AFFINE)
    write_image(paths["final_lesion"], final, AFFINE, dtype=np.uint8)
    write_image(paths["brain_mask"], brain, AFFINE, dtype=np.uint8)
    return {"participant_id": name, "status": status, "training_set": status, **paths}


def test_table_has_the_brain_voxels_of_all_patients_of_a_status(tmp_path):
    shape = (4, 5, 2)
    random = np.random.default_rng(1)
    brain = np.zeros(shape)
    brain[1:] = 1
    cohort, pooled = [], {"reperfused": [], "nonreperfused": []}
    for name, status in (("sub-1", "reperfused"), ("sub-2", "nonreperfused"), ("sub-3", "reperfused")):
        probability, final = random.random(shape).astype(np.float32), random.random(shape) < 0.3
        cohort.append(patient(tmp_path, name, status, probability, final, brain))
        pooled[status].append((probability[1:].ravel(), final[1:].ravel()))
    write_reliability(cohort, tmp_path / "reliability.tsv")
    table = read_table(tmp_path / "reliability.tsv", text=("status", "training_set", "part"))
    assert tuple(table.columns) == COLUMNS
    assert table.groupby(["status", "training_set", "part"]).size().to_dict() == {
        (status, status, part): size for status in pooled for part, size in (("bin", 10), ("all", 1))
    }
    for status, parts in pooled.items():
        probability, final = (np.concatenate(values) for values in zip(*parts, strict=True))
        (overall,) = table[(table["status"] == status) & (table["part"] == "all")].itertuples()
        assert (overall.patients, overall.voxels) == (len(parts), probability.size)
        assert overall.brier_score == pytest.approx(brier_score_loss(final, probability.astype(float)))


def test_images_of_another_grid_and_impossible_probabilities_are_refused(tmp_path):
    ones = np.ones((3, 3, 2))
    wrong = patient(tmp_path, "sub-1", "reperfused", ones * 1.5, ones, ones)
    with pytest.raises(InputError, match=r"probabilities from 1\.5 to 1\.5"):
        write_reliability([wrong], tmp_path / "out.tsv")
    shifted = patient(tmp_path, "sub-2", "reperfused", ones * 0.5, ones, ones)
    write_image(shifted["brain_mask"], np.ones((3, 3, 3)), AFFINE, dtype=np.uint8)
    with pytest.raises(InputError, match="on another grid"):
        write_reliability([shifted], tmp_path / "out.tsv")
