"""What can be wrong with a dataset: each row spoils a valid one and names what must be said of it."""

import gzip
import json
import os
import shutil
import struct
from typing import NamedTuple

import nibabel as nib
import numpy as np

from finalinfarct.dataset.contract import patient_files
from finalinfarct.dataset.images import sidecar_path, write_image

SHAPE, AFFINE = (12, 12, 4), np.diag([10.0, 10.0, 5.0, 1.0])
FRAMES, SLICES_FIRST = (*SHAPE, 25), AFFINE[:, [2, 0, 1, 3]]
# Offsets and formats of fields of a NIfTI-1 header.
SIZEOF_HDR, DIM, DATATYPE, BITPIX, PIXDIM, VOX_OFFSET, SLOPE = (0, "i"), (40, "8h"), (70, "h"), (72, "h"), (76, "8f"), (108, "f"), (112, "2f")
QFORM_CODE, SFORM_CODE, QUATERNION, SROW, MAGIC = (252, "h"), (254, "h"), (256, "3f"), (280, "12f"), (344, "4s")


class Spoiled(NamedTuple):
    """One mutation: its name, the change of a dataset's folder, and the file, the fault and the mend that must be named for the patient."""

    name: str
    change: callable
    file: str
    found: str
    mend: str
    participant: str = "sub-01"
    faults: int = 1


def image(key, change, participant="sub-01"):
    """Change of one image file, given its path."""
    return lambda root: change(patient_files(root, participant)[key])


def content(change):
    """Change of a file's bytes."""
    return lambda path: path.write_bytes(change(path.read_bytes()))


def decompressed(change):
    """Change of the bytes inside a ``.nii.gz``."""
    return content(lambda packed: gzip.compress(change(gzip.decompress(packed)), compresslevel=1))


def header(*fields):
    """Set fields of the NIfTI header: pairs of (offset, format) and values."""

    def change(inside):
        inside = bytearray(inside)
        for (offset, form), values in fields:
            struct.pack_into("<" + form, inside, offset, *values)
        return bytes(inside)

    return decompressed(change)


def dim(*lengths):
    return header((DIM, (len(lengths), *lengths, *[1] * (7 - len(lengths)))))


def voxels(data, affine=AFFINE, dtype=np.float32, **side):
    return lambda path: write_image(path, data, affine, side or None, dtype=dtype)


def series(data, affine=AFFINE):
    """A perfusion series with its times."""
    return voxels(data, affine, np.int16, RepetitionTime=1.5, EchoTime=0.04)


def sheared(degrees):
    """The affine with slices that lean to one side."""
    affine = AFFINE.copy()
    affine[0, 2] = 5 * np.tan(np.radians(degrees))
    return affine


def oblique(degrees):
    """The affine of slices that follow the skull base."""
    turn, angle = np.eye(4), np.radians(degrees)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return turn @ AFFINE


def typed(dtype):
    """Voxels of a type that only nibabel writes."""

    def change(path):
        nib.save(nib.Nifti1Image(np.zeros(SHAPE, dtype), AFFINE, dtype=dtype), path)

    return change


def plain(change):
    """Replace a ``.nii.gz`` by a ``.nii`` with changed bytes."""

    def replace(path):
        path.with_suffix("").write_bytes(change(gzip.decompress(path.read_bytes())))
        path.unlink()

    return replace


def special(value, index=(0, 0, 0)):
    data = np.ones(SHAPE)
    data[index] = value
    return data


def cube(value=1, shape=SHAPE):
    data = np.zeros(shape)
    data[3:6, 3:6, 1:3] = value
    return data


def side(change):
    """Change of the JSON side file, given its content as a dictionary; bytes or text are written as they are."""

    def replace(path):
        path = sidecar_path(path)
        new = change(json.loads(path.read_text(encoding="utf-8"))) if callable(change) else change
        path.write_bytes(new if isinstance(new, bytes) else (new if isinstance(new, str) else json.dumps(new)).encode())

    return replace


def key(name, value):
    return side(lambda old: {**old, name: value})


