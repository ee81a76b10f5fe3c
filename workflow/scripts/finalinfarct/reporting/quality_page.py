"""The quality page of one patient: numbers, flags and pictures in one HTML file, and a strip of small pictures."""

import base64
import json
from html import escape
from pathlib import Path

from finalinfarct.dataset.files import whole, write_text
from finalinfarct.imaging.quality import NUMBERS, SESSIONS, measure_quality
from finalinfarct.reporting import quality_words as words
from finalinfarct.reporting.canvas import SIMULATED
from finalinfarct.reporting.html_page import cell, notes_list, page, paragraph, table
from finalinfarct.reporting.quality_pictures import (
    Volumes,
    draw_arterial_input,
    draw_brain_mask,
    draw_histograms,
    draw_map,
    draw_registration,
    draw_strip,
)

MEASURED = "It judges the images and not the patient, and no prediction reads anything of it."
# Which images are registered is a matter of the cohort, and missing ones are no news.
OF_REGISTERED = ("similarity", "residual_shift")
ORDER = "Begin with the flags. Then look at registration and brain mask: if these are wrong, nothing below them can be right."
SIMULATED_BANNER = (SIMULATED, "The images look cleaner than a scanner's; use the page to learn what to look for.")


def write_quality(participant, cohort, files, thresholds, simulated, numbers, html, png):
    """Measure one patient's images and write the numbers, the page and the strip.

    Parameters
    ----------
    participant, cohort : str
        Names.
    files : dict of str to path
        As for ``measure_quality``; for each session with a raw series also ``{session}_aif_mask`` and ``{session}_perfref``, on the series' grid.
    thresholds : dict of str to float
        Of the mismatch model, by map: ``ADC`` (um2/s) and ``Tmax`` (s).
    simulated : bool
        Whether the page says that the cohort is simulated.
    numbers, html, png : str or Path
        JSON of ``measure_quality``, the page with its pictures inside, and the strip.

    Raises
    ------
    InputError
        An image is unusable or on another grid than the brain mask, or the brain mask is empty.
    """
    measure_quality(participant, cohort, files, thresholds["Tmax"], numbers)
    measured, patient = json.loads(Path(numbers).read_text(encoding="utf-8")), Volumes(files)
    sections = [
        ("Flags", _flags(measured["flags"])),
        ("Registration", _explained(words.REGISTRATION, embedded(draw_registration(patient), "registered images with contours of the reference"))),
        ("Brain mask", _explained(words.BRAIN_MASK, embedded(draw_brain_mask(patient), "outline of the brain mask on the reference"))),
        ("Arterial input", _arterial_inputs(files)),
        ("Maps", _maps(patient, thresholds)),
        ("Histograms", _explained(words.HISTOGRAMS, embedded(draw_histograms(patient, thresholds), "histograms of the maps within the brain"))),
        ("Numbers", _numbers(measured["numbers"])),
    ]
    lead = (f"Image quality of one patient of the cohort `{cohort}`. {MEASURED}", f"{ORDER} The patient's left is on the right of every picture.")
    write_text(html, page(participant, lead, sections, SIMULATED_BANNER if simulated else None))
    with whole(png) as partial:
        partial.write_bytes(draw_strip(patient))


def embedded(png, description, style="display:block; max-width:100%; margin:10px 0"):
    """Picture inside a page: the bytes of a PNG, with words for those who do not see it."""
    return f'<img style="{style}" alt="{escape(description)}" src="data:image/png;base64,{base64.b64encode(png).decode("ascii")}">\n'


def _explained(caption, picture):
    """A picture below its caption."""
    return "".join(map(paragraph, caption)) + picture


def _flags(flags):
    """Table of the flags with their meaning."""
    if not flags:
        return paragraph("No flag was raised.")
    rows = [[cell(flag["about"], "text"), cell(flag["flag"], "text"), cell(words.flag_meaning(flag["flag"]), "text")] for flag in flags]
    return table(["about", "flag", "what it means"], [(None, rows)])


def _numbers(numbers):
    """Table of the numbers that the patient has, with how to read them; those that any patient may have and this one lacks are listed below it."""
    rows = [
        [cell(number.label, "text"), cell(number.shown(numbers[name]), "own"), cell(words.number_meaning(name), "text")]
        for name, number in NUMBERS.items()
        if numbers[name] is not None
    ]
    absent = [number.label for name, number in NUMBERS.items() if numbers[name] is None and not name.startswith(OF_REGISTERED)]
    note = [f"Not measured, for want of the images or because they are undefined: {', '.join(absent)}."] if absent else []
    return table(["number", "value", "how to read it"], [(None, rows)]) + notes_list(note)


def _arterial_inputs(files):
    """Curve and voxels of the arterial input of every session that has one."""
    sessions = [name for name in SESSIONS if f"{name}_aif" in files]
    if not sessions:
        return paragraph(words.GIVEN_MAPS if "tmax" in files else words.NO_PERFUSION)
    body = "".join(map(paragraph, words.ARTERIAL_INPUT))
    for name in sessions:
        report = json.loads(Path(files[f"{name}_report"]).read_text(encoding="utf-8"))
        picture = draw_arterial_input(files[f"{name}_aif"], files[f"{name}_aif_mask"], files[f"{name}_perfref"], report)
        contrast = f"contrast-to-noise ratio of the median voxel {report['median_contrast_to_noise']:.3g}."
        chosen = f"{report['aif_voxels']} voxels, {report['aif_source']}; {contrast}"
        body += f"<h3>{escape(SESSIONS[name].capitalize())}</h3>\n{paragraph(chosen)}"
        body += embedded(picture, f"arterial input of the {SESSIONS[name]}")
    return body


def _maps(patient, thresholds):
    """Slices of every map that the patient has."""
    body = ""
    for name in ("Tmax", "CBF", "ADC"):
        if name in patient.data:
            picture = draw_map(patient, name, thresholds["Tmax"] if name == "Tmax" else None)
            text = words.MAPS[name].format(threshold=thresholds["Tmax"])
            body += f"<h3>{escape(patient.labels[name])}</h3>\n{paragraph('How to read it. ' + text)}{embedded(picture, f'slices of {name}')}"
    return body
