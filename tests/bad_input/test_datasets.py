"""Every spoiled dataset is refused by the check and by the plan, with file, fault and mend; harmless variants change nothing."""

import gzip
import os
import re
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from mutations import (
    AFFINE,
    FRAMES,
    NAMES,
    PIXDIM,
    SHAPE,
    SIZEOF_HDR,
    SLOPE,
    SPOILED,
    content,
    cube,
    decompressed,
    given_maps,
    header,
    image,
    lines,
    oblique,
    plain,
    scanner_adc,
    series,
    sheared,
    special,
    table,
    voxels,
)

from finalinfarct.dataset import images
from finalinfarct.dataset.check import check_dataset
from finalinfarct.dataset.contract import patient_files
from finalinfarct.dataset.images import LARGEST_IMAGE_VALUES, read_header, read_image, write_image
from finalinfarct.errors import InputError
from finalinfarct.imaging.brain import brain_mask
from finalinfarct.imaging.diffusion import compute_adc
from finalinfarct.imaging.lesions import make_labels
from finalinfarct.imaging.normalisation import normalise
from finalinfarct.imaging.perfusion import compute_perfusion, use_given_maps
from finalinfarct.imaging.registration import register, resample
from finalinfarct.plan.plan import Plan


def given(config, dataset, faults="refuse"):
    return {**config, "dataset": {"path": str(dataset), "simulated": False, "faults": faults}}


def test_the_table_is_long_and_its_names_are_unique():
    names = [row.name for row in SPOILED]
    assert len(names) == len(set(names)) >= 150


@pytest.mark.parametrize("row", SPOILED, ids=lambda row: row.name)
def test_spoiled_dataset_is_refused_or_its_patient_left_out(row, dataset, config):
    row.change(dataset)
    _, faults = check_dataset(dataset, config["cohorts"])
    assert len(faults) == row.faults, faults
    assert {fault.participant_id for fault in faults} == {row.participant}
    assert any(row.file in fault.file and row.found in fault.found and row.mend in fault.mend for fault in faults), faults
    with pytest.raises(InputError) as refusal:
        Plan(given(config, dataset))
    assert all(words in str(refusal.value) for words in (row.file, row.found, row.mend))
    if row.participant:
        assert set(Plan(given(config, dataset, "exclude")).patients) == {"sub-01", "sub-02"} - {row.participant}
    else:
        with pytest.raises(InputError, match=re.escape(row.found)):
            Plan(given(config, dataset, "exclude"))


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
@pytest.mark.parametrize(
    "name",
    [
        "participants.tsv",
        "sub-01/ses-baseline/dwi/sub-01_ses-baseline_dwi.nii.gz",
        "sub-01/ses-baseline",
        # of files that may be left out
        "derivatives/lesions/sub-01/ses-baseline",
    ],
)
def test_what_may_not_be_read_is_a_fault(name, dataset, config):
    path = dataset / name
    if not path.exists():
        path.mkdir()
    # Imports what it needs while that may be read.
    assert check_dataset(dataset, config["cohorts"])[1] == []
    path.chmod(0)
    user = os.geteuid()
    parents = [folder for folder in dataset.parents if folder.owner() != "nobody" and folder.stat().st_uid == user and folder != Path("/")]
    before = [folder.stat().st_mode for folder in parents]
    try:
        if user == 0:
            # The superuser may read everything: look with other eyes.
            for folder in parents:
                folder.chmod(folder.stat().st_mode | 0o055)
            os.seteuid(65534)
        _, faults = check_dataset(dataset, config["cohorts"])
    finally:
        os.seteuid(user)
        for folder, mode in zip(parents, before, strict=True):
            folder.chmod(mode)
        path.chmod(0o755)
    assert faults and all("Permission denied" in fault.found and name.split("/")[-1] in fault.file for fault in faults), faults


def steps(root, out, config, participant="sub-01"):
    """What reads the voxels of each image of a patient."""
    files = patient_files(root, participant)
    maps = {name: out / f"{name}.nii.gz" for name in ("perfref", "Tmax", "CBF", "CBV", "MTT", "TTP", "aif_mask")}
    maps |= {"aif": out / "aif.tsv", "report": out / "report.json"}
    settings = {**config["perfusion"], "motion_correction": False}
    adc = files["adc"] if files["adc"].exists() else None
    aif = files["aif_mask"] if files["aif_mask"].exists() else None
    return {
        "dwi": lambda: compute_adc(files["dwi"], adc, *(out / f"{name}.nii.gz" for name in ("b0", "dwi", "adc"))),
        "dsc": lambda: compute_perfusion(files["dsc"], settings, maps, aif_mask_in=aif),
        "maps": lambda: use_given_maps(files["tmax"], files["cbf"], files["cbv"], maps),
        "followup_flair": lambda: register(files["followup_flair"], files["followup_flair"], "rigid", out / "a.h5", out / "b.h5"),
        "final_lesion": lambda: labels(root, out),
        "brain": lambda: brain_mask(files["followup_flair"], out / "brain.nii.gz", "median_otsu"),
        "normalise": lambda: normalise([(files["followup_flair"], out / "normal.nii.gz")], files["final_lesion"]),
        "elsewhere": lambda: resample([(files["followup_flair"], out / "far.nii.gz")], files["final_lesion"], 16),
    }


