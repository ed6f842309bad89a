"""The formats that come with zoo; nothing outside this folder knows them by name."""

from zoo_export.formats.onnx import ONNX
from zoo_export.formats.pt2 import PT2
from zoo_export.formats.torchscript import TORCHSCRIPT

FORMATS = (ONNX, TORCHSCRIPT, PT2)
