"""Model card of one family (Mitchell et al. 2019): what its networks are, were trained on, and do in patients that they never saw."""

import json
from pathlib import Path

import pandas as pd

from finalinfarct.dataset.files import write_text
from finalinfarct.errors import InputError
from finalinfarct.learning.families import FULL, STATUSES
from finalinfarct.reporting.canvas import BLUE, GREEN, GREY, ORANGE, PAGE_MM, PURPLE, SKY, STATUS_LABELS, footnote, new_figure, save
from finalinfarct.reporting.markdown import document, fixed, mean_and_sd, pipe_table
from finalinfarct.reporting.summary import HAUSDORFF, OVERLAP, Model, read_wide, values_of

FOLD_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY)
TRAINED_ON = {"all": "all patients", "reperfused": "reperfused patients", "nonreperfused": "patients who were not reperfused"}
VOLUMES = {"Predicted volume (ml)": "volume_predicted_ml", "Final volume (ml)": "volume_final_ml"}
LEFT_OUT = ("early_stopping", "seed", "backend", "precision", "branches")
USE = (
    "Research on the prediction of the final infarct of acute ischaemic stroke from baseline MRI. Not a medical device: no prediction may guide care."
)
LIKE_THE_TRAINING = (
    "A network answers for patients, scanners and a preparation of the images like those of its training; others need their own validation."
)
SCORE = "The Dice loss weighs the lesion, so the output is a score: {}."
RELIABILITY = "`results/reliability.tsv` says how far it is from a probability in patients of this status"
NO_RELIABILITY = "how far it is from a probability was not measured for these networks"
SHARED_PATIENTS = "Folds share most of their training patients, so the spread between them understates what another cohort would give."


def write_model_card(environments, histories, metrics, hausdorff, simulated, card, svg, png):
    """Write the card of one model family, and draw its learning curves.

    Parameters
    ----------
    environments, histories : list of str or Path
        ``environment.json`` and ``history.csv`` of each fold's training.
    metrics : str or Path
        Metric table of the family.
    hausdorff : str
        Unit of the Hausdorff distance, ``mm`` or ``voxels``.
    simulated : bool
        Whether card and figure say that the cohort is simulated.
    card, svg, png : str or Path
        Markdown page; figure, 190 mm wide.

    Raises
    ------
    InputError
        The trainings are of several families or settings.
    """
    records = [json.loads(Path(path).read_text(encoding="utf-8")) for path in environments]
    first = records[0]
    for path, record in zip(environments, records, strict=True):
        changed = [key for key in ("fusion", "inputs", "training_set", "seed", "settings", "versions", "sha256") if record[key] != first[key]]
        if changed:
            raise InputError(path, f"another {', '.join(changed)} than in {environments[0]}", "train all folds again")
    curves = [pd.read_csv(path) for path in histories]
    family = f"{first['fusion']} fusion of {', '.join(first['inputs'])}, trained on {TRAINED_ON[first['training_set']]}"
    _draw_curves(records, curves, family, simulated, svg, png)
    sections = [
        ("Use", USE),
        ("Network", _network(first)),
        ("Trainings", pipe_table(("Fold", "Patients", "Slices", "Epochs", "Epoch kept", "Its validation Dice", "Minutes"), _folds(records, curves))),
        ("Performance in test patients, out of fold", _performance(first, metrics, hausdorff)),
        ("Settings", pipe_table(("Setting", "Value"), _settings(first["settings"]))),
        ("Made with", pipe_table(("What", "Value"), _made_with(records))),
    ]
    caption = (
        f"{len(records)} networks, one per fold of the cross-validation; weights, history and record of each stand in the folders beside this page."
    )
    # what the rule of the table takes
    measured = (first["fusion"], "-".join(first["inputs"])) == ("late", FULL) and first["training_set"] in STATUSES
    limits = (LIKE_THE_TRAINING, SCORE.format(RELIABILITY if measured else NO_RELIABILITY), SHARED_PATIENTS)
    page = document(f"Model card: {family}", caption, sections, limits, simulated)
    write_text(card, page)


