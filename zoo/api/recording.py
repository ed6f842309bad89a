"""`zoo.record_metrics`: write what was measured into the card of a weights file."""

from dataclasses import replace
from os import PathLike, fspath

from zoo.api.evaluating import DatasetEvaluation
from zoo.api.installed import registry_of
from zoo.api.loading import load
from zoo.contract.errors import UsageError, WeightsError
from zoo.files.card import Card
from zoo.files.expected_digest import digest_of
from zoo.files.weights import load_weights, save_weights
from zoo.models.load import Model
from zoo.registry.exports import is_export
from zoo.registry.registry import Registry


def recordable(
    model: str | PathLike[str], *, expect_digest: str | None = None, registry: Registry | None = None
) -> Model:
    """Load a weights file whose card metrics can be recorded in.

    Args:
        model: `ARCH.TAG` or the path of a weights file.
        expect_digest: the digest that it must have.
        registry: of plugins; the installed ones by default.

    Raises:
        UsageError: it is an export, whose card belongs to the weights that it was made from.
        ZooError: as `zoo.load`.
    """
    registry = registry_of(registry)
    loaded = load(model, expect_digest=expect_digest, registry=registry)
    if loaded.path is None or is_export(registry, loaded.path):
        raise UsageError(
            f"{fspath(model)} is an export, and metrics are recorded in weights files.",
            "Name the weights that it was exported from, or leave out `--record`.",
        )
    return loaded


def record_metrics(model: Model, evaluation: DatasetEvaluation) -> Card:
    """Write the metrics of an evaluation into the card of a weights file, with a new digest of the card.

    Metrics of the same split are replaced; those of other data sets and splits stay. The file is replaced in one step.

    Args:
        model: what `zoo.load` returned for the weights file, and what was evaluated.
        evaluation: what `zoo.evaluate` returned for it.

    Returns:
        The new card. A signature of the file is not valid for it.

    Raises:
        UsageError: the model comes from no weights file.
        WeightsError: the file is no longer the one that was evaluated, or damaged.
        OutputError: it cannot be written.

    Example:
        >>> import zoo
        >>> model = zoo.load("resnet18.imported")  # doctest: +SKIP
        >>> zoo.record_metrics(model, zoo.evaluate(model, data="cifar10")).metrics[0].value  # doctest: +SKIP
        0.93...
    """
    if model.path is None:
        raise UsageError(f"{model.name} comes from no weights file.", "Load one with zoo.load.")
    weights = load_weights(model.path)
    if digest_of(weights.card) != digest_of(model.card):
        raise WeightsError(f"{model.path} changed since it was loaded.", "Evaluate it again.")
    key = evaluation.dataset, evaluation.split
    kept = tuple(metric for metric in weights.card.metrics if (metric.dataset, metric.split) != key)
    card = replace(weights.card, metrics=(*evaluation.metrics(*key), *kept))
    return save_weights(model.path, weights.tensors, card, force=True)
