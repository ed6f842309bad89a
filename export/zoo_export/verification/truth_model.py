"""The model that truth is computed with: how it is opened, and which weights it really has."""

import re
from pathlib import Path

from zoo.contract.errors import DifferenceError, DownloadNeeded, ExportError, UnknownName, WeightsError
from zoo.contract.evidence import Manifest, TruthSource
from zoo.files.card import Card, read_card
from zoo.files.folders import SUFFIX, pretrained_folder, weights_folders
from zoo.models.load import BuildArgs, Model, open_model
from zoo.registry.model_kind import model_kind
from zoo.registry.registry import Registry
from zoo_export.bundle.provenance import sha256, weights_of

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
PLAIN = re.compile(r"\w[\w.+-]*")  # a name; a path is none


def open_against(registry: Registry, name: str, fresh: BuildArgs | None = None) -> Model:
    """The model that the user names: an `ARCH.TAG`, a path, a hub folder, an architecture, or a digest.

    Args:
        fresh: how to build an architecture.

    Raises:
        ZooError: nothing has that name, or the file is damaged.
    """
    if DIGEST.fullmatch(name):
        return open_model(registry, str(_weights_with(name)))
    try:
        return open_model(registry, name, None if model_kind(registry, name).stored else fresh)
    except DownloadNeeded as error:  # verification downloads nothing
        raise WeightsError(error.cause, f"Get them with `zoo summary {name} --download`.") from None


def exported_model(registry: Registry, manifest: Manifest, against: Model | str | None) -> Model:
    """The model that was exported, once its weights are known to be those that were.

    Raises:
        DifferenceError: they are not.
        ExportError: without `against`, the name in the manifest is none, or opens no model.
    """
    model = against if isinstance(against, Model) else _open_by_name(registry, manifest, against)
    if weights_of(model)["digest"] != manifest.certificate.weights["digest"]:
        raise DifferenceError(
            f"The weights of {model.name} are not the exported ones: their digests differ.",
            "Name the exported weights with --against, or export again.",
        )
    return model


def truth_source(model: Model) -> TruthSource:
    """Where the weights of `model` are from, and whether they hide others of the same name."""
    weights = weights_of(model)
    shadows = None if model.path is None else _shadowed(model.path, weights["file_sha256"])
    return TruthSource(model.path, weights["file_sha256"], weights["digest"], shadows)


def _open_by_name(registry: Registry, manifest: Manifest, against: str | None) -> Model:
    name = against or manifest.certificate.weights.get("name") or manifest.name
    if against is None and not PLAIN.fullmatch(name):
        raise ExportError(
            f"The manifest names the model {name!r}, which is not a plain name.",
            "Name its weights file with --against, if you trust the folder.",
        )
    if against is None and name.endswith(SUFFIX):
        raise ExportError(
            f"The manifest names the model {name}, which would be a path.", "Name its weights file with --against."
        )
    card = Card.from_dict(manifest.card)
    fresh = BuildArgs(
        num_classes=len(card.classes),
        channels=card.preprocess.channels,
        img_size=card.preprocess.size[0],
        params=card.params or None,
    )
    try:
        return open_against(registry, name, fresh)
    except UnknownName as error:
        if against is not None:
            raise
        raise ExportError(
            f"The exported model, {name}, cannot be opened by its name: {error.cause}",
            "Name its weights file with --against; pass a module of your own from Python: "
            "zoo.verify(folder, against=module, input_shape=...).",
        ) from None


def _weights_with(digest: str) -> Path:
    """The weights file whose tensors have that digest, among all that are found by name."""
    folders = (*weights_folders(), pretrained_folder())
    stored = [path for folder in folders[:-1] for path in sorted(folder.glob(f"*{SUFFIX}"))]
    for path in (*stored, *sorted(folders[-1].rglob(f"*{SUFFIX}"))):
        try:
            if read_card(path)[0].digest == digest:
                return path
        except WeightsError:  # a damaged file is not the one
            continue
    raise UnknownName(
        f"No weights file has the digest {digest}.",
        f"It was looked for in {', '.join(map(str, folders))}; give the path of the file.",
    )


def _shadowed(path: Path, digest: str | None) -> Path | None:
    """A weights file that the name of `path` would have led to if `path` were not there, with other content."""
    folders = weights_folders()
    first = next((index for index, each in enumerate(folders) if each.resolve() == path.parent.resolve()), None)
    later = [] if first is None else [folder / path.name for folder in folders[first + 1 :]]
    return next((each for each in later if each.is_file() and sha256(each) != digest), None)
