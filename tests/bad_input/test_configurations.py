"""Every faulty configuration is refused with the key and its mend; nothing of one is guessed."""

import copy
import re

import pytest
import yaml
from snakemake.common.configfile import load_configfile
from snakemake.exceptions import WorkflowError

from finalinfarct.errors import InputError
from finalinfarct.plan.config import check_command, check_config, check_unique_keys
from finalinfarct.plan.plan import Plan

NAN, INFINITE = float("nan"), float("inf")
TESTED = {"role": "test", "reference": "dwi", "registration": "rigid", "reperfusion": "mtici", "perfusion": True, "final_lesion": "followup"}
COHORT = {**TESTED, "diffusion_lesion": "expert"}
# Dotted key, value, and what is said.
VALUES = [
    ("trainin", {}, "unknown key 'trainin' in (top level); did you mean 'training'?"),
    ("training.epoch", 3, "unknown key 'epoch' in training; did you mean 'epochs'?"),
    ("training.early_stopping.patient", 3, "unknown key 'patient' in training.early_stopping; did you mean 'patience'?"),
    ("cohorts.hibiscus.rol", "test", "unknown key 'rol' in cohorts.hibiscus"),
    (1, "x", "unknown key '1' in (top level)"),
    (None, "x", "unknown key 'None' in (top level)"),
    (True, "x", "unknown key 'True' in (top level)"),
    ("training", None, "training: None is not of type 'object'"),
    ("training", [], "training: [] is not of type 'object'"),
    ("images", "default", "images: 'default' is not of type 'object'"),
    ("cohorts", {}, "cohorts: "),
    ("dataset.path", None, "dataset.path: None is not of type 'string'"),
    ("dataset.path", 7, "dataset.path: 7 is not of type 'string'"),
    ("dataset.path", "", "dataset.path: '' "),
    ("dataset.path", "/data/mine", "overwrites nobody's data"),
    ("dataset.path", "../results/dataset", "overwrites nobody's data"),
    ("dataset.path", "results/../../elsewhere", "overwrites nobody's data"),
    ("dataset.path", "results", "overwrites nobody's data"),
    ("dataset.path", "-rf", "overwrites nobody's data"),
    ("dataset.path", "results/{participant}", "holds braces"),
    ("dataset.path", "results/a\0b", "unprintable"),
    ("dataset.path", "results/a\nb", "unprintable"),
    ("dataset.simulated", "yes", "dataset.simulated: 'yes' is not of type 'boolean'"),
    ("dataset.simulated", 1, "dataset.simulated: 1 is not of type 'boolean'"),
    ("dataset.faults", "ignore", "dataset.faults: 'ignore' is not one of"),
    ("images.matrix", 100, "images.matrix: 100 is not a multiple of 16"),
    ("images.matrix", 64.0, "images.matrix: 64.0 is not of type 'integer'"),
    ("images.matrix", 0, "images.matrix: 0 is less than the minimum of 16"),
    ("images.matrix", 2048, "images.matrix: 2048 is greater than the maximum of 1024"),
    ("images.brain_mask", "otsu", "images.brain_mask: 'otsu' is not one of"),
    ("images.normalisation", ["minmax"], "images.normalisation: ['minmax'] is not one of"),
    ("perfusion.truncation", 0, "perfusion.truncation: 0 "),
    ("perfusion.truncation", "10 %", "perfusion.truncation: '10 %' is not of type 'number'"),
    ("perfusion.time_smoothing_fwhm_mm", -1, "perfusion.time_smoothing_fwhm_mm: -1 is less than"),
    ("perfusion.flow_smoothing_fwhm_mm", NAN, "perfusion.flow_smoothing_fwhm_mm: nan is not of type 'number'"),
    ("perfusion.hematocrit_factor", INFINITE, "perfusion.hematocrit_factor: inf is not of type 'number'"),
    ("perfusion.motion_correction", "no", "perfusion.motion_correction: 'no' is not of type 'boolean'"),
    ("mismatch.tmax_threshold_s", NAN, "mismatch.tmax_threshold_s: nan is not of type 'number'"),
    ("mismatch.adc_threshold_um2_s", 0.00062, "mismatch.adc_threshold_um2_s: 0.00062 is less than"),
    ("folds.number", 1, "folds.number: 1 is less than"),
    ("folds.number", 3.0, "folds.number: 3.0 is not of type 'integer'"),
    ("folds.number", True, "folds.number: True is not of type 'integer'"),
    ("folds.number", "3", "folds.number: '3' is not of type 'integer'"),
    ("folds.number", 19, "folds.number: 19 folds need at least 19 tested patients of each status"),
    ("folds.validation_fraction", 0.9, "folds.validation_fraction: 0.9 is greater than"),
    ("folds.seed", -1, "folds.seed: -1 is less than"),
    ("training.seed", 2**32, "training.seed: 4294967296 is greater than"),
    ("training.epochs", -5, "training.epochs: -5 is less than"),
    ("training.epochs", "20", "training.epochs: '20' is not of type 'integer'"),
    ("training.learning_rate", "1e-3", "training.learning_rate: '1e-3' is not of type 'number'"),
    ("training.learning_rate", NAN, "training.learning_rate: nan is not of type 'number'"),
    ("training.dropout", 1, "training.dropout: 1 "),
    ("training.backend", "theano", "training.backend: 'theano' is not one of"),
    ("training.precision", "float16", "training.precision: 'float16' is not one of"),
    ("training.threads", 0, "training.threads: 0 is less than"),
    ("evaluation.probability_threshold", 1, "evaluation.probability_threshold: 1 "),
    ("evaluation.hausdorff_unit", "cm", "evaluation.hausdorff_unit: 'cm' is not one of"),
    ("cohorts.hibiscus", None, "cohorts.hibiscus: None is not of type 'object'"),
    ("cohorts.hibiscus.role", "tested", "cohorts.hibiscus.role: 'tested' is not one of"),
    ("cohorts.hibiscus.reperfusion", "none", "cohorts.hibiscus: the reperfusion status is needed for role test"),
    ("cohorts.iknow.reperfusion", "none", "cohorts.iknow: the reperfusion status is needed for role training"),
    ("cohorts.hibiscus.perfusion", False, "cohorts.hibiscus: patients without perfusion cannot be trained on, tested or predicted"),
    ("cohorts.hibiscus.reperfusion", "h3_perfusion", "h3_perfusion must be true exactly when"),
    ("cohorts.iknow", 3, "cohorts.iknow: 3 is not of type 'object'"),
    ("simulation.cohorts.other", {"patients": 1, "reperfused": 0, "dwi_matrix": 32, "h3_perfusion": False, "followup_day": 6}, "add cohorts.other"),
    ("simulation.cohorts.hibiscus.reperfused", 25, "simulation.cohorts.hibiscus.reperfused: 25 of 24 patients"),
    ("simulation.cohorts.hibiscus.patients", -1, "simulation.cohorts.hibiscus.patients: -1 is less than"),
    ("simulation.cohorts.hibiscus.patients", 0, "simulation.cohorts.hibiscus.reperfused: 18 of 0 patients"),
    ("simulation.cohorts.hibiscus.followup_day", None, "followup_day must be null exactly when cohorts.hibiscus.final_lesion is none"),
    ("simulation.slices", 10**9, "simulation.slices: 1000000000 is greater than"),
]
COHORT_NAMES = ["../x", "a b", "-rf", "$(touch x)", "a;b", "é", "A", "", "a\n", "a" * 50, "{participant}", 1, None]


