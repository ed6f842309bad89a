"""Store weights that others trained as a weights file whose card says where they came from."""

from pathlib import Path

from zoo.contract.errors import WeightsError
from zoo.contract.params import check_params
from zoo.contract.pretrained import PretrainedWeights
from zoo.contract.specs import Architecture
from zoo.files.card import Card
from zoo.files.environment import versions
from zoo.files.weights import save_weights, tensor_differences
from zoo.models.build import build_model
from zoo.registry.registry import Entry


def store_foreign(
    weights: PretrainedWeights,
    entry: Entry[Architecture],
    path: Path,
    *,
    command: str = "",
    force: bool = False,
) -> Card:
    """Write `weights` to `path` atomically, after checking that they fit the architecture as it is built here.

    Args:
        weights: as a plugin, an import or a hub provides them.
        entry: their architecture.
        path: the file to write, `ARCH.TAG.safetensors`.
        command: the command that makes the file, for its card.
        force: replace an existing file.

    Returns:
        The card: its metrics are empty, and those of the authors are in `published`.

    Raises:
        UnknownName, UsageError: `weights.params` are not those that the architecture declares.
        OutputError: `path` exists and `force` is not set, or it cannot be written.
        WeightsError: names, shapes or dtypes of the tensors are not those of the module, or a value is not finite.
    """
    params = check_params(entry.spec, weights.params)
    module = build_model(
        entry, num_classes=len(weights.classes), in_channels=weights.preprocess.channels, params=params
    )
    if differences := tensor_differences(module, weights.tensors):
        raise WeightsError(
            f"The weights from {weights.source} do not fit the architecture {entry.spec.name} with "
            f"{len(weights.classes):,} classes: {differences}.",
            f"Use weights of that architecture; `zoo summary {entry.spec.name}` shows its layers.",
        )
    card = Card(
        architecture=entry.spec.name,
        plugin=entry.plugin.distribution,
        entry_point=entry.plugin.name,
        plugin_version=entry.plugin.version,
        params=params,
        classes=weights.classes,
        preprocess=weights.preprocess,
        command=command,
        versions=versions(),
        licence=weights.licence,
        published=weights.published,
        source=weights.source,
        source_sha256=weights.file_sha256,
    )
    return save_weights(path, weights.tensors, card, force=force)
