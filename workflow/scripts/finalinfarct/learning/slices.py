"""The slices that networks are trained on: packed once into one file, read by patient and by input."""

import io
import logging
from pathlib import Path

import numpy as np

from finalinfarct.dataset.contract import CLASSES, LESION
from finalinfarct.dataset.files import whole
from finalinfarct.dataset.images import read_image
from finalinfarct.errors import InputError
from finalinfarct.imaging.grids import check_same_grid

log = logging.getLogger(__name__)


def read_stack(images, inputs):
    """Read the input images of one patient as a stack of axial slices.

    Parameters
    ----------
    images : dict of str to path
        Normalised image, (X, Y, Z), of each input.
    inputs : list of str
        Inputs to read, in the order of the channels.

    Returns
    -------
    stack : numpy.ndarray
        float32, (Z, X, Y, inputs).
    first : nibabel.Nifti1Image
        Image of the first input, which gives the grid.

    Raises
    ------
    InputError
        An input has no image, an image is unreadable, or the images do not share a grid.
    """
    absent = [name for name in inputs if name not in images]
    if absent:
        raise InputError("images of a patient", f"no image for input {', '.join(absent)}", f"give one; there are {', '.join(images)}")
    volumes = [read_image(images[name], ndim=3) for name in inputs]
    for name, volume in zip(inputs, volumes, strict=True):
        check_same_grid(images[name], volume, images[inputs[0]], volumes[0], "resample the images of a patient to one grid")
    return np.stack([np.moveaxis(volume.get_fdata(dtype=np.float32), 2, 0) for volume in volumes], axis=-1), volumes[0]


def pack_slices(patients, inputs, output):
    """Write all slices that hold final lesion into one HDF5 file, whole or not at all.

    Only these slices train the networks (Debs et al. 2021, appendix B).

    Parameters
    ----------
    patients : list of dict
        ``participant_id``, ``images`` (path by input) and ``dseg`` (path of the labels: 0 background, 1 healthy tissue, 2 final lesion).
    inputs : list of str
        Inputs, in the order of the channels.
    output : str or Path
        HDF5 file with ``images`` (slices, X, Y, inputs) float32, ``labels`` (slices, X, Y) uint8, ``participant_id`` and ``slice_index`` (slices),
        and attributes ``inputs`` and ``participants`` (all patients, also those without lesion slices).

    Raises
    ------
    InputError
        Images of a patient on different grids, patients of different matrix, labels other than 0, 1 and 2, or no lesion at all.
    """
    import h5py

    with whole(output) as partial, _Sink(partial) as sink, h5py.File(sink, "w") as file:
        for number, patient in enumerate(patients, start=1):
            count = _append_patient(file, patient, inputs)
            log.info("%s: %d slices with final lesion (patient %d of %d)", patient["participant_id"], count, number, len(patients))
        if "images" not in file:
            raise InputError(output, "no patient has a slice with final lesion", "check the final lesion masks")
        file.attrs["inputs"] = list(inputs)
        file.attrs["participants"] = [patient["participant_id"] for patient in patients]


class _Sink(io.FileIO):
    """A file for HDF5 that takes everything and complains at the end: HDF5 2.0 crashes the process when a write fails in its hands."""

    fault = None

    def __init__(self, path):
        super().__init__(path, "w+")

    def write(self, data):
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[super().write(rest) :]
        except OSError as fault:
            self.fault = self.fault or fault
        return len(data)

    def __exit__(self, *raised):
        super().__exit__(*raised)
        if self.fault:
            raise self.fault


def _append_patient(file, patient, inputs):
    """Append the lesion slices of one patient and return their number."""
    import h5py

    stack, first = read_stack(patient["images"], inputs)
    dseg = read_image(patient["dseg"], ndim=3)
    check_same_grid(patient["dseg"], dseg, patient["images"][inputs[0]], first, "resample the labels to the images' grid")
    labels = np.moveaxis(dseg.get_fdata(dtype=np.float32), 2, 0)
    if not np.isin(labels, CLASSES).all():
        raise InputError(patient["dseg"], "labels other than 0, 1 and 2", "write background 0, healthy tissue 1, final lesion 2")
    chosen = np.flatnonzero((labels == LESION).any(axis=(1, 2)))
    if not chosen.size:
        log.warning("%s: no final lesion in %s, so no slice for training", patient["participant_id"], patient["dseg"])
        return 0
    columns = {
        "images": stack[chosen],
        "labels": labels[chosen].astype(np.uint8),
        "slice_index": chosen.astype(np.int32),
        "participant_id": np.array([patient["participant_id"]] * chosen.size, dtype=h5py.string_dtype()),
    }
    for name, values in columns.items():
        if name not in file:
            chunks = (1, *values.shape[1:]) if values.ndim > 1 else (1024,)
            # Check sums, so that damaged slices are not read as others; HDF5 has none for texts.
            file.create_dataset(name, data=values, maxshape=(None, *values.shape[1:]), chunks=chunks, fletcher32=values.dtype.kind != "O")
            continue
        dataset = file[name]
        if dataset.shape[1:] != values.shape[1:]:
            raise InputError(
                patient["dseg"], f"matrix {values.shape[1:3]} differs from {dataset.shape[1:3]} of other patients", "use one matrix for all"
            )
        dataset.resize(dataset.shape[0] + len(values), axis=0)
        dataset[-len(values) :] = values
    return chosen.size


def load_slices(path, participants, inputs):
    """Read the lesion slices of some patients.

    Parameters
    ----------
    path : str or Path
        File that ``pack_slices`` wrote.
    participants : list of str
        Patients; their slices follow each other in the order of the file.
    inputs : list of str
        Inputs to read, in the order of the channels.

    Returns
    -------
    images : numpy.ndarray
        float32, (slices, X, Y, inputs).
    labels : numpy.ndarray
        uint8, (slices, X, Y).

    Raises
    ------
    InputError
        The file is absent or unreadable, an input or patient is not in it, or none of the patients has a lesion slice.
    """
    import h5py

    path = Path(path)
    if not path.exists():
        raise InputError(path, "the file does not exist", "let the workflow make it")
    try:
        with h5py.File(path, "r") as file:
            return _read_slices(path, file, participants, inputs)
    except InputError:
        raise
    except Exception as fault:  # h5py raises several types for damaged files
        raise InputError(path, f"unreadable HDF5 file ({fault})", "remove it and let the workflow make it again") from None


def _read_slices(path, file, participants, inputs):
    """Read what ``load_slices`` returns from the open file; each chunk is read against its check sum."""
    known = list(file.attrs["inputs"])
    absent = [name for name in inputs if name not in known] + sorted(set(participants) - set(file.attrs["participants"]))
    if absent:
        raise InputError(path, f"{', '.join(absent)} not in the file", "remove it and let the workflow make it again")
    rows = np.flatnonzero(np.isin(file["participant_id"].asstr()[:], list(participants)))
    if not rows.size:
        raise InputError(path, f"no slice with final lesion among {len(participants)} patients", "include patients whose final lesion is not empty")
    channels = [known.index(name) for name in inputs]
    images = np.empty((rows.size, *file["images"].shape[1:3], len(channels)), np.float32)
    for target, row in enumerate(rows):
        images[target] = file["images"][row][..., channels]
    return images, file["labels"][:][rows]
