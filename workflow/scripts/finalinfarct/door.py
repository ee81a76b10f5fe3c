"""What every door does around its one call: logging into the rule's log file, user errors without a traceback, and the hidden truth kept shut."""

import logging
import os
import sys
from contextlib import contextmanager, nullcontext
from pathlib import Path

from finalinfarct.dataset.contract import TRUTH_FOLDER
from finalinfarct.errors import InputError


@contextmanager
def door(job, analysis=True):
    """Run the body of a door.

    Parameters
    ----------
    job : object
        The ``snakemake`` object of a script: its first log file, if any, receives all messages; warnings and errors also go to the terminal.
    analysis : bool
        Whether opening a file of the simulated truth (``derivatives/truth``) is refused, as it must be in all doors but those of the simulation.

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
        with _truth_shut() if analysis else nullcontext():
            yield
    except InputError as fault:
        logging.getLogger("finalinfarct").error("%s", fault)
        sys.exit(1)
    except Exception:
        logging.getLogger("finalinfarct").exception("unexpected fault")
        raise


@contextmanager
def _truth_shut():
    """Refuse to open any file of the simulated truth, whoever asks for it in this process."""
    shut = True

    def refuse(event, arguments):
        if shut and event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
            path = Path(os.fsdecode(arguments[0]))
            if ("derivatives", TRUTH_FOLDER) in zip(path.parts, path.parts[1:], strict=False):
                raise InputError(path, "hidden truth of the simulation, which no analysis may read", "read the dataset itself")

    # An audit hook sees every opening of a file by Python, and cannot be removed again: hence the switch.
    sys.addaudithook(refuse)
    try:
        yield
    finally:
        shut = False
