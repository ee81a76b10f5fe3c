"""A page of HTML in one file: its style inside, no script, nothing fetched from elsewhere; every text is escaped."""

import math
import re
from html import escape
from itertools import compress

# Half a bar is this many standard deviations; longer ones are cut there.
BAR_SD = 2.0
STYLE = """
:root { --ink: #1c2530; --soft: #5d6b7a; --line: #d9dfe6; --pale: #f5f7f9; --blue: #2f6f9f; --orange: #c4702b; }
:root { --amber: #fff3d6; --gold: #e0a82e; --red: #a3231f; --rose: #fdf0ef; --green: #2b7a4b; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1300px; padding: 28px 32px 80px; background: #fff; color: var(--ink); }
body { font: 15px/1.5 "Helvetica Neue", Arial, sans-serif; }
h1 { margin: 18px 0 6px; font-size: 30px; line-height: 1.2; font-weight: 650; letter-spacing: -0.01em; }
h2 { margin: 56px 0 8px; padding-top: 12px; border-top: 3px solid var(--ink); font-size: 22px; font-weight: 650; }
h3 { margin: 28px 0 8px; font-size: 16px; font-weight: 650; }
p { max-width: 92ch; margin: 8px 0; }
code { font: 0.92em ui-monospace, Menlo, "DejaVu Sans Mono", monospace; }
.banner { padding: 18px 24px; border: 3px solid var(--red); border-radius: 6px; background: var(--rose); color: var(--red); }
.banner { font-size: 27px; line-height: 1.25; font-weight: 750; }
.banner small { display: block; font-size: 15px; font-weight: 500; }
nav { margin: 22px 0; padding: 14px 20px; background: var(--pale); border-radius: 6px; }
nav ol { margin: 4px 0 0; padding-left: 22px; columns: 3; column-gap: 32px; }
nav li { break-inside: avoid; }
nav a { color: var(--blue); text-decoration: none; }
nav a:hover { text-decoration: underline; }
ul.notes { max-width: 98ch; margin: 12px 0 18px; padding: 10px 16px 10px 34px; }
ul.notes { background: var(--amber); border-left: 4px solid var(--gold); border-radius: 3px; }
ul.notes li { margin: 4px 0; }
table { width: 100%; border-collapse: collapse; margin: 6px 0 20px; font-size: 13px; font-variant-numeric: tabular-nums; }
table.narrow { width: auto; min-width: 560px; }
thead th { padding: 6px 8px; border-bottom: 2px solid var(--ink); color: var(--soft); font-size: 12px; font-weight: 600; }
thead th { text-align: left; vertical-align: bottom; }
tbody { border-bottom: 1px solid var(--line); }
tbody th { padding: 4px 8px; font-weight: 600; text-align: left; vertical-align: top; }
td { padding: 4px 8px; vertical-align: top; }
table.plain tbody tr { border-bottom: 1px solid var(--line); }
table.plain tbody th { white-space: nowrap; }
table.plain td.text { min-width: 24em; }
td.number, td.own, td.corrected, td.same, td.other { white-space: nowrap; }
td.own { font-weight: 650; }
td.soft { color: var(--soft); }
td.corrected { background: var(--amber); }
td.same { color: var(--green); }
td.other { color: var(--red); }
.bar { position: relative; display: inline-block; width: 72px; height: 11px; margin-right: 8px; vertical-align: -1px; }
.bar { background: var(--pale); border-radius: 2px; }
.bar::after { content: ""; position: absolute; left: 50%; top: -2px; bottom: -2px; border-left: 1px solid var(--soft); }
.bar i { position: absolute; top: 0; bottom: 0; border-radius: 2px; }
.bar .higher { left: 50%; background: var(--blue); }
.bar .lower { right: 50%; background: var(--orange); }
@page { size: A4 landscape; margin: 12mm; }
@media print {
  body { max-width: none; padding: 0; font-size: 11px; }
  h2 { margin-top: 24px; }
  .banner { font-size: 22px; }
  table { font-size: 10px; }
  td, thead th, tbody th { padding: 2px 6px; }
  tbody, ul.notes { break-inside: avoid; }
  table.plain tbody { break-inside: auto; }
  tr { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  nav a { color: var(--ink); }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
}
"""


