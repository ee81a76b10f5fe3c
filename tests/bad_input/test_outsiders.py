"""What comes from elsewhere never runs and never leaks: names, model files, header text."""

import ast
import gzip
import json
import pickle
import re
import zipfile

import h5py
import nibabel as nib
import numpy as np
import pytest
from mutations import AFFINE, SHAPE, cube, scanner_adc
from planted import SECRET, plant, said_in

from finalinfarct.dataset.contract import patient_files
from finalinfarct.dataset.images import read_image, sidecar_path, write_image
from finalinfarct.dataset.isles22 import import_cases
from finalinfarct.errors import InputError
from finalinfarct.imaging.brain import brain_mask
from finalinfarct.imaging.diffusion import compute_adc
from finalinfarct.imaging.normalisation import normalise
from finalinfarct.imaging.registration import resample
from finalinfarct.learning.checkpoint import Checkpoint
from finalinfarct.learning.prediction import load_weights
from project import ROOT

SOURCES = sorted((ROOT / "workflow/scripts").rglob("*.py"))
RULES = [ROOT / "Snakefile", *sorted((ROOT / "workflow/rules").glob("*.smk"))]


def test_no_rule_starts_a_shell():
    rules = "\n".join(path.read_text(encoding="utf-8") for path in RULES)
    assert rules.count("script:") >= 40
    assert not re.findall(r"^\s*(shell|run|notebook|wrapper|cwl)\s*:|\bshell\(", rules, flags=re.M)


def calls():
    """Every call in the package: file, dotted name, node."""
    assert len(SOURCES) > 100
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield path.name, ast.unparse(node.func), node


def test_no_code_is_made_of_data_and_no_program_gets_a_name():
    forbidden = re.compile(
        r"^(eval|exec|compile)$|\.(system|popen|load_model|model_from_json|model_from_yaml|enable_unsafe_deserialization|deserialize_keras_object)$"
        r"|^(pickle|joblib|dill|cloudpickle|shelve|marshal)\.|^yaml\.(load|unsafe_load|full_load)$|read_pickle$"
    )
    found = [(name, function) for name, function, _ in calls() if forbidden.search(function)]
    assert found == []
    started = [(name, ast.unparse(node.args[0])) for name, function, node in calls() if function.startswith("subprocess.")]
    assert started == [("devices.py", "['nvidia-smi', '--query-gpu=uuid', '--format=csv,noheader']")]
    assert not [name for name, _, node in calls() if any(word.arg == "shell" for word in node.keywords)]


def test_arrays_are_loaded_without_pickles():
    loads = [node for _, function, node in calls() if function == "np.load"]
    assert loads
    assert all(ast.unparse(word.value) == "False" for node in loads for word in node.keywords if word.arg == "allow_pickle")
    assert all("allow_pickle" in {word.arg for word in node.keywords} for node in loads)


