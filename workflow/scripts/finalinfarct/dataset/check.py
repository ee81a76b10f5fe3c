"""The check of a dataset against the contract: all faults at once, each with its file and its mend, before anything long starts.

Headers, sizes and side files are always looked at. Voxels are read only where the contract says something of them (masks, ADC maps) or where they
could be NaN (floating point files), so that checking a hundred patients takes seconds.
"""

import os
from functools import partial
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np
import pandas as pd

from finalinfarct.dataset.contract import ALLOWED, DECIMAL, NUMERIC_RANGE, PARTICIPANT_COLUMNS, PARTICIPANT_ID, patient_files
from finalinfarct.dataset.files import FAILING
from finalinfarct.dataset.images import read_header, read_image, same_grid
from finalinfarct.dataset.orientation import grid_faults, slice_faults
from finalinfarct.dataset.sidefiles import TIME_RANGES_S, adc_factor, check_header_time, given_unit, read_b_values, series_time_s, slice_times_s
from finalinfarct.dataset.tables import read_table, write_table
from finalinfarct.errors import InputError

FEWEST_FRAMES = 20
DRAW_LESION = "draw the lesion, or leave the patient out (dataset.faults: exclude)"
PLAUSIBLE_ADC_UM2_S = (300, 3000)  # median over tissue; brain lies at 700 to 1100


class Fault(NamedTuple):
    """One fault: the patient it concerns (empty: the whole dataset), the file, what was found and how to mend it."""

    participant_id: str
    file: str
    found: str
    mend: str


def check_dataset(root, cohorts, memory=None):
    """Check a dataset.

    Parameters
    ----------
    root : str or Path
        Folder of the BIDS dataset.
    cohorts : dict
        The configured cohorts by name (``config["cohorts"]``).
    memory : CheckMemory, optional
        Patients whose files are those of an earlier check that found nothing are not looked at again.

    Returns
    -------
    patients : dict of str to str
        Cohort of every patient of participants.tsv that could be identified, in the order of the table.
    faults : list of Fault
        Everything that is wrong; faults of the whole dataset come first.
    """
    root = Path(root)
    patients, faults = _check_participants(root, cohorts)
    if patients:
        folders = {folder.name for folder in root.glob("sub-*") if folder.is_dir()}
        for stranger in sorted(folders - set(patients)):
            # A name that is not UTF-8 could not be printed.
            folder = str(root / stranger).encode("utf-8", "backslashreplace").decode("utf-8")
            faults.append(Fault("", folder, "unknown participant: no row in participants.tsv", "add a row, or remove the folder"))
    for participant_id, cohort in patients.items():
        look = partial(check_patient, root, participant_id, cohorts[cohort])
        faults.extend(memory.recall(root, participant_id, cohorts[cohort], look) if memory else look())
    if memory:
        memory.save()
    return patients, sorted(faults, key=lambda fault: fault.participant_id != "")


def _check_participants(root, cohorts):
    """Patients of participants.tsv and the faults of the table."""
    table_path = root / "participants.tsv"
    try:
        table = read_table(table_path, text=PARTICIPANT_COLUMNS)
    except InputError as fault:
        return {}, [Fault("", fault.where, fault.found, fault.mend)]
    absent = [column for column in PARTICIPANT_COLUMNS if column not in table]
    if absent:
        return {}, [
            Fault(
                "",
                str(table_path),
                f"missing columns: {', '.join(absent)}",
                "separate the columns by tabs and add these; n/a where a value is unknown",
            )
        ]
    patients, faults = {}, []
    for number, row in enumerate(table.to_dict("records"), start=2):
        where, name = f"{table_path}, row {number}", row["participant_id"]
        if not isinstance(name, str) or not PARTICIPANT_ID.fullmatch(name):
            faults.append(Fault("", where, f"participant_id {name!r}", "use sub- and at most 64 letters or digits, such as sub-001"))
        elif name in patients:
            faults.append(Fault("", where, f"{name} appears twice", "keep one row per patient"))
        elif row["cohort"] not in cohorts:
            known = ", ".join(cohorts)
            faults.append(Fault("", where, f"{name}: unknown cohort {row['cohort']!r}", f"use one of {known}, or configure it under cohorts"))
        else:
            patients[name] = row["cohort"]
            faults.extend(Fault(name, where, *fault) for fault in _check_row(row, cohorts[row["cohort"]]))
    if not len(table):
        faults.append(Fault("", str(table_path), "no patients", "add one row per patient"))
    return patients, faults


