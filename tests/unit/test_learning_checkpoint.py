"""A training that is killed and begun again ends as if nothing had happened."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec

import numpy as np
import pytest
from learning_toys import SETTINGS, inclusion, make_patients

from finalinfarct.learning.checkpoint import Checkpoint
from finalinfarct.learning.folds import make_folds, write_folds
from finalinfarct.learning.slices import pack_slices
from finalinfarct.learning.training import train
from project import ROOT

CHANGES = {"epochs": 25, "early_stopping": {"minimum_improvement": 0.02, "patience": 14}}
OUTPUTS = ("model.weights.h5", "history.csv", "environment.json")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    patients = make_patients(folder, 10)
    pack_slices(patients, ["DWI", "ADC"], folder / "slices.h5")
    write_folds(make_folds(inclusion(patients), 2, 1), folder / "folds.json")
    return folder


def run(data, target, checkpoints=None, inputs=("DWI",), **changes):
    outputs = [target / name for name in OUTPUTS]
    settings = SETTINGS | CHANGES | changes
    train(str(data / "slices.h5"), str(data / "folds.json"), 1, "all", list(inputs), "late", 32, settings, *outputs, 1, "code", checkpoints)
    return outputs


def history(path):
    """All but the time."""
    return np.loadtxt(path, delimiter=",", skiprows=1)[:, :-1]


def test_killed_and_begun_again_it_ends_with_the_same_weights(data, tmp_path):
    whole = run(data, tmp_path / "whole")
    checkpoints = tmp_path / "checkpoints"
    program = "import sys, pathlib; sys.path[:0] = sys.argv[1:3]; from test_learning_checkpoint import run; run(*map(pathlib.Path, sys.argv[3:]))"
    paths = (ROOT / "workflow/scripts", ROOT / "tests/unit", data, tmp_path / "parts", checkpoints)
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT / 'tests')!r}); {program}", *map(str, paths)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(checkpoints.glob("*/*.npz")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "parts").exists()
    parts = run(data, tmp_path / "parts", checkpoints)
    environments = [json.loads(outputs[2].read_text()) for outputs in (whole, parts)]
    assert 0 < environments[1]["timing"]["resumed_after_epoch"] < environments[1]["epochs"]
    assert whole[0].read_bytes() == parts[0].read_bytes()
    np.testing.assert_array_equal(history(whole[1]), history(parts[1]))
    for environment in environments:
        del environment["timing"]
    assert environments[0] == environments[1]
    assert not list(checkpoints.iterdir())


def cut_short(data, folder, **changes):
    """Checkpoint folder of a training that broke off in its fourth epoch."""
    from finalinfarct.learning import training

    validated, epochs = training._validation_dice, iter(range(1, 9))

    def broken(*arguments):
        if next(epochs) == 4:
            raise KeyboardInterrupt
        return validated(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "_validation_dice", broken)
        with pytest.raises(KeyboardInterrupt):
            run(data, folder / "cut", folder / "checkpoints", epochs=6, **changes)
    return folder / "checkpoints"


@pytest.fixture
def cut_off(data, tmp_path, request):
    """A checkpoint folder after a training, of settings changed as asked, that broke off, and the one checkpoint in it."""
    checkpoints = cut_short(data, tmp_path, **getattr(request, "param", {}))
    (path,) = checkpoints.glob("*/*")
    return checkpoints, path


def keep_second_of(epochs, data, target, **changes):
    """Train with a validation Dice that is best in the second epoch."""
    from finalinfarct.learning import training

    scripted = iter((0.3, 0.6, 0.5, 0.4))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "_validation_dice", lambda *arguments: next(scripted))
        run(data, target, epochs=epochs, **changes)


def resumed(outputs):
    return json.loads(outputs[2].read_text())["timing"]["resumed_after_epoch"]


@pytest.mark.parametrize("cut_off", [{"precision": "bfloat16"}], indirect=True)
def test_in_bfloat16_too_it_ends_with_the_same_weights(data, tmp_path, cut_off):
    parts = run(data, tmp_path / "parts", cut_off[0], epochs=6, precision="bfloat16")
    whole = run(data, tmp_path / "whole", epochs=6, precision="bfloat16")
    assert resumed(parts) == 3 and parts[0].read_bytes() == whole[0].read_bytes()


def test_damaged_checkpoint_is_ignored_with_a_warning(data, tmp_path, cut_off, caplog):
    checkpoints, path = cut_off
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        outputs = run(data, tmp_path / "again", checkpoints, epochs=6)
    assert "is damaged" in caplog.text and resumed(outputs) == 0
    assert len(history(outputs[1])) == 6


def test_checkpoint_of_other_settings_is_not_used(data, tmp_path, cut_off):
    checkpoints, path = cut_off
    outputs = run(data, tmp_path / "other", checkpoints, epochs=5)
    assert resumed(outputs) == 0 and not path.exists()


@pytest.mark.parametrize("change", [{}, {"slots_per_gpu": 2}, {"checkpoint_interval_s": 30}, {"threads": 2}])
def test_checkpoint_is_used_when_the_result_is_the_same(data, tmp_path, cut_off, change):
    outputs = run(data, tmp_path / "same", cut_off[0], epochs=6, **change)
    timing = json.loads(outputs[2].read_text())["timing"]
    assert timing["resumed_after_epoch"] == 3
    # The epochs of the process that was cut off count.
    assert timing["training_s"] == pytest.approx(np.loadtxt(outputs[1], delimiter=",", skiprows=1)[:, -1].sum(), abs=0.1)


@pytest.mark.parametrize("damage", [b"", b"no archive", None])
def test_file_that_is_no_checkpoint(tmp_path, damage):
    checkpoint = Checkpoint(tmp_path / "one", {"seed": 1}, 0)
    assert checkpoint.read() is None
    checkpoint.write_when_due(lambda: ({"epoch": 3, "best": float("-inf")}, {"kept": [np.arange(3.0)], "none": []}))
    assert [path.name for path in checkpoint.folder.iterdir()] == [checkpoint.path.name]
    checkpoint.path.write_bytes(checkpoint.path.read_bytes()[:-30] if damage is None else damage)
    assert checkpoint.read() is None and not checkpoint.path.exists()


def test_interval_and_what_an_earlier_process_left(tmp_path):
    checkpoint = Checkpoint(tmp_path, {"seed": 1}, 1000)
    checkpoint.write_when_due(lambda: pytest.fail("asked before it was due"))
    assert not list(tmp_path.iterdir())
    (tmp_path / ".99.half.npz").write_bytes(b"half")
    assert Checkpoint(tmp_path, {"seed": 1}, 0).path == checkpoint.path != Checkpoint(tmp_path, {"seed": 2}, 0).path
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("backend", "branches"), [("jax", "separate"), ("jax", "grouped"), ("torch", "separate")])
def test_with_other_backends_too_it_ends_with_the_same_weights(data, tmp_path, backend, branches):
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    changes = {"backend": backend, "branches": branches, "inputs": ["DWI", "ADC"]}
    program = f"import pathlib; from test_learning_checkpoint import *; data, folder = map(pathlib.Path, sys.argv[1:]); changes = {changes}; "
    program += "checkpoints = cut_short(data, folder, **changes); "
    program += "run(data, folder / 'parts', checkpoints, epochs=6, **changes); run(data, folder / 'whole', epochs=6, **changes); "
    program += "[keep_second_of(epochs, data, folder / f'{epochs} epochs', **changes) for epochs in (2, 4)]; "
    program += "keep_second_of(4, data, folder / 'last', weights='last', **changes)"
    folders = [str(ROOT / name) for name in ("workflow/scripts", "tests", "tests/unit")]
    environment = {key: value for key, value in os.environ.items() if key != "KERAS_BACKEND"} | {"PYTHONPATH": os.pathsep.join(folders)}
    subprocess.run([sys.executable, "-c", program, data, tmp_path], check=True, env=environment)
    parts, whole = ([tmp_path / name / output for output in OUTPUTS] for name in ("parts", "whole"))
    assert resumed(parts) == 3 and resumed(whole) == 0
    assert parts[0].read_bytes() == whole[0].read_bytes()
    assert json.loads(whole[2].read_text())["branches"] == branches
    # The best weights stay those of their epoch while the training goes on.
    two, four, last = ((tmp_path / name / OUTPUTS[0]).read_bytes() for name in ("2 epochs", "4 epochs", "last"))
    assert two == four != last
