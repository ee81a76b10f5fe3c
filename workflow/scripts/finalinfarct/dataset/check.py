"""The check of a dataset against the contract: all faults at once, each with its file and its mend, before anything long starts.

Headers, sizes and side files are always looked at. Voxels are read only where the contract says something of them (masks, ADC maps) or where they
could be NaN (floating point files), so that checking a hundred patients takes seconds.
"""

from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np
import pandas as pd

from finalinfarct.dataset.contract import (
    ADC_TO_UM2_S,
    ALLOWED,
    LARGEST_B0_S_PER_MM2,
    NUMERIC_RANGE,
    PARTICIPANT_COLUMNS,
    patient_files,
    read_bvals,
)
from finalinfarct.dataset.images import read_image, read_sidecar, same_grid
from finalinfarct.dataset.tables import read_table, write_table
from finalinfarct.errors import InputError

GZIP_LARGEST_RATIO = 1100  # deflate cannot pack better than about 1032 to 1
FEWEST_FRAMES = 20
PLAUSIBLE_ADC_UM2_S = (300, 3000)  # median over tissue; brain lies at 700 to 1100


class Fault(NamedTuple):
    """One fault: the patient it concerns (empty: the whole dataset), the file, what was found and how to mend it."""

    participant_id: str
    file: str
    found: str
    mend: str


