"""zoo: a plugin-based PyTorch model zoo whose exports are proven.

This module is what a plugin imports. It stays light: neither torch nor numpy is loaded by it.
"""

from zoo.contract.errors import ZooError
from zoo.contract.formats import ExportFormat
from zoo.contract.hooks import hookimpl
from zoo.contract.precisions import Precision
from zoo.contract.preprocess import Preprocess
from zoo.contract.specs import Architecture, Command, Dataset, Loss, Param, Spec
from zoo.version import __version__

__all__ = [
    "Architecture",
    "Command",
    "Dataset",
    "ExportFormat",
    "Loss",
    "Param",
    "Precision",
    "Preprocess",
    "Spec",
    "ZooError",
    "__version__",
    "hookimpl",
]