def _check_row(row, cohort):
    """Pairs of (found, mend) for the values of one patient's row."""
    for column, allowed in ALLOWED.items():
        value = row[column]
        if isinstance(value, str) and value not in allowed:
            yield f"{column} is {value!r}", f"use one of {', '.join(allowed)}, or n/a"
    for column, (low, high) in NUMERIC_RANGE.items():
        value = row[column]
        # Narrower than float(), which also takes 7_0, nan and digits of other scripts: the tables read these columns as plain numbers.
        if isinstance(value, str) and not (DECIMAL.fullmatch(value) and low <= float(value) <= high):
            yield f"{column} is {value!r}", f"give a number from {low} to {high}, or n/a"
    if cohort["reperfusion"] == "mtici" and not isinstance(row["mtici"], str):
        yield "mtici is missing", "give the mTICI score, or set the cohort's reperfusion to another source"


def check_patient(root, participant_id, cohort):
    """Return the faults of one patient's files, as a list of ``Fault``, for a cohort's configuration."""
    patient = _Patient(root, participant_id)
    files = patient.files
    patient.check_twice_given()
    dwi = patient.scan("dwi", (3, 4))
    if _given(files["adc"]):
        adc = patient.attempt(_inspect, files["adc"], 3)
        patient.check_same_grid("adc", adc, "dwi", dwi)
        if adc is not None:
            patient.attempt(_check_adc, files["adc"])
    if dwi is not None:
        patient.attempt(read_b_values, files["dwi"], dwi.shape[3] if len(dwi.shape) == 4 else 1, _given(files["adc"]))
    spaces = {}
    if cohort["perfusion"]:
        spaces["aif_mask"] = patient.perfusion("dsc", "tmax", "cbf", "cbv")
    if cohort["reperfusion"] == "h3_perfusion":
        spaces["h3_aif_mask"] = patient.perfusion("h3_dsc", "h3_tmax", "h3_cbf", "h3_cbv")
        if _given(files["dsc"]) != _given(files["h3_dsc"]):
            patient.say("h3_dsc", "a raw series at one visit and maps at the other", "give the raw series, or Tmax, CBF and CBV, at both visits")
    if _given(files["flair"]):
        patient.scan("flair", 3, sliced=False)
    if cohort["final_lesion"] == "followup":
        patient.check_mask("final_lesion", "followup_flair", patient.scan("followup_flair", 3, sliced=False), DRAW_LESION)
    elif cohort["final_lesion"] == "baseline":
        patient.check_mask("final_lesion", "dwi", dwi, DRAW_LESION)
    if _given(files["dwi_lesion"]):
        patient.check_mask("dwi_lesion", "dwi", dwi)
    for name, space in spaces.items():
        if _given(files[name]):
            patient.check_mask(name, *space, "mark voxels in an artery, or remove the mask")
    known = {fault.file for fault in patient.faults}
    for path in files.values():
        if str(path) not in known:
            patient.attempt(_check_reachable, path)
    return list(dict.fromkeys(patient.faults))


class _Patient:
    """One patient's files by name, and the faults found in them so far. Headers are None where a file cannot be read."""

    def __init__(self, root, participant_id):
        self.participant_id = participant_id
        self.files = patient_files(root, participant_id)
        self.faults = []

    def say(self, name, found, mend):
        """Note a fault of a file."""
        self.faults.append(Fault(self.participant_id, str(self.files[name]), found, mend))

    def attempt(self, read, *arguments):
        """What a reader returns, or None and a fault."""
        try:
            return read(*arguments)
        except InputError as fault:
            self.faults.append(Fault(self.participant_id, fault.where, fault.found, fault.mend))

    def scan(self, name, ndim, sliced=True):
        """Header of an image that is registered; ``sliced``: it may be the reference, or is smoothed slice by slice."""
        header = self.attempt(_inspect, self.files[name], ndim)
        if header is not None:
            for found, mend in [*grid_faults(header.shape, header.affine), *(slice_faults(header.shape, header.affine) if sliced else ())]:
                self.say(name, found, mend)
        return header

    def perfusion(self, series, *maps):
        """Name and header of the raw series or, where it is absent, of the first map."""
        if _given(self.files[series]) or not any(_given(self.files[name]) for name in maps):
            return series, self._series(series)
        headers = {name: self.scan(name, 3) for name in maps}
        for (name, header), kind in zip(headers.items(), ("Tmax", "CBF", "CBV"), strict=True):
            self.check_same_grid(name, header, maps[0], headers[maps[0]])
            if header is not None:
                self.attempt(given_unit, kind, self.files[name])
        return maps[0], headers[maps[0]]

    def _series(self, name):
        """Header of a raw series."""
        header = self.scan(name, 4)
        if header is not None:
            if header.shape[3] < FEWEST_FRAMES:
                self.say(name, f"{header.shape[3]} frames", f"a DSC series needs at least {FEWEST_FRAMES}")
            times = {key: self.attempt(series_time_s, self.files[name], key) for key in TIME_RANGES_S}
            if times["RepetitionTime"] is not None:
                self.attempt(check_header_time, self.files[name], header, times["RepetitionTime"])
            self.attempt(slice_times_s, self.files[name], header.shape[2])
        return header

    def check_twice_given(self):
        """A file both compressed and not."""
        for name, path in self.files.items():
            if path.suffix == ".gz" and _given(path) and _given(path.with_suffix("")):
                self.say(name, f"both this and {path.with_suffix('').name} are there", "keep the one that counts")

    def check_same_grid(self, name, header, space_name, space):
        """An image on another grid than that of the image whose space it is in."""
        if header is not None and space is not None and not same_grid(header, space):
            found = f"on another grid ({_grid_words(header)}) than {self.files[space_name].name} ({_grid_words(space)})"
            self.say(name, found, "bring it onto that grid, masks by nearest neighbour")

    def check_mask(self, name, space_name, space, mend_empty=None):
        """A mask on another grid, with other values than 0 and 1, or empty where there is a mend for that."""
        header = self.attempt(_inspect, self.files[name], 3)
        self.check_same_grid(name, header, space_name, space)
        voxels = None if header is None else self.attempt(read_image, self.files[name])
        if voxels is not None:
            for found, mend in _mask_faults(np.unique(voxels.dataobj), mend_empty):
                self.say(name, found, mend)


