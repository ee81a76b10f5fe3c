import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from finalinfarct.dataset.images import write_image
from finalinfarct.dataset.inclusion import COLUMNS as INCLUSION_COLUMNS
from finalinfarct.dataset.tables import write_table
from finalinfarct.errors import InputError
from finalinfarct.evaluation.family import COLUMNS
from finalinfarct.evaluation.reliability import COLUMNS as RELIABILITY_COLUMNS
from finalinfarct.evaluation.reliability import bin_sums, summarise_bins
from finalinfarct.reporting.canvas import SIMULATED
from finalinfarct.reporting.figure_cases import choose_cases, draw_cases
from finalinfarct.reporting.figure_inclusion import REASONS_SHOWN, count_cohorts, draw_inclusion, model_use
from finalinfarct.reporting.figure_network import draw_network, read_architecture
from finalinfarct.reporting.figure_predictions import describe_status, draw_predictions, typical_patients
from finalinfarct.reporting.figure_statistics import (
    draw_bland_altman,
    draw_dice_by_volume,
    draw_paired_dice,
    draw_reliability,
)
from finalinfarct.reporting.lesion_picture import draw_lesions
from finalinfarct.reporting.own_status import read_own_status
from finalinfarct.reporting.panels import largest_lesion_slice, read_volume

INPUTS = "DWI-ADC-Tmax-CBF-CBV"
# How the status of each cohort is known.
SOURCES = {"hospital": "mtici", "other": "h3_perfusion"}
# participant_id: status, DSC of the own network, of the other network, of the mismatch model.
COHORT = {
    "sub-n1": ("nonreperfused", 0.50, 0.30, 0.40),
    "sub-n2": ("nonreperfused", 0.10, 0.10, 0.05),
    "sub-r1": ("reperfused", 0.20, 0.25, 0.30),
    "sub-r2": ("reperfused", 0.60, 0.50, 0.35),
    "sub-r3": ("reperfused", 0.42, 0.40, 0.45),
}


def dice_table(rows):
    """Table of ``read_own_status`` from tuples of participant_id, status, cnn, mismatch."""
    return pd.DataFrame(rows, columns=["participant_id", "status", "cnn", "mismatch"]).set_index("participant_id")


@pytest.fixture
def metrics(tmp_path):
    """Metric tables of both networks and the mismatch model; volumes are 100 times the DSC, the final ones 30 ml."""
    files = []
    for training in ("reperfused", "nonreperfused", None):
        rows = []
        for name, (status, own, other, mismatch) in COHORT.items():
            dice = mismatch if training is None else own if training == status else other
            model = ("cnn", "late", INPUTS, training) if training else ("mismatch", None, None, None)
            values = {"dsc": dice, "volume_predicted_ml": 100 * dice, "volume_final_ml": 30.0}
            rows += [(name, status, *model, 1, metric, value) for metric, value in values.items()]
        files.append(tmp_path / f"{training}.tsv")
        write_table(pd.DataFrame(rows, columns=COLUMNS), files[-1])
    return files


@pytest.fixture
def inclusion(tmp_path):
    """Inclusion table: the tested cohort, of which one is excluded, and a training cohort."""
    rows = [(name, "hospital", "test", "3" if row[0] == "reperfused" else "2a", None, row[0], "yes", None) for name, row in COHORT.items()]
    rows.append(("sub-x1", "hospital", "test", "3", None, None, "no", "the mask is empty"))
    rows.append(("sub-t1", "other", "training", None, 0.25, "nonreperfused", "yes", None))
    write_table(pd.DataFrame(rows, columns=INCLUSION_COLUMNS), tmp_path / "inclusion.tsv")
    return tmp_path / "inclusion.tsv"


@pytest.fixture
def volumes(tmp_path):
    """Sources of the diffusion lesions: automatic in sub-n1, an expert's in the others."""
    sources = {name: "automatic" if name == "sub-n1" else "expert" for name in COHORT}
    write_table(pd.DataFrame({"participant_id": list(sources), "diffusion_lesion_source": list(sources.values())}), tmp_path / "sources.tsv")
    return tmp_path / "sources.tsv"


