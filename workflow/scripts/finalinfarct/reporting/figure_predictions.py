"""Figure 3: predictions of all models in a typical reperfused and a typical non-reperfused patient (paper, figure 3)."""

from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from finalinfarct.dataset.inclusion import read_inclusion
from finalinfarct.evaluation.family import read_metrics
from finalinfarct.learning.families import INPUTS
from finalinfarct.reporting.canvas import FINAL_LESION, PAGE_MM, PREDICTED_LESION, STATUS_LABELS, footnote, new_figure, save
from finalinfarct.reporting.lesion_sources import source_words
from finalinfarct.reporting.own_status import read_own_status
from finalinfarct.reporting.panels import RANGE_TEXTS, largest_lesion_slice, outline, overlay, show_map, write_on

PREDICTIONS = {"reperfused": "CNN, reperfused model", "nonreperfused": "CNN, non-reperfused model", "mismatch": "mismatch model"}
PATIENT_MM = 96.0
RULE = (
    "Patients chosen by rule: of each status, the tested patient whose DSC, by the model of that status, is nearest to the group's median.\n"
    "The slice is that in which the final lesion is largest; DSC is of the whole brain. The patient's left is on the right."
)


def typical_patients(dice):
    """Choose the patient of each status whose DSC, by the model of the own status, is nearest to the group's median.

    Parameters
    ----------
    dice : pandas.DataFrame
        Indexed by participant_id; columns status and cnn (``own_status.read_own_status``).

    Returns
    -------
    dict of str to str
        participant_id by status; ties go to the first in alphabetical order.
    """
    chosen = {}
    for status, group in dice.sort_index().groupby("status"):
        # Rounded, so that two patients at one distance either side of the median are a tie.
        chosen[status] = (group["cnn"] - group["cnn"].median()).abs().round(9).idxmin()
    return chosen


def draw_predictions(metric_files, inclusion, volumes, images, predictions, simulated, svg, png):
    """Draw the typical patients: baseline images above, final lesion and the three predictions below.

    Parameters
    ----------
    metric_files : list of str or Path
        Metric tables of the late-fusion reperfused and non-reperfused models and of the mismatch model.
    inclusion : str or Path
        results/inclusion.tsv, for mTICI and reperfusion ratio.
    volumes : str or Path
        results/lesion_volumes.tsv, which tells the source of the mismatch model's diffusion lesions.
    images : dict of str to str
        Path patterns with ``{participant}``: DWI, ADC, Tmax, CBF, CBV, FLAIR (follow-up), brain_mask, final_lesion.
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
    metrics, own = read_metrics(metric_files), read_own_status(metric_files, "dsc")
    chosen = typical_patients(own)
    about = read_inclusion(inclusion).set_index("participant_id")
    figure = new_figure(PAGE_MM, PATIENT_MM * len(chosen) + 10)
    parts = figure.subfigures(len(chosen), 1, squeeze=False)[:, 0]
    for letter, part, status in zip("AB", parts, sorted(chosen), strict=False):
        name = chosen[status]
        part.suptitle(f"{letter}   {name}: {describe_status(about.loc[name])}", x=0.008, ha="left", fontweight="bold")
        dice = metrics[(metrics["participant_id"] == name) & (metrics["metric"] == "dsc")]
        scores = dict(zip(dice["training_set"].fillna("mismatch"), dice["value"], strict=True))
        paths = {key: pattern.format(participant=name) for key, pattern in {**images, **predictions}.items()}
        group = own.loc[own["status"] == status, "cnn"]
        words = f"{STATUS_LABELS[status]}: n = {len(group)}\nmedian DSC {group.median():.2f}\nby the own model"
        _draw_patient(part.subplots(2, len(INPUTS)), largest_lesion_slice(paths), scores, words)
    footnote(figure, simulated, f"{RULE}\nMismatch model: {source_words(volumes, chosen.values())}.")
    save(figure, svg, png)


def describe_status(row):
    """Words on a patient's reperfusion from the row of the inclusion table, such as ``not reperfused, mTICI 2a``."""
    words = STATUS_LABELS[row["status"]]
    if isinstance(row["mtici"], str):
        return f"{words}, mTICI {row['mtici']}"
    return words if row["reperfusion_ratio"] != row["reperfusion_ratio"] else f"{words}, ratio {row['reperfusion_ratio']:.2f}"


def draw_prediction(axis, patient, name, dice):
    """Draw a predicted mask of a ``Slice`` over DWI, with the outline of the final lesion and the DSC of the whole brain."""
    show_map(axis, patient, "DWI")
    overlay(axis, patient.planes[name], PREDICTED_LESION, patient.aspect)
    draw_final_lesion(axis, patient)
    write_on(axis, f"DSC {dice:.2f}")


def draw_final_lesion(axis, patient):
    """Outline the final lesion of a ``Slice``."""
    outline(axis, patient.planes["final_lesion"], FINAL_LESION)


def lesion_key(axis, **options):
    """Explain the outline and the colour of the lesions."""
    # Both on black, as they are seen in the panels.
    signs = [Line2D([], [], color=FINAL_LESION, lw=1.2, label="final lesion"), Patch(color=PREDICTED_LESION, alpha=0.7, label="predicted infarct")]
    axis.legend(handles=signs, facecolor="black", labelcolor="white", frameon=True, framealpha=1.0, edgecolor="black", **options)


def _draw_patient(axes, patient, scores, words):
    """Draw the two rows of a patient, with the key and words on the group in the last place."""
    for axis, name in zip(axes[0], INPUTS, strict=True):
        show_map(axis, patient, name)
        axis.set_title(f"{name} ({RANGE_TEXTS[name]})" if name in RANGE_TEXTS else name)
    show_map(axes[1, 0], patient, "FLAIR")
    draw_final_lesion(axes[1, 0], patient)
    axes[1, 0].set_title("follow-up FLAIR")
    for axis, (name, title) in zip(axes[1, 1:], PREDICTIONS.items(), strict=False):
        draw_prediction(axis, patient, name, scores[name])
        axis.set_title(title)
    axes[1, -1].set_axis_off()
    lesion_key(axes[1, -1], loc="lower center", bbox_to_anchor=(0.5, 0.55))
    axes[1, -1].text(0.5, 0.45, words, ha="center", va="top", linespacing=1.5, transform=axes[1, -1].transAxes)
