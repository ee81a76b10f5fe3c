"""Which library computes: every ``step_*`` module offers the same names, each in the words of its library.

``configure(threads, seed)``, ``device_name()``, ``TrainingStep``, which updates and validates, and ``make_inference(network)``. A ``TrainingStep``
takes the network and all slices when it is made, so that they reach the device once, and the network's weights as they are then.
"""

import gc
import logging
import os
import platform
import sys
from importlib.util import find_spec
from pathlib import Path

from finalinfarct.errors import InputError
from finalinfarct.imports import hidden
from finalinfarct.learning.devices import claim_gpu

log = logging.getLogger(__name__)
# Locks of the GPU that this process uses, held until it ends.
_locks = []
# Keras imports these where they are installed, for plots, wrappers and frames that no network here needs: a quarter of the time of its own import.
UNNEEDED = ("matplotlib", "pandas", "sklearn")
# New objects after which Python looks for garbage. Imports and tracing make hundreds of thousands that stay, and each look costs.
COLLECT_AFTER = 100_000


def load_step(backend, slots_per_gpu=0):
    """Import the step module of a backend and make Keras use that backend, on a GPU with a free slot if there is one. One process can do that once.

    Parameters
    ----------
    backend : str
        ``tensorflow``, ``jax`` or ``torch``.
    slots_per_gpu : int
        Number of processes that may share one GPU; 0 computes on the CPU.

    Returns
    -------
    module

    Raises
    ------
    InputError
        The backend is not installed, or Keras runs on another one in this process.
    """
    if find_spec(backend) is None:
        raise InputError("training.backend", f"{backend} is not installed here", f"install {backend}, or set training.backend: tensorflow")
    os.environ["KERAS_BACKEND"] = backend
    if "keras" not in sys.modules:
        gc.set_threshold(COLLECT_AFTER, *gc.get_threshold()[1:])
        if slots_per_gpu:
            _locks.append(claim_gpu(slots_per_gpu))
        else:
            os.environ |= {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}
    running = sys.modules["keras"].config.backend() if "keras" in sys.modules else backend
    if running != backend:
        raise InputError("training.backend", f"Keras runs on {running} in this process, not on {backend}", "use one process per backend")
    with hidden(UNNEEDED):
        if backend == "jax":
            from finalinfarct.learning import step_jax as step
        elif backend == "torch":
            from finalinfarct.learning import step_torch as step
        else:
            from finalinfarct.learning import step_tensorflow as step
    if any(_locks) and step.device_name() == "CPU":
        # Others need not wait for a GPU that nobody uses.
        log.warning("%s finds no GPU though the machine has one, and computes on the CPU: install it with its CUDA libraries", backend)
        for lock in filter(None, _locks):
            lock.close()
        _locks.clear()
    return step


def choose_precision(wanted, backend, device, processor_file="/proc/cpuinfo"):
    """Resolve ``auto`` to the precision that is fastest by what was measured (docs/performance.md).

    Parameters
    ----------
    wanted : str
        ``float32``, ``bfloat16`` or ``auto``: bfloat16 with JAX on a GPU, and with TensorFlow on a processor with instructions for it (AVX512-BF16,
        AMX), else float32.
    backend, device : str
        As configured; as ``device_name`` of the step module says.
    processor_file : str or Path
        Linux's description of the processor.

    Returns
    -------
    str
        ``float32`` or ``bfloat16``.
    """
    if wanted != "auto":
        return wanted
    flags = set(_processor_entry(processor_file, "flags").split())
    able = bool(flags & {"avx512_bf16", "amx_bf16"}) if backend == "tensorflow" and device == "CPU" else _is_jax_on_gpu(backend, device)
    chosen = "bfloat16" if able else "float32"
    log.info("training.precision auto: %s with %s on %s", chosen, backend, device)
    return chosen


def choose_branches(wanted, backend, device, fusion, n_inputs):
    """Say how the branches of a network are computed, and resolve ``auto`` to what is fastest by what was measured (docs/performance.md).

    Parameters
    ----------
    wanted : str
        ``separate``, ``grouped`` or ``auto``: grouped with JAX on a GPU, else separate.
    backend, device : str
        As for ``choose_precision``.
    fusion : str
        ``late`` or ``early``.
    n_inputs : int
        Number of input images.

    Returns
    -------
    str
        ``separate`` or ``grouped``; a network of one branch has nothing to group.
    """
    if fusion == "early" or n_inputs == 1:
        return "separate"
    if wanted != "auto":
        return wanted
    chosen = "grouped" if _is_jax_on_gpu(backend, device) else "separate"
    log.info("training.branches auto: %s with %s on %s", chosen, backend, device)
    return chosen


def _is_jax_on_gpu(backend, device):
    return backend == "jax" and device != "CPU"


def processor_name(processor_file="/proc/cpuinfo"):
    """Return the model of the processor, or its architecture where Linux does not say."""
    return _processor_entry(processor_file, "model name") or platform.processor() or platform.machine()


def _processor_entry(processor_file, key):
    """Return what Linux says of the first processor, or nothing."""
    try:
        lines = Path(processor_file).read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == key), "")
