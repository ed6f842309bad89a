"""zoo: a plugin-based PyTorch model zoo whose exports are proven.

What a plugin imports, and the Python API. Importing it loads neither torch nor numpy; the functions load what they
need when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from zoo.contract.callback import Callback
from zoo.contract.errors import (
    DataError,
    DeviceError,
    DifferenceError,
    ExportError,
    MissingPackage,
    NameConflict,
    OutputError,
    PluginError,
    TrainingError,
    UnknownName,
    UsageError,
    WeightsError,
    ZooError,
)
from zoo.contract.formats import ExportFormat
from zoo.contract.hooks import hookimpl
from zoo.contract.precisions import Precision
from zoo.contract.preprocess import Preprocess
from zoo.contract.specs import Architecture, Collection, Command, Dataset, Loss, Param, Spec
from zoo.version import __version__

if TYPE_CHECKING:
    from zoo.api.evaluating import DatasetEvaluation, evaluate
    from zoo.api.exporting import export, verify
    from zoo.api.listing import list_models
    from zoo.api.loading import create_model, load
    from zoo.api.signing import sign
    from zoo.api.training import TrainResult, train
    from zoo.api.weights.importing import ImportedWeights, import_weights
    from zoo.api.weights.recording import record_metrics
    from zoo.api.weights.transfer import PulledWeights, PushedWeights, pull, push
    from zoo.contract.evidence import Certificate, Comparison, Export, Manifest, Verification
    from zoo.contract.prediction import Prediction
    from zoo.models.load import Model
    from zoo.registry.registry import Registry
    from zoo.training.recipe.recipe import Recipe

_LAZY = {
    "Certificate": "zoo.contract.evidence",
    "Comparison": "zoo.contract.evidence",
    "DatasetEvaluation": "zoo.api.evaluating",
    "Export": "zoo.contract.evidence",
    "ImportedWeights": "zoo.api.weights.importing",
    "Manifest": "zoo.contract.evidence",
    "Model": "zoo.models.load",
    "Prediction": "zoo.contract.prediction",
    "PulledWeights": "zoo.api.weights.transfer",
    "PushedWeights": "zoo.api.weights.transfer",
    "Recipe": "zoo.training.recipe.recipe",
    "Registry": "zoo.registry.registry",
    "TrainResult": "zoo.api.training",
    "Verification": "zoo.contract.evidence",
    "create_model": "zoo.api.loading",
    "evaluate": "zoo.api.evaluating",
    "export": "zoo.api.exporting",
    "import_weights": "zoo.api.weights.importing",
    "list_models": "zoo.api.listing",
    "load": "zoo.api.loading",
    "pull": "zoo.api.weights.transfer",
    "push": "zoo.api.weights.transfer",
    "record_metrics": "zoo.api.weights.recording",
    "sign": "zoo.api.signing",
    "train": "zoo.api.training",
    "verify": "zoo.api.exporting",
}  # name to the module that is imported when the name is first used (PEP 562)

__all__ = [
    "Architecture",
    "Callback",
    "Certificate",
    "Collection",
    "Command",
    "Comparison",
    "DataError",
    "Dataset",
    "DatasetEvaluation",
    "DeviceError",
    "DifferenceError",
    "Export",
    "ExportError",
    "ExportFormat",
    "ImportedWeights",
    "Loss",
    "Manifest",
    "MissingPackage",
    "Model",
    "NameConflict",
    "OutputError",
    "Param",
    "PluginError",
    "Precision",
    "Prediction",
    "Preprocess",
    "PulledWeights",
    "PushedWeights",
    "Recipe",
    "Registry",
    "Spec",
    "TrainResult",
    "TrainingError",
    "UnknownName",
    "UsageError",
    "Verification",
    "WeightsError",
    "ZooError",
    "__version__",
    "create_model",
    "evaluate",
    "export",
    "hookimpl",
    "import_weights",
    "list_models",
    "load",
    "pull",
    "push",
    "record_metrics",
    "sign",
    "train",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
