"""Perfusion maps of a series: bolus, arterial input, times, motion, and faults of the series."""

import json

import numpy as np
import pandas as pd
import pytest
from perfusion_curves import SETTINGS, TR_S, explicit_csvd, gamma_variate, tissue

from finalinfarct.dataset.images import read_image, read_sidecar, write_image
from finalinfarct.errors import InputError
from finalinfarct.imaging.arterial_input import select_arterial_voxels
from finalinfarct.imaging.bolus import BrokenFrameError, NoBolusError, concentration, find_bolus
from finalinfarct.imaging.perfusion import compute_perfusion, use_given_maps

OUTPUTS = ("perfref", "Tmax", "CBF", "CBV", "MTT", "TTP", "aif_mask")


def test_concentration_inverts_the_signal_equation():
    change = np.linspace(0, 20, 10)
    signal = np.r_[300 * np.exp(-0.04 * np.r_[np.zeros(5), change]), 1.5, 0][None]
    expected = np.r_[change, np.log([100, 100]) / 0.04]  # held at 1 % of the signal before
    assert concentration(signal, 0.04, slice(0, 5))[0, 5:] == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_bolus_is_found_after_unsteady_frames():
    time_s = TR_S * np.arange(50)
    passage = gamma_variate(time_s, 15.0)
    signal = 300 * np.exp(-0.3 * passage / passage.max())
    signal[:2] *= (1.5, 1.1)
    bolus = find_bolus(signal)
    assert bolus["first"] == 2
    assert 9 <= bolus["arrival"] <= 11
    assert bolus["depth"] == pytest.approx(1 - np.exp(-0.3), rel=0.02)


def head_signal(repetition_s=TR_S, passage_s=1.5):
    """Mean signal of a head, 300 before a bolus that takes 30 % of it, with noise of 0.3."""
    time_s = repetition_s * np.arange(50)
    passage = gamma_variate(time_s, 8 * repetition_s, scale_s=passage_s)
    return 300 * np.exp(-0.35 * passage / passage.max()) + np.random.default_rng(0).normal(0, 0.3, 50)


@pytest.mark.parametrize("frame", [5, 12, 13, 30, 48, 49])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 2.0])
def test_one_broken_frame_is_no_bolus_and_is_named(frame, share):
    signal = head_signal()
    signal[frame] *= share
    with pytest.raises(BrokenFrameError, match=f"frame {frame + 1} of 50 is broken"):
        find_bolus(signal)


def test_a_lone_frame_below_a_weak_bolus_is_no_bolus():
    signal = 300 - 0.05 * (300 - head_signal())
    assert find_bolus(signal)["depth"] < 0.02
    signal[30] = 290
    with pytest.raises(BrokenFrameError, match="frame 31 of 50"):
        find_bolus(signal)


def test_an_aborted_export_is_named_by_its_first_empty_frame():
    with pytest.raises(BrokenFrameError, match="frame 46 of 50 is broken: its mean is 0 %"):
        find_bolus(head_signal() * (np.arange(50) < 45))


@pytest.mark.parametrize("repetition_s", [1.0, 1.5, 2.0, 3.0, 4.0])
def test_a_bolus_of_few_frames_is_one(repetition_s):
    signal = head_signal(repetition_s)
    assert find_bolus(signal)["peak"] == signal.argmin()


def test_empty_first_frames_are_dropped_and_counted():
    whole = find_bolus(head_signal())
    empty = find_bolus(np.r_[0, 0, head_signal()])
    assert (empty["first"], empty["arrival"], empty["peak"]) == (whole["first"] + 2, whole["arrival"] + 2, whole["peak"] + 2)
    assert empty["depth"] == whole["depth"] and empty["tail"] == whole["tail"]


def test_no_bolus_is_said():
    with pytest.raises(NoBolusError, match="no bolus"):
        find_bolus(300 + np.random.default_rng(0).normal(0, 1, 50))


@pytest.fixture
def series(tmp_path):
    """A DSC series of a block of tissue with two arteries, written as a dataset would hold it."""
    random = np.random.default_rng(2)
    time_s = TR_S * np.arange(50)
    rate = np.zeros((16, 16, 6, 50))
    rate[3:13, 3:13, 1:5] = 60 * tissue(time_s, 0.01, 4.0)
    rate[3:8, 3:13, 1:5] = 60 * tissue(time_s, 0.01, 4.0, 6.0)
    rate[9:12, 7:9, 2:4] = 8 * gamma_variate(time_s)
    signal = np.where(rate.any(axis=3, keepdims=True), 400 * np.exp(-0.04 * rate), 5) + random.normal(0, 1.0, rate.shape)
    path = tmp_path / "sub-1_dsc.nii.gz"
    write_image(path, signal, np.diag([4.0, 4.0, 5.0, 1.0]), {"RepetitionTime": TR_S, "EchoTime": 0.04}, dtype=np.int16)
    return path


