"""What all figures share: sizes and type of a journal page, colours, files that are the same byte for byte, and the note on simulated cohorts."""

import re
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from finalinfarct.dataset.files import whole

MM_PER_INCH = 25.4
COLUMN_MM, PAGE_MM = 90.0, 190.0
DPI = 300
SMALL, NORMAL = 6.0, 7.0
LOOK = {
    "font.family": "DejaVu Sans",
    "font.size": NORMAL,
    "axes.titlesize": NORMAL,
    "axes.labelsize": NORMAL,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "figure.titlesize": NORMAL,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "lines.linewidth": 1.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    # Text stays text, so that a figure can be searched and edited.
    "svg.fonttype": "none",
    # Names of clips and markers would be random otherwise.
    "svg.hashsalt": "finalinfarct",
}
matplotlib.rcParams.update(LOOK)

# Okabe and Ito's colours, which colour-blind readers tell apart. Lesions are green against magenta, never green against red.
INK, GREY, PALE = "#1A1A1A", "#7F7F7F", "#EDEDED"
BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#F0E442"
STATUS_COLOURS = {"reperfused": BLUE, "nonreperfused": ORANGE}
STATUS_MARKERS = {"reperfused": "o", "nonreperfused": "^"}
STATUS_LABELS = {"reperfused": "reperfused", "nonreperfused": "not reperfused"}
DIFFUSION_LESION, FINAL_LESION, PREDICTED_LESION = "deepskyblue", "lime", "#FF3DCB"
SIMULATED = "Simulated cohort: nothing here is a finding about patients."


def new_figure(width_mm, height_mm, layout="constrained", facecolor="white"):
    """Return an empty figure of this size on the page; ``layout`` is None where the caller places everything."""
    return Figure(figsize=(width_mm / MM_PER_INCH, height_mm / MM_PER_INCH), layout=layout, facecolor=facecolor)


def drawing_area(width_mm, height_mm):
    """Return a figure, and axes that fill it whose units are mm from the lower left corner, for drawings of boxes and lines."""
    figure = new_figure(width_mm, height_mm, layout=None)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set(xlim=(0, width_mm), ylim=(0, height_mm))
    axis.set_axis_off()
    return figure, axis


def footnote(figure, simulated, text=""):
    """Write text below a figure, and where ``simulated`` is true that the cohort is simulated; a constrained layout leaves room for it."""
    lines = [line for line in (text, SIMULATED if simulated else "") if line]
    if lines:
        figure.supxlabel("\n".join(lines), x=0.008, ha="left", fontsize=SMALL, color=GREY, linespacing=1.4)


def _numbered_clips(svg):
    """An SVG whose clip paths are numbered: matplotlib's names change with the last bit of a coordinate, which a layout's solver leaves open."""
    numbers = {}

    def name(match):
        return f"{match[1]}clip{numbers.setdefault(match[2], len(numbers) + 1)}"

    return re.sub(r"(url\(#|<clipPath id=\")(p[0-9a-f]{10})", name, svg)


def save(figure, *paths):
    """Write a figure, the same bytes every time.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Written at its own size.
    *paths : str or Path
        Files, ``.svg`` or ``.png`` (300 dpi); folders are made.
    """
    for path in map(Path, paths):
        undated = {"Date": None} if path.suffix == ".svg" else {"Software": None}
        with whole(path) as partial:
            figure.savefig(partial, dpi=DPI, metadata=undated)
            if path.suffix == ".svg":
                partial.write_text(_numbered_clips(partial.read_text(encoding="utf-8")), encoding="utf-8")
