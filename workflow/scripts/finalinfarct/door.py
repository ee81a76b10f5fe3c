"""What every door does around its one call: logging into the rule's log file, and user errors without a traceback."""

import logging
import sys
from contextlib import contextmanager
from pathlib import Path

from finalinfarct.errors import InputError


@contextmanager
def door(job):
    """Run the body of a door.

    Parameters
    ----------
    job : object
        The ``snakemake`` object of a script: its first log file, if any, receives all messages; warnings and errors also go to the terminal.

    Raises
    ------
    SystemExit
        In place of an ``InputError``, whose text is printed.
    """
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setLevel(logging.WARNING)
    handlers = [terminal]
    if len(job.log):
        Path(job.log[0]).parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(job.log[0], mode="w", encoding="utf-8"))
    logging.basicConfig(level=logging.INFO, handlers=handlers, format="%(asctime)s %(levelname)s %(message)s", force=True)
    try:
        yield
    except InputError as fault:
        logging.getLogger("finalinfarct").error("%s", fault)
        sys.exit(1)
    except Exception:
        logging.getLogger("finalinfarct").exception("unexpected fault")
        raise
