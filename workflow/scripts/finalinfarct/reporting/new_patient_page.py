"""The page of a new patient: the infarct predicted with and without reperfusion, in pictures and numbers."""

import io
import json
from pathlib import Path

import numpy as np

from finalinfarct.dataset.files import write_text
from finalinfarct.dataset.images import read_sidecar
from finalinfarct.evaluation.new_patient import measure_new_patient
from finalinfarct.learning.families import STATUSES
from finalinfarct.reporting.canvas import DIFFUSION_LESION, PAGE_MM, PREDICTED_LESION, SIMULATED, new_figure
from finalinfarct.reporting.html_page import cell, notes_list, page, paragraph, table
from finalinfarct.reporting.model_card import USE
from finalinfarct.reporting.panels import (
    COLOUR_MAPS,
    RANGE_TEXTS,
    RANGES,
    brain_limits,
    brain_window,
    lesion_levels,
    outline,
    read_volume,
    show_image,
    write_on,
)
from finalinfarct.reporting.quality_page import embedded

SLICES, PANEL_MM, SCREEN_DPI = 6, 33.0, 165
# Below it a probability would only tint the picture.
SHOWN_PROBABILITY = 0.05
COURSES = {"reperfused": "with reperfusion", "nonreperfused": "without reperfusion"}
SIMULATED_PATIENT = (SIMULATED, "The page shows what comes out for a patient; this one does not exist.")
SIMULATED_NETWORKS = (
    "Trained on simulated patients only: what is predicted here says nothing about this patient.",
    "Train on real patients first.",
)
HOW_TO_READ = (
    "How to read it. Blue outline: the diffusion lesion, the tissue that is damaged already. Tmax: orange and yellow tissue gets its blood late. "
    "Below, the probability of final infarct over DWI, from dark to bright; magenta outline: where it reaches the threshold. What lies inside the "
    "lower outline alone is what reperfusion could salvage, by these networks. The patient's left is on the right.",
    "Good: both predictions lie in the territory of one artery and hold most of the diffusion lesion, and the lower one does not reach far beyond "
    "the late tissue. Bad: islands in the other hemisphere, in the ventricles, along the rim of the brain, or where Tmax is "
    "black because nothing was measured; then look at the quality page, since wrong images or an unusual patient mislead the networks.",
)
MISMATCH = (
    "The mismatch model takes the diffusion lesion as the infarct after reperfusion, and without it all tissue with a Tmax above its threshold in "
    "addition. It knows no more than two thresholds, and is shown as the clinical reference."
)
SPREAD = (
    "The prediction is the mean of the networks of all folds, so its volume can lie outside the range of the single ones. These were trained on "
    "overlapping patients: their range is less than the uncertainty of the prediction. Volumes are measured on the grid of the networks.",
    "A responder, as in the paper, is a patient whose two predictions have a DSC below 0.5 and of whom the one without reperfusion is at least a "
    "fifth larger.",
)


def write_new_patient(participant, files, tmax_threshold_s, simulated, quality, numbers, html):
    """Measure the predictions of one patient and write the page.

    Parameters
    ----------
    participant : str
        participant_id.
    files : dict of str to path
        As for ``measure_new_patient``, and ``dwi`` (b1000) and the probability maps ``probability_reperfused`` and
        ``probability_nonreperfused``, all on one grid.
    tmax_threshold_s : float
        Of the mismatch model, s.
    simulated : bool
        Whether the patient is simulated.
    quality : str or Path
        JSON of the patient's quality page.
    numbers, html : str or Path
        JSON of ``measure_new_patient``; the page, with its picture inside.

    Raises
    ------
    InputError
        As ``measure_new_patient`` does.
    """
    measure_new_patient(participant, files, tmax_threshold_s, quality, numbers)
    measured = json.loads(Path(numbers).read_text(encoding="utf-8"))
    about = {name: read_sidecar(files[name]) for name in STATUSES}
    flags = [f"{flag['about']}: {flag['flag']}" for flag in json.loads(Path(quality).read_text(encoding="utf-8"))["flags"]]
    picture = embedded(draw_predictions(files), "diffusion lesion, Tmax, and the infarct predicted with and without reperfusion")
    sections = [
        ("Pictures", "".join(map(paragraph, HOW_TO_READ)) + picture),
        ("Numbers", _volumes(measured) + paragraph(MISMATCH) + _comparison(measured) + notes_list(SPREAD)),
        ("Image quality", _quality(participant, flags)),
        ("Networks", _networks(about)),
    ]
    lead = (f"Infarct predicted from the baseline images, with and without reperfusion. {USE}",)
    banner = SIMULATED_PATIENT if simulated else SIMULATED_NETWORKS if measured["trained_on_simulated"] == "yes" else None
    write_text(html, page(participant, lead, sections, banner))