def page(title, lead, sections, banner=None):
    """Join a page.

    Parameters
    ----------
    title : str
        Title of the page.
    lead : sequence of str
        Paragraphs below the title.
    sections : sequence of (str, str)
        Heading, and body in HTML; they are numbered, and listed at the top.
    banner : (str, str), optional
        A warning in large letters above everything, and a sentence below it.

    Returns
    -------
    str
        HTML.
    """
    anchors = [re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-") for heading, _ in sections]
    contents = "".join(f'<li><a href="#{anchor}">{escape(heading)}</a></li>\n' for anchor, (heading, _) in zip(anchors, sections, strict=True))
    bodies = "".join(
        f'<section id="{anchor}">\n<h2>{escape(heading)}</h2>\n{body}\n</section>\n'
        for anchor, (heading, body) in zip(anchors, sections, strict=True)
    )
    warning = f'<div class="banner" role="alert">{escape(banner[0])}<small>{escape(banner[1])}</small></div>\n' if banner else ""
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{warning}<h1>{escape(title)}</h1>\n"
        f"{''.join(map(paragraph, lead))}<nav><strong>Contents</strong>\n<ol>\n{contents}</ol></nav>\n{bodies}</body>\n</html>\n"
    )


def paragraph(text):
    """Paragraph of plain text; words in backticks are set as code."""
    return f"<p>{_prose(text)}</p>\n"


def notes_list(sentences):
    """Boxed list of sentences; nothing where there is none."""
    return f'<ul class="notes">{"".join(f"<li>{_prose(sentence)}</li>" for sentence in sentences)}</ul>\n' if sentences else ""


def _prose(text):
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def table(header, groups, kind="plain"):
    """Table of groups of rows; columns whose cells are all empty are left out.

    Parameters
    ----------
    header : sequence of str
        Titles of the columns, that of the groups' headings first where they have any.
    groups : sequence of (str, sequence of sequence of str)
        Heading of a group, in a cell at its left over all its rows (None: no such cell), and its rows of cells in HTML, as ``cell`` and ``bar`` make
        them.
    kind : str
        Class of the table: ``plain`` has a line below every row, ``grouped`` below every group, ``narrow`` is no wider than it must.

    Returns
    -------
    str
        HTML.
    """
    titles = header[any(heading is not None for heading, _ in groups) :]
    filled = [any(re.sub("<[^>]*>", "", row[place]) for _, rows in groups for row in rows) for place in range(len(titles))]
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in (*header[: len(header) - len(titles)], *compress(titles, filled)))
    bodies = []
    for heading, rows in groups:
        first = "" if heading is None else f'<th scope="rowgroup" rowspan="{len(rows)}">{escape(heading)}</th>'
        lines = [f"<tr>{first if number == 0 else ''}{''.join(compress(cells, filled))}</tr>" for number, cells in enumerate(rows)]
        bodies.append("<tbody>\n" + "\n".join(lines) + "\n</tbody>\n")
    return f'<table class="{kind}">\n<thead><tr>{head}</tr></thead>\n{"".join(bodies)}</table>\n'


def cell(text, kind="number"):
    """Cell of a table. ``kind`` is its class: number, own (this run's), soft, corrected, same, other or text."""
    return f'<td class="{kind}">{escape(text)}</td>'


def bar(value):
    """Cell with a number of standard deviations and a bar, to the right where positive; empty where undefined."""
    if math.isnan(value):
        return cell("", "soft")
    width, side = 50.0 * min(abs(value) / BAR_SD, 1.0), "higher" if value > 0 else "lower"
    return f'<td class="number"><span class="bar"><i class="{side}" style="width:{width:.1f}%"></i></span>{value:+.2f}</td>'
