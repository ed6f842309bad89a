"""Run `zoo_runtime` in a child, for folders of any origin. Loads no torch, here or there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import zoo_runtime
from zoo.contract.errors import DifferenceError
from zoo.contract.evidence import Manifest
from zoo.contract.evidence.format1 import upgraded
from zoo.contract.exporting.artifact import CPU, Array, Backend, Paths, Run
from zoo_export.bundle.folder import explain_runtime_errors
from zoo_export.containment.artifact import ContainedArtifact

RUNNER = "zoo_export.bundle.runtime_in_child:runner"


@contextmanager
def contained_run(folder: Path, manifest: Manifest) -> Iterator[Run]:
    """`zoo_runtime.Model(folder).run`, but in a child that ends with this context.

    Raises:
        UsageError, ContainmentError: as `ContainedArtifact`.
        ExportError: the file does not load, or the package that runs it is not installed.
        DifferenceError: from the function: logits of another type or shape.
    """
    path = folder / manifest.artifacts[zoo_runtime.FORMAT].file
    child = ContainedArtifact(RUNNER, zoo_runtime.FORMAT, "zoo-kit", Paths({"model": path}))
    try:
        (run,) = child.load().values()

        def checked(images: Array) -> Array:
            logits = run(images)
            if logits.dtype != np.float32 or logits.shape != (len(images), len(manifest.labels)):
                raise DifferenceError(f"{path} returned {logits.dtype} {logits.shape}.", zoo_runtime.RESTORE)
            return logits

        yield checked
    finally:
        child.close()


def runner(paths: Paths, backend: Backend = CPU) -> Run:
    """In the child: the folder that holds these files, as `zoo_runtime` runs it.

    Raises:
        ExportError, DifferenceError: the folder cannot be run.
    """
    folder = paths.main.parent
    with explain_runtime_errors(folder):
        model = zoo_runtime.Model(folder, upgrade=upgraded)

    def run(images: Array) -> Array:
        with explain_runtime_errors(folder):
            return model.run(images)

    return run
