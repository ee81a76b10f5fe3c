"""Reading and writing of tables: TSV as BIDS has it, ``n/a`` for what is missing, UTF-8."""

import csv
from pathlib import Path

import pandas as pd

from finalinfarct.dataset.files import require_file, whole
from finalinfarct.errors import InputError


def read_table(path, text=("participant_id",)):
    """Read a TSV (or CSV, by its ending) into a data frame; ``n/a`` and empty cells become NaN.

    Parameters
    ----------
    path : str or Path
        Table with a header row.
    text : tuple of str
        Columns that are text whatever they look like.

    Raises
    ------
    InputError
        The file is absent or cannot be parsed.
    """
    path = Path(path)
    require_file(path)
    separator = "," if path.suffix == ".csv" else "\t"
    try:
        _check_rows(path, separator)
        return pd.read_csv(path, sep=separator, na_values=["n/a", ""], keep_default_na=False, dtype=dict.fromkeys(text, str), encoding="utf-8-sig")
    except (ValueError, csv.Error) as fault:
        raise InputError(
            path, f"not a readable table ({fault})", "save it as UTF-8 text with one header row and as many cells in every row"
        ) from None


def _check_rows(path, separator):
    """ValueError for what pandas would guess at: columns of one name, and rows with more or fewer cells than there are columns."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, delimiter=separator, strict=True)
        columns = next(rows, [])
        twice = sorted({name for name in columns if columns.count(name) > 1})
        if twice:
            raise ValueError(f"column {', '.join(twice)} appears twice")
        for row in rows:
            if row and len(row) != len(columns):
                raise ValueError(f"line {rows.line_num} has {len(row)} cells where the header has {len(columns)}")


def write_table(frame, path):
    """Write a data frame as TSV (or CSV, by the ending of ``path``) whole or not at all, without its index; missing is ``n/a``.

    ``read_table`` gives back the same numbers to the last bit: a rank test must find the same ties in them.
    """
    with whole(path) as partial:
        separator = "," if partial.suffix == ".csv" else "\t"
        frame.to_csv(partial, sep=separator, index=False, na_rep="n/a", lineterminator="\n", float_format=_shortest)


def _shortest(number):
    """The shortest text that reads as this number; whole numbers, as a column with missing values holds them, without a point."""
    return repr(float(number)).removesuffix(".0")
