"""``dataset_description.json``, by which programs know a folder as a BIDS dataset."""

import json
from pathlib import Path

from finalinfarct.dataset.images import write_json

BIDS_VERSION = "1.10.0"
SIMULATION = "Simulation"
DERIVATIVES = {
    "maps": "Diffusion and perfusion maps on the grids of their own images",
    "preprocessed": "Images and masks of each patient on one grid, as the networks read them",
}


def write_description(folder, name, kind, made_by=None, **more):
    """Write the description of a dataset.

    Parameters
    ----------
    folder : str or Path
        Folder of the dataset.
    name : str
        Title of the dataset.
    kind : str
        BIDS ``DatasetType``: ``raw`` or ``derivative``.
    made_by : str, optional
        What this software did to make it; a derivative needs it.
    more : dict
        Further fields of the standard, such as ``License``.
    """
    content = {"Name": name, "BIDSVersion": BIDS_VERSION, "DatasetType": kind}
    if made_by:
        content["GeneratedBy"] = [{"Name": "finalinfarct", "Description": made_by}]
    write_json(Path(folder) / "dataset_description.json", content | more)


def made_by_simulation(folder):
    """Whether a dataset says that the simulation of this package has made it, also as a copy; a description that cannot be read says nothing."""
    try:
        content = json.loads((Path(folder) / "dataset_description.json").read_text(encoding="utf-8"))
        makers = [(maker["Name"], maker["Description"]) for maker in content["GeneratedBy"]]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return any(name == "finalinfarct" and str(what).startswith(SIMULATION) for name, what in makers)


def describe_derivative(folder, simulated):
    """Write the description of a folder of images that the workflow has made.

    Parameters
    ----------
    folder : str or Path
        ``maps`` or ``preprocessed`` of the results.
    simulated : bool
        Whether the patients are.
    """
    title = DERIVATIVES[Path(folder).name] + (" (simulated patients)" if simulated else "")
    write_description(folder, title, "derivative", made_by="prediction of the final infarct")