def computed(series, tmp_path, settings=SETTINGS, **options):
    outputs = {name: tmp_path / f"{name}.nii.gz" for name in OUTPUTS} | {"aif": tmp_path / "aif.tsv", "report": tmp_path / "report.json"}
    compute_perfusion(series, settings, outputs, **options)
    return outputs


def test_series_to_maps(series, tmp_path):
    outputs = computed(series, tmp_path)
    tmax = read_image(outputs["Tmax"]).get_fdata()
    late, early = np.median(tmax[4:7, 4:12, 2:4]), np.median(tmax[9:12, 4:6, 2:4])
    assert late - early == pytest.approx(6.0, abs=0.7)
    arterial = read_image(outputs["aif_mask"]).get_fdata() > 0
    assert arterial.any() and arterial[9:12, 7:9, 2:4].sum() == arterial.sum()
    assert read_sidecar(outputs["CBF"])["Units"] and read_sidecar(outputs["Tmax"])["Units"] == "s"
    assert outputs["aif"].read_text(encoding="utf-8").startswith("time_s\tconcentration\n")


def test_maps_of_a_series_are_those_of_its_curves(series, tmp_path):
    """Noise before the bolus is no arterial input, and CBV is that of 20 s from its arrival on, in frames of 1.5 s."""
    rewritten(series, lambda values: np.random.default_rng(0).normal(values, 8).clip(0))
    outputs = computed(series, tmp_path, settings=SETTINGS | {"cbv_window_s": 20.0, "truncation": 0.2})
    before = json.loads(outputs["report"].read_text(encoding="utf-8"))["pre_bolus_frames"]
    values, arterial = read_image(series).get_fdata(), read_image(outputs["aif_mask"]).get_fdata() > 0
    part, tissue_part = (values[where].reshape(-1, 50) for where in (arterial, np.s_[9:12, 4:6, 2:4]))
    arterial_curves, voxels = (-np.log(some / some[:, :before].mean(axis=1, keepdims=True)) / 0.04 for some in (part, tissue_part))
    arterial_input = np.where(np.arange(50) < before, 0, arterial_curves.mean(axis=0))
    expected = {"CBF": 6000 * 0.73 / 1.04 * explicit_csvd(voxels, arterial_input, 0.2).max(axis=1)}
    expected["CBV"] = 100 * 0.73 / 1.04 * voxels[:, : before + 13].sum(axis=1) / arterial_input[: before + 13].sum()
    expected["TTP"] = TR_S * (voxels[:, before:].argmax(axis=1) + 1)
    for name, numbers in expected.items():
        assert read_image(outputs[name]).get_fdata()[9:12, 4:6, 2:4].ravel() == pytest.approx(numbers, rel=1e-4), name


def test_the_arterial_peak_has_one_time_from_the_first_acquired_frame(series, tmp_path):
    def bright_first(values):
        values[..., :2] *= (2.0, 1.3)
        return values

    outputs = computed(rewritten(series, bright_first), tmp_path)
    report, curve = json.loads(outputs["report"].read_text(encoding="utf-8")), pd.read_csv(outputs["aif"], sep="\t")
    # the true peak: arrival at 10 s, and shape times scale later
    assert report["dropped_frames"] == 2 and report["aif_peak_s"] == pytest.approx(10 + 3 * 1.5, abs=TR_S / 2)
    assert report["aif_peak_s"] == curve["time_s"][curve["concentration"].argmax()]


def test_series_twice_gives_the_same_bytes(series, tmp_path):
    first, second = computed(series, tmp_path / "a"), computed(series, tmp_path / "b")
    assert all(first[name].read_bytes() == second[name].read_bytes() for name in ("aif", "report"))
    assert np.array_equal(read_image(first["Tmax"]).get_fdata(), read_image(second["Tmax"]).get_fdata())


