"""Folds, slices, network, loss, training and prediction."""

import os

# TensorFlow's C++ side greets every process with a page of notes, and calls a missing GPU an error. What matters raises in Python.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
