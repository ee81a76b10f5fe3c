"""A picture of what the workflow makes: two patients, their baseline images, the final lesion and the three predictions."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from finalinfarct.dataset.images import read_image, voxel_sizes
from finalinfarct.dataset.tables import read_table

STATUS_LABELS = {"reperfused": "reperfused", "nonreperfused": "not reperfused"}
PREDICTIONS = (("reperfused", "CNN, reperfused model"), ("nonreperfused", "CNN, non-reperfused model"), ("mismatch", "mismatch model"))
TMAX_SHOWN_S = 12.0
MARGIN_MM = 12.0


def typical_patients(metrics):
    """Choose the patient of each status whose DSC, by the model of the own status, is nearest to the group's median.

    Parameters
    ----------
    metrics : pandas.DataFrame
        Long table of the status-specific models; columns participant_id, status, training_set, metric, value.

    Returns
    -------
    dict of str to str
        participant_id by status; ties go to the first in alphabetical order.
    """
    own = metrics[(metrics["metric"] == "dsc") & (metrics["status"] == metrics["training_set"])].sort_values("participant_id")
    chosen = {}
    for status, group in own.groupby("status"):
        distance = (group["value"] - group["value"].median()).abs()
        chosen[status] = group.loc[distance.idxmin(), "participant_id"]
    return chosen


def draw_example(metric_files, images, predictions, simulated, output):
    """Draw the two typical patients on the slice where the final lesion is largest.

    Parameters
    ----------
    metric_files : list of str or Path
        Metric tables of the late-fusion reperfused and non-reperfused models.
    images : dict of str to str
        Path patterns with ``{participant}``: DWI, ADC, Tmax, FLAIR, brain_mask, final_lesion.
    predictions : dict of str to str
        Path patterns with ``{participant}`` of the masks: reperfused, nonreperfused, mismatch.
    simulated : bool
        Whether to say in the title that the patients are simulated.
    output : str or Path
        PNG.
    """
    metrics = pd.concat([read_table(path) for path in metric_files])
    chosen = typical_patients(metrics)
    titles = ("DWI", "ADC", "Tmax", "follow-up FLAIR", *(label for _, label in PREDICTIONS))
    figure, axes = plt.subplots(len(chosen), len(titles), figsize=(2.05 * len(titles), 2.55 * len(chosen) + 0.5), squeeze=False, facecolor="black")
    for row, status in enumerate(sorted(chosen, reverse=True)):
        _draw_patient(axes[row], chosen[status], status, images, predictions, metrics)
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, color="white", fontsize=9)
    who = "Simulated patients" if simulated else "Patients"
    figure.suptitle(f"{who} of median DSC. Green: final lesion. Red: predicted infarct.", color="white", fontsize=10)
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout(rect=(0.02, 0, 1, 0.97), h_pad=0.4, w_pad=0.2)
    figure.savefig(output, dpi=130, facecolor="black", metadata={"Software": None})
    plt.close(figure)


def _draw_patient(axes, participant, status, images, predictions, metrics):
    """One row of the picture."""
    volume = {name: read_image(pattern.format(participant=participant)) for name, pattern in images.items()}
    final = volume["final_lesion"].get_fdata() > 0
    level = int(final.sum(axis=(0, 1)).argmax())
    sizes = voxel_sizes(volume["DWI"].affine)
    window = _window(volume["brain_mask"].get_fdata()[:, :, level] > 0, sizes)

    def plane(data):
        return np.asarray(data)[:, :, level][window].T

    brain = plane(volume["brain_mask"].get_fdata()) > 0
    ranges = {"DWI": None, "ADC": (0, 2000), "Tmax": (0, TMAX_SHOWN_S), "FLAIR": None}
    for axis, (name, limits) in zip(axes, ranges.items(), strict=False):
        picture = plane(volume[name].get_fdata())
        low, high = limits or np.percentile(picture[brain], (0.5, 99.5))
        shown = np.where(brain, picture, low) if name == "Tmax" else picture
        axis.imshow(shown, cmap="inferno" if name == "Tmax" else "gray", vmin=low, vmax=high, origin="lower", aspect=sizes[1] / sizes[0])
    lesion = plane(final)
    axes[3].contour(lesion, levels=[0.5], colors="lime", linewidths=0.9)
    background = plane(volume["DWI"].get_fdata())
    low, high = np.percentile(background[brain], (0.5, 99.5))
    dice = metrics[(metrics["participant_id"] == participant) & (metrics["metric"] == "dsc")].set_index("training_set")["value"]
    for axis, (name, _) in zip(axes[4:], PREDICTIONS, strict=True):
        axis.imshow(background, cmap="gray", vmin=low, vmax=high, origin="lower", aspect=sizes[1] / sizes[0])
        mask = read_image(predictions[name].format(participant=participant)).get_fdata() > 0
        predicted = plane(mask)
        axis.imshow(np.ma.masked_where(~predicted, predicted), cmap="autumn", alpha=0.55, origin="lower", aspect=sizes[1] / sizes[0], vmin=0, vmax=2)
        axis.contour(lesion, levels=[0.5], colors="lime", linewidths=0.9)
        if name in dice:
            axis.text(0.5, 0.01, f"DSC {dice[name]:.2f}", color="white", fontsize=8, ha="center", va="bottom", transform=axis.transAxes)
    axes[0].set_ylabel(f"{participant}\n{STATUS_LABELS[status]}", color="white", fontsize=8)
    for axis in axes:
        axis.set_xticks([])
        axis.set_yticks([])
        axis.set_facecolor("black")
        for spine in axis.spines.values():
            spine.set_visible(False)


def _window(brain, sizes):
    """Slices of the array that hold the brain of a plane with a margin."""
    window = []
    for axis in (0, 1):
        inside = np.flatnonzero(brain.any(axis=1 - axis)) if brain.any() else np.arange(brain.shape[axis])
        margin = int(np.ceil(MARGIN_MM / sizes[axis]))
        window.append(slice(max(inside[0] - margin, 0), min(inside[-1] + margin + 1, brain.shape[axis])))
    return tuple(window)
