"""The quality report: numbers in closed form, robust z-scores and the order of suspicion, pages that stand alone."""

import base64
import json
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from finalinfarct.dataset.images import write_image, write_json
from finalinfarct.dataset.tables import write_table
from finalinfarct.errors import InputError
from finalinfarct.evaluation.quality import COLUMNS, rank_patients, robust_z, suspicious_part, write_quality_table
from finalinfarct.imaging.quality import (
    NUMBERS,
    REGISTERED,
    brain_rim,
    full_width_half_maximum,
    measure_quality,
    normalised_mutual_information,
    peak_offset,
    residual_shift_mm,
)
from finalinfarct.plan.plan import Plan
from finalinfarct.reporting.quality_index import write_quality_index
from finalinfarct.reporting.quality_page import write_quality
from finalinfarct.reporting.quality_pictures import tiled
from finalinfarct.reporting.quality_words import FLAGS, OTHER_FLAG, flag_meaning, number_meaning
from project import ROOT

SHAPE, VOXEL_MM = (24, 20, 6), (3.0, 3.0, 5.0)
VOXEL_ML = 0.045
THRESHOLDS = {"ADC": 620.0, "Tmax": 6.0}
PNG = b"\x89PNG\r\n\x1a\n"
VOID = {"meta", "img"}


def texture(smoothness=1.5):
    """A smooth random image without symmetry, whose brightness tells every place."""
    noise = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=SHAPE), (smoothness, smoothness, 0))
    return 100 + 50 * noise / noise.std()


@pytest.fixture
def brain():
    """A box of 16 x 12 x 4 voxels."""
    mask = np.zeros(SHAPE, bool)
    mask[4:20, 4:16, 1:5] = True
    return mask


@pytest.fixture
def files(tmp_path, brain):
    """Images and perfusion files of one patient, dwi as the reference, with a series at baseline."""
    late = np.zeros(SHAPE)
    # 12 voxels of the rim of slice 2, and 8 inside; one more outside the brain that must not count.
    late[4, 4:16, 2], late[8:12, 8:10, 2], late[0, 0, 2] = 8.0, 8.0, 8.0
    lesion, flow = np.zeros(SHAPE), np.full(SHAPE, 40.0)
    lesion[10:14, 8:12, 2], lesion[2:4, 8:10, 2] = 1, 1
    flow[4:8, 4:16, 1:5] = 0
    adc = np.full(SHAPE, 800.0)
    adc[4:6, 4:16, 1] = 0
    images = {
        "reference": texture(),
        "brain_mask": brain,
        "adc": adc,
        "final_lesion": lesion,
        "tmax": np.where(late > 0, late, 2.0),
        "cbf": flow,
        "dsc": -texture(),
        "followup": texture(),
        "baseline_perfref": texture(),
        "baseline_aif_mask": np.zeros(SHAPE),
    }
    images["baseline_aif_mask"][10:12, 9, 3] = 1
    paths = {name: tmp_path / f"{name}.nii.gz" for name in images}
    for name, values in images.items():
        write_image(paths[name], values, np.diag([*VOXEL_MM, 1.0]))
    paths["baseline_aif"], paths["baseline_report"] = tmp_path / "aif.tsv", tmp_path / "report.json"
    curve = [0, 0, 0, 10, 20, 10, 0, 0]
    write_table(pd.DataFrame({"time_s": 3.0 + 1.5 * np.arange(8), "concentration": np.array(curve, float)}), paths["baseline_aif"])
    report = {"pre_bolus_frames": 3, "dropped_frames": 2, "aif_voxels": 2, "aif_source": "automatic", "median_contrast_to_noise": 12.5}
    report |= {"largest_displacement_mm": 0.7, "displacement_mm": [0, 0, 0, 0.7, 0.7, 0, 0, 0]}
    write_json(paths["baseline_report"], report | {"flags": ["arterial input from 2 voxels only"]})
    return paths


