"""Figure 4: five tested patients, good and difficult, by the network of their own status and by the mismatch model (paper, figure 4)."""

from finalinfarct.dataset.inclusion import read_inclusion
from finalinfarct.reporting.canvas import NORMAL, PAGE_MM, SMALL, footnote, new_figure, save
from finalinfarct.reporting.figure_predictions import describe_status, draw_final_lesion, draw_prediction, lesion_key
from finalinfarct.reporting.lesion_sources import source_words
from finalinfarct.reporting.own_status import read_own_status
from finalinfarct.reporting.panels import RANGE_TEXTS, largest_lesion_slice, show_map

GOOD_QUARTILE = 0.75
DIFFICULT = 3
# The rule finds a good case even where the network is nowhere better, so the figure names what was found and claims no success.
KIND_LABELS = {"good": "largest gain", "difficult": "difficult"}
PATIENT_MM = 39.0
RULE = (
    "Patients chosen by rule. Largest gain (DSC of CNN minus mismatch): of each status, among those whose CNN DSC is at least the upper quartile.\n"
    "Difficult: the lowest values of the better of the two DSC among the others.\n"
    "The slice is that in which the final lesion is largest; DSC is of the whole brain. The patient's left is on the right."
)


def choose_cases(dice):
    """Choose two good and three difficult patients.

    Good: of each status, among the patients whose DSC by the network is at least the upper quartile of that status (75th percentile, linear
    interpolation; one patient at least reaches it), the one with the largest gain in DSC of the network over the mismatch model. Difficult: of all
    others, the three with the lowest max(DSC of the network, DSC of the mismatch model). Ties go to the first in alphabetical order.

    Parameters
    ----------
    dice : pandas.DataFrame
        Indexed by participant_id; columns status, cnn, mismatch (``own_status.read_own_status``).

    Returns
    -------
    list of (str, str)
        participant_id and ``good`` or ``difficult``: not reperfused before reperfused, then from the lowest DSC upwards. Fewer where there are fewer
        patients.
    """
    # Rounded, so that differences equal on paper are ties.
    table = dice.sort_index().assign(gain=(dice["cnn"] - dice["mismatch"]).round(9), better=dice[["cnn", "mismatch"]].max(axis=1).round(9))
    good = []
    for _, group in table.groupby("status"):
        able = group[group["cnn"] >= group["cnn"].quantile(GOOD_QUARTILE)]
        good.append((able["gain"].idxmax(), "good"))
    others = table.drop(index=[name for name, _ in good]).sort_values("better", kind="stable")
    return good + [(name, "difficult") for name in others.index[:DIFFICULT]]


def draw_cases(metric_files, inclusion, volumes, images, predictions, simulated, svg, png):
    """Draw a row for each chosen patient.

    Parameters
    ----------
    metric_files : list of str or Path
        Metric tables of the late-fusion reperfused and non-reperfused models and of the mismatch model.
    inclusion : str or Path
        results/inclusion.tsv, for mTICI.
    volumes : str or Path
        results/lesion_volumes.tsv, which tells the source of the mismatch model's diffusion lesions.
    images : dict of str to str
        Path patterns with ``{participant}``: DWI, ADC, Tmax, FLAIR (follow-up), brain_mask, final_lesion; others are not drawn.
    predictions : dict of str to str
        Path patterns with ``{participant}`` of the masks: reperfused, nonreperfused, mismatch.
    simulated : bool
        Whether the figure says that the cohort is simulated.
    svg, png : str or Path
        The figure, 190 mm wide.

    Raises
    ------
    InputError
        As ``read_own_status`` and ``panels.largest_lesion_slice`` do.
    """
    dice = read_own_status(metric_files, "dsc")
    cases = choose_cases(dice)
    about = read_inclusion(inclusion).set_index("participant_id")
    figure = new_figure(PAGE_MM, PATIENT_MM * len(cases) + 18)
    axes = figure.subplots(len(cases), 6, squeeze=False, width_ratios=[0.72] + [1.0] * 5)
    for letter, row, (name, kind) in zip("ABCDE", axes, cases, strict=False):
        status = dice.loc[name, "status"]
        own = {"cnn": predictions[status], "mismatch": predictions["mismatch"]}
        paths = {key: pattern.format(participant=name) for key, pattern in {**images, **own}.items()}
        gain = f"gain {dice.loc[name, 'cnn'] - dice.loc[name, 'mismatch']:+.2f}".replace("-", "−")
        _write_label(row[0], letter, [KIND_LABELS[kind], gain, "", name, *describe_status(about.loc[name]).split(", ")])
        _draw_case(row[1:], largest_lesion_slice(paths), dice.loc[name])
    titles = ("DWI", f"Tmax ({RANGE_TEXTS['Tmax']})", "follow-up FLAIR", "CNN, model of own status", "mismatch model")
    for axis, title in zip(axes[0, 1:], titles, strict=True):
        axis.set_title(title)
    lesion_key(axes[0, 0], loc="lower left", bbox_to_anchor=(-0.05, 1.0))
    footnote(figure, simulated, f"{RULE}\nMismatch model: {source_words(volumes, [name for name, _ in cases])}.")
    save(figure, svg, png)


def _write_label(axis, letter, words):
    """Write a letter and lines of words at the left of a row."""
    axis.set_axis_off()
    axis.text(0, 0.97, letter, fontsize=NORMAL + 2, fontweight="bold", va="top", transform=axis.transAxes)
    axis.text(0, 0.78, "\n".join(words), fontsize=SMALL, va="top", linespacing=1.4, transform=axis.transAxes)


def _draw_case(axes, patient, dice):
    """Draw the images of one patient."""
    show_map(axes[0], patient, "DWI")
    show_map(axes[1], patient, "Tmax")
    show_map(axes[2], patient, "FLAIR")
    draw_final_lesion(axes[2], patient)
    for axis, name in zip(axes[3:], ("cnn", "mismatch"), strict=True):
        draw_prediction(axis, patient, name, dice[name])
