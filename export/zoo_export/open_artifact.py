"""An exported artifact as a model: `zoo.load`, `zoo.evaluate` and `predict` take an export folder, too."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from zoo.contract.errors import ExportError
from zoo.files.card import Card
from zoo.models.load import Model
from zoo.registry.registry import Registry
from zoo_export.artifacts import artifact_paths, recorded_format
from zoo_export.bundle.folder import read_folder
from zoo_export.bundle.manifest import NAME
from zoo_export.containment.loading import load_runner
from zoo_export.failures.unverified import warnings_of
from zoo_export.runners import in_child


class ArtifactModule(nn.Module):
    """Runs an artifact on the CPU: float32 images `[N, C, H, W]` to logits `[N, K]`. It has no parameters.

    Args:
        run: the same, from array to array.
    """

    def __init__(self, run: Callable[[Any], Any]) -> None:
        super().__init__()
        self._run = run

    def forward(self, images: Tensor) -> Tensor:
        """Run the artifact."""
        logits = np.array(self._run(images.cpu().numpy()))  # a copy, as a runner may reuse its output
        return torch.from_numpy(logits).to(images.device)


def open_artifact(registry: Registry, path: Path, *, expect_digest: str | None = None, trust: bool = False) -> Model:
    """Open an artifact of an export folder as a model, once the folder's files are known to be as they were written.

    Args:
        path: the folder, of which the first artifact is taken; or one of its artifacts.
        trust: run it in this process, without limits; by default in a process of its own, for as long as the model is
            in use.
        expect_digest: the digest that the folder's manifest must have.

    Raises:
        DifferenceError: a file of the folder was changed, or the digest is another.
        ExportError: it is not an export folder, or the artifact does not load.
    """
    folder = path if path.is_dir() else path.parent
    if not (folder / NAME).is_file():
        raise ExportError(
            f"{path} is not in an export folder, so its classes and preprocessing are not known.",
            "Check it against its model: `zoo verify FILE --against MODEL`.",
        )
    manifest = read_folder(folder, expect_digest)
    artifacts = [each for each in manifest.artifacts.values() if path.is_dir() or each.file == path.name]
    if not artifacts:
        raise ExportError(
            f"{path.name} is not an artifact of {folder}.",
            f"It holds {', '.join(each.file for each in manifest.artifacts.values())}.",
        )
    for text in warnings_of(manifest):
        warnings.warn(f"{folder}: {text}", stacklevel=3)
    entry = recorded_format(registry, artifacts[0].format)
    paths = artifact_paths(entry, folder / artifacts[0].file)
    runners = load_runner(entry, paths) if trust else in_child(entry, paths).load()
    return Model(manifest.name, ArtifactModule(next(iter(runners.values()))), Card.from_dict(manifest.card), path)
