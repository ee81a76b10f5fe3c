"""One weights file, one prediction and one update, whatever library computes; and what bfloat16 changes."""

import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from learning_toys import SETTINGS

from finalinfarct.errors import InputError
from finalinfarct.learning import backend as module
from finalinfarct.learning.backend import choose_branches, choose_precision, load_step
from finalinfarct.learning.network import copy_weights, count_parameters, network_from_settings
from project import ROOT

INPUTS, MATRIX, RATES = ["DWI", "ADC"], 16, (0.003, 0.002, 0.001)
# Fusion and inputs.
NETWORKS = {"late": ("late", INPUTS), "one input": ("late", INPUTS[:1]), "early": ("early", INPUTS)}


def batch():
    generator = np.random.default_rng(0)
    return generator.random((6, MATRIX, MATRIX, len(INPUTS)), np.float32), generator.integers(0, 3, (6, MATRIX, MATRIX)).astype(np.uint8)


def run(backend, weights, output=None, precision="float32", branches="separate", kind="late"):
    """Probabilities, Dice terms, and the losses of updates from a weights file, without dropout; in this process, or written to a file by another."""
    step = load_step(backend, 1)
    step.configure(1, 0)
    fusion, inputs = NETWORKS[kind]
    network = plain = network_from_settings(fusion, inputs, MATRIX, SETTINGS | {"dropout": 0.0}, precision)
    network.load_weights(weights)
    if branches == "grouped":
        network = network_from_settings(fusion, inputs, MATRIX, SETTINGS | {"dropout": 0.0}, precision, branches)
        copy_weights(plain, network)
    images, labels = batch()
    images = images[..., : len(inputs)]
    data = (images, labels), (images[:5], labels[:5])
    update = step.TrainingStep(network, *data, 4, 8.0, "squared")
    results = {"probabilities": step.make_inference(network)(images), "terms": update.validate()}
    # The last batch is not full.
    batches = np.split(np.arange(len(images)), [4])
    losses = [float(update(rows, rate, updates)) for updates, (rows, rate) in enumerate(zip(batches, RATES[:2], strict=True))]
    # As a checkpoint does: weights and moments go out and come back into a new step.
    update.write_back()
    moments = update.moments()
    update = step.TrainingStep(network, *data, 4, 8.0, "squared")
    update.set_moments(moments)
    losses.append(float(update(batches[0], RATES[2], 2)))
    update.write_back()
    if network is not plain:
        copy_weights(network, plain)
    results = {name: np.asarray(value) for name, value in (results | {"losses": losses, "mean": plain.get_weights()[4]}).items()}
    if output:
        np.savez(output, **results)
    return results


def write_reference(path, kind):
    load_step("tensorflow", 1).configure(1, 3)
    network = network_from_settings(*NETWORKS[kind], MATRIX, SETTINGS)
    generator = np.random.default_rng(1)
    network.set_weights([w * generator.uniform(0.5, 2.0, w.shape) + generator.uniform(0, 0.01, w.shape) for w in network.get_weights()])
    network.save_weights(path)
    expected = run("tensorflow", path, kind=kind)
    assert expected["probabilities"].std() > 0.05
    return path, expected


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return write_reference(tmp_path_factory.mktemp("backends") / "model.weights.h5", "late")


@pytest.mark.parametrize(("branches", "kind"), [("separate", "late"), ("grouped", "late"), ("grouped", "one input"), ("grouped", "early")])
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_predict_and_train_alike(reference, backend, branches, kind, tmp_path):
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    path, expected = reference if kind == "late" else write_reference(tmp_path / "model.weights.h5", kind)
    folders = [str(ROOT / name) for name in ("workflow/scripts", "tests", "tests/unit")]
    program = f"import sys; sys.path[:0] = {folders}; from test_learning_backends import run; run(*sys.argv[1:])"
    environment = {key: value for key, value in os.environ.items() if key != "KERAS_BACKEND"}
    arguments = [backend, path, tmp_path / "found.npz", "float32", branches, kind]
    subprocess.run([sys.executable, "-c", program, *arguments], check=True, env=environment)
    found = np.load(tmp_path / "found.npz")
    np.testing.assert_allclose(found["probabilities"], expected["probabilities"], atol=1e-4)
    np.testing.assert_allclose(found["terms"], expected["terms"], rtol=1e-4)
    np.testing.assert_allclose(found["losses"], expected["losses"], atol=1e-3)
    np.testing.assert_allclose(found["mean"], expected["mean"], atol=1e-3)


