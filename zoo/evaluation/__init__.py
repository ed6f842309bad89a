"""Measure a model on a split."""
