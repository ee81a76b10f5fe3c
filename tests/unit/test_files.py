"""Files are written whole or not at all."""

import errno
import os

import h5py
import numpy as np
import pandas as pd
import pytest

from finalinfarct.dataset.files import require_file, unwritable, whole, write_text
from finalinfarct.dataset.tables import read_table, write_table
from finalinfarct.errors import InputError
from finalinfarct.learning.slices import _Sink


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_takes_its_place_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "table.tsv"
    with whole(path) as partial:
        partial.write_text("half", encoding="utf-8")
        assert names(path.parent) == [partial.name] and partial.suffix == ".tsv"
        partial.write_text("whole", encoding="utf-8")
    assert names(path.parent) == ["table.tsv"] and path.read_text(encoding="utf-8") == "whole"


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), ValueError("wrong"), OSError(errno.EIO, "broken")])
def test_what_was_there_stays_when_the_block_fails(tmp_path, fault):
    path = tmp_path / "table.tsv"
    write_text(path, "before")
    with pytest.raises(type(fault)) as raised, whole(path) as partial:
        partial.write_text("half", encoding="utf-8")
        raise fault
    assert raised.value is fault
    assert names(tmp_path) == ["table.tsv"] and path.read_text(encoding="utf-8") == "before"


def test_a_folder_replaces_a_folder(tmp_path):
    folder = tmp_path / "predictions"
    for name in ("first", "second"):
        with whole(folder) as partial:
            partial.mkdir()
            write_text(partial / name, name)
    assert names(folder) == ["second"] and names(tmp_path) == ["predictions"]


def test_what_killed_processes_left_is_removed(tmp_path):
    (tmp_path / ".123.table.tsv").write_text("half", encoding="utf-8")
    (tmp_path / ".0.abc.123.table.tsv").mkdir()
    others = {".123.other.tsv", "table.tsv.bak", "1.table.tsv"}
    for name in others:
        (tmp_path / name).touch()
    write_text(tmp_path / "table.tsv", "whole")
    assert set(names(tmp_path)) == {"table.tsv", *others}


@pytest.mark.parametrize(("number", "mend"), [("ENOSPC", "free space"), ("EDQUOT", "quota"), ("EROFS", "writable"), ("EACCES", "writable")])
def test_fault_of_the_disk_names_the_file_and_the_mend(tmp_path, number, mend):
    with pytest.raises(InputError, match=f"table.tsv: cannot be written .*Mend: .*{mend}"), whole(tmp_path / "table.tsv"):
        raise OSError(getattr(errno, number), "said by a library")
    assert unwritable(OSError(errno.EIO, "broken"), tmp_path) is None


@pytest.mark.parametrize(("number", "expected"), [("EIO", OSError), ("ESTALE", OSError), ("EACCES", InputError), ("ELOOP", InputError)])
def test_file_on_a_failing_disk_is_not_called_wrong(tmp_path, monkeypatch, number, expected):
    def fail(path):
        raise OSError(getattr(errno, number), "said by the system", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", fail)
        with pytest.raises(expected, match=r"a\.nii"):
            require_file(tmp_path / "a.nii")


def test_hdf5_on_a_full_disk_raises_at_the_end_and_does_not_crash():
    """Writing to /dev/full fails as on a full disk."""
    with pytest.raises(OSError, match="No space left") as raised, _Sink("/dev/full") as sink, h5py.File(sink, "w") as file:
        for number in range(20):
            file.create_dataset(f"slices-{number}", data=np.random.default_rng(0).random((64, 64)), chunks=(1, 64), fletcher32=True)
    assert raised.value.errno == errno.ENOSPC


def test_a_table_keeps_every_bit_of_a_number(tmp_path):
    # 0.0645751953125 ml: a voxel of 230 mm in 64 columns and 5 mm; its multiples need more than twelve digits
    numbers = np.r_[0.0645751953125 * np.arange(1, 200, 7), 0.1 + 0.2, 1 / 3, 5e-324, 1e300, -0.0, np.nan]
    write_table(pd.DataFrame({"value": numbers, "count": [3.0, *[np.nan] * (numbers.size - 1)]}), tmp_path / "table.tsv")
    assert np.array_equal(read_table(tmp_path / "table.tsv")["value"].to_numpy().view(np.int64)[:-1], numbers.view(np.int64)[:-1])
    assert (tmp_path / "table.tsv").read_text(encoding="utf-8").splitlines()[1] == "0.0645751953125\t3"