def test_grouped_branches_are_the_same_network(reference):
    path, expected = reference
    found = run("tensorflow", path, branches="grouped")
    np.testing.assert_allclose(found["probabilities"], expected["probabilities"], atol=1e-4)
    np.testing.assert_allclose(found["losses"], expected["losses"], atol=1e-3)
    np.testing.assert_allclose(found["mean"], expected["mean"], atol=1e-3)
    separate, grouped = (network_from_settings("late", INPUTS, MATRIX, SETTINGS, branches=branches) for branches in ("separate", "grouped"))
    assert count_parameters(grouped) == count_parameters(separate)
    copy_weights(separate, grouped)
    assert float(sum(grouped.losses)) == pytest.approx(float(sum(separate.losses)), rel=1e-5)
    assert grouped.get_layer("branches_block2_conv1").groups == 2


def test_bfloat16_rounds_but_trains_alike_with_weights_in_float32(reference):
    path, expected = reference
    found = run("tensorflow", path, precision="bfloat16")
    assert 0 < np.abs(found["probabilities"] - expected["probabilities"]).mean() < 0.02
    np.testing.assert_allclose(found["losses"], expected["losses"], atol=0.02)
    network = network_from_settings("late", INPUTS, MATRIX, SETTINGS, "bfloat16")
    assert {variable.dtype for variable in network.weights} == {"float32"}
    assert network.get_layer("branch1_block1_conv1").compute_dtype == "bfloat16" and network.get_layer("head").compute_dtype == "float32"


def test_absent_and_second_backends_are_refused(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    load_step("tensorflow", 1)
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="jax is not installed"):
        load_step("jax", 1)
    monkeypatch.setattr(module, "find_spec", lambda name: name)
    with pytest.raises(InputError, match="Keras runs on tensorflow"):
        load_step("torch", 1)


def test_unneeded_packages_stay_out_of_a_training_and_can_be_imported_later():
    unneeded = ", ".join(module.UNNEEDED)
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'workflow/scripts')!r})\n"
        "from finalinfarct.learning.backend import UNNEEDED, load_step\n"
        "load_step('tensorflow'); print({*UNNEEDED} & {*sys.modules})\n"
        f"import keras, {unneeded}; print({{*UNNEEDED}} <= {{*sys.modules}}, keras.layers.Dense(1)(keras.ops.ones((1, 1))).shape)"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert made.stdout == "set()\nTrue (1, 1)\n", made.stderr


@pytest.mark.parametrize(
    ("wanted", "backend", "device", "flags", "chosen"),
    [
        ("auto", "tensorflow", "CPU", "fpu avx512_bf16 sse2", "bfloat16"),
        ("auto", "tensorflow", "CPU", "amx_bf16", "bfloat16"),
        ("auto", "torch", "CPU", "amx_bf16", "float32"),
        ("auto", "jax", "CPU", "avx512_bf16", "float32"),
        ("auto", "tensorflow", "CPU", "fpu avx512f", "float32"),
        ("auto", "tensorflow", "NVIDIA X", "avx512_bf16", "float32"),
        ("auto", "jax", "NVIDIA X", "fpu", "bfloat16"),
        ("auto", "torch", "NVIDIA X", "avx512_bf16", "float32"),
        ("float32", "tensorflow", "CPU", "avx512_bf16", "float32"),
        ("bfloat16", "jax", "CPU", "fpu", "bfloat16"),
    ],
)
def test_precision_is_chosen_by_rule(tmp_path, wanted, backend, device, flags, chosen):
    (tmp_path / "cpuinfo").write_text(f"flags\t\t: {flags}\n", encoding="utf-8")
    assert choose_precision(wanted, backend, device, tmp_path / "cpuinfo") == chosen


def test_branches_are_chosen_by_rule_and_precision_without_a_description_of_the_processor(tmp_path):
    assert choose_precision("auto", "tensorflow", "CPU", tmp_path / "none") == "float32"
    machines = (("jax", "NVIDIA X"), ("jax", "CPU"), ("tensorflow", "NVIDIA X"), ("torch", "NVIDIA X"))
    assert [choose_branches("auto", *machine, "late", 5) for machine in machines] == ["grouped", "separate", "separate", "separate"]
    assert [choose_branches(wanted, "jax", "NVIDIA X", "late", 3) for wanted in ("separate", "grouped")] == ["separate", "grouped"]
    assert [choose_branches("grouped", "jax", "NVIDIA X", *network) for network in (("early", 5), ("late", 1))] == ["separate", "separate"]