def test_the_fullest_arterial_voxels_are_taken():
    """Twelve of the thirty that are all but full, in a vessel whose edges are mixed with tissue."""
    time_s, random = TR_S * np.arange(50), np.random.default_rng(0)
    share = np.r_[np.zeros(1850), np.repeat([0.1, 0.3, 0.5, 0.7], 20), np.repeat([0.9, 0.92, 0.94, 0.96], 10), np.linspace(0.99, 1, 30)]
    share = random.permutation(share)[:, None]
    noise = np.where(share > 0, 0, random.normal(0, 0.02, (2000, 50)))
    curves = share * 8 * gamma_variate(time_s) + (1 - share) * 60 * tissue(time_s, 0.01, 4.0) + noise
    assert set(select_arterial_voxels(curves, slice(0, 6))) == set(share[:, 0].argsort()[-12:])


def test_given_arterial_mask_is_used(series, tmp_path):
    mask = np.zeros((16, 16, 6))
    mask[10, 7, 2] = 1
    write_image(tmp_path / "mask.nii.gz", mask, np.diag([4.0, 4.0, 5.0, 1.0]), dtype=np.uint8)
    outputs = computed(series, tmp_path, aif_mask_in=tmp_path / "mask.nii.gz")
    assert np.array_equal(read_image(outputs["aif_mask"]).get_fdata(), mask)


def test_arterial_mask_on_another_grid(series, tmp_path):
    write_image(tmp_path / "mask.nii.gz", np.ones((8, 8, 6)), np.eye(4), dtype=np.uint8)
    with pytest.raises(InputError, match="another grid"):
        computed(series, tmp_path, aif_mask_in=tmp_path / "mask.nii.gz")


@pytest.mark.parametrize(
    ("side", "said"), [({"EchoTime": 0.04}, "RepetitionTime is missing"), ({"RepetitionTime": 1.5, "EchoTime": 40}, "milliseconds")]
)
def test_times_of_the_series(series, tmp_path, side, said):
    write_image(series, read_image(series).get_fdata(), np.diag([4.0, 4.0, 5.0, 1.0]), side, dtype=np.int16)
    with pytest.raises(InputError, match=said):
        computed(series, tmp_path)


def test_series_without_a_bolus(series, tmp_path):
    flat = np.repeat(read_image(series).get_fdata()[..., :1], 40, axis=3) + np.random.default_rng(0).normal(0, 1, (16, 16, 6, 40))
    write_image(series, flat, np.eye(4), {"RepetitionTime": 1.5, "EchoTime": 0.04}, dtype=np.int16)
    with pytest.raises(InputError, match=r"no bolus|fewer than 3 steady frames"):
        computed(series, tmp_path)


def rewritten(series, change):
    """The series with its values changed, its side file kept."""
    values = change(read_image(series).get_fdata(dtype=np.float32))
    write_image(series, values, np.diag([4.0, 4.0, 5.0, 1.0]), read_sidecar(series), dtype=np.int16)
    return series


def clipped(values, share):
    """Values of the first ``share`` of the rows of the head twenty times as large, and cut off at 3900; air at 0."""
    values[: round(3 + share * 10)] *= 20
    return np.where(values > 150, np.minimum(values, 3900), 0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda values: values[..., :12], "12 frames"),
        (lambda values: np.zeros_like(values), "no signal"),
        (lambda values: clipped(values, 1.0), "saturated baseline in 100 % of the head"),
        (lambda values: values * (np.arange(50) >= 7), "fewer than 3 .*frames before the signal falls after 7 dark frames"),
        (lambda values: values * (np.arange(50) < 49), "frame 50 of 50 is broken: its mean is 0 % .* export the series again"),
    ],
)
def test_faulty_series_is_refused_with_its_name(series, tmp_path, change, said):
    with pytest.raises(InputError, match=said) as fault:
        computed(rewritten(series, change), tmp_path)
    assert "sub-1_dsc.nii.gz" in str(fault.value)


def test_arterial_mask_without_a_bolus_is_refused_with_its_name(series, tmp_path):
    mask = np.zeros((16, 16, 6))
    mask[0, 0, 0] = 1
    write_image(tmp_path / "sub-1_mask.nii.gz", mask, np.diag([4.0, 4.0, 5.0, 1.0]), dtype=np.uint8)
    with pytest.raises(InputError, match=r"sub-1_mask\.nii\.gz.*no voxel of the mask shows the passage"):
        computed(series, tmp_path, aif_mask_in=tmp_path / "sub-1_mask.nii.gz")


@pytest.fixture
def clean(series):
    """The series with air at 0, which is then no part of the head."""
    return rewritten(series, lambda values: np.where(values > 50, values, 0))


def flags_of(outputs):
    return json.loads(outputs["report"].read_text(encoding="utf-8"))["flags"]