def _network(record):
    """Sentence on the architecture."""
    return (
        f"U-Net of Debs et al. 2021 with {record['trainable_parameters']:,} trainable parameters. It takes slices of "
        f"{record['matrix']}x{record['matrix']} voxels of {', '.join(record['inputs'])}, each scaled to 0..1 within the brain, and gives the "
        "probabilities of background, healthy tissue and final infarct."
    )


def _folds(records, curves):
    """Rows of the table of trainings."""
    for record, curve in zip(records, curves, strict=True):
        patients, slices = ("{} + {}".format(*sizes) for sizes in (map(len, record["patients"].values()), record["slices"].values()))
        kept = curve.set_index("epoch")["validation_dice"][record["kept_epoch"]]
        minutes = fixed(record["timing"]["training_s"] / 60, 1)
        yield record["fold"], patients, slices, record["epochs"], record["kept_epoch"], fixed(kept, 3), minutes


def _performance(record, metrics, hausdorff):
    """Table of means over test patients, by their status; with their own number where values are undefined."""
    model = Model("cnn", record["fusion"], "-".join(record["inputs"]), record["training_set"])
    wide, columns = read_wide(metrics), {**OVERLAP, f"HD ({hausdorff})": HAUSDORFF[hausdorff], **VOLUMES}
    rows = []
    for status, label in STATUS_LABELS.items():
        values = values_of(wide, model, status)
        known = [values[name].dropna() for name in columns.values()]
        cells = [mean_and_sd(own.mean(), own.std()) + (f" (n = {len(own)})" if len(own) < len(values) else "") for own in known]
        rows.append((label.capitalize(), len(values), *cells))
    return pipe_table(("Status", "n", *columns), rows)


def _settings(settings):
    """Rows of the settings that change the result."""
    stopping = settings["early_stopping"]
    yield from ((name, value) for name, value in settings.items() if name not in LEFT_OUT)
    yield "early_stopping", f"no rise by more than {stopping['minimum_improvement']} in {stopping['patience']} epochs"


def _made_with(records):
    """Rows on machine, seed, versions and hashes."""
    first = records[0]
    yield "devices", ", ".join(sorted({f"{record['device']} ({record['processor']}, {record['threads']} threads)" for record in records}))
    yield from ((name, ", ".join(sorted({record[name] for record in records}))) for name in ("precision", "branches"))
    yield from ((name, first[name]) for name in ("backend", "seed"))
    yield "versions", ", ".join(f"{name} {version}" for name, version in first["versions"].items())
    yield from ((f"SHA-256 of {name}", f"`{digest}`") for name, digest in first["sha256"].items())


def _draw_curves(records, curves, family, simulated, svg, png):
    """Draw loss and validation Dice by epoch, one line a fold; a dot marks the epoch whose weights were kept."""
    figure = new_figure(PAGE_MM, 70.0)
    axes = figure.subplots(1, 2, sharex=True)
    for number, (record, curve) in enumerate(zip(records, curves, strict=True)):
        colour = FOLD_COLOURS[number % len(FOLD_COLOURS)]
        for axis, column in zip(axes, ("loss", "validation_dice"), strict=True):
            axis.plot(curve["epoch"], curve[column], color=colour, label=f"fold {record['fold']}")
        kept = curve.loc[curve["epoch"] == record["kept_epoch"]]
        axes[1].plot(kept["epoch"], kept["validation_dice"], "o", color=colour, ms=4, mec="white", mew=0.4)
    axes[0].xaxis.get_major_locator().set_params(integer=True)
    axes[0].set(xlabel="epoch", ylabel="training loss (Dice and L2)")
    axes[1].set(xlabel="epoch", ylabel="validation Dice, mean of three classes")
    axes[1].grid(axis="y", color=GREY, alpha=0.2, lw=0.5)
    axes[0].legend(loc="best")
    figure.suptitle(family[0].upper() + family[1:])
    footnote(figure, simulated, "Dot: the epoch whose weights were kept.")
    save(figure, svg, png)