def check_dataset(root, cohorts):
    """Check a dataset.

    Parameters
    ----------
    root : str or Path
        Folder of the BIDS dataset.
    cohorts : dict
        The configured cohorts by name (``config["cohorts"]``).

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
            faults.append(Fault("", f"{root / stranger}", "unknown participant: no row in participants.tsv", "add a row, or remove the folder"))
    for participant_id, cohort in patients.items():
        faults.extend(check_patient(root, participant_id, cohorts[cohort]))
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
        return {}, [Fault("", str(table_path), f"missing columns: {', '.join(absent)}", "add them; n/a where a value is unknown")]
    patients, faults = {}, []
    for number, row in enumerate(table.to_dict("records"), start=2):
        where, name = f"{table_path}, row {number}", row["participant_id"]
        if not isinstance(name, str) or not name.isascii() or not name.startswith("sub-") or not name[4:].isalnum():
            faults.append(Fault("", where, f"participant_id '{name}'", "use sub- and letters or digits only, such as sub-001"))
        elif name in patients:
            faults.append(Fault("", where, f"{name} appears twice", "keep one row per patient"))
        elif row["cohort"] not in cohorts:
            known = ", ".join(cohorts)
            faults.append(Fault("", where, f"{name}: unknown cohort '{row['cohort']}'", f"use one of {known}, or configure it under cohorts"))
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
            yield f"{column} is '{value}'", f"use one of {', '.join(allowed)}, or n/a"
    for column, (low, high) in NUMERIC_RANGE.items():
        value = row[column]
        if isinstance(value, str):
            try:
                plausible = low <= float(value) <= high
            except ValueError:
                plausible = False
            if not plausible:
                yield f"{column} is '{value}'", f"give a number from {low} to {high}, or n/a"
    if cohort["reperfusion"] == "mtici" and not isinstance(row["mtici"], str):
        yield "mtici is missing", "give the mTICI score, or set the cohort's reperfusion to another source"


def check_patient(root, participant_id, cohort):
    """Return the faults of one patient's files, as a list of ``Fault``, for a cohort's configuration."""
    files = patient_files(root, participant_id)
    faults = []

    def look(name, ndim, voxels=False):
        header, found = _inspect(files[name], ndim, voxels)
        faults.extend(Fault(participant_id, str(files[name]), *fault) for fault in found)
        return header

    def say(name, found, mend):
        faults.append(Fault(participant_id, str(files[name]), found, mend))

    dwi = look("dwi", (3, 4))
    if files["adc"].exists():
        look("adc", (3,))
        for found, mend in _adc_faults(files["adc"]):
            say("adc", found, mend)
    elif dwi is not None:
        for found, mend in _diffusion_faults(files, dwi):
            say("bval", found, mend)
    perfusion = None
    if cohort["perfusion"]:
        perfusion = _check_perfusion(files, look, say, ("dsc", "tmax", "cbf", "cbv"))
    if cohort["reperfusion"] == "h3_perfusion":
        _check_perfusion(files, look, say, ("h3_dsc", "h3_tmax", "h3_cbf", "h3_cbv"))
        if files["dsc"].exists() != files["h3_dsc"].exists():
            say("h3_dsc", "a raw series at one visit and maps at the other", "give the raw series, or Tmax, CBF and CBV, at both visits")
    if files["flair"].exists():
        look("flair", (3,))
    final_space = dwi
    if cohort["final_lesion"] == "followup":
        final_space = look("followup_flair", (3,))
    _check_mask("final_lesion", final_space, look, say, files, may_be_empty=False)
    if files["dwi_lesion"].exists():
        _check_mask("dwi_lesion", dwi, look, say, files, may_be_empty=True)
    if files["aif_mask"].exists():
        _check_mask("aif_mask", perfusion, look, say, files, may_be_empty=False)
    return faults


def _check_perfusion(files, look, say, names):
    """Look at the raw series or, where it is absent, at the maps; return the header of the series or of the first map."""
    series, *maps = names
    if files[series].exists() or not any(files[name].exists() for name in maps):
        header = look(series, (4,))
        if header is not None:
            for found, mend in _series_faults(files[series], header):
                say(series, found, mend)
        return header
    headers = {name: look(name, (3,)) for name in maps}
    first = headers[maps[0]]
    for name, header in headers.items():
        if header is not None and first is not None and not same_grid(header, first):
            say(name, f"on another grid than {files[maps[0]].name}", "export all perfusion maps on one grid")
        if header is not None and name in ("tmax", "h3_tmax"):
            units = _sidecar(files[name]).get("Units")
            if units != "s":
                say(name, f"Units in the side file: {units!r}", 'write "Units": "s" in the JSON side file, and Tmax in seconds')
    return first


def _check_mask(name, space, look, say, files, may_be_empty):
    """Look at a mask: grid of its image, values 0 and 1, and not empty where it must not be."""
    header = look(name, (3,), voxels=True)
    if header is None:
        return
    if space is not None and not same_grid(header, space):
        say(
            name,
            f"on another grid (shape {header.shape}) than its image (shape {space.shape[:3]})",
            "resample the mask onto its image, nearest neighbour",
        )
    try:
        values = np.unique(read_image(files[name]).get_fdata(dtype=np.float32))
    except InputError:
        return  # already among the faults
    if not np.isin(values, (0, 1)).all():
        say(name, f"values {values[:5].tolist()} in a mask", "write 1 inside and 0 outside")
    elif not may_be_empty and not values.any():
        say(name, "the mask is empty", "draw the lesion, or leave the patient out of participants.tsv")


def _inspect(path, ndim, voxels):
    """Header of an image (None where unusable) and its faults as pairs (found, mend)."""
    if not path.exists():
        return None, [("the file does not exist", "add it, or correct its name (docs/dataset.md)")]
    try:
        image = nib.load(path)
    except Exception as fault:  # nibabel, gzip and zlib raise a dozen types for damaged files
        return None, [(f"unreadable image ({fault})", "replace it by an intact NIfTI file")]
    if len(image.shape) not in ndim:
        return None, [(f"{len(image.shape)} dimensions (shape {image.shape})", f"an image of {' or '.join(map(str, ndim))} dimensions belongs here")]
    if not np.isfinite(image.affine).all() or abs(np.linalg.det(image.affine[:3, :3])) < 1e-6:
        return None, [("the affine is not usable", "export the image again with its orientation")]
    kind = image.get_data_dtype()
    expected = int(image.dataobj.offset) + int(np.prod(image.shape, dtype=object)) * kind.itemsize
    if not _plausible_size(path, expected):
        return None, [(f"truncated: the header promises {expected} bytes", "copy the file again, whole")]
    if voxels or kind.kind == "f" or not _sound_gzip(path, expected):
        try:
            read_image(path)
        except InputError as fault:
            return None, [(fault.found, fault.mend)]
    return image, []


def _plausible_size(path, expected):
    """Whether a file can hold ``expected`` bytes: refuses headers that claim a huge volume before anything is allocated."""
    size = path.stat().st_size
    return size * GZIP_LARGEST_RATIO >= expected if path.suffix == ".gz" else size >= expected


def _sound_gzip(path, expected):
    """Whether the length in a gzip file's trailer is the expected one; a cut file ends in something else (False: read it to be sure)."""
    if path.suffix != ".gz":
        return True
    with open(path, "rb") as file:
        file.seek(-4, 2)
        return int.from_bytes(file.read(4), "little") == expected % 2**32


