"""Checkpoint of a training: all that it needs to go on after it was killed as if nothing had happened."""

import hashlib
import json
import logging
import shutil
import time
from pathlib import Path

import numpy as np

from finalinfarct.dataset.files import whole

log = logging.getLogger(__name__)


class Checkpoint:
    """The file that one training goes on from, and no other training.

    Snakemake removes the outputs and logs of a job that it runs again, so the file is none of them. What determines the training is hashed into its
    name; files of other names in its folder are of an earlier configuration, or were cut off while being written, and are removed.

    Parameters
    ----------
    folder : str or Path
        Folder of this training alone, made with the first checkpoint.
    identity : dict
        All that determines the weights (settings, data, code, versions), as JSON can hold it.
    interval_s : float
        Least time in s between two checkpoints; 0 writes one after every epoch.
    """

    def __init__(self, folder, identity, interval_s):
        key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
        self.folder, self.interval_s = Path(folder), interval_s
        self.path = self.folder / f"{key}.npz"
        self._written = time.monotonic()
        for path in self.folder.glob("*"):
            if path != self.path:
                log.info("%s is removed: settings, data, code or versions are others now", path)
                path.unlink()

    def write_when_due(self, state):
        """Write the state, whole or not at all, if the interval has passed.

        Parameters
        ----------
        state : callable
            Returns a dict of counters and the like, as JSON can hold them, and a dict of str to list of numpy.ndarray. Called only when it is due.
        """
        if time.monotonic() - self._written < self.interval_s:
            return
        progress, arrays = state()
        named = {f"{name}/{number}": array for name, values in arrays.items() for number, array in enumerate(values)}
        with whole(self.path) as partial:
            np.savez(partial, progress=json.dumps(progress), **named)
        self._written = time.monotonic()

    def read(self):
        """Read the state back.

        Returns
        -------
        (dict, dict of str to list of numpy.ndarray) or None
            As ``state`` of ``write_when_due`` returned them; None where there is no file, or a damaged one, of which a warning tells.
        """
        if not self.path.exists():
            return None
        try:
            with np.load(self.path, allow_pickle=False) as file:
                progress, arrays = json.loads(str(file["progress"])), {}
                for name in file.files:
                    if name != "progress":
                        # Reading an array checks its CRC; the arrays of a list stand in their order.
                        arrays.setdefault(name.partition("/")[0], []).append(file[name])
                return progress, arrays
        except Exception as fault:  # zipfile, zlib, NumPy and JSON raise several types for damaged files
            log.warning("%s is damaged (%s): training begins anew", self.path, fault)
            self.path.unlink()
            return None

    def remove(self):
        """Remove the checkpoint after the training has ended well."""
        shutil.rmtree(self.folder, ignore_errors=True)
