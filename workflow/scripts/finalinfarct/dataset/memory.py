"""What is known of a dataset's patients from earlier looks, valid as long as their files are the same.

The patients in whom the check found nothing are kept, so that planning looks only at those that are new, changed or faulty.
Faults that only a step can see, since it reads the voxels, are kept too, so that the next run refuses or excludes the patient before anything starts.
"""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

from finalinfarct.dataset.contract import patient_files
from finalinfarct.dataset.files import write_text
from finalinfarct.dataset.images import sidecar_path, write_json
from finalinfarct.errors import InputError

CHECKED = Path(".snakemake") / "dataset_check.json"
FOUND_BY_STEPS = Path("results") / "faults"


class CheckMemory:
    """Patients that were checked before and have no fault. One with a fault is looked at again: its files do not show all that may mend it.

    Parameters
    ----------
    code : str
        Hash of the code that checks: what other code found is not known.
    path : str or Path
        JSON file; absent, unreadable or of another shape, nothing is known.
    """

    def __init__(self, code, path=CHECKED):
        self.code, self.path, self.used = code, Path(path), set()
        sound = _read(self.path).get("sound")
        self.known = set(sound) if _texts(sound) else set()

    def recall(self, root, participant_id, cohort, look):
        """Return the faults of a patient of a configured cohort: none of one that is known, else the list that ``look()`` finds."""
        key = f"{participant_id} {_hash([state_of_files(root, participant_id), cohort, self.code])}"
        faults = [] if key in self.known else look()
        if not faults:
            self.used.add(key)
        return faults

    def save(self):
        """Write what was asked for, and forget the rest; a folder that cannot be written is no fault."""
        if self.used == self.known:
            return
        # Two commands may write at once: the one whose file the other has taken for left over gives way.
        with suppress(OSError, InputError):
            write_text(self.path, json.dumps({"sound": sorted(self.used)}))


def possible_files(root, participant_id):
    """Return the paths of a patient's files in the dataset, whether they exist or not: images, packed or not, with what lies beside them."""
    images = patient_files(root, participant_id).values()
    return [path for image in images for path in (image, sidecar_path(image), image.with_suffix(""))]


def state_of_files(root, participant_id):
    """Hash of all files of a patient, side files included: another value when one is added, removed, replaced, or made readable."""
    # A link that leads nowhere is there, without size and time; permissions are in neither.
    there = [path for path in possible_files(root, participant_id) if os.path.lexists(path)]
    return _hash([state_of(there), [os.access(path, os.R_OK) for path in there]])


def state_of(paths):
    """Hash of the sizes and times of files (paths): another value when one is added, removed or replaced, be it by an older one."""
    return _hash([(str(path), *_size_and_time(path)) for path in paths])


def image_settings(config):
    """Sections of the configuration that decide what is made of a patient's images."""
    return {name: config[name] for name in ("cohorts", "images", "perfusion", "mismatch")}


def remember_fault(root, participant_id, rule, codes, fault, settings, folder=FOUND_BY_STEPS):
    """Keep the ``InputError`` that a rule's job met in an image of a patient, for the next run.

    Parameters
    ----------
    root : str or Path
        Folder of the dataset.
    participant_id, rule : str
        The patient and the rule; a later fault of the same two takes the place of this one.
    codes : iterable of str
        Hashes of the code that the fault depends on: of the rule's door, and for an image that was made here of all doors, since an earlier one
        made it.
    fault : InputError
        Its ``where`` is the image.
    settings : dict
        ``image_settings``: with others the step may find no fault.
    folder : str or Path
        Where faults are kept.

    Returns
    -------
    Path
        The file.
    """
    path = Path(folder) / f"{participant_id}_{rule}.json"
    content = {
        "participant_id": participant_id,
        "file": fault.where,
        "found": fault.found,
        "mend": fault.mend,
        "codes": sorted(codes),
        "settings": settings,
        "state": _state(root, participant_id, fault.where),
    }
    write_json(path, content)
    return path


def remembered_faults(root, patients, codes, settings, folder=FOUND_BY_STEPS):
    """Faults found by steps that still hold: files, code and settings are those that they were found with.

    Parameters
    ----------
    root : str or Path
        Folder of the dataset.
    patients : iterable of str
        Patients to look for.
    codes : callable
        Returns the hashes of the code of all steps; asked only where there is something to compare.
    settings : dict
        ``image_settings`` of this run.
    folder : str or Path
        As for ``remember_fault``.

    Returns
    -------
    list of tuple
        (participant_id, file, found, mend).
    """
    faults = []
    for path in sorted(Path(folder).glob("*.json")):
        content = _read(path)
        told, codes_then = [content.get(key) for key in ("participant_id", "file", "found", "mend")], content.get("codes")
        if not _texts(told, 4) or not _texts(codes_then) or not {"state", "settings"} <= set(content):
            continue  # not written here; the step will meet its fault again
        name, file = told[:2]
        same = name in patients and content["state"] == _state(root, name, file) and content["settings"] == settings
        if same and set(codes_then) <= codes():
            faults.append(tuple(told))
    return faults


def _read(path):
    """Content of a JSON file; empty where it is absent, unreadable or no object."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _texts(value, number=None):
    """Whether a value is a list of texts, of so many."""
    return isinstance(value, list) and number in (None, len(value)) and all(isinstance(one, str) for one in value)


def _state(root, participant_id, image):
    """Hash of a patient's files and of the size and time of the image, which may have been made of them: another one when it is removed."""
    return _hash([state_of_files(root, participant_id), *_size_and_time(Path(image))])


def _size_and_time(path):
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def _hash(content):
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]
