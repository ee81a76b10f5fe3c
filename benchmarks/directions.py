"""Do the paper's directions appear in a run? Paired differences between models over patients, with n and a 95 % interval, whatever they say.

``PYTHONPATH=workflow/scripts python benchmarks/directions.py results/metrics.tsv`` prints a table in Markdown; several files, such as those of
single families, are taken together. Differences are of means over the patients of one status; intervals are bootstrapped over patients (BCa, seeded),
each on its own: of ten, one may miss its value in two runs of five. A direction "appears" where the interval lies on its side of zero, is
"contradicted" where it lies on the other, and is "open" where it holds zero. That inputs are dispensable "appears" where the interval rules out a
gain by them of 0.05 DSC or more, and is contradicted where it lies above zero.
"""

import argparse

import pandas as pd

from finalinfarct.dataset.tables import read_table
from finalinfarct.evaluation.statistics import bootstrap_bca
from finalinfarct.learning.families import FULL

# What the paper says, status of the patients, metric, first and second model (inputs, training set; None: mismatch), and the expected sign.
DIRECTIONS = (
    ("a model trained on reperfused patients is better in them than the general one", "reperfused", "dsc", (FULL, "reperfused"), (FULL, "all"), 1),
    ("one trained on non-reperfused patients is better in them", "nonreperfused", "dsc", (FULL, "nonreperfused"), (FULL, "all"), 1),
    ("the non-reperfused model predicts more", "reperfused", "volume_predicted_ml", (FULL, "nonreperfused"), (FULL, "reperfused"), 1),
    ("the same", "nonreperfused", "volume_predicted_ml", (FULL, "nonreperfused"), (FULL, "reperfused"), 1),
    ("CNN above the mismatch model", "reperfused", "dsc", (FULL, "reperfused"), None, 1),
    ("the same", "nonreperfused", "dsc", (FULL, "nonreperfused"), None, 1),
    ("CBF and CBV are dispensable: gain by them", "reperfused", "dsc", (FULL, "reperfused"), ("DWI-ADC-Tmax", "reperfused"), 0),
    ("the same", "nonreperfused", "dsc", (FULL, "nonreperfused"), ("DWI-ADC-Tmax", "nonreperfused"), 0),
    ("diffusion helps Tmax", "reperfused", "dsc", ("DWI-ADC-Tmax", "reperfused"), ("Tmax", "reperfused"), 1),
    ("the same", "nonreperfused", "dsc", ("DWI-ADC-Tmax", "nonreperfused"), ("Tmax", "nonreperfused"), 1),
)
RESAMPLES = 5000
# Gain in DSC below which inputs count as dispensable.
MARGIN = 0.05


def values_of(table, model, status, metric):
    """Series of one metric by patient: of a late-fusion model (inputs, training set), or of the mismatch model (None)."""
    rows = table[(table["status"] == status) & (table["metric"] == metric)]
    if model is None:
        rows = rows[rows["method"] == "mismatch"]
    else:
        rows = rows[(rows["fusion"] == "late") & (rows["inputs"] == model[0]) & (rows["training_set"] == model[1])]
    return rows.set_index("participant_id")["value"]


def verdict(low, high, expected):
    """What an interval says of a direction; expected 0: no gain that matters."""
    if not expected:
        return "contradicted" if low > 0 else "appears" if high < MARGIN else "open"
    if low <= 0 <= high:
        return "open"
    return "appears" if (low > 0) == (expected > 0) else "contradicted"


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("metrics", nargs="+")
    text = ("participant_id", "status", "method", "fusion", "inputs", "training_set", "metric")
    table = pd.concat([read_table(path, text=text) for path in parser.parse_args().metrics]).drop_duplicates()
    if table.duplicated(list(text)).any():
        parser.error("two values of one patient, model and metric: the files are of different runs")
    print("| the paper says | patients | metric | n | difference | 95 % interval | |\n|---|---|---|---|---|---|---|")
    for words, status, metric, first, second, expected in DIRECTIONS:
        difference = (values_of(table, first, status, metric) - values_of(table, second, status, metric)).dropna()
        if difference.size < 3:
            print(f"| {words} | {status} | {metric} | {difference.size} | | | not computed |")
            continue
        low, high = bootstrap_bca(difference.to_numpy(), resamples=RESAMPLES)
        digits = 1 if metric.endswith("_ml") else 3
        interval = f"{low:+.{digits}f} to {high:+.{digits}f}"
        effect = f"{difference.mean():+.{digits}f} | {interval} | {verdict(low, high, expected)}"
        print(f"| {words} | {status} | {metric} | {difference.size} | {effect} |")


if __name__ == "__main__":
    main()