def measured(files, tmp_path, names=None):
    measure_quality("sub-1", "hospital", {name: files[name] for name in names or files}, 6.0, tmp_path / "out.json")
    return json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))


WITHOUT_PERFUSION = ("reference", "brain_mask", "adc", "final_lesion", "followup")


def test_mutual_information_of_equal_and_of_independent_images():
    values = np.arange(3200) % 32
    assert normalised_mutual_information(values, values) == pytest.approx(2)
    assert normalised_mutual_information(values, -3 * values + 1) == pytest.approx(2)
    assert normalised_mutual_information(*np.meshgrid(np.arange(32), np.arange(32))) == pytest.approx(1)
    assert np.isnan(normalised_mutual_information(values, np.ones(3200)))
    # Two equal halves against the same two halves mixed one to three: H = ln 2 each, H(A, B) = ln 2 + H(1/4).
    first, second = np.repeat([0, 1], 40), np.tile([0, 0, 0, 1], 20)
    second[40:] = 1 - second[40:]
    quarter = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))
    assert normalised_mutual_information(first, second) == pytest.approx(2 * np.log(2) / (np.log(2) + quarter))


@pytest.mark.parametrize("axis", [0, 1])
def test_residual_shift_finds_a_misplaced_image_in_mm(brain, axis):
    image, sizes = texture(), np.array(VOXEL_MM)
    assert residual_shift_mm(image, image, brain, sizes) < 0.5
    assert residual_shift_mm(image, np.roll(image, 1, axis), brain, sizes) == pytest.approx(3.0, abs=0.5)
    # Finer voxels: the same distance of about 3 mm is asked, now three voxels away.
    image = texture(smoothness=3)
    assert residual_shift_mm(image, np.roll(image, 3, axis), brain, np.array([1.0, 1.0, 5.0])) == pytest.approx(3.0, abs=0.5)
    assert np.isnan(residual_shift_mm(image, np.ones(SHAPE), brain, sizes))


@pytest.mark.parametrize(("shift_mm", "flagged"), [(2.5, False), (5.0, True), (10.0, True)])
@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1)])
def test_shift_is_flagged_at_the_voxel_size_of_the_paper(shift_mm, flagged, axes, tmp_path):
    """5 mm along both axes are 7 mm; 1.25 mm along both, 1.8."""
    shape, affine = (96, 96, 4), np.diag([1.25, 1.25, 5.0, 1.0])
    image = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=shape), (4, 4, 0))
    brain = np.zeros(shape)
    brain[20:76, 20:76] = 1
    voxels = round(shift_mm / 1.25) // len(axes)
    images = {"reference": image, "followup": np.roll(image, [voxels] * len(axes), axes), "brain_mask": brain, "adc": 800 * brain}
    images["final_lesion"] = np.zeros(shape)
    files = {name: tmp_path / f"{name}.nii.gz" for name in images}
    for name, values in images.items():
        write_image(files[name], values, affine)
    result = measured(files, tmp_path)
    assert result["numbers"]["residual_shift_followup_mm"] == pytest.approx(voxels * 1.25 * len(axes) ** 0.5, abs=0.6)
    assert any(flag["flag"].startswith("poor registration") for flag in result["flags"]) == flagged


@pytest.mark.parametrize("apex", [-0.9, -0.3, 0.0, 0.2, 0.7])
def test_peak_of_a_roof_is_found_exactly(apex):
    assert peak_offset(*(1 - 0.4 * abs(place - apex) for place in (-1, 0, 1))) == pytest.approx(apex)


def test_peak_beyond_the_ends():
    assert (peak_offset(3, 2, 1), peak_offset(1, 2, 4), peak_offset(1, 0, 2), peak_offset(1, 1, 1)) == (-1, 1, 1, 0)


def test_rim_is_two_voxels_in_plane(brain):
    rim = brain_rim(brain)
    assert rim.sum() == 4 * (16 * 12 - 12 * 8)
    assert not rim[6:18, 6:14].any() and rim[5, 10, 1:5].all()


