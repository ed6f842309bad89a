"""Weights that others trained and published, as a plugin hands them over. Standard library only."""

from zoo.contract.pretrained.metric import Metric
from zoo.contract.pretrained.weights import PretrainedWeights, download_needed

__all__ = ["Metric", "PretrainedWeights", "download_needed"]
