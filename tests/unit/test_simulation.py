"""Simulated cohort: what is written, its determinism, its physics against closed forms, its statistics against table A.5."""

import json

import numpy as np
import pytest
from scipy import ndimage

from finalinfarct.dataset.images import read_image, same_grid
from finalinfarct.dataset.tables import read_table
from finalinfarct.errors import InputError
from finalinfarct.simulation.acquisition import acquire_diffusion, acquire_perfusion
from finalinfarct.simulation.clinical import draw_participants
from finalinfarct.simulation.cohort import simulate_participants, simulate_patient
from finalinfarct.simulation.naming import participant_ids
from finalinfarct.simulation.outcome import STILL_OCCLUDED
from finalinfarct.simulation.patient import build_patient
from project import ROOT

SETTINGS = {
    "seed": 7,
    "slices": 12,
    "slice_thickness_mm": 8.0,
    "field_of_view_mm": 240.0,
    "dsc": {"matrix": 32, "frames": 50, "repetition_time_s": 1.5, "echo_time_ms": 40},
    "flair": {"matrix": 48, "field_of_view_mm": 240.0},
    "cohorts": {
        "alpha": {"patients": 5, "reperfused": 3, "dwi_matrix": 40, "h3_perfusion": False, "followup_day": 6},
        "beta": {"patients": 2, "reperfused": 0, "dwi_matrix": 32, "h3_perfusion": True, "followup_day": 30},
    },
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dataset")
    simulate_participants(SETTINGS, folder)
    simulate_patient("sub-alpha001", SETTINGS, folder)
    simulate_patient("sub-beta001", SETTINGS, folder)
    simulate_patient("sub-beta001", SETTINGS, folder, sessions=("h3",))
    return folder


def files_of(folder, inside=""):
    return {str(path.relative_to(folder)) for path in (folder / inside).rglob("*") if path.is_file()}


def truth_of(dataset, participant_id, name):
    return read_image(dataset / "derivatives" / "truth" / participant_id / f"{participant_id}_space-dwi_{name}.nii.gz").get_fdata()


def test_names_follow_the_cohorts():
    names = participant_ids(SETTINGS)
    assert list(names) == ["alpha", "beta"]
    assert names["beta"] == ["sub-beta001", "sub-beta002"]


def test_raw_files_are_those_of_the_contract(dataset):
    expected = {"participants.tsv", "participants.json", "dataset_description.json", "README", ".bidsignore"}
    for name, sessions in (("sub-alpha001", ("baseline", "followup")), ("sub-beta001", ("baseline", "followup", "h3"))):
        base = f"{name}/ses-baseline"
        expected |= {f"{base}/dwi/{name}_ses-baseline_dwi.{ending}" for ending in ("nii.gz", "json", "bval", "bvec")}
        expected |= {f"{base}/anat/{name}_ses-baseline_FLAIR.{ending}" for ending in ("nii.gz", "json")}
        expected |= {f"{name}/ses-followup/anat/{name}_ses-followup_FLAIR.{ending}" for ending in ("nii.gz", "json")}
        for session in set(sessions) - {"followup"}:
            expected |= {f"{name}/ses-{session}/perf/{name}_ses-{session}_dsc.{ending}" for ending in ("nii.gz", "json")}
    assert {name for name in files_of(dataset) if not name.startswith("derivatives")} == expected


def test_derivatives_are_expert_masks_and_truth_apart(dataset):
    expected = {"derivatives/lesions/dataset_description.json"}
    for name in ("sub-alpha001", "sub-beta001"):
        for session, kind in (("baseline", "dwi"), ("followup", "anat")):
            stem = f"derivatives/lesions/{name}/ses-{session}/{kind}/{name}_ses-{session}_label-lesion_mask"
            expected |= {stem + ".nii.gz", stem + ".json"}
    assert files_of(dataset, "derivatives/lesions") == expected
    hidden = {"reperfused", "core_ml", "hypoperfused_ml", "event"}
    for path in dataset.rglob("*.json"):
        if "truth" not in path.parts:
            assert not hidden & set(json.loads(path.read_text()))
    assert not hidden & set(read_table(dataset / "participants.tsv").columns)


def test_types_units_and_grids(dataset):
    series = read_image(dataset / "sub-alpha001/ses-baseline/dwi/sub-alpha001_ses-baseline_dwi.nii.gz", ndim=4)
    bolus = read_image(dataset / "sub-alpha001/ses-baseline/perf/sub-alpha001_ses-baseline_dsc.nii.gz", ndim=4)
    assert series.shape == (40, 40, 12, 2)
    assert bolus.shape == (32, 32, 12, 50)
    assert (dataset / "sub-alpha001/ses-baseline/dwi/sub-alpha001_ses-baseline_dwi.bval").read_text() == "0 1000\n"
    sidecar = json.loads((dataset / "sub-alpha001/ses-baseline/perf/sub-alpha001_ses-baseline_dsc.json").read_text())
    assert (sidecar["RepetitionTime"], sidecar["EchoTime"]) == (1.5, 0.04)
    for session, kind, image in (("baseline", "dwi", "dwi"), ("followup", "anat", "FLAIR")):
        stem = f"sub-alpha001/ses-{session}/{kind}/sub-alpha001_ses-{session}_"
        mask = read_image(dataset / "derivatives" / "lesions" / (stem + "label-lesion_mask.nii.gz"), ndim=3)
        assert same_grid(mask, read_image(dataset / (stem + image + ".nii.gz")))
        assert set(np.unique(mask.get_fdata())) == {0.0, 1.0}


@pytest.mark.parametrize("name", ["sub-alpha001", "sub-beta001"])
def test_final_lesion_lies_in_the_brain_and_is_not_empty(dataset, name):
    lesion, brain = (truth_of(dataset, name, f"label-{label}_mask") > 0 for label in ("finallesion", "brain"))
    assert lesion.any()
    assert not (lesion & ~brain).any()


@pytest.mark.parametrize(("name", "sign"), [("sub-alpha001", -1), ("sub-beta001", 1)])
def test_infarct_swells_in_the_first_weeks_and_shrinks_later(dataset, name, sign):
    lesion, moved = truth_of(dataset, name, "label-finallesion_mask") > 0, truth_of(dataset, name, "desc-swelling_displacement")
    outward = np.moveaxis(np.indices(lesion.shape), 0, 3) - np.argwhere(lesion).mean(axis=0)
    # of a swollen lesion the points of the later scan were further in
    assert np.sign((moved * outward).sum()) == sign


def test_same_seed_same_voxels_and_other_patients_differ():
    first, again, other = (
        acquire_diffusion(build_patient(name, SETTINGS), SETTINGS)["series"] for name in ("sub-alpha002", "sub-alpha002", "sub-alpha003")
    )
    assert np.array_equal(first, again)
    assert np.mean(first != other) > 0.5


def test_a_patient_does_not_depend_on_which_sessions_are_written(dataset, tmp_path):
    simulate_patient("sub-beta001", SETTINGS, tmp_path, sessions=("followup",))
    name = "sub-beta001/ses-followup/anat/sub-beta001_ses-followup_FLAIR.nii.gz"
    assert np.array_equal(read_image(tmp_path / name).get_fdata(), read_image(dataset / name).get_fdata())


def test_later_perfusion_shows_the_same_head(dataset):
    before, after = (
        read_image(dataset / f"derivatives/truth/sub-beta001/sub-beta001_ses-{session}_desc-clean_dsc.nii.gz").get_fdata()[..., 4]
        for session in ("baseline", "h3")
    )
    # another pose and another distortion: alike, not equal
    assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > 0.9
    assert not np.array_equal(before, after)


def test_series_is_the_clean_one_moved():
    scan = acquire_perfusion(build_patient("sub-alpha001", SETTINGS), SETTINGS, "baseline")
    clean, last = scan["clean"][..., -1], scan["motion"][-1]
    to_mm = scan["grid"].affine()
    index = np.linalg.inv(to_mm) @ last @ to_mm
    moved = ndimage.affine_transform(clean, index[:3, :3], index[:3, 3], order=1, mode="nearest") - clean
    # how much of the change by motion is in the noisy frame, by least squares
    assert (moved * (scan["series"][..., -1] - clean)).sum() / (moved**2).sum() == pytest.approx(1, abs=0.05)


def test_adc_of_noise_free_signals_is_the_truth():
    scan = acquire_diffusion(build_patient("sub-alpha001", SETTINGS), SETTINGS)
    inside = scan["truth"]["label-brain_mask"]
    b0, b1000 = (scan["clean"][..., k][inside].astype(float) for k in range(2))
    assert np.allclose(np.log(b0 / b1000) * 1000.0, scan["truth"]["ADC"][inside], rtol=1e-4)


def test_core_has_the_volume_drawn_and_a_low_adc():
    patient = build_patient("sub-alpha001", SETTINGS)
    assert patient["haemodynamics"]["core_ml"] == pytest.approx(patient["clinical"]["core_ml"], rel=0.02, abs=0.1)
    flow = patient["haemodynamics"]
    assert flow["relative_flow"][flow["core"]].max() < 0.30
    assert np.allclose(flow["mtt_s"][flow["core"]], 60 * flow["cbv"][flow["core"]] / flow["cbf"][flow["core"]], rtol=1e-4)


def test_reperfused_counts_and_grades_are_exact():
    rows = draw_participants(SETTINGS)
    alpha = [row for row in rows if row["cohort"] == "alpha"]
    assert sum(row["reperfused"] for row in alpha) == 3
    assert all((row["mtici"] in ("2b", "2c", "3")) == row["reperfused"] for row in alpha)
    assert {row["mtici"] for row in rows if row["cohort"] == "beta"} == {"n/a"}


def test_perfusion_three_hours_later_follows_the_hidden_grade():
    watched = {"patients": 4, "reperfused": 2, "dwi_matrix": 32, "h3_perfusion": True, "followup_day": 30}
    settings = SETTINGS | {"cohorts": {"gamma": watched}}
    for row in draw_participants(settings):
        assert row["mtici"] == "n/a"
        assert row["grade"] in ({"2b", "2c", "3"} if row["reperfused"] else {"0"})
        patient = build_patient(row["participant_id"], settings)
        later = acquire_perfusion(patient, settings, "h3")["haemodynamics"]["hypoperfused"]
        recovered = 1 - later.sum() / patient["haemodynamics"]["hypoperfused"].sum()
        assert (recovered > 0.5) == row["reperfused"]
        assert recovered == pytest.approx(1 - STILL_OCCLUDED[row["grade"]], abs=0.15)


def test_clinical_variables_follow_table_a5():
    many = {"patients": 2000, "reperfused": 1000, "dwi_matrix": 32, "h3_perfusion": False, "followup_day": 6}
    rows = draw_participants(SETTINGS | {"cohorts": {"many": many}})
    printed = {"age": (57, 70, 79), "nihss": (10, 15, 19), "onset_to_mri_min": (78, 105, 154), "core_ml": (7.4, 24.9, 50.9)}
    for name, quartiles in printed.items():
        assert np.percentile([row[name] for row in rows], (25, 50, 75)) == pytest.approx(quartiles, rel=0.06, abs=0.6), name
    shares = {("sex", "F"): 0.413, ("iv_tpa", "yes"): 0.541, ("cervical_ica", "yes"): 0.174}
    shares |= {("occlusion_site", site): share for site, share in (("ICA+M1", 0.248), ("M1", 0.495), ("ICA+M2", 0.211), ("M2", 0.046))}
    for (column, value), share in shares.items():
        assert np.mean([row[column] == value for row in rows]) == pytest.approx(share, abs=0.03), (column, value)


def test_unknown_participant_is_refused():
    with pytest.raises(InputError, match="sub-gamma001"):
        build_patient("sub-gamma001", SETTINGS)


def test_mismatch_rule_on_the_truth_is_calibrated_to_the_printed_dice(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from calibration import truth_statistics

    paper = {"patients": 92, "reperfused": 74, "dwi_matrix": 64, "h3_perfusion": False, "followup_day": 6}
    settings = SETTINGS | {"seed": 2021, "slices": 20, "slice_thickness_mm": 5.0, "cohorts": {"hibiscus": paper}}
    rows = draw_participants(settings)
    chosen = [row["participant_id"] for row in rows if row["reperfused"]][::3] + [row["participant_id"] for row in rows if not row["reperfused"]]
    table = truth_statistics(chosen, settings)
    dsc = table.groupby("reperfused")["mismatch_dsc"].mean()
    # Printed: 0.41 and 0.26. The whole analysis measures 0.03 and 0.05 less than the truth shows (benchmarks/mismatch.py, docs/measurements.md).
    assert dsc[True] == pytest.approx(0.41 + 0.03, abs=0.1)
    assert dsc[False] == pytest.approx(0.26 + 0.05, abs=0.1)
    assert table["final_ml"].min() >= 1.0