def test_width_of_a_triangle_is_half_its_base():
    time_s = np.arange(11) * 2.0
    assert full_width_half_maximum(time_s, np.maximum(5 - np.abs(np.arange(11) - 5), 0)) == pytest.approx(10)
    assert np.isnan(full_width_half_maximum(time_s, np.arange(11)))
    assert np.isnan(full_width_half_maximum(time_s, np.zeros(11)))


def test_numbers_in_closed_form(files, tmp_path):
    result = measured(files, tmp_path)
    numbers = result["numbers"]
    assert list(numbers) == sorted(NUMBERS) and result["cohort"] == "hospital"
    expected = {
        "brain_ml": 16 * 12 * 4 * VOXEL_ML,
        "similarity_dsc": 2,
        "similarity_followup": 2,
        "median_adc_um2_s": 800,
        "without_adc_percent": 100 * 24 / 768,
        "unperfused_percent": 25,
        "median_tmax_s": 2,
        "hypoperfused_ml": 20 * VOXEL_ML,
        "hypoperfused_in_rim_percent": 60,
        "rim_percent": 50,
        "aif_peak_per_s": 20,
        "aif_peak_s": 9,
        "aif_width_s": 3,
        "aif_voxels": 2,
        "largest_displacement_mm": 0.7,
        "contrast_to_noise": 12.5,
        "lesion_outside_brain_ml": 4 * VOXEL_ML,
    }
    assert {name: numbers[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert numbers["similarity_h3"] is None and numbers["residual_shift_flair_mm"] is None


def test_flags_of_the_images_join_those_of_the_perfusion_step(files, tmp_path):
    flags = [(flag["about"], flag["flag"]) for flag in measured(files, tmp_path)["flags"]]
    # A brain of 35 ml, a quarter without flow, and 4 of 20 voxels of the lesion outside.
    assert flags == [
        ("baseline perfusion", "arterial input from 2 voxels only"),
        ("brain mask", "implausible volume: 35 ml, outside 300 to 2500 ml"),
        ("baseline perfusion", "incomplete coverage: perfusion is missing in 25 % of the brain"),
        ("final lesion", "lesion outside the brain: 0.2 of 0.9 ml of the final lesion"),
    ]
    assert OTHER_FLAG not in {flag_meaning(flag) for _, flag in flags}


def test_an_incomplete_session_after_3_h_is_flagged(files, brain, tmp_path):
    flow = np.full(SHAPE, 40.0)
    flow[..., :3] = 0
    files["h3_cbf"] = tmp_path / "h3_cbf.nii.gz"
    write_image(files["h3_cbf"], flow, np.diag([*VOXEL_MM, 1.0]))
    result = measured(files, tmp_path)
    assert result["numbers"]["unperfused_h3_percent"] == pytest.approx(50)
    assert {"about": "perfusion after 3 h", "flag": "incomplete coverage: perfusion is missing in 50 % of the brain"} in result["flags"]


def test_wrong_unit_and_shifted_image_are_flagged(files, tmp_path):
    write_image(files["adc"], np.full(SHAPE, 0.8), np.diag([*VOXEL_MM, 1.0]))
    write_image(files["followup"], np.roll(texture(), (1, 1), (0, 1)), np.diag([*VOXEL_MM, 1.0]))
    flags = {flag["about"]: flag["flag"] for flag in measured(files, tmp_path, WITHOUT_PERFUSION)["flags"]}
    assert flags["diffusion"].startswith("implausible ADC: the median of the brain is 0.8,")
    assert flags["registration of the follow-up FLAIR"].startswith("poor registration")


@pytest.mark.parametrize(
    ("b", "source", "flagged"), [(1000, "computed", False), (2000, "computed", True), (600, "computed", True), (2000, "scanner", False)]
)
def test_adc_of_an_unusual_b_value_is_flagged(files, tmp_path, b, source, flagged):
    write_json(tmp_path / "adc.json", {"AdcSource": source, "DiffusionBValue": b})
    said = [flag["flag"] for flag in measured(files, tmp_path)["flags"] if flag["about"] == "diffusion"]
    assert said == ([f"unusual b-value: ADC of b = {b} s/mm², where thresholds of ADC are of 1000"] if flagged else [])
    assert OTHER_FLAG not in {flag_meaning(flag) for flag in said}


def test_a_new_bright_infarct_is_no_poor_registration(files, tmp_path):
    image = texture()
    image[10:14, 8:12, 2] = 1000
    write_image(files["followup"], image, np.diag([*VOXEL_MM, 1.0]))
    assert measured(files, tmp_path)["numbers"]["similarity_followup"] == pytest.approx(2)


def test_patient_without_perfusion(files, tmp_path):
    numbers = measured(files, tmp_path, WITHOUT_PERFUSION)["numbers"]
    known = {name for name, value in numbers.items() if value is not None}
    assert known == {
        "brain_ml",
        "similarity_followup",
        "residual_shift_followup_mm",
        "median_adc_um2_s",
        "without_adc_percent",
        "lesion_outside_brain_ml",
    }


def test_unusable_masks_and_grids_are_refused(files, tmp_path):
    write_image(files["tmax"], np.ones((4, 4, 4)), np.eye(4))
    with pytest.raises(InputError, match=r"tmax.*another grid"):
        measured(files, tmp_path)
    write_image(files["brain_mask"], np.zeros(SHAPE), np.diag([*VOXEL_MM, 1.0]))
    with pytest.raises(InputError, match=r"brain_mask.*empty"):
        measured(files, tmp_path)


def test_robust_z_in_closed_form():
    # Median 3, distances 2 1 0 1 97: their median is 1.
    assert robust_z([1, 2, 3, 4, 100]) == pytest.approx(np.array([-2, -1, 0, 1, 97]) / 1.4826)
    # More than half are equal: the mean distance, 1, stands for the MAD.
    assert robust_z([2, 2, 2, 2, 7]) == pytest.approx(np.array([0, 0, 0, 0, 5]) / 1.253314)
    assert robust_z([4, 4, 4, 4, 4]) == pytest.approx(np.zeros(5))
    assert np.isnan(robust_z([1, 2, 3, 4])).all()
    with_gap = robust_z([1, 2, np.nan, 3, 4, 100])
    assert np.isnan(with_gap[2]) and with_gap[5] == pytest.approx(97 / 1.4826)
    assert robust_z([1, 2, 3, 4, 100], least_spread=10.0) == pytest.approx([-0.2, -0.1, 0, 0.1, 9.7])


def test_only_the_suspicious_side_counts():
    z = np.array([-2.0, 3.0])
    assert suspicious_part(z, "low").tolist() == [2, 0]
    assert suspicious_part(z, "high").tolist() == [0, 3]
    assert suspicious_part(z, "either").tolist() == [2, 3]
    assert np.isnan(suspicious_part(z, "none")).all()


def patient(name, cohort="hospital", flags=(), **numbers):
    return {
        "participant_id": name,
        "cohort": cohort,
        "numbers": dict.fromkeys(NUMBERS) | numbers,
        "flags": [{"about": "baseline perfusion", "flag": flag} for flag in flags],
    }


def cohort_of_six():
    """Contrast of 8 to 13 and one of 1 (suspicious); one hypoperfused volume far off (the disease, not suspicious); one flag."""
    values = [8, 10, 11, 12, 13, 1]
    volumes = [10, 11, 12, 13, 500, 9]
    rows = [patient(f"sub-{n}", contrast_to_noise=value, hypoperfused_ml=volumes[n]) for n, value in enumerate(values)]
    rows[1]["flags"] = [{"about": "baseline perfusion", "flag": "weak bolus"}]
    return rows


def test_patients_are_ranked_by_their_largest_deviation_and_their_flags():
    table = rank_patients(cohort_of_six())
    # Median 10.5, distances 2.5 0.5 0.5 1.5 2.5 9.5: their median is 2. Sub-5 is 9.5 below it.
    spread = 1.4826 * 2.0
    low = {"sub-5": 9.5 / spread, "sub-1": 0.5 / spread + 1, "sub-0": 2.5 / spread, "sub-2": 0, "sub-3": 0, "sub-4": 0}
    assert dict(zip(table["participant_id"], table["suspicion"], strict=True)) == pytest.approx(low)
    assert table["participant_id"].tolist() == ["sub-5", "sub-1", "sub-0", "sub-2", "sub-3", "sub-4"]
    assert tuple(table.columns) == COLUMNS and table["rank"].tolist() == [1, 2, 3, 4, 5, 6]
    assert table["z_contrast_to_noise"][0] == pytest.approx(-9.5 / spread)


def test_why_names_what_stands_out():
    rows = cohort_of_six()
    rows[5]["numbers"]["contrast_to_noise"] = -9
    why = rank_patients(rows).set_index("participant_id")["why"]
    assert why["sub-5"] == "contrast-to-noise ratio of the bolus low: -9 (cohort's median 10.5, z −6.6)"
    assert why["sub-1"] == "baseline perfusion: weak bolus"
    assert why["sub-0"].startswith("nothing stands out; largest: contrast-to-noise ratio of the bolus low: 8 (")


def test_one_patient_and_cohorts_apart():
    (alone,) = rank_patients([patient("sub-1", brain_ml=1400.0)]).itertuples()
    assert (alone.suspicion, alone.flags, alone.why) == (0, 0, "no flag; too few patients to compare with")
    assert np.isnan(alone.z_brain_ml)
    # Six of another cohort with another contrast change nothing for the first six, and a patient of a cohort of one has flags only.
    others = [patient(f"sub-x{n}", "other", contrast_to_noise=100.0 + n) for n in range(6)] + [patient("sub-y", "third", ["weak bolus"] * 2)]
    table = rank_patients(cohort_of_six() + others).set_index("participant_id")
    assert table.loc["sub-5", "suspicion"] == pytest.approx(9.5 / (2 * 1.4826))
    assert table.loc["sub-y", "suspicion"] == 2


class Page(HTMLParser):
    """Tags that are open, links, pictures and text of a page."""

    def __init__(self, html):
        super().__init__()
        self.open, self.links, self.pictures, self.text = [], [], [], ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.links += [attributes["href"]] if "href" in attributes else []
        self.pictures += [attributes["src"]] if "src" in attributes else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def read_page(path):
    """Read a page, and see that it is well formed, holds its pictures and fetches nothing."""
    html = path.read_text(encoding="utf-8")
    page = Page(html)
    assert page.open == []
    assert "http" not in html.replace("http-equiv", "") and "@import" not in html and "url(" not in html
    for picture in page.pictures:
        kind, data = picture.split(",", 1)
        assert kind == "data:image/png;base64" and base64.b64decode(data, validate=True).startswith(PNG)
    return page


def write_all(files, folder, name="sub-1", cohort="a <b>bold</b> & cohort"):
    write_quality(name, cohort, files, THRESHOLDS, True, folder / f"{name}.json", folder / f"{name}.html", folder / f"{name}.png")


def test_page_stands_alone(files, tmp_path):
    write_all(files, tmp_path)
    page = read_page(tmp_path / "sub-1.html")
    # Registration, brain mask, arterial input, three maps, histograms.
    assert len(page.pictures) == 7
    assert all(link.startswith("#") for link in page.links)
    assert "a <b>bold</b> & cohort" in page.text and "Simulated cohort" in page.text
    assert "arterial input from 2 voxels only" in page.text and FLAGS["arterial input from"] in page.text
    assert NUMBERS["hypoperfused_in_rim_percent"].label in page.text and "60 %" in page.text
    assert (tmp_path / "sub-1.png").read_bytes().startswith(PNG)


def test_page_is_the_same_twice(files, tmp_path):
    pages = []
    for folder in (tmp_path / "1", tmp_path / "2"):
        write_all(files, folder)
        pages.append((folder / "sub-1.html").read_bytes() + (folder / "sub-1.png").read_bytes())
    assert pages[0] == pages[1]


def test_page_without_perfusion_and_with_given_maps(files, tmp_path):
    write_all({name: files[name] for name in WITHOUT_PERFUSION}, tmp_path)
    page = read_page(tmp_path / "sub-1.html")
    assert "no perfusion images" in page.text and len(page.pictures) == 4
    given = {name: path for name, path in files.items() if not name.startswith("baseline")}
    write_all(given, tmp_path)
    page = read_page(tmp_path / "sub-1.html")
    assert "maps were given" in page.text and len(page.pictures) == 6


def test_index_leads_to_the_patients_in_order(files, tmp_path):
    for name in ("sub-1", "sub-2"):
        write_all(files, tmp_path, name)
    calm = json.loads((tmp_path / "sub-1.json").read_text(encoding="utf-8"))
    write_json(tmp_path / "sub-1.json", calm | {"flags": []})
    write_quality_table([tmp_path / "sub-1.json", tmp_path / "sub-2.json"], tmp_path / "quality.tsv")
    strips = {name: tmp_path / f"{name}.png" for name in ("sub-1", "sub-2")}
    write_quality_index(tmp_path / "quality.tsv", strips, False, tmp_path / "index.html")
    page = read_page(tmp_path / "index.html")
    assert [link for link in page.links if not link.startswith("#")] == ["sub-2.html", "sub-1.html"]
    assert len(page.pictures) == 2 and "a <b>bold</b> & cohort" in page.text
    assert "brain mask: implausible volume" in page.text and "Simulated cohort" not in page.text


def test_slices_are_laid_from_the_upper_left():
    volume = np.arange(3)[None, None] * np.ones((2, 4, 1)) + 1
    laid = tiled(volume, [0, 1, 2], 2, rest=-1)
    assert laid.shape == (8, 4)
    assert laid[7, 0] == 1 and laid[7, 3] == 2 and laid[0, 0] == 3 and laid[0, 3] == -1


def test_every_number_and_every_flag_has_a_meaning():
    assert all(number_meaning(name) for name in NUMBERS)
    raised = "".join((ROOT / f"workflow/scripts/finalinfarct/imaging/{room}.py").read_text(encoding="utf-8") for room in ("perfusion", "quality"))
    for flag in ("truncated bolus", "weak bolus", "low signal-to-noise", "arterial input from", "motion", "late arterial input", "short series"):
        assert flag in raised and flag_meaning(flag) != OTHER_FLAG
    assert flag_meaning("something new") == OTHER_FLAG


def test_images_of_the_page_follow_the_cohort(config):
    plan = Plan(config)

    def files(participant):
        return plan.quality_files(SimpleNamespace(participant=participant))

    first, other = files("sub-hibiscus001"), files("sub-iknow001")
    assert {name for name in REGISTERED if name in first} == {"dsc", "followup"}
    assert {name for name in REGISTERED if name in other} == {"dwi", "h3", "followup"}
    assert first["reference"].endswith("_b0.nii.gz") and other["reference"].endswith("_perfref.nii.gz")
    assert "h3_cbf" not in first and other["h3_cbf"].endswith("_ses-h3_space-reference_CBF.nii.gz")
    assert "baseline_aif" in first and "h3_aif" not in first and other["h3_report"].endswith("_ses-h3_perfusion.json")
    # The baseline FLAIR is shown where no prediction is made, and nothing of perfusion where there is none.
    config["cohorts"]["hibiscus"] |= {"role": "none", "perfusion": False, "final_lesion": "baseline"}
    alone = files("sub-hibiscus001")
    assert {name for name in REGISTERED if name in alone} == {"flair"}
    assert not {"tmax", "cbf", "baseline_aif"} & set(alone)
