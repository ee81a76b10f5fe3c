"""Numbers and tables as Markdown, in the form in which the paper prints them."""

import math


def pipe_table(header, rows):
    """Return a pipe table.

    Parameters
    ----------
    header : sequence of str
        Titles of the columns.
    rows : sequence of sequence of str
        Cells, as many per row as there are titles.

    Raises
    ------
    ValueError
        A row of another length.
    """
    header, rows = [str(cell) for cell in header], [[str(cell) for cell in row] for row in rows]
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"{len(row)} cells {row} under {len(header)} titles")
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def mean_and_sd(mean, sd, sd_decimals=2):
    """``0.44 ± 0.21``; ``n/a`` where the mean is undefined, no standard deviation where that is."""
    if math.isnan(mean):
        return "n/a"
    return f"{mean:.2f}" if math.isnan(sd) else f"{mean:.2f} ± {sd:.{sd_decimals}f}"


def fixed(value, decimals):
    """Number with so many decimals; ``n/a`` where undefined."""
    return "n/a" if math.isnan(value) else f"{value:.{decimals}f}"


def p_text(p_value):
    """p-value with two significant digits, as the paper prints it: ``0.0069``, below 1e-4 ``3.7e-6``; ``n/a`` where undefined."""
    if math.isnan(p_value):
        return "n/a"
    if p_value < 1e-4:
        digits, exponent = f"{p_value:.1e}".split("e")
        return f"{digits}e{int(exponent)}"
    return f"{p_value:.{1 - math.floor(math.log10(p_value))}f}"


def marked(text, bold, stars=""):
    """Bold where asked for, and stars in brackets behind."""
    return (f"**{text}**" if bold and text != "n/a" else text) + (f" ({stars})" if stars else "")


def document(title, caption, sections, notes, simulated):
    """Join a table's page.

    Parameters
    ----------
    title, caption : str
        Heading and text above the tables.
    sections : sequence of (str, str)
        Heading and body of each part.
    notes : sequence of str
        Sentences listed at the end.
    simulated : bool
        The page then begins with a bold line that says so.
    """
    warning = ["**The cohort is simulated: these numbers say nothing about patients.**"] if simulated else []
    parts = [*warning, f"# {title}", caption]
    for heading, body in sections:
        parts += [f"## {heading}", body]
    if notes:
        parts += ["## Notes", "\n".join(f"- {note}" for note in notes)]
    return "\n\n".join(parts) + "\n"