@pytest.fixture
def patterns(tmp_path):
    """Images and predictions of the cohort on a grid of 20 x 24 x 4, as path patterns."""
    random, shape = np.random.default_rng(0), (20, 24, 4)
    names = ("DWI", "ADC", "Tmax", "CBF", "CBV", "FLAIR", "brain_mask", "final_lesion", "reperfused", "nonreperfused", "mismatch")
    for name in COHORT:
        for image in names:
            data = random.uniform(0, 10, shape)
            if image not in names[:6]:
                data = np.zeros(shape)
                data[4:16, 4:20] = 1
            if image in names[7:]:
                data[9:] = 0
                data[:, :, 2:] = 0
            write_image(tmp_path / f"{name}_{image}.nii.gz", data, np.diag([8.0, 8.0, 5.0, 1.0]))
    found = {image: str(tmp_path / f"{{participant}}_{image}.nii.gz") for image in names}
    return {image: found[image] for image in names[:8]}, {image: found[image] for image in names[8:]}


def twice(draw, folder):
    """Draw a figure two times; return the text of its SVG after a check that both formats are whole and the same both times."""
    for number in (1, 2):
        draw(folder / f"{number}.svg", folder / f"{number}.png")
    assert (folder / "1.svg").read_bytes() == (folder / "2.svg").read_bytes()
    assert (folder / "1.png").read_bytes() == (folder / "2.png").read_bytes()
    assert (folder / "1.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    svg = (folder / "1.svg").read_text(encoding="utf-8")
    assert svg.rstrip().endswith("</svg>") and "<dc:date>" not in svg
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def width_mm(path):
    """Width of an SVG on the page in mm."""
    return float(re.search(r'<svg[^>]* width="([0-9.]+)pt"', path.read_text(encoding="utf-8")).group(1)) * 25.4 / 72


def test_typical_patients_are_nearest_to_the_median():
    rows = [("sub-a", "reperfused", 0.1, 0), ("sub-b", "reperfused", 0.5, 0), ("sub-c", "reperfused", 0.9, 0)]
    # The median of the others is 0.3, and both are at 0.1 from it.
    rows += [("sub-e", "nonreperfused", 0.2, 0), ("sub-d", "nonreperfused", 0.4, 0)]
    assert typical_patients(dice_table(rows)) == {"reperfused": "sub-b", "nonreperfused": "sub-d"}


def test_good_cases_have_the_largest_gain_in_the_upper_quartile_and_difficult_ones_the_lowest_better_dsc():
    rows = [
        # Upper quartile of the network: 0.6, reached by c, d and e; their gains are 0.1, 0.2 and -0.1.
        *[("sub-a", "reperfused", 0.1, 0.0), ("sub-b", "reperfused", 0.5, 0.0), ("sub-c", "reperfused", 0.6, 0.5)],
        *[("sub-d", "reperfused", 0.7, 0.5), ("sub-e", "reperfused", 0.6, 0.7)],
        *[("sub-f", "nonreperfused", 0.8, 0.9), ("sub-g", "nonreperfused", 0.0, 0.05), ("sub-h", "nonreperfused", 0.3, 0.0)],
    ]
    expected = [("sub-f", "good"), ("sub-d", "good"), ("sub-g", "difficult"), ("sub-a", "difficult"), ("sub-h", "difficult")]
    table = dice_table(rows)
    assert choose_cases(table) == expected
    assert choose_cases(table.iloc[::-1]) == expected


def test_cases_where_all_fail_are_chosen_in_alphabetical_order():
    rows = [(f"sub-{status[0]}{number}", status, 0.0, 0.0) for status in ("reperfused", "nonreperfused") for number in range(1, 5)]
    expected = [("sub-n1", "good"), ("sub-r1", "good"), ("sub-n2", "difficult"), ("sub-n3", "difficult"), ("sub-n4", "difficult")]
    assert choose_cases(dice_table(rows)) == expected


def test_cases_of_few_patients_are_each_shown_once():
    assert choose_cases(dice_table([("sub-a", "reperfused", 0.2, 0.1)])) == [("sub-a", "good")]
    chosen = choose_cases(dice_table([("sub-a", "reperfused", 0.2, 0.1), ("sub-b", "reperfused", 0.3, 0.1), ("sub-c", "nonreperfused", 0, 0)]))
    assert chosen == [("sub-c", "good"), ("sub-b", "good"), ("sub-a", "difficult")]


def test_own_status_takes_the_model_of_the_patients_own_status(metrics):
    table = read_own_status(metrics, "dsc")
    assert list(table.index) == sorted(COHORT)
    assert {row.Index: (row.status, row.cnn, row.mismatch) for row in table.itertuples()} == {
        name: (status, own, mismatch) for name, (status, own, _, mismatch) in COHORT.items()
    }


def test_own_status_refuses_tables_that_cannot_be_compared(metrics, tmp_path):
    with pytest.raises(InputError, match="no dsc of the mismatch model"):
        read_own_status(metrics[:2], "dsc")
    with pytest.raises(InputError, match=r"different patients \(sub-n1, sub-n2\)"):
        read_own_status([metrics[0], metrics[2]], "dsc")
    early = pd.read_csv(metrics[0], sep="\t", keep_default_na=False).assign(fusion="early")
    write_table(early, tmp_path / "early.tsv")
    with pytest.raises(InputError, match="several networks"):
        read_own_status([*metrics, tmp_path / "early.tsv"], "dsc")


def test_cohorts_are_counted_with_their_reasons():
    rows = [(f"sub-{number}", "one", "test", "3", np.nan, None, False, "b" if number < 2 else "a") for number in range(5)]
    rows += [("sub-6", "one", "test", "3", np.nan, "reperfused", True, None), ("sub-7", "two", "training", None, 0.1, "nonreperfused", True, None)]
    one, two = count_cohorts(pd.DataFrame(rows, columns=INCLUSION_COLUMNS), {"one": "mtici", "two": "h3_perfusion"})
    assert (one.total, one.excluded, one.included) == (6, {"a": 3, "b": 2}, {"reperfused": 1, "nonreperfused": 0})
    assert list(one.excluded) == ["a", "b"]
    assert (two.total, two.excluded, two.role, two.rules) == (1, {}, "training", ("ratio ≥ 0.5", "ratio < 0.5"))
    assert one.rules == ("mTICI 2b, 2c, 3", "mTICI 0, 1, 2a")


def test_rule_of_the_status_is_that_of_the_cohort_whatever_was_found():
    """A cohort with H3 perfusion all of whose ratios are undefined, and one whose images are prepared only."""
    rows = [("sub-1", "late", "test", None, np.nan, None, False, "undefined"), ("sub-2", "images", "none", None, np.nan, None, False, "role none")]
    late, images = count_cohorts(pd.DataFrame(rows, columns=INCLUSION_COLUMNS), {"late": "h3_perfusion", "images": "none"})
    assert late.rules == ("ratio ≥ 0.5", "ratio < 0.5") and images.rules == ("status unknown", "status unknown")


def test_rare_reasons_are_counted_together():
    reasons = ["common"] * 3 + [f"reason {number:02d}" for number in range(20)]
    rows = [(f"sub-{number}", "one", "test", "3", np.nan, None, False, reason) for number, reason in enumerate(reasons)]
    (cohort,) = count_cohorts(pd.DataFrame(rows, columns=INCLUSION_COLUMNS), {"one": "mtici"})
    assert len(cohort.excluded) == REASONS_SHOWN and sum(cohort.excluded.values()) == len(reasons)
    others = 20 - (REASONS_SHOWN - 2)
    assert list(cohort.excluded.items())[-1] == (f"{others} other reasons (inclusion.tsv)", others)


@pytest.mark.parametrize(
    ("role", "status", "model", "trains", "tests"),
    [
        ("test", "reperfused", "general", True, True),
        ("test", "reperfused", "reperfused", True, True),
        ("test", "reperfused", "nonreperfused", False, True),
        ("training", "nonreperfused", "general", True, False),
        ("training", "nonreperfused", "reperfused", False, False),
        ("none", "nonreperfused", "general", False, False),
    ],
)
def test_who_trains_and_tests_a_model(role, status, model, trains, tests):
    assert model_use(role, status, model) == (trains, tests)


def test_figure1(inclusion, tmp_path):
    words = twice(lambda *files: draw_inclusion(inclusion, SOURCES, True, *files), tmp_path)
    assert {"hospital", "6 patients", "5 included", "Excluded: 1", "1: the mask is empty", "3 reperfused", "other", SIMULATED} <= set(words)
    # Trained on 6 and 3 and 3 patients; each tested by the 5 of the hospital.
    assert [word for word in words if word.startswith("trained")] == ["trained: 6", "trained: 3", "trained: 3"]
    assert [word for word in words if word.startswith("tested")] == ["tested: 5"] * 3
    assert width_mm(tmp_path / "1.svg") == pytest.approx(190, abs=0.1)
    assert SIMULATED not in twice(lambda *files: draw_inclusion(inclusion, SOURCES, False, *files), tmp_path)


def test_figure1_grows_with_cohorts_and_reasons(inclusion, tmp_path):
    def height(path):
        return float(re.search(r'<svg[^>]* height="([0-9.]+)pt"', path.read_text(encoding="utf-8")).group(1))

    draw_inclusion(inclusion, SOURCES, False, tmp_path / "few.svg", tmp_path / "few.png")
    table = pd.read_csv(inclusion, sep="\t", keep_default_na=False)
    long = "a reason of many words that no box of this figure could hold in a single line of small type, whatever its width"
    more = [table.assign(cohort=f"cohort {number}", reason=[f"{long} {row}" for row in range(len(table))], included="no") for number in range(5)]
    write_table(pd.concat([table, *more]), tmp_path / "many.tsv")
    sources = SOURCES | {f"cohort {number}": "none" for number in range(5)}
    words = twice(lambda *files: draw_inclusion(tmp_path / "many.tsv", sources, False, *files), tmp_path)
    assert height(tmp_path / "1.svg") > 3 * height(tmp_path / "few.svg")
    assert {f"cohort {number}" for number in range(5)} <= set(words)
    assert not any(long in word for word in words) and "Excluded: 7" in words


@pytest.mark.parametrize(("fusion", "branches", "parameters"), [("late", 5, 1997851), ("early", 1, 487643)])
def test_architecture_is_read_off_the_network(fusion, branches, parameters, tmp_path):
    from finalinfarct.learning.network import build_network

    network = build_network(fusion, 5, 32, dropout=0.25)
    design = read_architecture(network)
    assert len(design.branches) == branches
    for branch in design.branches:
        assert [(stage.size, stage.channels) for stage in branch] == [((32 >> level,) * 2, 8 << level) for level in range(5)]
        assert [stage.dropout for stage in branch] == [0, 0, 0, 0.25, 0.25]
        assert {(stage.convolutions, stage.normalisations, stage.kernel, stage.activation) for stage in branch} == {(2, 2, (3, 3), "relu")}
    assert design.joined == (2, 2, 128 * branches)
    assert [(stage.size, stage.channels) for stage in design.decoder] == [((32 >> level,) * 2, 8 << level) for level in (3, 2, 1, 0)]
    assert [stage.skips for stage in design.decoder] == [((level, 4 << level),) * branches for level in (4, 3, 2, 1)]
    assert (design.classes, design.head_kernel, design.head_activation, design.pool, design.up) == (3, (3, 3), "softmax", (2, 2), (2, 2))
    assert design.parameters == parameters
    words = twice(lambda *files: draw_network(network, INPUTS.split("-"), *files), tmp_path)
    assert f"{fusion.capitalize()} fusion, 5 inputs: {parameters:,} trainable parameters" in words
    assert "2 × (3×3 convolution, ReLU, batch normalisation)" in words and "dropout 0.25" in words
    assert words.count("16 ch.") == branches + 1
    assert f"skips of stage 4: {branches} × 64 channels" in words


def test_network_without_a_decoder_is_refused():
    import keras

    images = keras.Input((8, 8, 1))
    with pytest.raises(InputError, match="no decoder"):
        read_architecture(keras.Model(images, keras.layers.Conv2D(3, 3, name="head")(images)))


def test_status_is_described_by_its_source():
    rows = pd.DataFrame(
        {"status": ["nonreperfused", "reperfused", "reperfused"], "mtici": ["2a", None, None], "reperfusion_ratio": [np.nan, 0.75, np.nan]}
    )
    assert [describe_status(row) for _, row in rows.iterrows()] == ["not reperfused, mTICI 2a", "reperfused, ratio 0.75", "reperfused"]


def test_figure3(metrics, inclusion, volumes, patterns, tmp_path):
    words = twice(lambda *files: draw_predictions(metrics, inclusion, volumes, *patterns, True, *files), tmp_path)
    # Both non-reperfused patients are at 0.2 from their median of 0.3.
    assert {"A   sub-n1: not reperfused, mTICI 2a", "B   sub-r3: reperfused, mTICI 3"} <= set(words)
    # Reperfused model, non-reperfused model, mismatch model.
    assert [word for word in words if word.startswith("DSC 0")] == ["DSC 0.30", "DSC 0.50", "DSC 0.40", "DSC 0.42", "DSC 0.40", "DSC 0.45"]
    assert {"follow-up FLAIR", "CNN, non-reperfused model", "reperfused: n = 3", SIMULATED} <= set(words)
    assert any(word.startswith("Patients chosen by rule") for word in words)
    # Of the two patients shown, not of all five.
    assert "Mismatch model: diffusion lesion by an expert in 1 patient, automatic (ADC threshold) in 1." in words


def test_figure4(metrics, inclusion, volumes, patterns, tmp_path):
    words = twice(lambda *files: draw_cases(metrics, inclusion, volumes, *patterns, True, *files), tmp_path)
    assert [word for word in words if word.startswith("sub-")] == ["sub-n1", "sub-r2", "sub-n2", "sub-r1", "sub-r3"]
    assert [word for word in words if word in ("largest gain", "difficult")] == ["largest gain"] * 2 + ["difficult"] * 3
    assert [word for word in words if word.startswith("DSC 0")] == [
        f"DSC {value:.2f}" for name in ("sub-n1", "sub-r2", "sub-n2", "sub-r1", "sub-r3") for value in (COHORT[name][1], COHORT[name][3])
    ]
    assert {"mTICI 2a", "mTICI 3", "gain +0.25", "gain −0.10"} <= set(words)
    assert "Mismatch model: diffusion lesion by an expert in 4 patients, automatic (ADC threshold) in 1." in words
    assert any(word.startswith("Patients chosen by rule") for word in words)


def test_image_of_another_grid_is_refused(patterns, tmp_path):
    images = {name: pattern.format(participant="sub-n1") for name, pattern in patterns[0].items()}
    write_image(images["CBF"], np.ones((20, 24, 5)), np.eye(4))
    with pytest.raises(InputError, match=r"sub-n1_CBF.*shape \(20, 24, 5\)"):
        largest_lesion_slice(images)


def test_largest_lesion_slice_is_cut_to_the_brain(tmp_path):
    lesion, brain, marked = np.zeros((30, 40, 5)), np.zeros((30, 40, 5)), np.zeros((30, 40, 5))
    lesion[10, 10, 1] = lesion[10:12, 10, 3] = 1
    brain[10:20, 10:30] = 1
    marked[:, :, 3] = 7
    paths = {name: tmp_path / f"{name}.nii.gz" for name in ("final_lesion", "brain_mask", "marked")}
    for name, data in zip(paths, (lesion, brain, marked), strict=True):
        write_image(paths[name], data, np.diag([2.0, 3.0, 5.0, 1.0]))
    patient = largest_lesion_slice(paths)
    assert (patient.planes["marked"] == 7).all() and patient.planes["final_lesion"].sum() == 2
    # 6 mm are three voxels of 2 mm and two of 3 mm at either side.
    assert patient.planes["brain_mask"].shape == (20 + 2 * 2, 10 + 2 * 3)
    assert patient.aspect == pytest.approx(1.5)


@pytest.mark.parametrize("towards_right", [1.0, -1.0])
def test_left_of_the_patient_is_on_the_right_whatever_the_storage(towards_right, tmp_path):
    data = np.zeros((6, 4, 2))
    # RAS+: x grows towards the patient's right, so the left is the first column where x is stored that way.
    data[0 if towards_right > 0 else 5] = 1
    write_image(tmp_path / "image.nii.gz", data, np.diag([2.0 * towards_right, 2.0, 5.0, 1.0]))
    shown, sizes = read_volume(tmp_path / "image.nii.gz")
    assert shown[-1].all() and not shown[:-1].any()
    assert sizes.tolist() == [2.0, 2.0, 5.0]


def test_lesion_picture_is_the_same_twice(patterns, tmp_path):
    files = {name: pattern.format(participant="sub-n1") for name, pattern in patterns[0].items()}
    for number in (1, 2):
        draw_lesions({"DWI": files["DWI"]}, files["brain_mask"], files["final_lesion"], files["final_lesion"], "sub-n1", tmp_path / f"{number}.png")
    assert (tmp_path / "1.png").read_bytes() == (tmp_path / "2.png").read_bytes()


def test_paired_dice(metrics, volumes, tmp_path):
    words = twice(lambda *files: draw_paired_dice(metrics, volumes, True, *files), tmp_path)
    # Reperfused: one of three differences is positive, of rank 3; 6 of 8 patterns of signs are as far out. Others: both positive.
    assert {"reperfused", "CNN higher in 1 of 3", "p = 1.0", "CNN higher in 2 of 2", "p = 0.50", SIMULATED} <= set(words)
    assert "Mismatch model: diffusion lesion by an expert in 4 patients, automatic (ADC threshold) in 1." in " ".join(words)
    assert width_mm(tmp_path / "1.svg") == pytest.approx(90, abs=0.1)


def test_bland_altman(metrics, volumes, tmp_path):
    words = twice(lambda *files: draw_bland_altman(metrics, volumes, False, *files), tmp_path)
    for place in (1, 3):
        difference = np.array([100 * row[place] - 30 for row in COHORT.values()])
        spread = 1.96 * np.sqrt(((difference - difference.mean()) ** 2).sum() / 4)
        for value in (difference.mean(), difference.mean() - spread, difference.mean() + spread):
            assert f"{value:+.1f}".replace("-", "−") in words
    assert "Mismatch model: diffusion lesion by an expert in 4 patients, automatic (ADC threshold) in 1." in words
    assert SIMULATED not in words


def test_reliability_diagram(tmp_path):
    rows = []
    for status in ("reperfused", "nonreperfused"):
        for row in summarise_bins(bin_sums(np.array([0.75] * 4 + [0.0] * 6), np.array([1] + [0] * 9))):
            rows.append({"status": status, "training_set": status, "patients": 2} | row)
    write_table(pd.DataFrame(rows, columns=RELIABILITY_COLUMNS), tmp_path / "reliability.tsv")
    words = twice(lambda *files: draw_reliability(tmp_path / "reliability.tsv", True, *files), tmp_path)
    assert "reperfused (n = 2)" in words and words.count("ECE 0.200, Brier 0.175") == 2


def test_dice_by_volume(metrics, tmp_path):
    volumes = pd.DataFrame({"participant_id": list(COHORT), "diffusion_lesion_ml": [0.0, 3, 9, 27, 81], "final_lesion_ml": [5.0] * 5})
    volumes["diffusion_lesion_source"] = ["automatic", *["expert"] * 4]
    write_table(volumes, tmp_path / "volumes.tsv")
    words = twice(lambda *files: draw_dice_by_volume(metrics, tmp_path / "volumes.tsv", False, *files), tmp_path)
    expected = stats.spearmanr(volumes["diffusion_lesion_ml"], [row[1] for row in COHORT.values()])
    assert f"Spearman's ρ = {expected.statistic:.2f}, p = {expected.pvalue:.2f} (n = 5)" in words
    assert "Spearman's ρ = undefined (n = 5)" in words and "0 ml" in words
    assert "Diffusion lesion by an expert in 4 patients, automatic (ADC threshold) in 1." in words
    write_table(volumes.iloc[1:], tmp_path / "volumes.tsv")
    with pytest.raises(InputError, match="sub-n1"):
        draw_dice_by_volume(metrics, tmp_path / "volumes.tsv", False, tmp_path / "a.svg", tmp_path / "a.png")
