"""Fixtures: a small valid dataset in BIDS form, and the folder of real images."""

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from finalinfarct.dataset.contract import PARTICIPANT_COLUMNS, patient_files
from finalinfarct.dataset.images import write_image
from finalinfarct.dataset.tables import write_table
from project import ROOT

# Whichever test first computes with TensorFlow in a process: with other threads sums are rounded otherwise, and tests compare bits.
os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}


@pytest.fixture
def config():
    """Return the default configuration."""
    return yaml.safe_load((ROOT / "config" / "config.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def dataset(tmp_path, valid_dataset):
    """Return the folder of a valid dataset of two patients, sub-01 (hibiscus) and sub-02 (iknow), that a test may spoil."""
    return shutil.copytree(valid_dataset, tmp_path / "bids")


@pytest.fixture(scope="session")
def valid_dataset(tmp_path_factory):
    """Write the dataset that ``dataset`` is a copy of."""
    root, random = tmp_path_factory.mktemp("valid") / "bids", np.random.default_rng(0)
    affine = np.diag([10.0, 10.0, 5.0, 1.0])
    shape = (12, 12, 4)
    mask = np.zeros(shape)
    mask[3:6, 3:6, 1:3] = 1
    dsc = {"RepetitionTime": 1.5, "EchoTime": 0.04}
    for name in ("sub-01", "sub-02"):
        files = patient_files(root, name)
        write_image(files["dwi"], random.integers(1, 500, (*shape, 2)), affine, {"EchoTime": 0.08}, dtype=np.int16)
        files["bval"].write_text("0 1000\n", encoding="utf-8")
        write_image(files["dsc"], random.integers(1, 500, (*shape, 25)), affine, dsc, dtype=np.int16)
        write_image(files["followup_flair"], random.integers(1, 500, shape), affine, dtype=np.int16)
        write_image(files["final_lesion"], mask, affine, dtype=np.uint8)
    write_image(patient_files(root, "sub-02")["h3_dsc"], random.integers(1, 500, (*shape, 25)), affine, dsc, dtype=np.int16)
    rows = [
        ("sub-01", "hibiscus", "2b", 70, "F", 15, 100, "yes", "M1", "no"),
        ("sub-02", "iknow", None, None, "M", 10, 90, "no", "M2", "no"),
    ]
    write_table(pd.DataFrame(rows, columns=PARTICIPANT_COLUMNS), root / "participants.tsv")
    return root


@pytest.fixture(scope="session")
def realdata():
    """Return the folder of real images, or skip where there is none."""
    folder = Path(os.environ.get("REALDATA", ROOT.parent / "shared" / "realdata"))
    if not folder.is_dir():
        pytest.skip(f"no real images in {folder}; set REALDATA to the folder that holds them")
    return folder