def draw_predictions(files):
    """Draw DWI, Tmax and both predictions in slices through the lesions.

    Parameters
    ----------
    files : dict of str to path
        As for ``write_new_patient``.

    Returns
    -------
    bytes
        PNG, black, 190 mm wide.
    """
    volumes = {name: read_volume(path) for name, path in files.items()}
    brain, sizes = volumes["brain_mask"][0] > 0, volumes["brain_mask"][1]
    window = brain_window(brain.any(axis=2), sizes)
    data = {name: volume[window] for name, (volume, _) in volumes.items()}
    brain, aspect = data["brain_mask"] > 0, sizes[1] / sizes[0]
    levels = lesion_levels(np.any([data[name] > 0 for name in (*STATUSES, "diffusion_lesion")], axis=0), SLICES)
    dwi_limits = brain_limits(data["dwi"], brain)
    figure = new_figure(PAGE_MM, PANEL_MM * 4, facecolor="black")
    axes = figure.subplots(4, len(levels), squeeze=False)
    for column, level in enumerate(levels):
        plane = {name: volume[:, :, level].T for name, volume in data.items()}
        for row in (0, 2, 3):
            show_image(axes[row, column], plane["dwi"], aspect, dwi_limits)
        outline(axes[0, column], plane["diffusion_lesion"], DIFFUSION_LESION)
        tmax = np.ma.masked_where(plane["brain_mask"] <= 0, plane["tmax"])
        show_image(axes[1, column], tmax, aspect, RANGES["Tmax"], COLOUR_MAPS["Tmax"])
        for row, name in ((2, "reperfused"), (3, "nonreperfused")):
            likely = np.ma.masked_less(plane[f"probability_{name}"], SHOWN_PROBABILITY)
            axes[row, column].imshow(likely, cmap="inferno", vmin=0, vmax=1, alpha=0.6, origin="lower", aspect=aspect, interpolation="nearest")
            outline(axes[row, column], plane[name], PREDICTED_LESION)
    for axis, words in zip(axes[:, 0], ("DWI", f"Tmax ({RANGE_TEXTS['Tmax']})", *(COURSES[name] for name in STATUSES)), strict=True):
        write_on(axis, words, x=0.02, y=0.98, ha="left")
    packed = io.BytesIO()
    figure.savefig(packed, format="png", dpi=SCREEN_DPI, facecolor="black", metadata={"Software": None})
    return packed.getvalue()


def _volumes(measured):
    """Table of the volumes."""
    rows = []
    for name in STATUSES:
        volume, low, high, rule = (measured[key.format(name)] for key in ("volume_{}_ml", "lowest_{}_ml", "highest_{}_ml", "mismatch_{}_ml"))
        texts = (f"{volume:.1f} ml", f"{low:.1f} to {high:.1f} ml", f"{rule:.1f} ml")
        rows.append([cell(COURSES[name], "text"), cell(texts[0], "own"), *(cell(text) for text in texts[1:])])
    source = f"mismatch model ({measured['diffusion_lesion_source']} diffusion lesion)"
    return table(["infarct", "networks together", "each network alone", source], [(None, rows)], "narrow")


def _comparison(measured):
    """Sentence on the two predictions against each other."""
    answer = "a responder" if measured["responder"] == "yes" else "no responder"
    return paragraph(
        f"{measured['salvageable_ml']:.1f} ml are predicted as infarct without reperfusion and not with it. The two predictions have a DSC of "
        f"{measured['dsc_between_predictions']:.2f}: by the rule of the paper the patient is {answer}. "
        f"{measured['without_perfusion_ml']:.1f} ml of either prediction lie where the perfusion maps have no value, beyond the series or where no "
        "bolus passed: there the networks guess from diffusion."
    )


def _quality(participant, flags):
    """What the quality page flags."""
    seen = f"The quality page, results/quality/{participant}.html, shows the images that the prediction was made from."
    if not flags:
        return paragraph(f"No flag was raised. {seen}")
    return paragraph(f"{seen} It has flags; each can spoil the prediction:") + notes_list(flags)


def _networks(about):
    """Table of the networks of each course."""
    rows = [
        [
            cell(COURSES[name], "text"),
            cell(f"{len(side['Networks'])}, {side['Fusion']} fusion of {', '.join(side['Inputs'])}", "text"),
            cell(f"{side['TrainingPatients']}{' simulated' if side['TrainedOnSimulatedPatients'] else ''}"),
            cell(", ".join(digest[:12] for digest in side["Networks"]), "text"),
        ]
        for name, side in about.items()
    ]
    return table(["infarct", "networks", "training patients", "weights (SHA-256 begins with)"], [(None, rows)])