def _grid_words(header):
    """Shape, directions of the axes, and place of the first voxel of an image, for a message."""
    at = ", ".join(f"{value:.1f}" for value in header.affine[:3, 3])
    return f"shape {header.shape[:3]}, axes {''.join(nib.aff2axcodes(header.affine))}, first voxel at {at} mm"


def _given(path):
    """Whether the dataset names a file, even if it cannot be read."""
    return os.path.lexists(path)


def _check_reachable(path):
    """Refuse a file of which it cannot be known whether the dataset has it: one that may be left out must not pass for left out.

    Raises
    ------
    InputError
        A folder above it may not be entered.
    OSError
        The disk failed, which says nothing of the patient.
    """
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as fault:
        if fault.errno in FAILING:
            raise
        raise InputError(path, f"the file cannot be looked for ({fault.strerror})", "correct the permissions of its folder") from None


def _inspect(path, ndim):
    """Header of an image; the voxels are read only where they could be NaN, or where the file looks cut."""
    header = read_header(path, ndim)
    if header.dtype.kind == "f" or not _sound_gzip(path, header.bytes):
        read_image(path)
    return header


def _sound_gzip(path, expected):
    """Whether the length in a gzip file's trailer is the expected one; a cut file ends in something else (False: read it to be sure)."""
    if path.suffix != ".gz":
        return True
    with open(path, "rb") as file:
        file.seek(-4, 2)
        return int.from_bytes(file.read(4), "little") == expected % 2**32


def _mask_faults(values, mend_empty):
    """Pairs (found, mend) for the values that a mask holds; ``mend_empty`` None: it may be empty."""
    if not np.isin(values, (0, 1)).all():
        yield f"values {values[:5].tolist()} in a mask", "write 1 inside and 0 outside"
    elif mend_empty and not values.any():
        yield "the mask is empty", mend_empty


def _check_adc(path):
    """InputError where the unit of a scanner's ADC map is unknown or implausible."""
    factor = adc_factor(path)
    median = adc_median_um2_s(np.asarray(read_image(path).dataobj) * factor)
    low, high = PLAUSIBLE_ADC_UM2_S
    if not low <= median <= high:
        found = f"wrong unit of ADC: the median over tissue is {median:g} x 1e-6 mm2/s"
        raise InputError(path, found, "correct Units in the side file (um2/s, 1e-6 mm2/s, 1e-3 mm2/s, mm2/s) or the values")


def adc_median_um2_s(adc):
    """Median of the positive values of an ADC map (0 where there are none): 700 to 1100 in a brain when the unit is 1e-6 mm²/s."""
    positive = adc[adc > 0]
    return float(np.median(positive)) if positive.size else 0.0


def report_faults(faults, limit=200):
    """Text that counts the faults and lists them, a line each, at most ``limit`` of them."""
    lines = [f"{len(faults)} {'fault' if len(faults) == 1 else 'faults'}"]
    lines += [f"  - {fault.file}: {fault.found}. Mend: {fault.mend}." for fault in faults[:limit]]
    if len(faults) > limit:
        lines.append(f"  ... and {len(faults) - limit} more")
    return "\n".join([*lines, ""])


def report_dataset(root, cohorts, faults, output):
    """Write the faults of a dataset as a table with columns participant_id, file, found, mend (no row: no fault).

    Parameters
    ----------
    root : str or Path
        Folder of the BIDS dataset.
    cohorts : dict
        The configured cohorts.
    faults : list of tuple or None
        What the plan found, the fields of ``Fault``; None: the dataset was made since, and is checked now.
    output : str or Path
        Table of the faults, TSV.

    Raises
    ------
    InputError
        A dataset that is checked now has faults: lists them all.
    """
    if faults is None and (faults := check_dataset(root, cohorts)[1]):
        raise InputError(root, report_faults(faults), "remove these files, so that the workflow makes them again")
    write_table(pd.DataFrame(faults, columns=Fault._fields), output)
