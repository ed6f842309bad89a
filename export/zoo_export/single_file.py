"""A single exported file of any origin: what it says of its labels, preprocessing and sizes, and what the user says."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from zoo.contract.errors import ExportError, UsageError
from zoo.contract.evidence import TensorSpec
from zoo.contract.exporting.artifact import Paths
from zoo.contract.exporting.inspection import Claims
from zoo.contract.formats import ExportFormat
from zoo.contract.preprocess import Preprocess
from zoo.files.card import Card
from zoo.models.exported import ArtifactOptions
from zoo.models.importing.stated import LABELS_STEP
from zoo.registry.registry import Entry
from zoo_export.runners import try_reading
from zoo_export.verification.claims import fixed_batch, read_claims


@dataclass(frozen=True)
class SingleFile:
    """What is known of a single file.

    Args:
        file: its name.
        labels: class names; empty if neither the file nor the user names them.
        preprocess: how images are prepared for it.
        batch: the only number of images that it takes at once; `None` if any, as far as is known.
    """

    file: str
    labels: tuple[str, ...]
    preprocess: Preprocess
    batch: int | None

    def card(self) -> Card:
        """A card with nothing but labels and preprocessing."""
        return Card(
            architecture=self.file, plugin="", plugin_version="", classes=self.labels, preprocess=self.preprocess
        )

    def check_logits(self, module: nn.Module) -> None:
        """Run the file on one grey image, and compare the number of logits with the labels.

        Raises:
            UsageError: it has another number of logits.
            ExportError: it raises, or returns no logits.
        """
        shape = self.preprocess.input_shape
        with torch.inference_mode():
            try:
                logits = module(torch.zeros(1, *shape))
            except ExportError as error:
                raise ExportError(
                    f"{self.file} cannot be run on a float32 image {list(shape)}: {error.cause}",
                    "Check the image size with --preprocess.",
                ) from None
        if logits.ndim != 2 or not logits.is_floating_point():
            raise ExportError(
                f"{self.file} returns a tensor {list(logits.shape)} of {logits.dtype} for one image, not logits.",
                "It must return logits [N, classes] as its only output: export it so, or get it from its author so.",
            )
        refuse_other_count(self.file, logits.shape[1], self.labels)


def describe(entry: Entry[ExportFormat], paths: Paths, options: ArtifactOptions) -> SingleFile:
    """What is known of a file: what the user states, else what it says itself, else what the card of a model says.

    Raises:
        UsageError: labels or preprocessing are not known, or do not fit the inputs and outputs that it declares.
        ContainmentError: it could not be read within the limits.
    """
    if not options.trust:
        try_reading(entry, paths, count=False)
    claims, file = read_claims(entry, paths), paths.main.name
    preprocess = options.preprocess or _stated_preprocess(claims, file)
    preprocess = preprocess or (options.fallback.preprocess if options.fallback else None)
    labels = options.labels or claims.labels or (options.fallback.classes if options.fallback else None)
    if labels is None:
        raise UsageError(f"{file} names no labels.", "Use --labels FILE or --against MODEL.")
    if preprocess is None:
        raise UsageError(
            f"{file} does not say how its images are prepared.", "Use --preprocess FILE or --against MODEL."
        )
    inputs, outputs = _shape(claims.inputs), _shape(claims.outputs)
    if len(inputs) == 4 and any(
        isinstance(size, int) and size != right for size, right in zip(inputs[1:], preprocess.input_shape, strict=True)
    ):
        raise UsageError(
            f"{file} takes images {list(inputs[1:])}, and preprocessing makes {list(preprocess.input_shape)}.",
            "Correct --preprocess, or name the model that it was made from with --against.",
        )
    if len(outputs) == 2 and isinstance(outputs[1], int):
        refuse_other_count(file, outputs[1], labels)
    return SingleFile(file, tuple(labels), preprocess, fixed_batch(claims))


def refuse_other_count(file: str, logits: int, labels: Sequence[str]) -> None:
    """Raise `UsageError` where a file has another number of logits than there are labels."""
    if logits != len(labels):
        raise UsageError(f"{file} has {logits:,} logits, and there are {len(labels):,} labels.", LABELS_STEP)


def _stated_preprocess(claims: Claims, file: str) -> Preprocess | None:
    if claims.preprocess is None:
        return None
    try:
        return Preprocess.from_dict(claims.preprocess)
    except ValueError as error:
        raise ExportError(
            f"{file} says how its images are prepared, but not in a form that can be read: {error}.",
            "Use --preprocess FILE.",
        ) from None


def _shape(tensors: Sequence[TensorSpec] | None) -> tuple[int | str, ...]:
    return tensors[0].shape if tensors else ()
