"""Figures beyond the paper: paired DSC, agreement of volumes, reliability of probabilities, and DSC against lesion volume."""

from textwrap import wrap

import numpy as np
from matplotlib.lines import Line2D

from finalinfarct.dataset.tables import read_table
from finalinfarct.errors import InputError
from finalinfarct.evaluation.statistics import limits_of_agreement, spearman, wilcoxon_signed_rank
from finalinfarct.reporting.canvas import (
    COLUMN_MM,
    GREY,
    INK,
    PAGE_MM,
    PALE,
    SMALL,
    STATUS_COLOURS,
    STATUS_LABELS,
    STATUS_MARKERS,
    footnote,
    new_figure,
    save,
)
from finalinfarct.reporting.lesion_sources import source_note, source_words
from finalinfarct.reporting.markdown import p_text
from finalinfarct.reporting.own_status import read_own_status

METHODS = {"cnn": "CNN of own status", "mismatch": "mismatch model"}
COLUMN_CHARACTERS = 75  # of small type in the width of a column
VOLUMES = {"diffusion_lesion_ml": "baseline DWI lesion (ml)", "final_lesion_ml": "final lesion (ml)"}


def draw_paired_dice(metric_files, volumes, simulated, svg, png):
    """Draw the DSC of every tested patient by the network of the own status and by the mismatch model, joined by a line, by status.

    Parameters
    ----------
    metric_files : list of str or Path
        Metric tables of the late-fusion reperfused and non-reperfused models and of the mismatch model.
    volumes : str or Path
        results/lesion_volumes.tsv, which tells the source of the mismatch model's diffusion lesions.
    simulated : bool
        Whether the figure says that the cohort is simulated.
    svg, png : str or Path
        The figure, 90 mm wide.
    """
    dice = read_own_status(metric_files, "dsc")
    figure = new_figure(COLUMN_MM, 78.0)
    axes = figure.subplots(1, len(STATUS_LABELS), sharey=True)
    for axis, (status, label) in zip(axes, STATUS_LABELS.items(), strict=True):
        group, colour = dice[dice["status"] == status], STATUS_COLOURS[status]
        for row in group.itertuples():
            axis.plot([0, 1], [row.cnn, row.mismatch], color=colour if row.cnn >= row.mismatch else GREY, lw=0.6, alpha=0.7)
        for place, method in enumerate(METHODS):
            axis.plot([place] * len(group), group[method], STATUS_MARKERS[status], color=colour, ms=3, mec="white", mew=0.3)
            middle = group[method].median()
            axis.plot([place - 0.2, place + 0.2], [middle, middle], color=INK, lw=2, solid_capstyle="butt", zorder=4)
        higher, p_value = int((group["cnn"] > group["mismatch"]).sum()), wilcoxon_signed_rank(group["cnn"], group["mismatch"])[1]
        axis.set_title(f"{label}\nCNN higher in {higher} of {len(group)}\np = {p_text(p_value)}")
        axis.set(xticks=[0, 1], xlim=(-0.4, 1.4), ylim=(-0.03, 1.03))
        axis.set_xticklabels([label.replace(" of ", "\nof ").replace(" model", "\nmodel") for label in METHODS.values()])
    axes[0].set_ylabel("Dice similarity coefficient (DSC)")
    source = "\n".join(wrap(f"Mismatch model: {source_words(volumes, dice.index)}.", COLUMN_CHARACTERS))
    footnote(figure, simulated, f"Bar: median. Grey line: mismatch higher. p: Wilcoxon signed-rank, two-sided.\n{source}")
    save(figure, svg, png)


def draw_bland_altman(metric_files, volumes, simulated, svg, png):
    """Draw the difference of predicted and final volumes against their mean, for the network of the own status and for the mismatch model.

    Parameters
    ----------
    metric_files : list of str or Path
        As for ``draw_paired_dice``.
    volumes : str or Path
        As for ``draw_paired_dice``.
    simulated : bool
        Whether the figure says that the cohort is simulated.
    svg, png : str or Path
        The figure, 190 mm wide; both panels have the same scales.
    """
    predicted, final = (read_own_status(metric_files, f"volume_{name}_ml") for name in ("predicted", "final"))
    figure = new_figure(PAGE_MM, 80.0)
    axes = figure.subplots(1, len(METHODS), sharex=True, sharey=True)
    for axis, (method, label) in zip(axes, METHODS.items(), strict=True):
        difference, mean = predicted[method] - final[method], (predicted[method] + final[method]) / 2.0
        for status, colour in STATUS_COLOURS.items():
            mine = predicted["status"] == status
            axis.plot(mean[mine], difference[mine], STATUS_MARKERS[status], color=colour, ms=4, mec="white", mew=0.3, label=STATUS_LABELS[status])
        bias, low, high = limits_of_agreement(difference)
        axis.axhline(0, color=GREY, lw=0.5)
        for value, style, sign in ((bias, "-", "mean"), (low, "--", "−1.96 SD"), (high, "--", "+1.96 SD")):
            axis.axhline(value, color=INK, lw=0.8, ls=style)
            words = f"{sign}\n{value:+.1f}".replace("-", "−")
            axis.annotate(words, (1.01, value), xycoords=("axes fraction", "data"), fontsize=SMALL, va="center", annotation_clip=False)
        axis.set_title(f"{label} (n = {len(difference)})")
        axis.set_xlabel("mean of predicted and final volume (ml)")
    axes[0].set_ylabel("predicted − final volume (ml)")
    axes[0].legend(loc="best")
    footnote(figure, simulated, f"Mismatch model: {source_words(volumes, predicted.index)}.")
    save(figure, svg, png)


