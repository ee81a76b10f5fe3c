"""Which GPU a process computes on, when several share the machine and no scheduler has said."""

import fcntl
import logging
import os
import re
import subprocess
import tempfile
import time
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path

from finalinfarct.errors import InputError

# Settings of ``training`` that say how a training runs and not what comes out of it: changed, they neither start a training anew nor make its
# checkpoint useless.
EXECUTION = ("threads", "slots_per_gpu", "checkpoint_interval_s", "tensorboard")
WAIT_S = 1.0
# Set in a job by SLURM, PBS, SGE and LSF, which give it GPUs of its own.
SCHEDULER_JOBS = ("SLURM_JOB_ID", "PBS_JOBID", "JOB_ID", "LSB_JOBID")
FULL = re.compile("ResourceExhausted|RESOURCE_EXHAUSTED|OutOfMemory|MemoryError|out of memory")
log = logging.getLogger(__name__)


def claim_slot(devices, slots, folder):
    """Take a free slot of a device by a lock, which is gone with the process however it ends.

    Parameters
    ----------
    devices : list of str
        Identifiers of the GPUs.
    slots : int
        Number of processes that may share one GPU.
    folder : str or Path
        Folder of the lock files, the same for all processes of the machine.

    Returns
    -------
    (str, file) or None
        The device, and the open file that holds the lock until it is closed; None when all slots are taken. Devices are filled evenly.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for slot in range(slots):
        for device in devices:
            file = open(folder / f"{device}_slot-{slot}.lock", "w")  # noqa: SIM115, the lock lives as long as the file is open
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
            else:
                return device, file
    return None


def claim_gpu(slots, environment=os.environ, devices=None, folder=None):
    """Show this process one GPU with a free slot, waiting for one if need be. It must not have touched a GPU yet.

    Parameters
    ----------
    slots : int
        Number of processes that may share one GPU.
    environment : dict
        Environment of the process, in which CUDA_VISIBLE_DEVICES is set; in a job of a scheduler that has set it, nothing is done.
    devices : list of str, optional
        Identifiers of the GPUs; by default those that CUDA_VISIBLE_DEVICES names, else those of ``nvidia-smi``.
    folder : str or Path, optional
        Folder of the lock files; one of this user in the machine's temporary folder by default.

    Returns
    -------
    file or None
        What holds the lock, to be kept open as long as the GPU is used; None where there is none to take.
    """
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and any(name in environment for name in SCHEDULER_JOBS):
        log.info("GPUs as the scheduler says: CUDA_VISIBLE_DEVICES=%s", visible)
        return None
    if devices is None:
        # An empty or negative entry hides all GPUs that follow it.
        devices = gpu_identifiers() if visible is None else list(takewhile(lambda name: name and name != "-1", visible.split(",")))
    if not devices:
        return None
    folder = folder or Path(tempfile.gettempdir()) / f"finalinfarct-{os.getuid()}"
    begin = time.monotonic()
    if not (claim := claim_slot(devices, slots, folder)):
        log.info("waiting for a GPU: all %d slots on each of %d GPUs are taken", slots, len(devices))
    while not claim:
        time.sleep(WAIT_S)
        claim = claim_slot(devices, slots, folder)
    device, lock = claim
    environment["CUDA_VISIBLE_DEVICES"] = device
    log.info("GPU %s, one of %d slots on each of %d GPUs, after waiting %.0f s", device, slots, len(devices), time.monotonic() - begin)
    return lock


def gpu_identifiers():
    """Identifiers of the GPUs that ``nvidia-smi`` lists; none where it is not installed or finds none."""
    try:
        found = subprocess.run(["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line for line in found.stdout.split() if line.startswith("GPU-")] if found.returncode == 0 else []


@contextmanager
def memory_faults_named():
    """Raise an ``InputError`` with a mend where a library says that the memory is full.

    A batch is not divided: its Dice and its normalisation are those of the whole batch, so parts of it would give another result.
    """
    try:
        yield
    except Exception as fault:  # each library has its own type
        if not FULL.search(f"{type(fault).__name__} {fault}"):
            raise
        raise InputError(
            "training",
            f"the memory of the device is full ({type(fault).__name__})",
            "lower training.slots_per_gpu, set training.precision: bfloat16, or lower training.batch_size or images.matrix; all but the first change "
            "the result",
        ) from fault
