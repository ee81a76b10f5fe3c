"""``dataset_description.json``, by which programs know a folder as a BIDS dataset."""

from finalinfarct.dataset.images import write_json

BIDS_VERSION = "1.10.0"
DERIVATIVES = {
    "maps": "Diffusion and perfusion maps on the grids of their own images",
    "preprocessed": "Images and masks of each patient on one grid, as the networks read them",
}


def write_description(path, name, kind, made_by=None, **more):
    """Write the description of a dataset.

    Parameters
    ----------
    path : str or Path
        ``dataset_description.json`` in the folder of the dataset.
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
    write_json(path, content | more)


def describe_derivative(path, folder, simulated):
    """Write the description of a folder of images that the workflow has made.

    Parameters
    ----------
    path : str or Path
        ``dataset_description.json`` in that folder.
    folder : str
        ``maps`` or ``preprocessed``.
    simulated : bool
        Whether the patients are.
    """
    title = DERIVATIVES[folder] + (" (simulated patients)" if simulated else "")
    write_description(path, title, "derivative", made_by="prediction of the final infarct")
