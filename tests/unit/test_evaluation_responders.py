import numpy as np
import pytest

from finalinfarct.dataset.images import write_image
from finalinfarct.dataset.tables import read_table
from finalinfarct.errors import InputError
from finalinfarct.evaluation.responders import COLUMNS, is_responder, write_responders


def line(begin, end, length=40):
    """Mask of a row of voxels, from begin to before end."""
    mask = np.zeros((length, 1, 1), dtype=bool)
    mask[begin:end] = True
    return mask


@pytest.mark.parametrize(
    ("reperfused", "nonreperfused", "expected"),
    [
        # Exactly 20 % larger, DSC 2 * 5 / 22.
        (line(0, 10), line(5, 17), True),
        # 10 % larger only.
        (line(0, 10), line(6, 17), False),
        # Three times as large and around it: DSC is exactly 0.5, not below.
        (line(0, 10), line(0, 30), False),
        (line(0, 10), line(0, 31), True),
        # Twice as large, but DSC 2 / 3.
        (line(0, 10), line(0, 20), False),
        (line(0, 12), line(20, 30), False),
        # Both empty; the reperfused model's alone; the other's alone.
        (line(0, 0), line(0, 0), False),
        (line(0, 0), line(0, 1), True),
        (line(0, 1), line(0, 0), False),
    ],
)
def test_rule_of_the_paper(reperfused, nonreperfused, expected):
    assert is_responder(reperfused, nonreperfused) is expected


def test_table(tmp_path):
    affine = np.diag([10.0, 10.0, 5.0, 1.0])
    patients = []
    for name, masks in (("sub-1", (line(0, 10), line(0, 31))), ("sub-2", (line(0, 0), line(0, 0)))):
        patients.append({"participant_id": name, "status": "reperfused", "fold": 2})
        for model, mask in zip(("reperfused", "nonreperfused"), masks, strict=True):
            patients[-1][model] = tmp_path / f"{name}_{model}.nii.gz"
            write_image(patients[-1][model], mask, affine, dtype=np.uint8)
    write_responders(patients, tmp_path / "responders.tsv")
    table = read_table(tmp_path / "responders.tsv")
    assert tuple(table.columns) == COLUMNS
    # A voxel has 0.5 ml.
    assert table.iloc[0].tolist() == ["sub-1", "reperfused", 2, 5.0, 15.5, pytest.approx(20 / 41), "yes"]
    assert table.iloc[1].tolist() == ["sub-2", "reperfused", 2, 0.0, 0.0, 1.0, "no"]


def test_other_grids_are_refused(tmp_path):
    paths = [tmp_path / "a.nii.gz", tmp_path / "b.nii.gz"]
    for path, size in zip(paths, (1.0, 2.0), strict=True):
        write_image(path, line(0, 3), np.diag([size, 1.0, 1.0, 1.0]), dtype=np.uint8)
    patient = {"participant_id": "sub-1", "status": "reperfused", "fold": 1, "reperfused": paths[0], "nonreperfused": paths[1]}
    with pytest.raises(InputError, match=r"b\.nii\.gz.*grid"):
        write_responders([patient], tmp_path / "responders.tsv")
