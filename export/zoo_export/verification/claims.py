"""What an artifact and a manifest claim, compared with the model's card: labels, preprocessing, inputs, outputs."""

from collections.abc import Mapping, Sequence
from typing import Any

from zoo.contract.errors import DifferenceError
from zoo.contract.evidence import FAIL, Manifest, TensorSpec
from zoo.contract.exporting.artifact import Paths
from zoo.contract.exporting.inspection import Claims
from zoo.contract.formats import ExportFormat
from zoo.contract.preprocess import Preprocess
from zoo.files.card import Card
from zoo.models.load import Model
from zoo.registry.refs import resolve
from zoo.registry.registry import Entry
from zoo_export.reasons import clause

DO_NOT_USE = "Do not use it: a reader of these claims would misread the images or the logits."
# Fields of a card, beside its metrics, classes and preprocessing.
COMPARED = ("architecture", "params", "dataset", "recipe", "licence", "published", "source", "source_sha256", "digest")
DO_NOT_TRUST = "Do not trust the folder: somebody changed its card, or the model's card was changed after the export."


def read_claims(entry: Entry[ExportFormat], paths: Paths) -> Claims:
    """What the files of an artifact say of themselves; nothing if the format cannot tell.

    Raises:
        DifferenceError: they say it in no form that can be read.
        ExportError: they are no files of the format.
    """
    if not entry.spec.claims:
        return Claims()
    try:
        claims: Claims = resolve(entry, entry.spec.claims)(paths)
    except ValueError as error:
        raise _false(paths.main.name, f"its metadata cannot be read: {clause(error)}") from error
    return claims


def check_claims(claims: Claims, artifact: str, model: Model) -> None:
    """Compare what an artifact says with the card of the model.

    Raises:
        DifferenceError: naming what differs.
    """
    card = model.card
    if claims.labels is not None and not labels_unknown(model):
        check_labels(claims.labels, card.classes, artifact, model.name)
    if claims.preprocess is not None and not preprocess_unknown(model):
        check_preprocess(claims.preprocess, card.preprocess, artifact, model.name)
    check_tensor(claims.inputs, "input", (None, *card.preprocess.input_shape), artifact)
    check_tensor(claims.outputs, "output", (None, len(card.classes)), artifact)


def check_names(claims: Claims, artifact: str, manifest: Manifest) -> None:
    """Compare what an artifact of a folder says with the manifest.

    Raises:
        DifferenceError: naming what differs.
    """
    if claims.labels is not None:
        check_labels(claims.labels, manifest.labels, artifact, "the manifest")
    if claims.preprocess is not None:
        check_preprocess(claims.preprocess, manifest.preprocess, artifact, "the manifest")
    for kind, tensors, stated in (
        ("input", claims.inputs, manifest.input),
        ("output", claims.outputs, manifest.output),
    ):
        check_tensor(tensors, kind, stated.shape, artifact)
        if tensors and tensors[0].name != stated.name:
            raise _false(artifact, f"its {kind} is named {tensors[0].name!r}, and the manifest says {stated.name!r}")


def check_manifest(manifest: Manifest, model: Model | None = None) -> None:
    """Compare the labels and preprocessing of a manifest with the card in it, or with the card of a model.

    Raises:
        DifferenceError: naming what differs.
    """
    card, source = (own_card(manifest), "its own card") if model is None else (model.card, model.name)
    if model is None or not labels_unknown(model):
        check_labels(manifest.labels, card.classes, "manifest.json", source)
    if model is None or not preprocess_unknown(model):
        check_preprocess(manifest.preprocess.to_dict(), card.preprocess, "manifest.json", source)


def check_card(manifest: Manifest, model: Model) -> str:
    """Compare the card in a manifest with the model's: what it is, what it was trained on, its metrics and licence.

    The card of a module was made up when it was exported, and is not compared. What the exporter says of the machine is
    not compared either: versions, and the command.

    Returns:
        A warning if the folder calls the model otherwise; empty if not.

    Raises:
        DifferenceError: naming what differs.
    """
    if model.path is None and not model.fresh:
        return ""
    claimed, right = own_card(manifest), model.card
    for name in COMPARED:
        stated, correct = getattr(claimed, name), getattr(right, name)
        if stated != correct:
            raise _false(
                "manifest.json", f"its card has {_differing(name, stated, correct)} {model.name} has", card=True
            )
    for metric in claimed.metrics:
        if metric not in right.metrics:
            measured = f"{metric.name} {metric.value:g} on {metric.n:,} images ({metric.dataset}, {metric.split})"
            raise _false("manifest.json", f"its card has {measured}, which {model.name} does not have", card=True)
    if manifest.name == model.name:
        return ""
    return f"The folder calls the model {manifest.name!r}; it was compared with {model.name}."


def own_card(manifest: Manifest) -> Card:
    """The card in a manifest.

    Raises:
        DifferenceError: it cannot be read.
    """
    try:
        return Card.from_dict(manifest.card)
    except (AttributeError, ValueError) as error:
        raise _false("manifest.json", f"its card cannot be read: {error}") from None


