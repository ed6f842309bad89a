"""Weights files: safetensors with a card in the header. Saved atomically, loaded strictly, never unpickled."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from zoo.contract.errors import WeightsError
from zoo.files.atomic import write_file
from zoo.files.card import KEY, Card, read_card
from zoo.files.expected_digest import check_digest, digest_of
from zoo.files.header import digest, refused, with_sorted_metadata
from zoo.files.metadata import from_metadata

_NAMES = {
    torch.bool: "BOOL",
    torch.uint8: "U8",
    torch.int8: "I8",
    torch.int16: "I16",
    torch.int32: "I32",
    torch.int64: "I64",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float32: "F32",
    torch.float64: "F64",
}


@dataclass(frozen=True)
class Weights:
    """A weights file in memory: its card, and its tensors on the CPU by name."""

    card: Card
    tensors: Mapping[str, Tensor]


def save_weights(path: Path, tensors: Mapping[str, Tensor], card: Card, *, force: bool = False) -> Card:
    """Write `tensors` and `card` to `path` atomically.

    Returns:
        The card with the digest of the tensors.

    Raises:
        OutputError: `path` exists and `force` is not set, or it cannot be written.
        WeightsError: a value of a tensor or of the card is not finite, or a tensor has an unsupported dtype.
    """
    _refuse_dtypes(path, tensors)
    plain = {name: tensor.detach().to("cpu").contiguous().clone() for name, tensor in tensors.items()}
    _refuse_not_finite(path, plain)
    card = card.with_digest(tensors_digest(plain))
    try:
        metadata = card.to_metadata()
    except ValueError:
        raise WeightsError(
            f"{path}: a value of the card, such as the loss, is not finite.",
            "Training diverged. Try a lower learning rate.",
        ) from None
    try:
        Card.from_dict(from_metadata(KEY, metadata))
    except ValueError as error:
        raise WeightsError(
            f"{path} was not written, as it could not be read again: {error}.", "Shorten or correct that value."
        ) from None
    write_file(path, with_sorted_metadata(safetensors.torch.save(plain, metadata)), force=force)
    return card


def upgrade_card(path: Path) -> Card:
    """Write the card of a weights file anew, in the newest format; its tensors and all else that it says stay.

    Returns:
        The new card, which has a digest of the whole card.

    Raises:
        OutputError: the file cannot be written.
        WeightsError: it is unsound.
    """
    weights = load_weights(path)
    return save_weights(path, weights.tensors, weights.card, force=True)


def load_weights(path: Path, expect_digest: str | None = None) -> Weights:
    """Read a weights file, and check its structure, card, digest, and that all values are finite.

    Args:
        expect_digest: what `digest_of` the card must be; checked before any tensor is read.

    Raises:
        DifferenceError: it is another.
        WeightsError: a check failed.
    """
    card, _ = read_card(path)
    check_digest(expect_digest, digest_of(card), str(path))
    try:
        tensors = safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise refused(path, f"safetensors cannot read it ({error})") from None
    _refuse_dtypes(path, tensors)
    if tensors_digest(tensors) != card.digest:  # of what was loaded, and not of what another reader makes of the file
        raise refused(path, "its tensors do not match the digest in its card")
    _refuse_not_finite(path, tensors)
    return Weights(card, tensors)


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """Return `zoo.files.header.digest` of tensors in memory."""
    return digest(
        (name, _NAMES[tensor.dtype], tuple(tensor.shape), _content(tensor)) for name, tensor in sorted(tensors.items())
    )


def module_digest(module: nn.Module) -> str:
    """The digest that a weights file of a module's tensors would have; empty if no weights file can hold them."""
    try:
        return tensors_digest({name: value.detach().contiguous() for name, value in module.state_dict().items()})
    except KeyError:  # complex numbers, for one
        return ""


def load_into(module: nn.Module, weights: Weights, path: Path) -> None:
    """Load `weights` into `module`. Names, shapes and dtypes must be equal; only bfloat16 is converted to float32.

    Raises:
        WeightsError: they differ. The error names the first tensor of each kind of difference.
    """
    if differences := tensor_differences(module, weights.tensors):
        raise WeightsError(
            f"{path} does not fit {weights.card.architecture} as it is built here: {differences}.",
            f"It was made with {weights.card.plugin} {weights.card.plugin_version}; use that version, or train again.",
        )
    put_tensors(module, weights.tensors)


def tensor_differences(module: nn.Module, tensors: Mapping[str, Tensor]) -> str:
    """How `tensors` differ from the state dict of `module` in names, shapes and dtypes; empty if they fit.

    The first tensor of each kind of difference is named, with the number of others.
    """
    expected = module.state_dict()
    return "; ".join(
        [
            *_count("is missing", [name for name in expected if name not in tensors]),
            *_count("is not in the model", [name for name in tensors if name not in expected]),
            *_count("does not match", [text for name in expected if (text := _mismatch(name, expected, tensors))]),
        ]
    )


def put_tensors(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load named tensors into `module` by `load_state_dict`, as tensors of the module's own version.

    A state dict carries the version of each submodule beside its tensors, and files of named tensors do not. Some
    modules, such as torchvision's MNASNet, refuse a state dict without it.

    Raises:
        RuntimeError: the names or shapes are not those of the module.
    """
    state: OrderedDict[str, Tensor] = OrderedDict(tensors)
    state._metadata = module.state_dict()._metadata  # type: ignore[attr-defined]
    module.load_state_dict(state)


def _mismatch(name: str, expected: Mapping[str, Tensor], actual: Mapping[str, Tensor]) -> str:
    if name not in actual or (expected[name].shape, expected[name].dtype) == (actual[name].shape, actual[name].dtype):
        return ""
    widened = (actual[name].dtype, expected[name].dtype) == (torch.bfloat16, torch.float32)
    if widened and expected[name].shape == actual[name].shape:
        return ""
    shapes = (
        f"{tuple(actual[name].shape)} {actual[name].dtype}",
        f"{tuple(expected[name].shape)} {expected[name].dtype}",
    )
    return f"{name} {shapes[0]} instead of {shapes[1]}"


def _count(difference: str, names: list[str]) -> list[str]:
    more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
    return [f"{names[0] or repr('')} {difference}{more}"] if names else []


def _refuse_dtypes(path: Path, tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        if tensor.dtype not in _NAMES:
            raise WeightsError(
                f"{path}: the tensor {name} has the dtype {tensor.dtype}, which weights files do not support.",
                "Convert it to float16, bfloat16, float32, float64, bool or an integer type.",
            )


def _refuse_not_finite(path: Path, tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            bad = int((~torch.isfinite(tensor)).sum())
            raise WeightsError(
                f"{path}: the tensor {name} has {bad} of {tensor.numel()} values that are not finite.",
                "Training diverged, or the file is damaged. Train again with a lower learning rate.",
            )


def _content(tensor: Tensor) -> memoryview:
    return tensor.reshape(-1).view(torch.uint8).numpy().data if tensor.numel() else memoryview(b"")
