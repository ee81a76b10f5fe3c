"""Readers on bytes that nobody foresaw: what they return is sound, or they raise the one error that users are meant to see, in bounded memory."""

import gzip
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finalinfarct.dataset.check import check_dataset
from finalinfarct.dataset.contract import PARTICIPANT_COLUMNS, PARTICIPANT_ID, patient_files
from finalinfarct.dataset.images import read_header, read_image, read_sidecar
from finalinfarct.dataset.sidefiles import read_b_values
from finalinfarct.dataset.tables import read_table
from finalinfarct.errors import InputError

LARGEST_BYTES = 8 * 2**20
FUZZ = settings(max_examples=400, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
# Offset, format and width of what decides about reading; the rest of a header is text.
FIELDS = [
    (0, "i"),
    *((40 + 2 * i, "h") for i in range(8)),
    (70, "h"),
    (72, "h"),
    *((76 + 4 * i, "f") for i in range(8)),
    (108, "f"),
    (112, "f"),
    (116, "f"),
]
FIELDS += [(252, "h"), (254, "h"), *((256 + 4 * i, "f") for i in range(18)), (344, "i"), (348, "i")]
NUMBERS = {"h": st.integers(-(2**15), 2**15 - 1), "i": st.integers(-(2**31), 2**31 - 1), "f": st.floats(width=32)}


@pytest.fixture(scope="module")
def inside(valid_dataset):
    """Bytes of a small image, decompressed."""
    return gzip.decompress(patient_files(valid_dataset, "sub-01")["followup_flair"].read_bytes())


def sound_or_refused(path):
    """Read an image; True where it was read. Memory stays far below what a header can claim."""
    tracemalloc.start()
    try:
        image = read_image(path, ndim=(3, 4))
    except InputError as fault:
        assert fault.mend and str(path) in str(fault)
        return False
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < LARGEST_BYTES
    data = np.asarray(image.dataobj)
    assert data.size and np.isfinite(data).all() and np.isfinite(image.affine).all()
    return True


@FUZZ
@given(st.lists(st.sampled_from(FIELDS).flatmap(lambda field: st.tuples(st.just(field), NUMBERS[field[1]])), min_size=1, max_size=3), st.booleans())
def test_header_of_any_numbers(inside, tmp_path, changes, packed):
    content = bytearray(inside)
    for (offset, form), value in changes:
        struct.pack_into("<" + form, content, offset, value)
    path = tmp_path / ("a.nii.gz" if packed else "a.nii")
    path.write_bytes(gzip.compress(bytes(content), compresslevel=1) if packed else bytes(content))
    assert not sound_or_refused(path) or read_header(path).bytes == len(content)


@FUZZ
@given(st.lists(st.tuples(st.integers(0, 351), st.integers(0, 255)), min_size=1, max_size=8))
def test_header_of_any_bytes(inside, tmp_path, changes):
    content = bytearray(inside)
    for position, value in changes:
        content[position] = value
    path = tmp_path / "a.nii"
    path.write_bytes(bytes(content))
    assert not sound_or_refused(path) or read_header(path).bytes == len(content)


@FUZZ
@given(st.binary(max_size=2000), st.sampled_from(["a.nii", "a.nii.gz"]), st.booleans())
def test_any_bytes(tmp_path, content, name, packed):
    path = tmp_path / name
    path.write_bytes(gzip.compress(content, compresslevel=1) if packed else content)
    assert not sound_or_refused(path)


@FUZZ
@given(st.data())
def test_stream_cut_or_damaged_anywhere(inside, tmp_path, data):
    """A changed byte of the stream is found by its check sum, or it was one that no voxel depends on."""
    packed = bytearray(gzip.compress(inside, compresslevel=1, mtime=0))
    path = tmp_path / "a.nii.gz"
    if data.draw(st.booleans()):
        path.write_bytes(packed[: data.draw(st.integers(0, len(packed) - 1))])
        assert not sound_or_refused(path)
        return
    position = data.draw(st.integers(0, len(packed) - 1))
    packed[position] ^= data.draw(st.integers(1, 255))
    path.write_bytes(packed)
    if sound_or_refused(path):
        (tmp_path / "b.nii").write_bytes(inside)
        np.testing.assert_array_equal(read_image(path).dataobj, read_image(tmp_path / "b.nii").dataobj)


CELL = st.text(alphabet=st.sampled_from("\t\n\r\"', ;\0\ufeffé0123456789.-+eEnasub/../MFyes"), max_size=12)


@FUZZ
@given(
    st.one_of(st.binary(max_size=600), st.lists(st.lists(CELL, max_size=12), max_size=6).map(lambda rows: "\n".join(map("\t".join, rows)).encode()))
)
def test_any_table(tmp_path, content):
    path = tmp_path / "a.tsv"
    path.write_bytes(content)
    try:
        frame = read_table(path)
    except InputError as fault:
        assert fault.mend and str(path) in str(fault)
    else:
        assert len(set(frame.columns)) == len(frame.columns)


@FUZZ
@given(st.lists(st.lists(CELL, min_size=10, max_size=10), min_size=1, max_size=3))
def test_any_participants(tmp_path, config, rows):
    """Cells of any text under the right header: no patient is made of a strange name, and the rest are faults."""
    text = "\n".join("\t".join(row) for row in [PARTICIPANT_COLUMNS, *rows])
    (tmp_path / "participants.tsv").write_text(text, encoding="utf-8")
    patients, faults = check_dataset(tmp_path, config["cohorts"])
    assert faults and all(fault.found and fault.mend for fault in faults)
    assert all(PARTICIPANT_ID.fullmatch(name) for name in patients)


@FUZZ
@given(st.one_of(st.binary(max_size=60), st.text(alphabet='{}[]":,0123456789eE.-+truefalsn\\u \n', max_size=60).map(str.encode)))
def test_any_side_file(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    try:
        assert isinstance(read_sidecar(tmp_path / "a.nii.gz"), dict)
    except InputError as fault:
        assert fault.mend and "a.json" in str(fault)


@FUZZ
@given(st.one_of(st.binary(max_size=40), st.text(alphabet="0123456789.-+einfa_ \n", max_size=20).map(str.encode)))
def test_any_b_values(tmp_path, content):
    (tmp_path / "a.bval").write_bytes(content)
    try:
        values = read_b_values(tmp_path / "a.nii.gz", 2, with_adc=False)
    except InputError as fault:
        assert fault.mend and "a.bval" in str(fault)
    else:
        assert values.shape == (2,) and 0 <= values.min() < 50 and 500 <= values.max() <= 100000
