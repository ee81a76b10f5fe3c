"""The model families of the paper: which networks there are, by fusion, inputs and training set."""

from typing import NamedTuple

INPUTS = ("DWI", "ADC", "Tmax", "CBF", "CBV")
FULL = "-".join(INPUTS)
ABLATED = ("DWI-ADC-Tmax", "DWI", "ADC", "Tmax")
STATUSES = ("reperfused", "nonreperfused")
TRAINING_SETS = {"all": STATUSES} | {status: (status,) for status in STATUSES}
"""Statuses of the patients who train, by training set."""


class Family(NamedTuple):
    """One model family: networks of one architecture on one training set, one per fold. ``inputs`` is joined by hyphens."""

    fusion: str
    inputs: str
    training_set: str


def model_families():
    """Return the 14 model families of tables 2, 3, 4 and C.6 of the paper, each once."""
    families = [Family(fusion, FULL, name) for fusion in ("late", "early") for name in TRAINING_SETS]
    return families + [Family("late", inputs, name) for inputs in ABLATED for name in STATUSES]