class Bomb:
    """An object that leaves a mark when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return open, (str(self.mark), "w")


def test_pickled_object_in_a_checkpoint_is_not_woken(tmp_path):
    mark, folder = tmp_path / "mark", tmp_path / "training"
    checkpoint = Checkpoint(folder, {"a": 1}, 0)
    folder.mkdir()
    np.savez(checkpoint.path, progress="{}", **{"weights/0": np.array([Bomb(mark)], dtype=object)})
    assert checkpoint.read() is None
    assert not checkpoint.path.exists() and not mark.exists()
    checkpoint.path.write_bytes(pickle.dumps(Bomb(mark)))
    assert checkpoint.read() is None and not mark.exists()
    pickle.loads(pickle.dumps(Bomb(mark)))
    assert mark.exists()


@pytest.fixture(scope="module")
def keras():
    return pytest.importorskip("keras")


def network(keras):
    return keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1, name="head")])


def test_model_with_code_in_it_is_not_loaded(keras, tmp_path):
    mark = tmp_path / "mark"
    mischief = keras.layers.Lambda(lambda x, path=str(mark): (open(path, "w").close(), x)[1])
    model = keras.Sequential([keras.layers.Input((2,)), mischief, keras.layers.Dense(1, name="head")])
    mark.unlink(missing_ok=True)
    model.save(tmp_path / "model.keras")
    assert "Lambda" in zipfile.ZipFile(tmp_path / "model.keras").read("config.json").decode()
    for name in ("model.keras", "model.weights.h5"):
        path = (tmp_path / "model.keras").rename(tmp_path / name)
        with pytest.raises(InputError, match=r"not a file of weights alone|do not fit the network"):
            load_weights(network(keras), path)
        path.rename(tmp_path / "model.keras")
    assert not mark.exists()


def test_pickle_named_as_weights_is_not_woken(keras, tmp_path):
    mark, path = tmp_path / "mark", tmp_path / "model.weights.h5"
    path.write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(InputError, match="do not fit the network"):
        load_weights(network(keras), path)
    network(keras).save_weights(tmp_path / "sound.weights.h5")
    assert load_weights(network(keras), tmp_path / "sound.weights.h5") is None
    assert not mark.exists()


def test_weights_that_point_to_another_file_are_not_read(keras, tmp_path):
    """An HDF5 file may name any other file of the machine as the place of its arrays."""
    secret, path = tmp_path / "secret", tmp_path / "model.weights.h5"
    secret.write_bytes(np.full(2, 7.0, "<f4").tobytes())
    network(keras).save_weights(path)
    with h5py.File(path, "r+") as file:
        names = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) and item.shape == (2, 1) else None)
        del file[names[0]]
        file.create_dataset(names[0], (2, 1), "<f4", external=[(str(secret), 0, 8)])
    made = network(keras)
    with pytest.raises(InputError, match="do not fit the network"):
        load_weights(made, path)
    assert not np.any(made.get_weights()[0] == 7)


def test_headers_hold_the_secret_before(dataset):
    """The search finds what was planted, so that finding nothing elsewhere says something."""
    plant(dataset)
    assert len(said_in(dataset)) >= 14


def test_no_header_text_of_an_image_reaches_what_is_made_of_it(dataset, tmp_path):
    scanner_adc(800.0)(dataset)
    plant(dataset)
    files, out = patient_files(dataset, "sub-01"), tmp_path / "out"
    compute_adc(files["dwi"], files["adc"], out / "b0.nii.gz", out / "dwi.nii.gz", out / "adc.nii.gz")
    compute_adc(files["dwi"], None, out / "b0_.nii.gz", out / "dwi_.nii.gz", out / "adc_.nii.gz")
    resample([(files["followup_flair"], out / "flair.nii.gz")], files["dwi"], 16, raw=True)
    resample([(out / "adc.nii.gz", out / "adc_16.nii.gz")], files["dwi"], 16)
    resample([(files["final_lesion"], out / "lesion.nii.gz")], files["dwi"], 16, raw=True)
    brain_mask(files["followup_flair"], out / "brain.nii.gz", "given")
    normalise([(out / "adc.nii.gz", out / "normalised.nii.gz")], files["final_lesion"])
    assert len(list(out.rglob("*.nii.gz"))) == 11
    assert said_in(out) == []
    assert json.loads((out / "adc_16.json").read_text())["Units"] == "um2/s"


def test_rules_carry_no_side_file_of_the_dataset_over():
    """Where a rule hands an image of the dataset to the door that resamples, it says so; the door that normalises gets none."""
    text = (ROOT / "workflow/rules/imaging.smk").read_text(encoding="utf-8")
    rules = dict(re.findall(r"^(?:use )?rule (?:\w+ as )?(\w+)(?: with)?:\n(.*?)(?=^\S|\Z)", text, flags=re.M | re.S))
    resampling = [name for name in rules if name.startswith("resample_")]
    assert len(resampling) == 4
    for name in resampling:
        assert ("plan.raw(" in rules[name]) == ("raw=True" in rules[name]), name
    assert not [name for name in rules if name.startswith("normalise_") and "plan.raw(" in rules[name]]


def test_importer_copies_no_header_text(tmp_path):
    source, target = tmp_path / "isles", tmp_path / "bids"
    values = {"dwi": special_values(), "adc": np.full(SHAPE, 0.8), "flair": special_values(), "msk": cube()}
    for name, data in values.items():
        write_image(source / f"sub-1_ses-1_{name}.nii.gz", data, AFFINE, {"DiffusionBValue": 1000, "EchoTime": SECRET, "RepetitionTime": 3000})
    plant(source)
    assert import_cases(source, target) == ["sub-1"]
    assert said_in(target) == []
    side = json.loads(sidecar_path(patient_files(target, "sub-1")["dwi"]).read_text())
    assert side == {"RepetitionTime": 3.0}
    sidecar_path(source / "sub-1_ses-1_dwi.nii.gz").write_text("{}")
    with pytest.raises(InputError, match="DiffusionBValue is missing"):
        import_cases(source, target)


def special_values():
    return np.random.default_rng(0).uniform(1, 9, SHAPE)


def test_reading_keeps_no_header_text(dataset):
    plant(dataset)
    path = patient_files(dataset, "sub-01")["dwi"]
    assert nib.load(path).header["descrip"].item().decode() == SECRET
    assert SECRET.encode() not in read_image(path).header.binaryblock
    assert SECRET.encode() in gzip.decompress(path.read_bytes())