def without(name):
    return side(lambda old: {k: v for k, v in old.items() if k != name})


def bval(text):
    return lambda root: patient_files(root, "sub-01")["bval"].write_bytes(text.encode() if isinstance(text, str) else text)


def into_folder(path):
    path.unlink()
    path.mkdir()


def into_loop(path):
    path.unlink()
    path.symlink_to(path.name)


def into_pipe(path):
    path.unlink()
    os.mkfifo(path)


def dangling(path):
    path.unlink()
    path.symlink_to("nowhere")


def scanner_adc(data, shape=SHAPE, **side):
    """Add a scanner's ADC map."""
    return image("adc", voxels(np.broadcast_to(data, shape), **(side or {"Units": "um2/s"})))


def given_maps(change=lambda files: None):
    """Maps in place of the raw series of sub-01, then changed."""

    def replace(root):
        files = patient_files(root, "sub-01")
        files["dsc"].unlink()
        units = {"tmax": "s", "cbf": "ml/100g/min", "cbv": "ml/100g"}
        for name, unit in units.items():
            write_image(files[name], np.ones(SHAPE), AFFINE, {"Units": unit})
        change(files)

    return replace


REPLACE = "replace it by an intact NIfTI file"
UNREADABLE = "unreadable image"
EXPORT = "export the image again"
DWI, DSC, FLAIR = "sub-01_ses-baseline_dwi.nii.gz", "sub-01_ses-baseline_dsc.nii.gz", "sub-01_ses-followup_FLAIR.nii.gz"
LESION, BVAL, TIMES = "sub-01_ses-followup_label-lesion_mask.nii.gz", "sub-01_ses-baseline_dwi.bval", "sub-01_ses-baseline_dsc.json"
ADC = "sub-01_ses-baseline_ADC.nii.gz"

