"""The model card says what the trainings recorded and what the metrics hold."""

import json
import math

import pandas as pd
import pytest
from learning_toys import SETTINGS

from finalinfarct.dataset.images import write_json
from finalinfarct.dataset.tables import write_table
from finalinfarct.errors import InputError
from finalinfarct.evaluation.family import COLUMNS, METRICS
from finalinfarct.learning.families import FULL
from finalinfarct.reporting.canvas import SIMULATED
from finalinfarct.reporting.model_card import write_model_card

DICE = {"sub-r1": ("reperfused", 0.2), "sub-r2": ("reperfused", 0.6), "sub-n1": ("nonreperfused", 0.5)}


@pytest.fixture
def family(tmp_path):
    """Return a function that writes the records of two trainings, the second changed as asked, and then the card."""

    def write(simulated=True, inputs=("DWI", "ADC"), **changes):
        environments, histories = [], []
        for fold in (1, 2):
            record = {
                **{"fold": fold, "fusion": "late", "inputs": list(inputs), "training_set": "reperfused", "matrix": 32, "seed": 7, "threads": 2},
                **{"settings": SETTINGS, "versions": {"keras": "3.1", "python": "3.11"}, "sha256": {"code": "c0de", "slices": "51ce"}},
                **{"backend": "tensorflow", "precision": "float32", "device": "CPU", "processor": "x86_64", "trainable_parameters": 864979},
                **{"branches": "separate", "patients": {"training": ["a", "b"], "validation": ["c"]}, "slices": {"training": 11, "validation": 5}},
                **{"epochs": 3, "kept_epoch": 2, "timing": {"training_s": 90.0}},
            }
            environments.append(tmp_path / f"{fold}.json")
            write_json(environments[-1], record | (changes if fold == 2 else {}))
            histories.append(tmp_path / f"{fold}.csv")
            table = {"epoch": [1, 2, 3], "loss": [0.9, 0.5, 0.4], "validation_dice": [0.3, 0.6 + fold / 100, 0.5]}
            pd.DataFrame(table).to_csv(histories[-1], index=False)
        rows = [
            (
                name,
                status,
                "cnn",
                "late",
                "-".join(inputs),
                "reperfused",
                1,
                metric,
                math.nan if (name, metric) == ("sub-r1", "hausdorff_distance_mm") else dice,
            )
            for name, (status, dice) in DICE.items()
            for metric in METRICS
        ]
        write_table(pd.DataFrame(rows, columns=COLUMNS), tmp_path / "metrics.tsv")
        outputs = [tmp_path / name for name in ("card.md", "curve.svg", "curve.png")]
        write_model_card(environments, histories, tmp_path / "metrics.tsv", "mm", simulated, *outputs)
        return outputs

    return write


def test_card_says_what_was_recorded(family):
    text = family()[0].read_text(encoding="utf-8")
    assert text.startswith("**The cohort is simulated")
    assert "# Model card: late fusion of DWI, ADC, trained on reperfused patients" in text
    assert "864,979 trainable parameters" in text and "slices of 32x32 voxels" in text
    assert "| 1 | 2 + 1 | 11 + 5 | 3 | 2 | 0.610 | 1.5 |" in text
    # Mean 0.4, standard deviation sqrt(0.08) with n - 1; one Hausdorff distance is undefined.
    assert "| Reperfused | 2 | 0.40 ± 0.28 |" in text and "| Not reperfused | 1 | 0.50 |" in text and text.count("(n = 1)") == 1
    assert "| learning_rate | 0.003 |" in text and "in 100 epochs" in text
    assert "CPU (x86_64, 2 threads)" in text and "| SHA-256 of code | `c0de` |" in text and "keras 3.1" in text


def test_real_patients_and_curves(family):
    card, svg, png = family(simulated=False)
    assert "simulated" not in card.read_text(encoding="utf-8")
    first = svg.read_bytes(), png.read_bytes()
    assert b"fold 2" in first[0] and b"validation Dice" in first[0] and SIMULATED.encode() not in first[0]
    assert tuple(path.read_bytes() for path in family(simulated=False)[1:]) == first
    assert SIMULATED.encode() in family()[1].read_bytes()


def test_trainings_that_do_not_belong_together_are_refused(family):
    with pytest.raises(InputError, match=r"2\.json: another sha256, versions|2\.json: another versions, sha256"):
        family(versions={"keras": "3.2"}, sha256={"code": "other"})


def test_devices_may_differ(family):
    text = family(device="GPU X", precision="bfloat16", branches="grouped", kept_epoch=3)[0].read_text(encoding="utf-8")
    assert "| precision | bfloat16, float32 |" in text and "| branches | grouped, separate |" in text
    assert "| 2 | 2 + 1 | 11 + 5 | 3 | 3 | 0.500 | 1.5 |" in text
    assert "CPU (x86_64, 2 threads), GPU X (x86_64, 2 threads)" in text
    assert json.dumps(SETTINGS["early_stopping"]["patience"]) in text


def test_the_table_of_reliability_is_named_where_it_has_these_networks(family):
    assert "was not measured for these networks" in family()[0].read_text(encoding="utf-8")
    page = family(inputs=FULL.split("-"))[0].read_text(encoding="utf-8")
    assert "`results/reliability.tsv` says how far" in page and "was not measured for" not in page
