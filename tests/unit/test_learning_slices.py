import h5py
import nibabel as nib
import numpy as np
import pytest
from learning_toys import AFFINE, make_patients

from finalinfarct.dataset.images import write_image
from finalinfarct.errors import InputError
from finalinfarct.learning.slices import load_slices, pack_slices

INPUTS = ["DWI", "ADC"]


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slices")
    patients = make_patients(folder, 4)
    pack_slices(patients, INPUTS, folder / "slices.h5")
    return patients, folder / "slices.h5"


def test_only_slices_with_lesion_are_packed_and_equal_the_images(packed):
    patients, path = packed
    with h5py.File(path) as file:
        ids, index = file["participant_id"].asstr()[:], file["slice_index"][:]
        images, labels = file["images"][:], file["labels"][:]
        assert images.dtype == np.float32 and labels.dtype == np.uint8
    expected = []
    for patient in patients:
        dseg = np.asarray(nib.load(patient["dseg"]).dataobj)
        expected += [(patient["participant_id"], z) for z in range(dseg.shape[2]) if 2 in dseg[:, :, z]]
    assert list(zip(ids, index, strict=True)) == expected
    assert 0 < len(expected) < 4 * 6
    for row in (0, len(ids) - 1):
        patient = next(p for p in patients if p["participant_id"] == ids[row])
        for channel, name in enumerate(INPUTS):
            np.testing.assert_array_equal(images[row, ..., channel], nib.load(patient["images"][name]).get_fdata(dtype=np.float32)[:, :, index[row]])
        np.testing.assert_array_equal(labels[row], np.asarray(nib.load(patient["dseg"]).dataobj)[:, :, index[row]])


def test_load_picks_patients_and_channels(packed):
    _, path = packed
    both, labels = load_slices(path, ["sub-01", "sub-03"], INPUTS)
    swapped, _ = load_slices(path, ["sub-03", "sub-01"], ["ADC", "DWI"])
    alone, alone_labels = load_slices(path, ["sub-03"], ["ADC"])
    np.testing.assert_array_equal(swapped, both[..., ::-1])
    np.testing.assert_array_equal(alone, both[-len(alone) :, ..., 1:])
    np.testing.assert_array_equal(alone_labels, labels[-len(alone) :])
    assert both.dtype == np.float32 and labels.dtype == np.uint8
    assert (labels == 2).any(axis=(1, 2)).all()


def test_packing_twice_gives_the_same_file(packed, tmp_path):
    patients, path = packed
    pack_slices(patients, INPUTS, tmp_path / "again.h5")
    assert (tmp_path / "again.h5").read_bytes() == path.read_bytes()


def test_patient_without_lesion_has_no_slices_but_is_known(tmp_path):
    patients = make_patients(tmp_path, 2)
    dseg = np.asarray(nib.load(patients[0]["dseg"]).dataobj)
    write_image(patients[0]["dseg"], np.minimum(dseg, 1), AFFINE, dtype=np.uint8)
    pack_slices(patients, INPUTS, tmp_path / "slices.h5")
    assert len(load_slices(tmp_path / "slices.h5", ["sub-00", "sub-01"], INPUTS)[0]) == len(
        load_slices(tmp_path / "slices.h5", ["sub-01"], INPUTS)[0]
    )
    with pytest.raises(InputError, match="no slice with final lesion"):
        load_slices(tmp_path / "slices.h5", ["sub-00"], INPUTS)
    with pytest.raises(InputError, match="sub-99 not in the file"):
        load_slices(tmp_path / "slices.h5", ["sub-99"], INPUTS)
    with pytest.raises(InputError, match="CBF not in the file"):
        load_slices(tmp_path / "slices.h5", ["sub-01"], ["CBF"])


@pytest.mark.parametrize("what", ["image", "affine", "dseg", "labels", "matrix", "missing"])
def test_unsuitable_images_are_refused_and_leave_no_file(tmp_path, what):
    patients = make_patients(tmp_path, 2)
    image, dseg = nib.load(patients[1]["images"]["ADC"]).get_fdata(), np.asarray(nib.load(patients[1]["dseg"]).dataobj)
    if what == "image":
        write_image(patients[1]["images"]["ADC"], image[:-1], AFFINE)
    elif what == "affine":
        write_image(patients[1]["images"]["ADC"], image, AFFINE + np.eye(4)[:, [1, 0, 2, 3]])
    elif what == "dseg":
        write_image(patients[1]["dseg"], dseg[..., :-1], AFFINE, dtype=np.uint8)
    elif what == "labels":
        write_image(patients[1]["dseg"], dseg + (dseg == 2), AFFINE, dtype=np.uint8)
    elif what == "matrix":
        patients[1] = make_patients(tmp_path / "other", 2, matrix=48)[1]
    else:
        del patients[1]["images"]["ADC"]
    match = {
        "image": "ADC.*grid",
        "affine": "ADC.*grid",
        "dseg": "dseg.*grid",
        "labels": "dseg.*labels other",
        "matrix": "matrix",
        "missing": "no image for input ADC",
    }
    with pytest.raises(InputError, match=match[what]):
        pack_slices(patients, INPUTS, tmp_path / "slices.h5")
    assert not list(tmp_path.glob("*.h5"))


def test_unreadable_file_is_named(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        load_slices(tmp_path / "none.h5", ["sub-00"], INPUTS)
    (tmp_path / "bad.h5").write_bytes(b"no HDF5")
    with pytest.raises(InputError, match="unreadable HDF5"):
        load_slices(tmp_path / "bad.h5", ["sub-00"], INPUTS)