IMAGES = [
    Spoiled("cut", image("dsc", content(lambda b: b[:-200])), DSC, "unreadable or truncated image", REPLACE),
    Spoiled("cut in the header", image("dsc", content(lambda b: b[:60])), DSC, UNREADABLE, REPLACE),
    Spoiled("no bytes", image("dwi", content(lambda b: b"")), DWI, UNREADABLE, REPLACE),
    Spoiled("compressed nothing", image("dwi", content(lambda b: gzip.compress(b""))), DWI, UNREADABLE, REPLACE),
    Spoiled("not compressed", image("dwi", content(gzip.decompress)), DWI, "Not a gzipped file", REPLACE),
    Spoiled("text", image("dwi", content(lambda b: b"Dear colleague, enclosed")), DWI, "Not a gzipped file", REPLACE),
    Spoiled("compressed text", image("dwi", decompressed(lambda b: b"Dear colleague " * 40)), DWI, UNREADABLE, REPLACE),
    Spoiled("bytes after the stream", image("dwi", content(lambda b: b + b"rest")), DWI, "unreadable or truncated", REPLACE),
    Spoiled("voxels after the last", image("dwi", decompressed(lambda b: b + bytes(8))), DWI, "longer than the", EXPORT),
    Spoiled("fewer slices in the header", image("followup_flair", dim(12, 12, 3)), FLAIR, "longer than the", EXPORT),
    Spoiled("more slices in the header", image("followup_flair", dim(12, 12, 5)), FLAIR, "unreadable or truncated", REPLACE),
    Spoiled("cut .nii", image("dwi", plain(lambda b: b[:-1])), DWI[:-3], "truncated: the header promises 2656 bytes", "copy the file again"),
    Spoiled("long .nii", image("dwi", plain(lambda b: b + b"\0")), DWI[:-3], "longer than the 2656 bytes", EXPORT),
    Spoiled("empty .nii", image("dwi", plain(lambda b: b"")), DWI[:-3], UNREADABLE, REPLACE),
    Spoiled("2D", image("followup_flair", dim(12, 48)), FLAIR, "2 dimensions (shape (12, 48))", "an image of 3 dimensions"),
    Spoiled("4D for 3D", image("followup_flair", dim(12, 12, 2, 2)), FLAIR, "4 dimensions", "an image of 3 dimensions"),
    Spoiled("5D", image("dwi", dim(12, 12, 4, 1, 2)), DWI, "5 dimensions", "an image of 3 or 4 dimensions"),
    Spoiled("3D for 4D", image("dsc", voxels(np.ones(SHAPE), dtype=np.int16)), DSC, "3 dimensions", "an image of 4 dimensions"),
    Spoiled("no dimension", image("dwi", dim()), DWI, "1 dimensions (shape (0,))", "an image of 3 or 4 dimensions"),
    Spoiled("one frame", image("dsc", voxels(np.ones((*SHAPE, 1)), dtype=np.int16)), DSC, "1 frames", "at least 20"),
    Spoiled("19 frames", image("dsc", voxels(np.ones((*SHAPE, 19)), dtype=np.int16)), DSC, "19 frames", "at least 20"),
    Spoiled("zero dimension", image("dwi", dim(12, 0, 4, 2)), DWI, "no voxels", REPLACE),
    Spoiled("negative dimension", image("dwi", dim(12, -12, 4, 2)), DWI, "no voxels", REPLACE),
    Spoiled("huge dimensions", image("dwi", dim(30000, 30000, 30000, 30000)), DWI, "more than the 536870912 allowed", REPLACE),
    Spoiled("large dimensions", image("dwi", dim(512, 512, 100, 2)), DWI, "truncated: the header promises 104857952 bytes", "copy the file"),
    Spoiled("complex", image("followup_flair", typed(np.complex64)), FLAIR, "values of type complex64", "one real number per voxel"),
    Spoiled("RGB", image("followup_flair", typed(np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))), FLAIR, "values of type RGB", "one real number"),
    Spoiled("unknown type", image("dwi", header((DATATYPE, (7,)))), DWI, "data code 7", REPLACE),
    Spoiled("no type", image("dwi", header((DATATYPE, (0,)), (BITPIX, (0,)))), DWI, "data code 0 not supported", REPLACE),
    Spoiled("NaN voxel", image("followup_flair", voxels(special(np.nan))), FLAIR, "1 voxels are NaN or infinite", "finite value"),
    Spoiled("infinite voxel", image("followup_flair", voxels(special(-np.inf))), FLAIR, "1 voxels are NaN or infinite", "finite value"),
    Spoiled("beyond float32", image("followup_flair", voxels(special(1e300), dtype=np.float64)), FLAIR, "1 voxels are NaN", "finite value"),
    Spoiled("other magic", image("dwi", header((MAGIC, (b"abcd",)))), DWI, UNREADABLE, REPLACE),
    Spoiled("header of a pair", image("dwi", header((MAGIC, (b"ni1\0",)))), DWI, "header and voxels in one", REPLACE),
    Spoiled("voxels from NaN on", image("dwi", header((VOX_OFFSET, (np.nan,)))), DWI, UNREADABLE, REPLACE),
    Spoiled("voxels from -1 on", image("dwi", header((VOX_OFFSET, (-1.0,)))), DWI, "vox offset -1 too low", REPLACE),
    Spoiled("voxels from far on", image("dwi", header((VOX_OFFSET, (1e9,)))), DWI, "from byte 1000000000 on", REPLACE),
    Spoiled("infinite intercept", image("dwi", header((SLOPE, (1.0, np.inf)))), DWI, "invalid intercept", REPLACE),
    Spoiled("affine of zeros", image("dwi", header((SROW, [0.0] * 12))), DWI, "voxels of 0 x 0 x 0 mm", EXPORT),
    Spoiled("NaN in the affine", image("dwi", header((SROW, [np.nan] * 12))), DWI, "the affine is not finite", EXPORT),
    Spoiled("infinite affine", image("dwi", header((SROW, [np.inf] * 12))), DWI, "the affine is not finite", EXPORT),
    Spoiled("flat affine", image("dwi", header((SROW, [5.0, 5, 0, 0, 5, 5, 0, 0, 0, 0, 5, 0]))), DWI, "the affine is singular", EXPORT),
    Spoiled("affine in m", image("dwi", header((SROW, [0.01, 0, 0, 0, 0, 0.01, 0, 0, 0, 0, 0.005, 0]))), DWI, "0.01 x 0.01 x 0.005 mm", EXPORT),
    Spoiled("voxel sizes of 0", image("dwi", header((PIXDIM, [1.0] + [0.0] * 7), (SFORM_CODE, (0,)))), DWI, "voxel sizes of 0", EXPORT),
    Spoiled("no orientation", image("dwi", header((SFORM_CODE, (0,)), (QFORM_CODE, (0,)))), DWI, "no orientation", EXPORT),
    Spoiled("impossible rotation", image("dwi", header((SFORM_CODE, (0,)), (QUATERNION, [2.0, 2, 2]))), DWI, UNREADABLE, REPLACE),
    Spoiled("one slice", image("dwi", voxels(np.ones((12, 12, 1, 2)), dtype=np.int16)), DWI, "shape (12, 12, 1)", "at least 4 voxels are needed"),
    Spoiled("three slices", image("dsc", series(np.ones((12, 12, 3, 25)))), DSC, "shape (12, 12, 3)", "at least 4 voxels are needed"),
    Spoiled(
        "three slices of a map",
        given_maps(lambda files: [voxels(np.ones((12, 12, 3)), Units="s")(files[name]) for name in ("tmax", "cbf", "cbv")]),
        "_Tmax",
        "shape (12, 12, 3)",
        "at least 4 voxels are needed",
        faults=5,
    ),
    Spoiled(
        "slices first", image("dsc", series(np.ones((4, 12, 12, 25)), SLICES_FIRST)), DSC, "and they lie on axis 1", "nibabel.as_closest_canonical"
    ),
    Spoiled(
        "sagittal slices",
        image("dsc", series(np.ones((4, 12, 12, 25)), np.diag([10.0, 4, 4, 1]))),
        DSC,
        "the slices are not axial (voxels",
        "resample it",
    ),
    Spoiled("sheared axes", image("dsc", series(np.ones(FRAMES), sheared(2))), DSC, "axes 2.0 degrees off the right angle", "resample it"),
    Spoiled("folder for an image", image("dwi", into_folder), DWI, "this is not a file", "put a file there"),
    Spoiled("pipe for an image", image("dwi", into_pipe), DWI, "this is not a file", "put a file there"),
    Spoiled("link to itself", image("dwi", into_loop), DWI, "the file cannot be opened", "its link"),
    Spoiled("link to nothing", image("dwi", dangling), DWI, "the file does not exist", "correct its name"),
    Spoiled("two forms", image("dwi", lambda path: path.with_suffix("").write_bytes(b"older")), DWI, "dwi.nii are there", "keep the one"),
    Spoiled("no DWI", image("dwi", lambda path: path.unlink()), DWI, "the file does not exist", "add it"),
    Spoiled("no perfusion", image("dsc", lambda path: path.unlink()), DSC, "the file does not exist", "add it"),
    Spoiled("no follow-up", image("followup_flair", lambda path: path.unlink()), FLAIR, "the file does not exist", "add it"),
    Spoiled("no session", lambda root: shutil.rmtree(root / "sub-01/ses-baseline"), DWI, "the file does not exist", "add it", faults=2),
    Spoiled("no images", lambda root: shutil.rmtree(root / "sub-01"), DWI, "the file does not exist", "add it", faults=3),
]
MASKS = [
    Spoiled("no final lesion", image("final_lesion", lambda path: path.unlink()), LESION, "the file does not exist", "add it"),
    Spoiled("mask of another shape", image("final_lesion", voxels(np.ones((6, 6, 4)), dtype=np.uint8)), LESION, "on another grid", "onto that grid"),
    Spoiled("mask elsewhere", image("final_lesion", voxels(cube(), AFFINE + np.eye(4, k=3) * 400)), LESION, "on another grid", "onto that grid"),
    Spoiled("mask mirrored", image("final_lesion", voxels(cube(), np.diag([-10.0, 10, 5, 1]))), LESION, "on another grid", "onto that grid"),
    Spoiled(
        "mask of slightly larger voxels",
        image("dwi_lesion", voxels(cube(), np.diag([10.0099, 10.0099, 5, 1]))),
        "ses-baseline",
        "another grid",
        "that grid",
    ),
    Spoiled("mask 4D", image("final_lesion", voxels(cube()[..., None])), LESION, "4 dimensions", "an image of 3 dimensions"),
    Spoiled("mask of 255", image("final_lesion", voxels(cube(255), dtype=np.uint8)), LESION, "values [0.0, 255.0] in a mask", "write 1 inside"),
    Spoiled("mask of -1", image("final_lesion", voxels(cube(-1), dtype=np.int16)), LESION, "values [-1.0, 0.0] in a mask", "write 1 inside"),
    Spoiled("mask of shares", image("final_lesion", voxels(cube(0.5))), LESION, "values [0.0, 0.5] in a mask", "write 1 inside"),
    Spoiled("NaN in a mask", image("final_lesion", voxels(cube(np.nan))), LESION, "18 voxels are NaN", "finite value"),
    Spoiled("empty lesion", image("final_lesion", voxels(cube(0), dtype=np.uint8)), LESION, "the mask is empty", "draw the lesion"),
    Spoiled(
        "DWI lesion elsewhere", image("dwi_lesion", voxels(np.ones((6, 6, 4)))), "ses-baseline_label-lesion", "on another grid", "onto that grid"
    ),
    Spoiled("empty arterial mask", image("aif_mask", voxels(cube(0))), "label-AIF_mask", "the mask is empty", "mark voxels in an artery"),
    Spoiled("arterial mask elsewhere", image("aif_mask", voxels(np.ones((6, 6, 4)))), "label-AIF_mask", "on another grid", "onto that grid"),
    Spoiled(
        "arterial mask of H3 elsewhere",
        image("h3_aif_mask", voxels(np.ones((6, 6, 4))), "sub-02"),
        "sub-02_ses-h3_label-AIF",
        "on another grid",
        "onto that grid",
        "sub-02",
    ),
]
SIDE_FILES = [
    Spoiled("no b-values", lambda root: patient_files(root, "sub-01")["bval"].unlink(), BVAL, "the file does not exist", "add it"),
    Spoiled("a b-value too many", bval("0 1000 1000"), BVAL, "3 b-values for 2 volumes", "one b-value per volume"),
    Spoiled("no b-value in it", bval(""), BVAL, "0 b-values for 2 volumes", "one b-value per volume"),
    Spoiled("no b0", bval("1000 1000"), BVAL, "b-values [1000.0]", "a b0 (or the scanner's ADC map)"),
    Spoiled("nothing weighted", bval("0 0"), BVAL, "b-values [0.0]", "at least 500 s/mm2"),
    Spoiled("words for b-values", bval("low high"), BVAL, "b-values cannot be read", "separated by spaces"),
    Spoiled("commas between b-values", bval("0,1000"), BVAL, "b-values cannot be read", "separated by spaces"),
    Spoiled("NaN for a b-value", bval("nan 1000"), BVAL, "b-values [nan, 1000.0]", "from 0 to 100000"),
    Spoiled("infinite b-value", bval("0 inf"), BVAL, "b-values [0.0, inf]", "from 0 to 100000"),
    Spoiled("negative b-value", bval("-5 1000"), BVAL, "b-values [-5.0, 1000.0]", "from 0 to 100000"),
    Spoiled("b-values in Latin-1", bval(b"0 \xe91000"), BVAL, "b-values cannot be read", "separated by spaces"),
    Spoiled("no side file", image("dsc", lambda path: sidecar_path(path).unlink()), TIMES, "RepetitionTime is missing", "in seconds", faults=2),
    Spoiled("no repetition time", image("dsc", without("RepetitionTime")), TIMES, "RepetitionTime is missing", "in seconds"),
    Spoiled("no echo time", image("dsc", without("EchoTime")), TIMES, "EchoTime is missing", "in seconds"),
    Spoiled("repetition time in ms", image("dsc", key("RepetitionTime", 1500)), TIMES, "(perhaps in milliseconds: 1.5 s?)", "in seconds"),
    Spoiled("repetition time of another series", image("dsc", key("RepetitionTime", 2.0)), TIMES, "_dsc.nii.gz says 1.5 s", "the one that is wrong"),
    Spoiled("echo time in ms", image("dsc", key("EchoTime", 40)), TIMES, "(perhaps in milliseconds: 0.04 s?)", "in seconds"),
    Spoiled("time as text", image("dsc", key("RepetitionTime", "1.5")), TIMES, "RepetitionTime is missing or not a number", "in seconds"),
    Spoiled("time as a list", image("dsc", key("EchoTime", [0.04])), TIMES, "EchoTime is missing or not a number", "in seconds"),
    Spoiled("time is true", image("dsc", key("RepetitionTime", True)), TIMES, "RepetitionTime is missing or not a number", "in seconds"),
    Spoiled("time is null", image("dsc", key("EchoTime", None)), TIMES, "EchoTime is missing or not a number", "in seconds"),
    Spoiled("negative time", image("dsc", key("EchoTime", -0.04)), TIMES, "EchoTime is -0.04", "from 0.005 to 0.1"),
    Spoiled("no time passes", image("dsc", key("RepetitionTime", 0)), TIMES, "RepetitionTime is 0", "from 0.3 to 5"),
    Spoiled("time is NaN", image("dsc", key("RepetitionTime", float("nan"))), TIMES, "RepetitionTime is nan", "from 0.3 to 5"),
    Spoiled("time beyond floats", image("dsc", key("EchoTime", 10**400)), TIMES, "EchoTime is 1000", "from 0.005 to 0.1"),
    Spoiled("slice times in ms", image("dsc", key("SliceTiming", [0, 300, 600, 900])), TIMES, "SliceTiming from 0 to 900", "in seconds"),
    Spoiled("slice time beyond floats", image("dsc", key("SliceTiming", [0, 0, 0, 10**400])), TIMES, "SliceTiming from 0 to 1000", "in seconds"),
    Spoiled("too few slice times", image("dsc", key("SliceTiming", [0, 0.5])), TIMES, "2 times in SliceTiming for 4 slices", "per slice"),
    Spoiled("side file cut", image("dsc", side('{"EchoTime": 0.04,')), TIMES, "not valid JSON", "correct the file"),
    Spoiled("side file empty", image("dsc", side("")), TIMES, "not valid JSON", "correct the file"),
    Spoiled("side file a list", image("dsc", side("[1.5, 0.04]")), TIMES, "the JSON is not an object", "write it as"),
    Spoiled("side file in Latin-1", image("dsc", side(b'{"Name": "M\xfcller"}')), TIMES, "not valid JSON", "correct the file"),
    Spoiled("side file with a byte-order mark", image("dsc", side("\ufeff{}")), TIMES, "not valid JSON (Unexpected UTF-8 BOM", "correct the file"),
    Spoiled("side file without an end of brackets", image("dsc", side("[" * 100000)), TIMES, "not valid JSON", "correct the file"),
    Spoiled("side file a folder", image("dsc", lambda path: into_folder(sidecar_path(path))), TIMES, "this is not a file", "put a file there"),
    Spoiled("ADC in another unit", scanner_adc(0.8), ADC, "wrong unit of ADC: the median over tissue is 0.8", "correct Units"),
    Spoiled("ADC of zeros", scanner_adc(0.0), ADC, "wrong unit of ADC: the median over tissue is 0 ", "correct Units"),
    Spoiled("ADC without a unit", scanner_adc(800.0, Note="none"), ADC, "Units in the side file: None", 'one of "um2/s"'),
    Spoiled("ADC with a list for a unit", scanner_adc(800.0, Units=["um2/s"]), ADC, "Units in the side file: ['um2/s']", 'one of "um2/s"'),
    Spoiled("ADC elsewhere", scanner_adc(800.0, shape=(6, 6, 4)), ADC, "on another grid", "onto that grid"),
    Spoiled("Tmax in ms", given_maps(lambda files: key("Units", "ms")(files["tmax"])), "_Tmax", "Units in the side file: 'ms'", 'one of "s"'),
    Spoiled("CBF in a strange unit", given_maps(lambda files: key("Units", "furlong")(files["cbf"])), "_CBF", "'furlong'", '"ml/100g/min"'),
    Spoiled(
        "CBV in %", given_maps(lambda files: key("Units", "%")(files["cbv"])), "_CBV", "CBV per volume of tissue", "divide the values by the density"
    ),
    Spoiled(
        "CBV elsewhere", given_maps(lambda files: voxels(np.ones((6, 6, 4)), Units="ml/100g")(files["cbv"])), "_CBV", "on another grid", "that grid"
    ),
    Spoiled("no CBV", given_maps(lambda files: files["cbv"].unlink()), "_CBV", "the file does not exist", "add it"),
    Spoiled("no series at H3", image("h3_dsc", lambda path: path.unlink(), "sub-02"), "sub-02_ses-h3_dsc", "does not exist", "add it", "sub-02", 2),
]