@pytest.mark.parametrize("frames", [23, 25])
def test_late_tissue_of_a_short_series_is_neither_healthy_nor_silent(clean, tmp_path, frames):
    """A part delayed by 12 s, so Tmax about 14 s: beyond half of the 24 or 27 s from the end of the pre-bolus frames to that of the series."""

    def later_and_cut(values):
        values[3:8] = values[8]  # early tissue
        values[4:7, 9:12, 1:5, 8:] = values[4:7, 9:12, 1:5, :-8].copy()
        return values[..., :frames]

    outputs = computed(rewritten(clean, later_and_cut), tmp_path)
    late = read_image(outputs["Tmax"]).get_fdata()[4:7, 9:12, 2:4]
    report = json.loads(outputs["report"].read_text(encoding="utf-8"))
    assert report["longest_tmax_s"] == (frames - report["pre_bolus_frames"]) * TR_S / 2
    assert late == pytest.approx(report["longest_tmax_s"]) and report["beyond_longest_percent"] == pytest.approx(9, abs=1)
    assert any(flag.startswith(f"short series: Tmax cannot be told beyond {report['longest_tmax_s']:.3g} s") for flag in report["flags"])


def test_late_arterial_input_is_flagged(clean, tmp_path):
    mask = np.zeros((16, 16, 6))
    mask[4:7, 4:12, 2:4] = 1
    write_image(tmp_path / "mask.nii.gz", mask, np.diag([4.0, 4.0, 5.0, 1.0]), dtype=np.uint8)
    outputs = computed(clean, tmp_path, aif_mask_in=tmp_path / "mask.nii.gz")
    # half of the block fills 6 s before the other, in which the mask lies
    assert json.loads(outputs["report"].read_text(encoding="utf-8"))["before_arterial_percent"] > 45
    assert any(flag.startswith("late arterial input: ") for flag in flags_of(outputs))
    assert json.loads(computed(clean, tmp_path)["report"].read_text(encoding="utf-8"))["before_arterial_percent"] < 5


def test_noise_is_no_late_arterial_input(series, tmp_path):
    """Air with noise counts for the head here and peaks at any time."""
    outputs = computed(series, tmp_path)
    assert not [flag for flag in flags_of(outputs) if flag.startswith("late arterial input")]


def test_the_written_arterial_curve_is_the_measured_one(series, tmp_path):
    outputs = computed(series, tmp_path)
    values, mask = read_image(series).get_fdata(), read_image(outputs["aif_mask"]).get_fdata() > 0
    before = slice(0, json.loads(outputs["report"].read_text(encoding="utf-8"))["pre_bolus_frames"])
    expected = concentration(values[mask], 0.04, before).mean(axis=0)
    assert expected[before].std() > 0
    assert pd.read_csv(outputs["aif"], sep="\t")["concentration"].to_numpy() == pytest.approx(expected, rel=1e-4, abs=1e-4)


def with_slice_times(series, times, **more):
    write_image(
        series, read_image(series).get_fdata(), np.diag([4.0, 4.0, 5.0, 1.0]), read_sidecar(series) | {"SliceTiming": times} | more, dtype=np.int16
    )
    return series


@pytest.mark.parametrize("direction", ["k", "k-"])
def test_slices_acquired_later_are_later(clean, tmp_path, direction):
    """The same curves in all slices, so a slice sampled later than the arterial ones is later by just that; the arteries lie in slices 2 and 3."""
    names, before = ("Tmax", "TTP"), computed(clean, tmp_path / "a")
    times = [0.0, 1.2, 0.3, 0.5, 0.6, 0.9]
    arterial = read_image(before["aif_mask"]).get_fdata() > 0
    mean_s = np.average(times, weights=arterial.sum(axis=(0, 1)))
    after = computed(with_slice_times(clean, times if direction == "k" else times[::-1], SliceEncodingDirection=direction), tmp_path / "b")
    for name in names:
        old, new = (read_image(outputs[name]).get_fdata() for outputs in (before, after))
        sure = (read_image(before["CBF"]).get_fdata() > 0) & (old > 1)
        expected = np.broadcast_to(np.array(times) - mean_s, old.shape)
        assert sure.sum() > 100 and (new - old)[sure] == pytest.approx(expected[sure], abs=1e-4), name
        assert new.min() >= 0
    assert np.array_equal(*(read_image(outputs["CBF"]).get_fdata() for outputs in (before, after)))


