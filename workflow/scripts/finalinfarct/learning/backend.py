"""Which library computes: every ``step_*`` module offers the same names, each in the words of its library.

``configure(threads, seed)``, ``device_name()``, ``TrainingStep``, ``make_inference(network)`` and ``make_validation(network, denominator)``. A
``TrainingStep`` takes the network and all training slices when it is made, so that they reach the device once, and the network's weights as they are then.
"""

import logging
import os
import sys
from importlib.util import find_spec
from pathlib import Path

from finalinfarct.errors import InputError
from finalinfarct.learning.devices import claim_gpu

log = logging.getLogger(__name__)
# Locks of the GPU that this process uses, held until it ends.
_locks = []


def load_step(backend, slots_per_gpu):
    """Import the step module of a backend and make Keras use that backend, on a GPU with a free slot if there is one. One process can do that once.

    Parameters
    ----------
    backend : str
        ``tensorflow``, ``jax`` or ``torch``.
    slots_per_gpu : int
        Number of processes that may share one GPU.

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
        _locks.append(claim_gpu(slots_per_gpu))
    running = sys.modules["keras"].config.backend() if "keras" in sys.modules else backend
    if running != backend:
        raise InputError("training.backend", f"Keras runs on {running} in this process, not on {backend}", "use one process per backend")
    if backend == "jax":
        from finalinfarct.learning import step_jax as step
    elif backend == "torch":
        from finalinfarct.learning import step_torch as step
    else:
        from finalinfarct.learning import step_tensorflow as step
    return step


def choose_precision(wanted, backend, device, processor_file="/proc/cpuinfo"):
    """Resolve ``auto`` to the precision that is fastest by what was measured (docs/performance.md).

    Parameters
    ----------
    wanted : str
        ``float32``, ``bfloat16`` or ``auto``: bfloat16 on a processor with instructions for it (AVX512-BF16, AMX) and a backend that uses them,
        else float32.
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
    try:
        flags = set(Path(processor_file).read_text(encoding="utf-8").split())
    except OSError:
        flags = set()
    able = device == "CPU" and backend != "jax" and bool(flags & {"avx512_bf16", "amx_bf16"})
    chosen = "bfloat16" if able else "float32"
    log.info("training.precision auto: %s with %s on %s", chosen, backend, device)
    return chosen
