"""Each tested patient by the network of the own reperfusion status, beside the mismatch model."""

import pandas as pd

from finalinfarct.errors import InputError
from finalinfarct.evaluation.family import read_metrics


def read_own_status(metric_files, metric):
    """Read one metric of the status-specific networks and of the mismatch model.

    Parameters
    ----------
    metric_files : list of str or Path
        Metric tables of the late-fusion reperfused and non-reperfused models with all inputs, and of the mismatch model.
    metric : str
        Name of the metric, such as ``dsc``.

    Returns
    -------
    pandas.DataFrame
        One row per tested patient, indexed by participant_id in alphabetical order: status, cnn (model trained on patients of that status), mismatch.

    Raises
    ------
    InputError
        The metric is not in the tables, there are several networks for one status, or network and mismatch model were tested on different patients.
    """
    table = read_metrics(metric_files)
    table = table[table["metric"] == metric]
    own = table[(table["method"] == "cnn") & (table["training_set"] == table["status"])]
    mismatch = table[table["method"] == "mismatch"]
    if own.empty or mismatch.empty:
        raise InputError("metrics", f"no {metric} of {'the networks' if own.empty else 'the mismatch model'}", "give the metric tables of both")
    if own["participant_id"].duplicated().any():
        raise InputError("metrics", f"several networks for {own['status'].iloc[0]} patients", "give the tables of one kind of network")
    columns = {"status": own.set_index("participant_id")["status"], "cnn": own.set_index("participant_id")["value"]}
    columns["mismatch"] = mismatch.set_index("participant_id")["value"]
    if set(columns["cnn"].index) != set(columns["mismatch"].index):
        other = ", ".join(sorted(set(columns["cnn"].index) ^ set(columns["mismatch"].index)))
        raise InputError("metrics", f"compared models were tested on different patients ({other})", "evaluate both on the same folds")
    return pd.DataFrame(columns).sort_index()
