"""All kinds of adversarial ONNX graphs, in the order of the report."""

from adversary import batches, deviations, disguised, images
from adversary.kind import KINDS, Kind

__all__ = ["KINDS", "Kind", "batches", "deviations", "disguised", "images"]