def labels(root, out):
    """Labels of a patient whose maps are its follow-up image."""
    flair, lesion = (patient_files(root, "sub-01")[name] for name in ("followup_flair", "final_lesion"))
    settings = {"adc_threshold_um2_s": 620.0, "minimum_component_ml": 0.5}
    brain = out / "brain.nii.gz"
    write_image(brain, np.ones(SHAPE), AFFINE, dtype=np.uint8)
    make_labels(lesion, None, None, None, flair, 12, flair, brain, settings, *(out / f"{name}.nii.gz" for name in "abc"))


def far_away(root):
    """Mask and image together at another place, as after a wrong orientation: only the step that joins them can see it."""
    files, away = patient_files(root, "sub-01"), AFFINE + np.eye(4, k=3) * 4000
    write_image(files["followup_flair"], special(2), away)
    write_image(files["final_lesion"], cube(), AFFINE, dtype=np.uint8)


CHECK_SUM = content(lambda packed: packed[:-8] + bytes([packed[-8] ^ 1]) + packed[-7:])
# What the check, which reads headers, cannot see; the step that reads the voxels names it.
UNSEEN = [
    ("damaged DWI", image("dwi", CHECK_SUM), "dwi", "CRC check failed"),
    ("damaged series", image("dsc", CHECK_SUM), "dsc", "CRC check failed"),
    ("DWI of zeros", image("dwi", voxels(np.zeros((*SHAPE, 2)), dtype=np.int16)), "dwi", "no positive signal in the diffusion-weighted volume"),
    ("negative DWI", image("dwi", voxels(np.full((*SHAPE, 2), -5), dtype=np.int16)), "dwi", "no positive signal"),
    ("b0 of zeros", image("dwi", voxels(np.stack([special(0) * 0, special(2)], -1), dtype=np.int16)), "dwi", "no positive signal in the b0"),
    ("DWI scaled beyond float32", image("dwi", header((SLOPE, (3e38, 0.0)))), "dwi", "voxels are NaN or infinite"),
    ("series scaled beyond float32", image("dsc", header((SLOPE, (3e38, 0.0)))), "dsc", "voxels are NaN or infinite"),
    ("series of zeros", image("dsc", lambda p: write_image(p, np.zeros(FRAMES), AFFINE, dtype=np.int16)), "dsc", "no signal in any voxel"),
    ("negative series", image("dsc", lambda p: write_image(p, np.full(FRAMES, -9), AFFINE, dtype=np.int16)), "dsc", "no signal in any voxel"),
    ("constant series", image("dsc", lambda p: write_image(p, np.full(FRAMES, 9), AFFINE, dtype=np.int16)), "dsc", "bolus"),
    ("noise for a series", lambda root: None, "dsc", "fewer than 3 steady frames before the signal falls"),
    ("flat follow-up", image("followup_flair", voxels(np.full(SHAPE, 7.0))), "followup_flair", "the image is constant"),
    ("flat reference", image("followup_flair", voxels(np.zeros(SHAPE))), "brain", "the image is constant"),
    ("maps of zeros", given_maps(lambda f: voxels(np.zeros(SHAPE), Units="ml/100g/min")(f["cbf"])), "maps", "no positive value"),
    ("Tmax of a thousand", given_maps(lambda f: voxels(np.full(SHAPE, 6000.0), Units="s")(f["tmax"])), "maps", "wrong unit of Tmax"),
    ("lesion beside the head", far_away, "final_lesion", "the final lesion is empty on the grid"),
    ("image beside the grid", far_away, "elsewhere", "nothing of it lies on the grid"),
    ("mask on another grid than the image", far_away, "normalise", "on another grid"),
]


@pytest.mark.parametrize(("change", "step", "found"), [row[1:] for row in UNSEEN], ids=[row[0] for row in UNSEEN])
def test_what_the_check_cannot_see_is_refused_by_the_step_that_reads_it(change, step, found, dataset, config, tmp_path):
    change(dataset)
    out = tmp_path / "out"
    with pytest.raises(InputError, match=re.escape(found)) as fault:
        steps(dataset, out, config)[step]()
    assert str(dataset) in str(fault.value) and fault.value.mend


