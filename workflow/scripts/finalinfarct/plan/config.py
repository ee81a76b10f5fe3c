"""The configuration: checked against its schema, every fault at once, in plain words."""

import difflib
import math
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator, validators

from finalinfarct.errors import InputError

SCHEMA = Path(__file__).parents[3] / "schemas" / "config.schema.yaml"


def _whole(_, value):
    """Whether a value is an integer: JSON Schema also takes 2.0, which no range or shape does."""
    return isinstance(value, int) and not isinstance(value, bool)


def _finite(_, value):
    """Whether a value is a number: NaN, which is neither above nor below any limit, is none."""
    return _whole(_, value) or (isinstance(value, float) and math.isfinite(value))


STRICT_TYPES = Draft202012Validator.TYPE_CHECKER.redefine_many({"integer": _whole, "number": _finite})
Validator = validators.extend(Draft202012Validator, type_checker=STRICT_TYPES)


def load_schema():
    """Return the JSON Schema (2020-12) of the configuration as a dictionary."""
    return yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))


def check_config(config):
    """Check a merged configuration.

    Parameters
    ----------
    config : dict
        Configuration as snakemake merged it from its files.

    Raises
    ------
    InputError
        Lists every unknown, missing or unsuitable key, each with its mend.
    """
    faults = [_plain(fault) for fault in sorted(Validator(load_schema()).iter_errors(config), key=lambda e: list(map(str, e.absolute_path)))]
    faults = [line for lines in faults for line in lines] or _cross_checks(config)
    if faults:
        mend = "correct these keys, in a file, since --config gives text alone; config/README.md explains each one"
        raise InputError("configuration", "\n  - " + "\n  - ".join(faults) + "\n", mend)


def check_command(arguments):
    """Refuse a command line that names configuration files twice, of which snakemake would take the last without a word.

    Parameters
    ----------
    arguments : list of str
        The command line, ``sys.argv``.

    Raises
    ------
    InputError
        ``--configfile`` stands there more than once.
    """
    given = [word for word in arguments if word.split("=")[0] in ("--configfile", "--configfiles")]
    if len(given) > 1:
        raise InputError("command line", f"--configfile is given {len(given)} times, and only the last would count", "name all files after one")


def check_unique_keys(paths):
    """Refuse configuration files that give a key twice, of which YAML would take the last without a word.

    Parameters
    ----------
    paths : list of str or Path
        Files that snakemake has merged.

    Raises
    ------
    InputError
        Names the file, the key and the line.
    """
    for path in paths:
        try:
            root = yaml.compose(Path(path).read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        except yaml.YAMLError:
            continue  # snakemake has read it: JSON that is no YAML, such as with tabs
        waiting = [root]
        while waiting:
            node = waiting.pop()
            if isinstance(node, yaml.MappingNode):
                keys = [key.value for key, _ in node.value]
                for key, value in node.value:
                    if keys.count(key.value) > 1:
                        where = f"{path}, line {key.start_mark.line + 1}"
                        raise InputError(where, f"the key '{key.value}' is given twice in its section", "keep one of them")
                    waiting.append(value)
            elif isinstance(node, yaml.SequenceNode):
                waiting.extend(node.value)


def _plain(fault):
    """Lines in plain words for one fault of the schema."""
    key = ".".join(map(str, fault.absolute_path)) or "(top level)"
    if fault.validator == "additionalProperties":
        known = list(fault.schema.get("properties", {}))
        lines = []
        for name in sorted(set(fault.instance) - set(known), key=str):
            near = difflib.get_close_matches(str(name), known, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else f"; known here: {', '.join(known)}"
            lines.append(f"unknown key '{name}' in {key}{hint}")
        return lines
    if fault.validator == "required":
        return [f"{key}: {fault.message}"]
    about = fault.schema.get("description", "")
    if fault.validator == "pattern" and about:
        return [f"{key}: {fault.instance!r} ({about})"]
    return [f"{key}: {fault.message}" + (f" ({about})" if about else "")]


def _cross_checks(config):
    """Faults that no schema can express."""
    faults, path = [], config["dataset"]["path"]
    for key, folder in (("dataset.path", path), ("new_patients.models", config["new_patients"]["models"] or "")):
        if set(folder) & set("{}") or not folder.isprintable():
            faults.append(f"{key}: {folder!r} holds braces or unprintable characters, which cannot stand in a rule; rename the folder")
    if config["dataset"]["simulated"]:
        if Path("results") not in Path(path).parents or ".." in Path(path).parts:
            faults.append(
                "dataset.path: a simulated dataset is written below results/, so that it overwrites nobody's data; or set dataset.simulated: false"
            )
        for name, cohort in config["simulation"]["cohorts"].items():
            described = config["cohorts"].get(name)
            if described is None:
                faults.append(f"simulation.cohorts.{name}: not configured under cohorts; add cohorts.{name}")
            if described and (described["reperfusion"] == "h3_perfusion") != cohort["h3_perfusion"]:
                faults.append(f"simulation.cohorts.{name}.h3_perfusion must be true exactly when cohorts.{name}.reperfusion is h3_perfusion")
            if described and (described["final_lesion"] == "none") != (cohort["followup_day"] is None):
                faults.append(f"simulation.cohorts.{name}.followup_day must be null exactly when cohorts.{name}.final_lesion is none")
            if cohort["reperfused"] > cohort["patients"]:
                faults.append(f"simulation.cohorts.{name}.reperfused: {cohort['reperfused']} of {cohort['patients']} patients")
        if not any(cohort["patients"] for cohort in config["simulation"]["cohorts"].values()):
            faults.append("simulation.cohorts: no patients; give one cohort some")
        faults += _fold_faults(config)
    for name, cohort in config["cohorts"].items():
        if not cohort["perfusion"] and (cohort["reference"] == "dsc" or cohort["reperfusion"] == "h3_perfusion"):
            faults.append(f"cohorts.{name}: reference dsc and reperfusion h3_perfusion need perfusion: true")
        if not cohort["perfusion"] and cohort["role"] != "none":
            faults.append(f"cohorts.{name}: patients without perfusion cannot be trained on, tested or predicted; set role: none")
        if cohort["reperfusion"] == "none" and cohort["role"] in ("test", "training"):
            faults.append(f"cohorts.{name}: the reperfusion status is needed for role {cohort['role']}; set reperfusion, or role: none")
        if (cohort["role"] == "new") != (cohort["final_lesion"] == "none"):
            faults.append(f"cohorts.{name}: role new and final_lesion none go together: whose final lesion is known is not predicted anew")
        if cohort["role"] == "new" and cohort["reperfusion"] != "none":
            faults.append(f"cohorts.{name}: role new has reperfusion none: both courses are predicted, and nothing is read of what came")
    return faults


def _fold_faults(config):
    """Too few simulated patients of a status for the folds."""
    names = {name for name, cohort in config["cohorts"].items() if cohort["role"] == "test" and cohort["reperfusion"] != "none"}
    tested = [cohort for name, cohort in config["simulation"]["cohorts"].items() if name in names]
    reperfused = sum(cohort["reperfused"] for cohort in tested)
    counts = {"reperfused": reperfused, "non-reperfused": sum(cohort["patients"] for cohort in tested) - reperfused}
    number = config["folds"]["number"]
    return [
        f"folds.number: {number} folds need at least {number} tested patients of each status, but {count} are {status}"
        for status, count in counts.items()
        if any(cohort["patients"] for cohort in tested) and count < number
    ]
