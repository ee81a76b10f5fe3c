"""GPUs are shared by locks; the devices here are names only."""

import os
import subprocess
import sys

import pytest

from finalinfarct.errors import InputError
from finalinfarct.learning import devices
from finalinfarct.learning.devices import claim_gpu, claim_slot, gpu_identifiers, memory_faults_named
from project import ROOT


def test_slots_are_dealt_evenly_and_come_back(tmp_path):
    claims = [claim_slot(["a", "b"], 2, tmp_path) for _ in range(5)]
    assert [claim and claim[0] for claim in claims] == ["a", "b", "a", "b", None]
    claims[1][1].close()
    assert claim_slot(["a", "b"], 2, tmp_path)[0] == "b"


def test_lock_is_gone_with_a_killed_process(tmp_path):
    program = (
        "import sys, time; sys.path.insert(0, sys.argv[1]); from finalinfarct.learning.devices import claim_slot\n"
        "claim = claim_slot(['a'], 1, sys.argv[2]); print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", program, ROOT / "workflow/scripts", tmp_path], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    assert claim_slot(["a"], 1, tmp_path) is None
    process.kill()
    process.wait()
    assert claim_slot(["a"], 1, tmp_path)[0] == "a"


def test_device_is_shown_to_the_process_unless_a_scheduler_has(tmp_path):
    environment = {}
    lock = claim_gpu(1, environment, ["GPU-1"], tmp_path)
    assert environment == {"CUDA_VISIBLE_DEVICES": "GPU-1"} and not lock.closed
    scheduled = {"CUDA_VISIBLE_DEVICES": "3", "SLURM_JOB_ID": "7"}
    assert claim_gpu(1, scheduled, ["GPU-2"], tmp_path) is None and scheduled["CUDA_VISIBLE_DEVICES"] == "3"
    nothing = {}
    assert claim_gpu(1, nothing, [], tmp_path) is None and nothing == {}


@pytest.mark.parametrize(("visible", "expected"), [("2,5", "2"), ("", None), ("-1", None), ("4,-1,5", "4")])
def test_devices_that_the_user_shows_are_shared_out(tmp_path, visible, expected):
    environment = {"CUDA_VISIBLE_DEVICES": visible}
    lock = claim_gpu(1, environment, folder=tmp_path)
    assert (lock is not None) == (expected is not None) and environment["CUDA_VISIBLE_DEVICES"] == (expected or visible)
    if visible == "2,5":
        second = {"CUDA_VISIBLE_DEVICES": visible}
        assert claim_gpu(1, second, folder=tmp_path) and second["CUDA_VISIBLE_DEVICES"] == "5"


def test_only_identifiers_of_gpus_are_taken(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU-12ab'\necho 'No devices were found'\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert gpu_identifiers() == ["GPU-12ab"]


def test_gpu_that_the_backend_cannot_use_is_given_back(tmp_path):
    """Plain TensorFlow beside a GPU: the second process must not wait for the first."""
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho GPU-none\n", encoding="utf-8")
    program.chmod(0o755)
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'workflow/scripts')!r})\n"
        "from finalinfarct.learning.backend import load_step\n"
        "load_step('tensorflow', 1); print('ready', flush=True); sys.stdin.read()"
    )
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)}
    for name in ("CUDA_VISIBLE_DEVICES", "KERAS_BACKEND"):
        environment.pop(name, None)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    first = subprocess.Popen([sys.executable, "-c", code], env=environment, **pipes)
    assert first.stdout.readline() == "ready\n"
    second = subprocess.run([sys.executable, "-c", code], env=environment, input="", capture_output=True, text=True, timeout=120)
    assert second.stdout == "ready\n" and "finds no GPU though the machine has one" in second.stderr
    first.communicate("")


def test_full_devices_are_waited_for(tmp_path, monkeypatch):
    held, environment = claim_gpu(1, {}, ["a"], tmp_path), {}
    monkeypatch.setattr(devices.time, "sleep", lambda seconds: held.close())
    assert claim_gpu(1, environment, ["a"], tmp_path) and environment["CUDA_VISIBLE_DEVICES"] == "a"


def test_no_driver_is_no_device(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert gpu_identifiers() == []


def test_full_memory_is_named_with_the_settings():
    import tensorflow as tf

    for fault in (tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor"), MemoryError(), RuntimeError("CUDA out of memory.")):
        with pytest.raises(InputError, match=r"memory of the device is full.*slots_per_gpu.*precision.*batch_size"), memory_faults_named():
            raise fault
    with pytest.raises(ValueError, match="other"), memory_faults_named():
        raise ValueError("other")