def changed(config, key, value):
    """Copy of the configuration with one dotted key set."""
    config = copy.deepcopy(config)
    *path, last = key.split(".") if isinstance(key, str) else [key]
    node = config
    for name in path:
        node = node[name]
    node[last] = value
    return config


@pytest.mark.parametrize(("key", "value", "said"), VALUES, ids=[f"{key} {str(value)[:30]!r}" for key, value, _ in VALUES])
def test_faulty_value_is_refused(key, value, said, config):
    assert Plan(config).patients
    with pytest.raises(InputError, match=re.escape(said)) as fault:
        Plan(changed(config, key, value))
    assert "config/README.md explains each one" in str(fault.value)


def test_every_fault_of_a_simulated_cohort_is_said(config):
    config["simulation"]["cohorts"]["hibiscus"] |= {"reperfused": 25, "h3_perfusion": True, "followup_day": None}
    config["simulation"]["cohorts"]["other"] = {**config["simulation"]["cohorts"]["iknow"], "reperfused": 7}
    with pytest.raises(InputError) as fault:
        check_config(config)
    said = ("hibiscus.h3_perfusion must be true exactly", "hibiscus.followup_day must be null exactly", "hibiscus.reperfused: 25 of 24")
    assert all(text in str(fault.value) for text in (*said, "add cohorts.other", "other.reperfused: 7 of 6"))


