"""Which library computes: every ``step_*`` module offers the same names, each in the words of its library.

``configure(threads, seed)``, ``device_name()``, ``TrainingStep``, ``make_inference(network)`` and ``make_validation(network, denominator)``.
"""

import os
import sys
from importlib.util import find_spec

from finalinfarct.errors import InputError


def load_step(backend):
    """Import the step module of a backend and make Keras use that backend, which one process can do once.

    Parameters
    ----------
    backend : str
        ``tensorflow``, ``jax`` or ``torch``.

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