def check_labels(labels: Sequence[str], right: Sequence[str], artifact: str, source: str) -> None:
    """Raise `DifferenceError` where the labels are not the right ones, naming the first that differs."""
    if len(labels) != len(right):
        raise _false(artifact, f"it names {len(labels)} labels, and {source} has {len(right)}")
    for index, (label, correct) in enumerate(zip(labels, right, strict=True)):
        if label != correct:
            raise _false(artifact, f"it labels class {index} {label!r}, which is {correct!r} in {source}")


def check_preprocess(claimed: Mapping[str, Any], right: Preprocess, artifact: str, source: str) -> None:
    """Raise `DifferenceError` where preprocessing is not the right one, naming each field that differs."""
    try:
        stated = Preprocess.from_dict(dict(claimed)).to_dict()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _false(artifact, f"its preprocessing cannot be read: {clause(error)}") from None
    correct = right.to_dict()
    different = [key for key in correct if stated.get(key) != correct[key]]
    if different:
        what = "; ".join(f"{key} {stated.get(key)} where {source} has {correct[key]}" for key in different)
        raise _false(artifact, f"its preprocessing has {what}")


def check_tensor(
    tensors: Sequence[TensorSpec] | None, kind: str, shape: Sequence[int | str | None], artifact: str
) -> None:
    """Raise `DifferenceError` where there is not one tensor, float32 and of a shape that fits.

    Args:
        shape: a number where a size is fixed; the artifact may leave it open, but not fix another one.
    """
    if tensors is None:
        return
    if len(tensors) != 1:
        raise _false(artifact, f"it has {len(tensors)} {kind}s, where one is right")
    (tensor,) = tensors
    sizes = tensor.shape
    fits = not sizes or len(sizes) == len(shape)
    fits = fits and all(
        not isinstance(size, int) or not isinstance(right, int) or size == right
        for size, right in zip(sizes, shape, strict=False)
    )
    if tensor.dtype != "float32" or not fits:
        right_sizes = [size if isinstance(size, int) else "any" for size in shape]
        raise _false(artifact, f"its {kind} is {tensor.dtype} {list(sizes)}, where float32 {right_sizes} is right")


def fixed_batch(claims: Claims) -> int | None:
    """The batch that an artifact says it takes; `None` if it takes any."""
    batch = claims.inputs[0].shape[0] if claims.inputs and claims.inputs[0].shape else None
    return batch if isinstance(batch, int) else None


def dynamic_size(claims: Claims) -> bool:
    """Whether an artifact says that height and width of its images are dynamic."""
    sides = claims.inputs[0].shape[2:] if claims.inputs else ()
    return bool(sides) and all(isinstance(side, str) for side in sides)


def labels_unknown(model: Model) -> bool:
    """Whether the labels of a module were made up, as the user passed none."""
    made_up = tuple(str(index) for index in range(len(model.card.classes)))
    return model.path is None and not model.fresh and model.card.classes == made_up


def preprocess_unknown(model: Model) -> bool:
    """Whether the preprocessing of a module was made up, as the user passed none."""
    own, n = model.card.preprocess, model.card.preprocess.channels
    made_up = Preprocess(size=own.size, mean=(0.0,) * n, std=(1.0,) * n)
    return model.path is None and not model.fresh and own == made_up


def not_stated(claims: Claims, artifact: str) -> list[str]:
    """A warning about what an artifact could say of itself and does not; none if it says all."""
    if not claims.missing:
        return []
    names = " and ".join(f"no {name}" for name in claims.missing)
    return [f"{artifact} states {names}: a program that reads them from the file finds none."]


def not_compared(model: Model, claims: Claims | None = None) -> list[str]:
    """A warning about what is claimed and a module says nothing of; none for a model with a card.

    Args:
        claims: of a single file; by default those of a manifest, which claims both.
    """
    parts = {"labels": labels_unknown(model), "preprocess": preprocess_unknown(model)}
    missing = [
        name for name, unknown in parts.items() if unknown and (claims is None or getattr(claims, name) is not None)
    ]
    if not missing:
        return []
    return [f"{' and '.join(missing)} of {model.name} are not known, so what the artifact claims was not compared."]


def _differing(name: str, stated: object, correct: object) -> str:
    """What a field of a card is, and the beginning of what it should be."""
    if isinstance(stated, Mapping) and isinstance(correct, Mapping):
        key = min((key for key in {*stated, *correct} if stated.get(key) != correct.get(key)), default="")
        return f"the {name} {key}={stated.get(key)!r:.60}, where {key}={correct.get(key)!r:.60} is what"
    return f"the {name} {stated!r:.80}, where {correct!r:.80} is what"


def _false(artifact: str, what: str, *, card: bool = False) -> DifferenceError:
    return DifferenceError(
        f"{artifact} does not say what the model is: {what}.",
        DO_NOT_TRUST if card else DO_NOT_USE,
        {"verdict": FAIL, "artifact": artifact, "claim": what},
    )