def _sidecar(path):
    """Side file of an image, empty where it is unreadable (its fault is reported by the caller's own check)."""
    try:
        return read_sidecar(path)
    except InputError:
        return {}


def _adc_faults(path):
    """Pairs (found, mend) for the unit of a scanner's ADC map."""
    units = _sidecar(path).get("Units")
    known = ", ".join(f'"{unit}"' for unit in ADC_TO_UM2_S)
    if units not in ADC_TO_UM2_S:
        yield f"Units in the side file: {units!r}", f'write "Units" in the JSON side file: one of {known}'
        return
    try:
        values = read_image(path).get_fdata(dtype=np.float32)
    except InputError:
        return  # already among the faults
    median = adc_median_um2_s(values * ADC_TO_UM2_S[units])
    low, high = PLAUSIBLE_ADC_UM2_S
    if not low <= median <= high:
        yield f"wrong unit of ADC: the median over tissue is {median:g} x 1e-6 mm2/s", f"correct Units in the side file ({known}) or the values"


def adc_median_um2_s(adc):
    """Median of the positive values of an ADC map (0 where there are none): 700 to 1100 in a brain when the unit is 1e-6 mm²/s."""
    positive = adc[adc > 0]
    return float(np.median(positive)) if positive.size else 0.0


def _diffusion_faults(files, dwi):
    """Pairs (found, mend) for a diffusion series without a scanner's ADC map."""
    if len(dwi.shape) == 3:
        yield "a single diffusion volume and no ADC map", "add b0 to the series, or the scanner's ADC map"
        return
    try:
        bvals = read_bvals(files["bval"])
    except (OSError, ValueError) as fault:
        yield f"b-values cannot be read ({fault})", "write one b-value in s/mm2 per volume, separated by spaces"
        return
    if len(bvals) != dwi.shape[3]:
        yield f"{len(bvals)} b-values for {dwi.shape[3]} volumes", "write one b-value per volume"
    elif not (min(bvals) < LARGEST_B0_S_PER_MM2 and max(bvals) >= 500):
        yield f"b-values {sorted(set(bvals))}", "a b0 and a volume of at least 500 s/mm2 are needed"


def _series_faults(path, header):
    """Pairs (found, mend) for a raw DSC series: frames, repetition time and echo time."""
    if header.shape[3] < FEWEST_FRAMES:
        yield f"{header.shape[3]} frames", f"a DSC series needs at least {FEWEST_FRAMES}"
    sidecar = _sidecar(path)
    for key, low, high in (("RepetitionTime", 0.3, 5.0), ("EchoTime", 0.005, 0.1)):
        value = sidecar.get(key)
        if not isinstance(value, int | float):
            yield f"{key} missing in the JSON side file", f'write "{key}" in seconds'
        elif not low <= value <= high:
            yield f"{key} is {value}", f"give it in seconds, from {low} to {high}"


def report_faults(faults, limit=200):
    """Text that lists the faults, a line each, at most ``limit`` of them."""
    lines = [f"  - {fault.file}: {fault.found}. Mend: {fault.mend}." for fault in faults[:limit]]
    if len(faults) > limit:
        lines.append(f"  ... and {len(faults) - limit} more")
    return "\n".join(lines)


def write_faults(faults, path):
    """Write the faults as a table with columns participant_id, file, found, mend (no row: no fault)."""
    write_table(pd.DataFrame(faults, columns=Fault._fields), path)


def report_dataset(root, cohorts, on_fault, output):
    """Check a dataset and write its faults as a table.

    Parameters
    ----------
    root : str or Path
        Folder of the BIDS dataset.
    cohorts : dict
        The configured cohorts.
    on_fault : str
        ``refuse`` or ``exclude``, as configured.
    output : str or Path
        Table of the faults, TSV.

    Raises
    ------
    InputError
        With ``refuse``, when there are faults: lists them all.
    """
    _, faults = check_dataset(root, cohorts)
    if faults and on_fault == "refuse":
        raise InputError(root, f"{len(faults)} faults\n{report_faults(faults)}\n", "mend these files, or set dataset.faults to exclude")
    write_faults(faults, output)
