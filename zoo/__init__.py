"""zoo: a plugin-based PyTorch model zoo whose exports are proven.

This module is what a plugin imports. It stays light: neither torch nor numpy is loaded by it.
"""

from zoo.errors import ZooError
from zoo.hooks import hookimpl
from zoo.preprocess import Preprocess
from zoo.specs import Architecture, Command, Dataset, ExportFormat, Loss, Param, Spec

__version__ = "0.1.0"

__all__ = [
    "Architecture",
    "Command",
    "Dataset",
    "ExportFormat",
    "Loss",
    "Param",
    "Preprocess",
    "Spec",
    "ZooError",
    "__version__",
    "hookimpl",
]
