"""Cross-validation: which patient is tested where, and who trains and validates each model."""

import json
from pathlib import Path

import numpy as np

from finalinfarct.dataset.images import write_json
from finalinfarct.errors import InputError
from finalinfarct.learning.families import STATUSES, TRAINING_SETS

FEWEST_FOLDS = 2  # of folds.number in the configuration


def make_folds(inclusion, number, seed, validation_fraction=0.1):
    """Divide the patients into test folds, and the others of each fold into training and validation patients.

    Test folds hold patients of role ``test`` only, stratified by status. Patients of role ``training`` join the training sets of every fold
    (Debs et al. 2021, appendix B). The paper names no validation patients; here they are drawn from the training patients, stratified by status.
    The result depends on the seed and the patients, not on the order of the table.

    Parameters
    ----------
    inclusion : pandas.DataFrame
        Columns participant_id, role (``test``, ``training``, ``new`` or ``none``), status (``reperfused`` or ``nonreperfused``) and included (bool).
    number : int
        Number of folds.
    seed : int
        Seed of the assignment.
    validation_fraction : float
        Share of a training set's patients that validate (rounded, at least one).

    Returns
    -------
    dict
        ``{"seed", "folds": [{"fold": 1, "test": [id, ...], "training_sets": {"all": {"training": [...], "validation": [...]}, ...}}, ...]}``

    Raises
    ------
    InputError
        A duplicated patient, an unknown status, or too few patients for the folds.
    """
    patients = _included_patients(inclusion)
    test_folds = [[] for _ in range(number)]
    for index, status in enumerate(STATUSES):
        candidates = sorted(name for name, (role, value) in patients.items() if role == "test" and value == status)
        if len(candidates) < number:
            fewer = f"set folds.number to at most {len(candidates)}, or " if len(candidates) >= FEWEST_FOLDS else ""
            found = f"{len(candidates)} {status} test patients are too few for {number} folds"
            raise InputError("inclusion table", found, f"{fewer}include more {status} patients")
        order = np.random.default_rng([seed, index]).permutation(len(candidates))
        # Both statuses are dealt from the first fold on, which gives the 17 to 19 test patients of the paper for 74 + 18 patients in 5 folds.
        for position, choice in enumerate(order):
            test_folds[position % number].append(candidates[choice])
    folds = []
    for fold, test in enumerate(test_folds, start=1):
        training_sets = {}
        for index, (name, statuses) in enumerate(TRAINING_SETS.items()):
            members = {status: sorted(p for p, (_, value) in patients.items() if value == status and p not in test) for status in statuses}
            generator = np.random.default_rng([seed, len(STATUSES), fold, index])
            training_sets[name] = _split_validation(members, validation_fraction, generator, f"training set '{name}' of fold {fold}")
        folds.append({"fold": fold, "test": sorted(test), "training_sets": training_sets})
    result = {"seed": int(seed), "folds": folds}
    check_folds(result)
    return result


def _included_patients(inclusion):
    """Role and status of the included patients that train or are tested, by participant_id."""
    duplicated = sorted(set(inclusion.participant_id[inclusion.participant_id.duplicated()]))
    if duplicated:
        raise InputError("inclusion table", f"duplicated participants {', '.join(duplicated)}", "keep one row per participant")
    chosen = inclusion[inclusion.included & inclusion.role.isin(["test", "training"])]
    unknown = sorted(chosen.participant_id[~chosen.status.isin(STATUSES)])
    if unknown:
        raise InputError("inclusion table", f"reperfusion status unknown for {', '.join(unknown)}", "give their status, or exclude them")
    return {str(row.participant_id): (row.role, row.status) for row in chosen.itertuples()}


def _split_validation(members, fraction, generator, where):
    """Draw validation patients from ``members`` (ids by status), each status by its share."""
    total = sum(map(len, members.values()))
    if total < 2:
        raise InputError(where, f"{total} patients cannot give both a training and a validation patient", "include more patients of that status")
    count = min(max(1, round(fraction * total)), total - 1)
    exact = {status: count * len(ids) / total for status, ids in members.items()}
    quota = {status: int(share) for status, share in exact.items()}
    largest_remainder_first = sorted(exact, key=lambda status: quota[status] - exact[status])
    for status in largest_remainder_first[: count - sum(quota.values())]:
        quota[status] += 1
    validation = {p for status, ids in members.items() for p in generator.choice(ids, size=quota[status], replace=False).tolist()}
    training = sorted(p for ids in members.values() for p in ids if p not in validation)
    return {"training": training, "validation": sorted(validation)}


def check_folds(folds, where="folds"):
    """Check what must hold of every assignment to folds.

    Parameters
    ----------
    folds : dict
        As ``make_folds`` returns it.
    where : str or Path
        Name for the error message, such as the file.

    Raises
    ------
    InputError
        A patient is tested twice, trains or validates where it is tested, trains and validates at once, or a set is empty or incomplete.
    """
    try:
        faults = _fold_faults(folds)
    except (KeyError, TypeError) as fault:
        raise InputError(
            where, f"not a description of folds ({type(fault).__name__}: {fault})", "remove the file and let the workflow make it again"
        ) from None
    if faults:
        raise InputError(where, "; ".join(faults), "remove the file and let the workflow make it again")


def _fold_faults(folds):
    """Sentences on what is wrong with the folds."""
    faults = []
    tested = [p for fold in folds["folds"] for p in fold["test"]]
    if [fold["fold"] for fold in folds["folds"]] != list(range(1, len(folds["folds"]) + 1)) or not tested:
        faults.append("folds are not numbered from 1, or there are none")
    twice = sorted({p for p in tested if tested.count(p) > 1})
    if twice:
        faults.append(f"{', '.join(twice)} tested more than once")
    for fold in folds["folds"]:
        test, name = set(fold["test"]), f"fold {fold['fold']}"
        members = {}
        for key in TRAINING_SETS:
            part = fold["training_sets"][key]
            training, validation = part["training"], part["validation"]
            members[key] = set(training) | set(validation)
            if not training or not validation or not test:
                faults.append(f"{name}, {key}: empty test, training or validation set")
            if len(members[key]) < len(training) + len(validation):
                faults.append(f"{name}, {key}: a patient stands there twice")
            if members[key] & test:
                faults.append(f"{name}, {key}: {', '.join(sorted(members[key] & test))} trained on and tested")
        if members["all"] != members["reperfused"] | members["nonreperfused"] or members["reperfused"] & members["nonreperfused"]:
            faults.append(f"{name}: the set of all is not the two statuses together")
        if not set(tested) - test <= members["all"]:
            faults.append(f"{name}: test patients of other folds are missing in its training set")
    return faults


def write_folds(folds, path):
    """Write folds as JSON, whole or not at all."""
    write_json(path, folds)


def read_folds(path):
    """Read and check folds that ``write_folds`` wrote.

    Raises
    ------
    InputError
        The file is absent, not JSON, or breaks an invariant of ``check_folds``.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(path, "the file does not exist", "let the workflow make it")
    try:
        folds = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as fault:
        raise InputError(path, f"not valid JSON ({fault})", "remove the file and let the workflow make it again") from None
    check_folds(folds, path)
    return folds


def find_fold(folds, number):
    """Return the entry of fold ``number`` (from 1).

    Raises
    ------
    InputError
        There is no such fold.
    """
    for fold in folds["folds"]:
        if fold["fold"] == int(number):
            return fold
    raise InputError("folds", f"there is no fold {number} among {len(folds['folds'])}", "name an existing fold")
