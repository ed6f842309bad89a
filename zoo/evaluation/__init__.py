"""Evaluate a model on a split: accuracy, calibration, per-class scores, confusions."""

BATCH_SIZE = 256  # images that go through the model at once, by default
