"""Reading and writing of tables: TSV as BIDS has it, ``n/a`` for what is missing, UTF-8."""

from pathlib import Path

import pandas as pd

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
    if not path.exists():
        raise InputError(path, "the file does not exist", "add it, or correct its name")
    separator = "," if path.suffix == ".csv" else "\t"
    try:
        return pd.read_csv(path, sep=separator, na_values=["n/a", ""], keep_default_na=False, dtype=dict.fromkeys(text, str))
    except (ValueError, UnicodeDecodeError) as fault:
        raise InputError(path, f"not a readable table ({fault})", "save it as UTF-8 text with one header row") from None


def write_table(frame, path):
    """Write a data frame as TSV (or CSV, by the ending of ``path``) without its index; missing is ``n/a``."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    separator = "," if path.suffix == ".csv" else "\t"
    frame.to_csv(path, sep=separator, index=False, na_rep="n/a", lineterminator="\n", float_format="%.12g")