HARMLESS = {
    "byte-order mark": table(lambda text: b"\xef\xbb\xbf" + text),
    "CRLF": table(lambda text: text.replace(b"\n", b"\r\n")),
    "no last newline": table(lambda text: text.rstrip(b"\n")),
    "blank lines": table(lambda text: text.replace(b"\n", b"\n\n")),
    "quoted cells": table(lambda text: text.replace(b"hibiscus", b'"hibiscus"')),
    "another column": lines(lambda rows: [row + "\tnote" for row in rows]),
    "columns reversed": lines(lambda rows: ["\t".join(reversed(row.split("\t"))) for row in rows]),
    "uncompressed": image("dwi", plain(lambda inside: inside)),
    "two streams": image("dwi", content(lambda packed: gzip.compress(gzip.decompress(packed)[:900]) + gzip.compress(gzip.decompress(packed)[900:]))),
    "zeros after the stream": image("dwi", content(lambda packed: packed + bytes(512))),
    "big endian": image("dwi", lambda path: resaved(path, lambda old: nib.Nifti1Image(old, AFFINE, nib.Nifti1Header(endianness=">")))),
    "NIfTI-2": image("dwi", lambda path: resaved(path, lambda old: nib.Nifti2Image(old, AFFINE))),
    "negative voxel sizes beside an affine": image("dwi", header((PIXDIM, [1.0, -10, -10, -5, 1, 1, 1, 1]))),
    "voxel sizes of 0 beside an affine": image("dwi", header((PIXDIM, [1.0, 0, 0, 0, 1, 1, 1, 1]))),
    "length of the header": image("dwi", header((SIZEOF_HDR, (0,)))),
    "times unknown to the header": image("dsc", header((PIXDIM, [1.0, 10, 10, 5, 1, 0, 0, 0]))),
    "oblique slices": image("dsc", series(np.ones(FRAMES), oblique(20))),
    "thin slices of wide voxels": image("dsc", series(np.ones(FRAMES), np.diag([10.0, 10, 3, 1]))),
    "almost right angles": image("dsc", series(np.ones(FRAMES), sheared(0.5))),
    "sagittal 3D follow-up": lambda root: sagittal(root),
    "extension": image("dwi", decompressed(lambda inside: extended(inside))),
}


def sagittal(root):
    """A follow-up FLAIR whose first axis runs forwards and whose third one runs to the right, as 3D sequences are stored, and its lesion."""
    files, affine = patient_files(root, "sub-01"), np.array([[0.0, 0, 5, 0], [5, 0, 0, 0], [0, 5, 0, 0], [0, 0, 0, 1]])
    write_image(files["followup_flair"], special(2), affine)
    write_image(files["final_lesion"], cube(), affine, dtype=np.uint8)


def resaved(path, make):
    made = make(np.asarray(nib.load(path).dataobj).astype(np.int16))
    made.set_sform(AFFINE, 1)
    nib.save(made, path)


def extended(inside):
    """A comment of 16 bytes between header and voxels."""
    old = nib.Nifti1Image.from_bytes(inside)
    new = nib.Nifti1Image(np.asarray(old.dataobj), old.affine, old.header)
    new.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"Jane Doe"))
    return new.to_bytes()


@pytest.mark.parametrize("change", HARMLESS.values(), ids=HARMLESS.keys())
def test_harmless_variants_are_the_same_dataset(change, dataset, valid_dataset, config):
    before = read_image(patient_files(valid_dataset, "sub-01")["dwi"])
    change(dataset)
    patients, faults = check_dataset(dataset, config["cohorts"])
    assert (patients, faults) == ({"sub-01": "hibiscus", "sub-02": "iknow"}, [])
    after = read_image(patient_files(dataset, "sub-01")["dwi"])
    np.testing.assert_array_equal(after.dataobj, before.dataobj)
    np.testing.assert_allclose(after.affine, before.affine)


def test_header_that_claims_much_is_refused_before_anything_is_read(dataset, monkeypatch):
    """Also where the file is long enough for what it claims: a gzip of zeros holds a thousand times its own length."""
    path = patient_files(dataset, "sub-01")["followup_flair"]
    edge = round(LARGEST_IMAGE_VALUES ** (1 / 3)) + 10
    header(((40, "4h"), (3, edge, edge, edge)))(path)
    os.truncate(path, 2_000_000)
    monkeypatch.setattr(images, "ArrayProxy", None)
    with pytest.raises(InputError, match="more than the 536870912 allowed"):
        read_header(path)
    with pytest.raises(InputError, match="more than the 536870912 allowed"):
        read_image(path)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_made_of_a_strange_name(name, dataset, tmp_path, config, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(dataset, tmp_path / "a" / "given")
    before = sorted(tmp_path.rglob("*"))
    lines(lambda rows: [rows[0], rows[1].replace("sub-01", name), *rows[2:]])(tmp_path / "a" / "given")
    with pytest.raises(InputError):
        Plan(given(config, tmp_path / "a" / "given", "exclude"))
    assert {path for path in tmp_path.rglob("*") if ".snakemake" not in path.parts} == set(before)


def test_scanner_adc_is_accepted_beside_any_b_value(dataset, config):
    scanner_adc(800.0)(dataset)
    patient_files(dataset, "sub-01")["bval"].write_text("1000 1000\n", encoding="utf-8")
    assert check_dataset(dataset, config["cohorts"])[1] == []