def test_folds_are_filled_from_all_tested_cohorts(config):
    config["simulation"]["cohorts"]["hibiscus"] |= {"patients": 8, "reperfused": 2}
    config["simulation"]["cohorts"]["iknow"] |= {"patients": 12, "reperfused": 10}
    config["cohorts"]["iknow"]["role"] = "test"
    assert check_config(config) is None
    config["simulation"]["cohorts"]["iknow"]["reperfused"] = 0
    with pytest.raises(InputError, match="3 folds need at least 3 tested patients of each status, but 2 are reperfused"):
        check_config(config)


@pytest.mark.parametrize("name", COHORT_NAMES, ids=repr)
def test_cohort_is_not_named_so_that_it_leaves_its_folder(name, config):
    config["cohorts"][name] = COHORT
    with pytest.raises(InputError, match="cohorts: "):
        check_config(config)


@pytest.mark.parametrize(
    "path", ["results/a b", "results/größe", "results/-x", "results/$(touch x)", "./results/dataset/", "results//dataset", "results/'"]
)
def test_simulated_dataset_with_a_strange_path_stays_below_results(path, config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = Plan(changed(config, "dataset.path", path))
    assert plan.folder(None).startswith("results/") and "//" not in plan.folder(None)
    assert (tmp_path / plan.folder(None)).resolve().is_relative_to(tmp_path / "results")
    assert not list(tmp_path.iterdir())


FILES = {
    "syntax": (b"training: {epochs: 3", "not valid JSON or YAML"),
    "tabs": (b"training:\n\tepochs: 3\n", "not valid JSON or YAML"),
    "empty": (b"", "must be given as JSON or YAML with keys at top level"),
    "a list": (b"- training\n", "must be given as JSON or YAML with keys at top level"),
    "a word": (b"default\n", "must be given as JSON or YAML with keys at top level"),
    "an object of Python": (b"!!python/object/apply:os.system ['touch x']\n", "not valid JSON or YAML"),
    "a key twice": (b"training:\n  epochs: 3\n  seed: 2\n  epochs: 4\n", "line 2: the key 'epochs' is given twice"),
    "a section twice": (b"folds: {number: 2}\ntraining: {epochs: 3}\nfolds: {seed: 2}\n", "line 1: the key 'folds' is given twice"),
    "a key of JSON twice": (b'{"folds": {"number": 2, "number": 3}}', "line 1: the key 'number' is given twice"),
}


@pytest.mark.parametrize(("content", "said"), FILES.values(), ids=FILES.keys())
def test_faulty_file_is_refused(content, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "my.yaml"
    path.write_bytes(content)
    with pytest.raises((InputError, WorkflowError), match=re.escape(said)):
        load_configfile(path)
        check_unique_keys([path])
    assert [file.name for file in tmp_path.iterdir()] == ["my.yaml"]


@pytest.mark.parametrize("again", [["--configfile", "b.yaml"], ["--configfile=b.yaml"], ["--configfiles", "b.yaml", "c.yaml"]])
def test_files_after_two_options_are_refused(again):
    with pytest.raises(InputError, match="given 2 times"):
        check_command(["snakemake", "--configfile", "a.yaml", *again])
    assert check_command(["snakemake", "--configfile", "a.yaml", "b.yaml", "--", "results/table3.csv"]) is None


def test_shipped_files_give_no_key_twice(tmp_path):
    from project import ROOT

    files = [*ROOT.glob("config/*.yaml"), *ROOT.glob("tests/config/*.yaml")]
    assert len(files) >= 4
    assert check_unique_keys(files) is None
    (tmp_path / "tabs.json").write_text('{\n\t"folds": {"number": 2}\n}', encoding="utf-8")
    assert yaml.safe_load('{"folds": {"number": 2}}') == load_configfile(tmp_path / "tabs.json")
    assert check_unique_keys([tmp_path / "tabs.json"]) is None
