"""Exported files as models: `zoo.load`, `zoo.evaluate` and `predict` take an export folder, or a file, too."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from zoo.contract.errors import DifferenceError, ExportError, UnknownName, UsageError
from zoo.contract.evidence import Manifest
from zoo.contract.exporting.artifact import Backend, Paths
from zoo.contract.formats import ExportFormat
from zoo.files.card import Card, read_card
from zoo.files.expected_digest import check_digest
from zoo.files.folders import find_weights, is_weights
from zoo.models.exported import ArtifactOptions, OpenedExport
from zoo.models.load import Model, open_model
from zoo.registry.registry import Entry, Registry
from zoo_export.artifacts import artifact_paths, format_of, recorded_format
from zoo_export.bundle.folder import read_folder
from zoo_export.bundle.manifest import NAME
from zoo_export.bundle.provenance import sha256
from zoo_export.devices import check_devices
from zoo_export.failures.unverified import warnings_of
from zoo_export.installation import installation_warnings
from zoo_export.runners import in_child, in_process
from zoo_export.single_file import describe
from zoo_export.verification.truth_model import PLAIN


class ArtifactModule(nn.Module):
    """Runs an artifact: float32 images `[N, C, H, W]` to logits `[N, K]`. It has no parameters.

    Args:
        run: the same, from array to array.
        batch: the only number of images that `run` takes; `None` if it takes any. The last images of others are
            repeated to fill a batch, and their further logits are left out.
    """

    def __init__(self, run: Callable[[Any], Any], batch: int | None = None) -> None:
        super().__init__()
        self._run, self._batch = run, batch

    def forward(self, images: Tensor) -> Tensor:
        """Run the artifact."""
        content = images.cpu().numpy()
        parts = [content] if self._batch is None else [self._filled(part) for part in self._split(content)]
        logits = np.concatenate([np.array(self._run(part)) for part in parts])  # a copy: a runner may reuse its output
        return torch.from_numpy(logits[: len(content)]).to(images.device)

    def _split(self, images: "np.ndarray[Any, Any]") -> list["np.ndarray[Any, Any]"]:
        size = self._batch or len(images)
        return [images[start : start + size] for start in range(0, len(images), size)]

    def _filled(self, part: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        missing = (self._batch or 0) - len(part)
        return np.concatenate([part, np.repeat(part[-1:], missing, axis=0)]) if missing > 0 else part


def open_export(registry: Registry, path: Path, options: ArtifactOptions) -> OpenedExport:
    """Open an export folder, one of its files, or a single file, as models.

    The files of a folder are known to be as they were written before one of them is opened.

    Args:
        path: the folder, one of its artifacts, or, with `options.single`, a file of any origin.

    Raises:
        DifferenceError: a file of the folder was changed, or the digest is another.
        ExportError: it is not an export folder, or does not have such an artifact.
        DeviceError: the device does not work here.
        UsageError: of a single file, labels or preprocessing are not known or do not fit it.
    """
    folder = path if path.is_dir() else path.parent
    if not (folder / NAME).is_file():
        if not options.single:
            raise ExportError(
                f"{path} is not in an export folder, so its classes and preprocessing are not known.",
                "Check it against its model: `zoo verify FILE --against MODEL`.",
            )
        return _open_single(registry, path, options)
    if options.labels is not None or options.preprocess is not None:
        raise UsageError(
            f"{folder} is an export folder, whose manifest has the labels and preprocessing.",
            "Leave --labels and --preprocess out.",
        )
    manifest = read_folder(folder, options.expect_digest)
    artifacts = {
        name: each
        for name, each in manifest.artifacts.items()
        if (path.is_dir() and (not options.formats or name in options.formats)) or each.file == path.name
    }
    if not artifacts:
        missing = " and ".join(options.formats) if path.is_dir() else path.name
        raise ExportError(
            f"{missing} is not an artifact of {folder}.",
            f"It holds {', '.join(f'{each.file} ({name})' for name, each in manifest.artifacts.items())}.",
        )
    entries = {each.file: recorded_format(registry, each.format) for each in artifacts.values()}
    check_devices(list(entries.values()), [options.device])
    card = Card.from_dict(manifest.card)
    return OpenedExport(
        manifest.name,
        {
            file: partial(open_files, manifest.name, entry, artifact_paths(entry, folder / file), card, options)
            for file, entry in entries.items()
        },
        partial(_original, registry, manifest),
        (*(f"{folder}: {text}" for text in warnings_of(manifest)), *installation_warnings(list(entries.values()))),
    )


def _open_single(registry: Registry, path: Path, options: ArtifactOptions) -> OpenedExport:
    if options.formats:
        raise UsageError(f"{path} is a file, not an export folder.", "Leave --format out: it is for folders.")
    if options.expect_digest is not None:
        check_digest(options.expect_digest, f"sha256:{sha256(path)}", str(path))
    entry = format_of(registry, path)
    paths = artifact_paths(entry, path)
    check_devices([entry], [options.device])
    single = describe(entry, paths, options)
    model = open_files(path.name, entry, paths, single.card(), options, single.batch)
    single.check_logits(model.module)
    return OpenedExport(path.name, {path.name: lambda: model}, None, installation_warnings([entry]))


def open_files(
    name: str,
    entry: Entry[ExportFormat],
    paths: Paths,
    card: Card,
    options: ArtifactOptions,
    batch: int | None = None,
) -> Model:
    """The files of one artifact as a model. Of several ways to run it, the last is taken, which is the usual one.

    Args:
        batch: as for `ArtifactModule`.

    Raises:
        DeviceError, ExportError: they do not load.
    """
    load = in_process(entry, paths) if options.trust else in_child(entry, paths, (options.device,)).load
    runners = load(Backend(device=options.device))
    return Model(name, ArtifactModule(list(runners.values())[-1], batch), card, paths.main)


def _original(registry: Registry, manifest: Manifest) -> Model:
    """The stored weights that a manifest names, if they have the digest that was exported.

    A name that could be a path is not followed, and no architecture is built: the folder may come from anywhere.

    Raises:
        ZooError: there are none.
    """
    weights = manifest.certificate.weights
    name = weights.get("name") or manifest.name
    if not PLAIN.fullmatch(name) or not is_weights(name) or name.endswith(".safetensors"):
        raise UnknownName(f"the manifest names no stored weights, but {name!r}.", "Name the model with --against.")
    path = find_weights(name)
    if read_card(path)[0].digest != weights["digest"]:
        raise DifferenceError(
            f"the weights {name} are not the exported ones: their digests differ.", "Name the model with --against."
        )
    return open_model(registry, name)