@pytest.mark.parametrize(
    ("times", "more", "said"),
    [
        ([0.0] * 5, {}, "5 times in SliceTiming for 6 slices"),
        ([0, 250, 500, 750, 1000, 1250], {}, "SliceTiming from 0 to 1250"),
        ([0.0] * 5 + [1.5], {}, "to below the RepetitionTime of 1.5"),
        ([0.0] * 5 + ["1"], {}, "not a list of numbers"),
        (0.3, {}, "not a list of numbers"),
        ([0.0] * 6, {"SliceEncodingDirection": "j"}, "SliceEncodingDirection 'j'"),
    ],
)
def test_slice_times_that_cannot_be_are_refused(series, tmp_path, times, more, said):
    with pytest.raises(InputError, match=said):
        computed(with_slice_times(series, times, **more), tmp_path)


def jerk_and_return(values):
    """Values of a head that lies a voxel away in three frames of the bolus."""
    values[..., 10:13] = np.roll(values[..., 10:13], 1, axis=1)
    return values


def jerk(values):
    """Values of a head that moves by one voxel after two thirds of the series."""
    values[..., 33:] = np.roll(values[..., 33:], 1, axis=1)
    return values


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (jerk, "motion: the head moved by"),
        (jerk_and_return, "motion: the head moved by"),
        (lambda values: values[..., :17].repeat(2, axis=3)[..., :30], "truncated bolus"),
        (lambda values: np.random.default_rng(0).normal(values, 60).clip(0), "low signal-to-noise ratio"),
        (lambda values: clipped(values, 0.2), "saturated baseline in"),
    ],
)
def test_doubtful_series_is_flagged(series, tmp_path, change, said):
    assert any(said in flag for flag in flags_of(computed(rewritten(series, change), tmp_path)))


def test_clean_series_has_no_flag(clean, tmp_path):
    assert flags_of(computed(clean, tmp_path)) == []


def test_motion_is_corrected_when_asked(clean, tmp_path):
    still = computed(clean, tmp_path / "still")
    rewritten(clean, jerk_and_return)
    inner, error = (slice(5, 11), slice(5, 11), slice(2, 4)), []
    for correction in (False, True):
        moved = computed(clean, tmp_path / str(correction), settings=SETTINGS | {"motion_correction": correction})
        error.append(np.abs(read_image(moved["CBV"]).get_fdata() - read_image(still["CBV"]).get_fdata())[inner].mean())
    assert error[1] < 0.5 * error[0]


def test_a_stripped_series_stays_stripped_when_motion_is_corrected(clean, tmp_path):
    """Cubic interpolation rings beyond the brain, and given masks are what is not 0."""
    rewritten(clean, lambda values: jerk_and_return(np.where(values > 50, values, 0)))
    inside = (read_image(clean).get_fdata() > 0).any(axis=3)
    found = read_image(computed(clean, tmp_path / "moved")["perfref"]).get_fdata() != 0
    assert 0.8 * inside.sum() < found.sum() <= inside.sum() and not found[~inside].any()


@pytest.mark.parametrize(("kind", "smoothed", "same"), [("time", "Tmax", "CBF"), ("flow", "CBF", "Tmax")])
def test_smoothing_lowers_the_scatter_of_its_own_maps(series, tmp_path, kind, smoothed, same):
    rewritten(series, lambda values: np.random.default_rng(0).normal(values, 12).clip(0))
    scatter = {smoothed: [], same: []}
    for fwhm_mm in (0.0, 8.0):
        outputs = computed(series, tmp_path, settings=SETTINGS | {f"{kind}_smoothing_fwhm_mm": fwhm_mm})
        for name, values in scatter.items():
            values.append(read_image(outputs[name]).get_fdata()[4:7, 4:12, 2:4].std())
    assert scatter[smoothed][1] < 0.7 * scatter[smoothed][0]
    assert scatter[same][1] == scatter[same][0]


def test_given_maps(tmp_path):
    affine, shape = np.eye(4), (5, 5, 5)
    for name, value, units in (("tmax", 3.0, "s"), ("cbf", 60.0, "ml/100g/min"), ("cbv", 4.0, "ml/100g")):
        values = np.full(shape, value)
        values[0, 0, 0] = -1
        write_image(tmp_path / f"{name}.nii.gz", values, affine, {"Units": units})
    outputs = {name: tmp_path / f"{name}_out.nii.gz" for name in ("perfref", "Tmax", "CBF", "CBV", "MTT")}
    use_given_maps(*(tmp_path / f"{name}.nii.gz" for name in ("tmax", "cbf", "cbv")), outputs)
    assert read_image(outputs["MTT"]).get_fdata()[2, 2, 2] == pytest.approx(4.0)
    assert all(read_image(path).get_fdata()[0, 0, 0] == 0 for path in outputs.values())
