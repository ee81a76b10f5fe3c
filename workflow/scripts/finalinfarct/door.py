"""What every door does around its one call: logging into the rule's log file, user errors without a traceback, and the hidden truth kept shut."""

import ctypes
import errno
import logging
import os
import resource
import signal
import sys
import time
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from finalinfarct.dataset.contract import TRUTH_FOLDER
from finalinfarct.dataset.files import failing, unwritable
from finalinfarct.dataset.images import read_image
from finalinfarct.dataset.memory import image_settings, possible_files, remember_fault
from finalinfarct.errors import InputError
from finalinfarct.plan.code import door_hashes

PR_SET_PDEATHSIG = 1  # of Linux's prctl


@contextmanager
def door(job, analysis=True):
    """Run the body of a door.

    Parameters
    ----------
    job : object
        The ``snakemake`` object of a script: its first log file, if any, receives all messages; warnings and errors go to the terminal too.
    analysis : bool
        Whether opening a file of the simulated truth (``derivatives/truth``) is refused, as it must be in all doors but those of the simulation.

    Raises
    ------
    SystemExit
        In place of an ``InputError``, whose text is printed.
    """
    begin = time.monotonic()
    _end_with_snakemake()
    with _logged(job.log[0] if len(job.log) else None):
        try:
            with _truth_shut() if analysis else nullcontext():
                yield
        except InputError as fault:
            logging.getLogger("finalinfarct").error("%s", fault)
            _remember(job, fault)
            sys.exit(1)
        except Exception as fault:
            if isinstance(fault, OSError) and (told := _of_the_disk(fault, fault.filename or "the disk")):
                logging.getLogger("finalinfarct").error("%s", told)
                sys.exit(1)
            logging.getLogger("finalinfarct").exception("unexpected fault")
            raise
        finally:
            # What a cluster is to be asked for: docs/cluster.md.
            peak_kib = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
            logging.getLogger("finalinfarct").info("peak memory %d MB, %.0f s", peak_kib // 1024, time.monotonic() - begin)


def _of_the_disk(fault, path):
    """What is said of an OSError that is no fault of input or code, such as a full disk; None for others."""
    # What may not be opened could be an input: its reader tells of that.
    return failing(fault, path) or (None if fault.errno == errno.EACCES else unwritable(fault, path))


def _remember(job, fault):
    """Keep what a patient's step found wrong in an image, so that the next run refuses or excludes the patient.

    The image is one of the patient's in the dataset, or made of them: then it must be an input of the step, not what it could not write, and whole,
    since one that was damaged on the disk says nothing of the patient. The folder does not tell the two apart: results may lie within the dataset.
    """
    dataset, name = job.config["dataset"], job.wildcards.get("participant")
    if not name or dataset["simulated"]:
        return
    root, until = Path(os.path.expanduser(dataset["path"])), "the patient's files, the settings of the images or the code are others"
    if Path(fault.where).absolute() in [path.absolute() for path in possible_files(root, name)]:
        codes = [job.params.code]
    elif fault.where in map(str, job.input) and _whole(fault.where):
        codes, until = door_hashes(), f"{until}, or the image is removed"
    else:
        return
    kept = remember_fault(root, name, job.rule, codes, fault, image_settings(job.config))
    logging.getLogger("finalinfarct").warning(
        "kept in %s: until %s, the workflow stops at once, or with dataset.faults: exclude leaves %s out", kept, until, name
    )


def _whole(path):
    """Whether a file is an image that can be read to its end."""
    if not str(path).endswith((".nii", ".nii.gz")):
        return False
    try:
        read_image(path)
    except (InputError, OSError, MemoryError):
        return False
    return True


def _end_with_snakemake():
    """Have Linux kill this process when the one that started it is killed: left behind, it would write beside the run that does its job again."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@contextmanager
def _logged(path):
    """Send all messages to a log file (None: to none), warnings and errors to the terminal too.

    What libraries in C++ write to the process's error stream, such as TensorFlow's notes at its start, goes to the log file alone.
    """
    form = {"level": logging.INFO, "format": "%(asctime)s %(levelname)s %(message)s", "force": True}
    if path is None:
        terminal = logging.StreamHandler(sys.stderr)
        terminal.setLevel(logging.WARNING)
        logging.basicConfig(handlers=[terminal], **form)
        yield
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    sys.stderr.flush()
    # A log that cannot be written, on a full disk, must not hide what stopped the step.
    logging.raiseExceptions = False
    with open(os.dup(2), "w", encoding="utf-8") as stream:
        file = open(path, "w", encoding="utf-8", buffering=1)  # noqa: SIM115, closing it may fail
        os.dup2(file.fileno(), 2)
        terminal, record = logging.StreamHandler(stream), logging.StreamHandler(file)
        terminal.setLevel(logging.WARNING)
        logging.basicConfig(handlers=[terminal, record], **form)
        try:
            yield
        finally:
            with suppress(OSError):
                sys.stderr.flush()
            os.dup2(stream.fileno(), 2)
            logging.basicConfig(handlers=[logging.NullHandler()], **form)
            with suppress(OSError):
                file.close()


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
