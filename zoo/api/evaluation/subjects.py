"""What `zoo.evaluate` measures, and the model that it compares with: weights, or the files of an export."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from os import PathLike, fspath
from pathlib import Path

from torch import nn

from zoo.api.exporting import ModelLike, model_from
from zoo.api.loading import load
from zoo.contract.errors import UsageError, ZooError
from zoo.models.exported import ArtifactOptions, OpenedExport
from zoo.models.load import Model
from zoo.registry.calls import call_of
from zoo.registry.model_kind import ModelKind, model_kind
from zoo.registry.registry import Registry


@dataclass(frozen=True)
class Subjects:
    """What is measured.

    Args:
        name: of the whole.
        models: functions that open what is measured, by name: exported files by file name, or one model.
        exported: whether these are exported files.
        against: the model that they are compared with, if there is one.
        messages, warnings: for the user.
    """

    name: str
    models: Mapping[str, Callable[[], Model]]
    exported: bool
    against: Model | None
    messages: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def open_subjects(
    registry: Registry,
    model: Model | str | PathLike[str],
    against: ModelLike | None,
    options: ArtifactOptions,
    *,
    download: bool = False,
) -> Subjects:
    """Open what is measured, and what it is compared with.

    Args:
        download: download weights that a plugin provides.

    Raises:
        ZooError: one of them cannot be opened.
        UsageError: `options` describe an export, and `model` is none.
    """
    reference = (
        None if against is None or isinstance(against, nn.Module) else model_from(registry, against, download=download)
    )
    if isinstance(model, Model) or model_kind(registry, fspath(model)) is not ModelKind.EXPORT:
        if options.formats or options.labels is not None or options.preprocess is not None:
            raise UsageError(
                "--format is for export folders; --labels and --preprocess are for single exported files.",
                "Leave them out: a model has labels and preprocessing of its own.",
            )
        if not isinstance(model, Model):
            model = load(
                model, expect_digest=options.expect_digest, trust=options.trust, download=download, registry=registry
            )
        subject = model
        if isinstance(against, nn.Module):
            reference = _of_module(registry, against, subject)
        return Subjects(subject.name, {subject.name: lambda: subject}, False, reference)
    path = Path(model)
    if reference is not None:
        options = replace(options, fallback=reference.card)
    opened: OpenedExport = call_of(registry, "predict")(registry, path, options)
    messages: tuple[str, ...] = ()
    if isinstance(against, nn.Module):
        reference = _of_module(registry, against, next(iter(opened.artifacts.values()))())
    elif reference is None and opened.original is not None:
        try:
            reference = opened.original()
        except ZooError as error:
            messages = (f"{path} is not compared with its model: {error.cause} {error.next_step}",)
    return Subjects(opened.name, opened.artifacts, True, reference, messages, opened.warnings)


def _of_module(registry: Registry, module: nn.Module, subject: Model) -> Model:
    """A module with the labels, preprocessing and data set of what it is compared with."""
    model = model_from(registry, module, labels=subject.labels, preprocess=subject.preprocess)
    return replace(model, card=replace(model.card, dataset=subject.card.dataset, recipe=subject.card.recipe))
