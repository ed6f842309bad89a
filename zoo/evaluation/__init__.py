"""Evaluate a model on a split: accuracy, calibration, per-class scores, confusions."""
