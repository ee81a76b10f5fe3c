"""Folds, slices, network, loss, training and prediction."""
