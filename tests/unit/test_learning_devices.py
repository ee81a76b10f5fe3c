"""GPUs are shared by locks; the devices here are names only."""

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
    scheduled = {"CUDA_VISIBLE_DEVICES": "3"}
    assert claim_gpu(1, scheduled, ["GPU-2"], tmp_path) is None and scheduled == {"CUDA_VISIBLE_DEVICES": "3"}
    nothing = {}
    assert claim_gpu(1, nothing, [], tmp_path) is None and nothing == {}


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