def table(change):
    """Change of the bytes of participants.tsv."""
    return lambda root: content(change)(root / "participants.tsv")


def cell(column, value, row=1):
    """Set a cell of participants.tsv, whatever it holds."""

    def change(text):
        lines = [line.split("\t") for line in text.decode().splitlines()]
        lines[row][lines[0].index(column)] = value
        return "\n".join("\t".join(line) for line in lines).encode() + b"\n"

    return table(change)


def lines(change):
    """Change of the list of lines of participants.tsv."""
    return table(lambda text: "\n".join(change(text.decode().splitlines())).encode() + b"\n")


def whole(name, change, found, mend, faults=1, file="participants.tsv"):
    """A fault of the whole dataset."""
    return Spoiled(name, change, file, found, mend, "", faults)


NAME = "use sub- and at most 64 letters or digits"
NAMES = [
    "sub-../x",
    "../sub-01",
    "/etc/passwd",
    "sub-01/../../x",
    "sub-0 1",
    " sub-01",
    "sub-01 ",
    "sub-é1",
    "sub-١",
    "sub-01\u202e",
    "-rf",
    "--config",
    "sub--rf",
    "sub-'01'",
    "sub-$(touch x)",
    "sub-`touch x`",
    "sub-01;touch x",
    "sub-01|x",
    "sub-01&",
    "sub-{participant}",
    "sub-*",
    "sub-",
    "01",
    "SUB-01",
    "sub-01\0",
    "sub-" + "a" * 300,
    "n/a",
    "",
]
SAVE = "save it as UTF-8 text with one header row"
TABLES = [
    whole("no table", lambda root: (root / "participants.tsv").unlink(), "the file does not exist", "add it"),
    whole("table a folder", lambda root: into_folder(root / "participants.tsv"), "this is not a file", "put a file there"),
    whole("table a pipe", lambda root: into_pipe(root / "participants.tsv"), "this is not a file", "put a file there"),
    whole("table a link to itself", lambda root: into_loop(root / "participants.tsv"), "the file cannot be opened", "its link"),
    whole("no dataset", shutil.rmtree, "the file does not exist", "add it"),
    whole("table empty", table(lambda text: b""), "not a readable table", SAVE),
    whole("no rows", lines(lambda rows: rows[:1]), "no patients", "add one row per patient"),
    whole("commas", table(lambda text: text.replace(b"\t", b",")), "missing columns: participant_id, cohort", "separate the columns by tabs"),
    whole("semicolons", table(lambda text: text.replace(b"\t", b";")), "missing columns: participant_id, cohort", "separate the columns by tabs"),
    whole("another column", table(lambda text: text.replace(b"nihss", b"NIHSS")), "missing columns: nihss", "add these"),
    whole("a column twice", table(lambda text: text.replace(b"\tnihss", b"\tage")), "column age appears twice", SAVE),
    whole("a cell too many", lines(lambda rows: [*rows[:1], rows[1] + "\tx", *rows[2:]]), "line 2 has 11 cells where the header has 10", SAVE),
    whole("a cell too few", lines(lambda rows: [*rows[:2], rows[2].rpartition("\t")[0]]), "line 3 has 9 cells where the header has 10", SAVE),
    whole("an open quotation mark", cell("sex", '"F'), "not a readable table", SAVE),
    whole(
        "a row inside quotation marks",
        lambda root: [cell("cervical_ica", '"no', 1)(root), cell("participant_id", 'sub-02"', 2)(root)],
        "line 3 has 19 cells where the header has 10",
        SAVE,
    ),
    whole("Latin-1", table(lambda text: text.replace(b"M1", b"M\xe9")), "not a readable table", SAVE),
    whole("UTF-16", table(lambda text: text.decode().encode("utf-16")), "not a readable table", SAVE),
    whole("an image", lambda root: shutil.copy(patient_files(root, "sub-01")["dwi"], root / "participants.tsv"), "not a readable table", SAVE),
    whole("patient twice", lines(lambda rows: [*rows, rows[1]]), "sub-01 appears twice", "one row per patient"),
    whole("folder without a row", lines(lambda rows: rows[:2]), "unknown participant: no row", "add a row", file="sub-02"),
    whole("strange folder", lambda root: (root / "sub-$(touch x)").mkdir(), "unknown participant: no row", "add a row", file="sub-$(touch x)"),
    whole("unknown cohort", cell("cohort", "hibiscuss"), "sub-01: unknown cohort 'hibiscuss'", "configure it under cohorts", 2),
    whole("no cohort", cell("cohort", "n/a"), "sub-01: unknown cohort nan", "configure it under cohorts", 2),
    whole("cohort elsewhere", cell("cohort", "../../x"), "sub-01: unknown cohort '../../x'", "configure it under cohorts", 2),
]
TABLES += [whole(f"name {name[:20]!r}", cell("participant_id", name), "participant_id ", NAME, 2) for name in NAMES]
VALUES = [
    ("mtici", "n/a", "mtici is missing", "give the mTICI score"),
    ("mtici", "4", "mtici is '4'", "use one of 0, 1, 2a, 2b, 2c, 3"),
    ("mtici", "2B", "mtici is '2B'", "use one of"),
    ("mtici", "2b ", "mtici is '2b '", "use one of"),
    ("mtici", "2b\0", "mtici is '2b\\x00'", "use one of"),
    ("age", "old", "age is 'old'", "a number from 0 to 120"),
    ("age", "-1", "age is '-1'", "a number from 0 to 120"),
    ("age", "121", "age is '121'", "a number from 0 to 120"),
    ("age", "nan", "age is 'nan'", "a number from 0 to 120"),
    ("age", "7_0", "age is '7_0'", "a number from 0 to 120"),
    ("age", "٧٠", "age is '٧٠'", "a number from 0 to 120"),
    ("age", "70,5", "age is '70,5'", "a number from 0 to 120"),
    ("nihss", "43", "nihss is '43'", "a number from 0 to 42"),
    ("onset_to_mri_min", "inf", "onset_to_mri_min is 'inf'", "a number from 0 to 10080"),
    ("sex", "female", "sex is 'female'", "use one of F, M"),
    ("iv_tpa", "1", "iv_tpa is '1'", "use one of yes, no"),
    ("occlusion_site", "M3", "occlusion_site is 'M3'", "use one of ICA+M1"),
    ("cervical_ica", "\x1b[31mno", "cervical_ica is '\\x1b[31mno'", "use one of yes, no"),
]
ROWS = [Spoiled(f"{column} {value!r}", cell(column, value), "participants.tsv, row 2", found, mend) for column, value, found, mend in VALUES]

SPOILED = [*IMAGES, *MASKS, *SIDE_FILES, *TABLES, *ROWS]