def draw_reliability(reliability, simulated, svg, png):
    """Draw observed frequency against predicted probability of infarct, above the number of voxels of each bin.

    Parameters
    ----------
    reliability : str or Path
        results/reliability.tsv.
    simulated : bool
        Whether the figure says that the cohort is simulated.
    svg, png : str or Path
        The figure, 90 mm wide.
    """
    table = read_table(reliability, text=("status", "training_set", "part"))
    figure = new_figure(COLUMN_MM, 110.0)
    curve, counts = figure.subplots(2, 1, sharex=True, height_ratios=[3.4, 1])
    curve.plot([0, 1], [0, 1], color=GREY, lw=0.8, ls="--", label="perfect")
    groups = [status for status in STATUS_LABELS if (table["status"] == status).any()]
    for place, status in enumerate(groups):
        rows, colour = table[table["status"] == status], STATUS_COLOURS[status]
        bins = rows[rows["part"] == "bin"]
        (overall,) = rows[rows["part"] == "all"].itertuples()
        label = f"{STATUS_LABELS[status]} (n = {overall.patients})\nECE {overall.calibration_error:.3f}, Brier {overall.brier_score:.3f}"
        known = bins[bins["voxels"] > 0]
        curve.plot(known["mean_probability"], known["observed_frequency"], "-" + STATUS_MARKERS[status], color=colour, ms=4, label=label)
        width = (bins["bin_high"] - bins["bin_low"]) * 0.8 / len(groups)
        left = bins["bin_low"] + (bins["bin_high"] - bins["bin_low"]) * 0.1 + width * place
        counts.bar(left, bins["voxels"], width, align="edge", color=colour)
    curve.set(xlim=(0, 1), ylim=(0, 1), ylabel="observed frequency of infarct")
    curve.legend(loc="upper left")
    counts.set(yscale="log", xlabel="predicted probability of infarct", ylabel="brain voxels")
    footnote(figure, simulated)
    save(figure, svg, png)


def draw_dice_by_volume(metric_files, volumes, simulated, svg, png):
    """Draw the DSC of the network of the own status against the volumes of the baseline DWI lesion and the final lesion, with Spearman's correlation.

    Parameters
    ----------
    metric_files : list of str or Path
        As for ``draw_paired_dice``.
    volumes : str or Path
        results/lesion_volumes.tsv: participant_id, diffusion_lesion_ml, final_lesion_ml, diffusion_lesion_source.
    simulated : bool
        Whether the figure says that the cohort is simulated.
    svg, png : str or Path
        The figure, 190 mm wide. Volumes of 0 ml stand, hollow, at the left end of the logarithmic axis.

    Raises
    ------
    InputError
        A tested patient has no volumes.
    """
    dice = read_own_status(metric_files, "dsc")
    sizes = read_table(volumes).set_index("participant_id")
    absent = sorted(set(dice.index) - set(sizes.index))
    if absent:
        raise InputError(volumes, f"no row for the tested patients {', '.join(absent)}", "make the table again")
    figure = new_figure(PAGE_MM, 80.0)
    axes = figure.subplots(1, len(VOLUMES), sharey=True)
    for axis, (column, label) in zip(axes, VOLUMES.items(), strict=True):
        volume = sizes.loc[dice.index, column]
        _draw_against_volume(axis, volume, dice)
        correlation, p_value = spearman(volume, dice["cnn"])
        words = "undefined" if np.isnan(correlation) else f"{correlation:.2f}, p = {p_text(p_value)}"
        axis.set_title(f"Spearman's ρ = {words} (n = {len(dice)})".replace("-", "−"))
        axis.set(xscale="log", xlabel=label, ylim=(-0.03, 1.03))
        axis.xaxis.set_major_formatter("{x:g}")
    axes[0].set_ylabel("DSC of the CNN of own status")
    signs = [Line2D([], [], color=STATUS_COLOURS[s], marker=STATUS_MARKERS[s], ls="", ms=4, label=label) for s, label in STATUS_LABELS.items()]
    axes[0].legend(handles=signs, loc="best")
    footnote(figure, simulated, source_note(volumes, dice.index))
    save(figure, svg, png)


def _draw_against_volume(axis, volume, dice):
    """Draw the points of one panel; a logarithmic axis has no place for 0 ml, so those stand at half the smallest volume."""
    positive = volume[volume > 0]
    edge = positive.min() / 2.0 if len(positive) else 1.0
    for status, colour in STATUS_COLOURS.items():
        mine = dice["status"] == status
        for zero in (False, True):
            some = mine & ((volume <= 0) == zero)
            face = "white" if zero else colour
            axis.plot(volume[some].clip(lower=edge), dice.loc[some, "cnn"], STATUS_MARKERS[status], mec=colour, mfc=face, ms=4, mew=0.6)
    if (volume <= 0).any():
        axis.axvspan(edge / 1.4, edge * 1.4, color=PALE, lw=0, zorder=0)
        axis.text(edge, 1.0, "0 ml", ha="center", va="top", fontsize=SMALL, color=GREY)
