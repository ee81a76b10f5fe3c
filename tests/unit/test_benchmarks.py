"""Benchmarks whose input is what runs leave behind."""

import runpy
import sys

import pandas as pd
import pytest

from finalinfarct.dataset.tables import write_table
from project import ROOT

COLUMNS = ["participant_id", "status", "method", "fusion", "inputs", "training_set", "fold", "metric", "value"]


def directions(*paths):
    sys.argv = ["directions.py", *map(str, paths)]
    runpy.run_path(str(ROOT / "benchmarks" / "directions.py"), run_name="__main__")


def test_directions_of_a_run_and_of_its_families_are_the_same(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", [])
    patients = [f"sub-{number}" for number in range(6)]
    families = {
        "cnn": ("cnn", "late", "DWI-ADC-Tmax-CBF-CBV", "reperfused", 1),
        "general": ("cnn", "late", "DWI-ADC-Tmax-CBF-CBV", "all", 1),
        "mismatch": ("mismatch", *[None] * 4),
    }
    frames = {}
    for number, (name, family) in enumerate(families.items()):
        rows = [(patient, "reperfused", *family, "dsc", 0.5 + k * k / 100 - number * k / 50) for k, patient in enumerate(patients)]
        frames[name] = pd.DataFrame(rows, columns=COLUMNS)
        write_table(frames[name], tmp_path / f"{name}.tsv")
    write_table(pd.concat(frames.values()), tmp_path / "metrics.tsv")
    directions(tmp_path / "metrics.tsv")
    together = capsys.readouterr().out
    assert together.count("| 6 | +0.") == 2
    directions(*(tmp_path / f"{name}.tsv" for name in families))
    assert capsys.readouterr().out == together
    directions(tmp_path / "metrics.tsv", tmp_path / "mismatch.tsv")
    assert capsys.readouterr().out == together
    write_table(frames["mismatch"].assign(value=0.1), tmp_path / "other.tsv")
    with pytest.raises(SystemExit):
        directions(tmp_path / "metrics.tsv", tmp_path / "other.tsv")
    assert "of different runs" in capsys.readouterr().err
