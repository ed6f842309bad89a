"""Weights files: safetensors with a card in the header; saved atomically, loaded strictly, never unpickled."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from zoo.contract.errors import WeightsError
from zoo.files.atomic import write_file
from zoo.files.card import Card, read_card
from zoo.files.header import digest, file_digest, refused, settled

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
    """A weights file in memory: its card, and its tensors by name, on the CPU."""

    card: Card
    tensors: Mapping[str, Tensor]


def save_weights(path: Path, tensors: Mapping[str, Tensor], card: Card, *, force: bool = False) -> Card:
    """Write `tensors` and `card` to `path`, whole or not at all.

    Returns:
        The card as written, with the digest of the tensors.

    Raises:
        OutputError: `path` exists and `force` is not set, or it cannot be written.
        WeightsError: a tensor holds a value that is not finite or is of a dtype that no weights file holds, or a
            number in the card is not finite.
    """
    for name, tensor in tensors.items():
        if tensor.dtype not in _NAMES:
            raise WeightsError(
                f"{path}: the tensor {name} is of {tensor.dtype}, which a weights file does not hold.",
                "Store it as real numbers of float16, float32 or float64, or as whole numbers.",
            )
    plain = {name: tensor.detach().to("cpu").contiguous().clone() for name, tensor in tensors.items()}
    _refuse_not_finite(path, plain)
    card = card.with_digest(tensors_digest(plain))
    try:
        metadata = card.to_metadata()
    except ValueError:
        raise WeightsError(
            f"{path}: a number in its card, such as the loss, is not finite.",
            "Training diverged; try a lower learning rate.",
        ) from None
    write_file(path, settled(safetensors.torch.save(plain, metadata)), force=force)
    return card


def load_weights(path: Path) -> Weights:
    """Read a weights file and check it whole: structure, card, digest, finite values.

    Raises:
        WeightsError: any of these does not hold.
    """
    card, header = read_card(path)
    if file_digest(path, header) != card.digest:
        raise refused(path, "its tensors are not those that its card's digest names")
    try:
        tensors = safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError) as error:
        raise refused(path, f"safetensors cannot read it ({error})") from None
    _refuse_not_finite(path, tensors)
    return Weights(card, tensors)


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """`zoo.files.header.digest` of tensors in memory."""
    return digest(
        (name, _NAMES[tensor.dtype], tuple(tensor.shape), _content(tensor)) for name, tensor in sorted(tensors.items())
    )


def load_into(module: nn.Module, weights: Weights, path: Path) -> None:
    """Put `weights` into `module`, strictly: the same names, shapes and dtypes, but that bfloat16 becomes float32.

    Raises:
        WeightsError: they differ; the first of each kind of difference is named.
    """
    expected = module.state_dict()
    given = weights.tensors
    differences = [
        *_count("is missing", [name for name in expected if name not in given]),
        *_count("is not in the model", [name for name in given if name not in expected]),
        *_count("has another shape or dtype", [_unlike(name, expected, given) for name in expected]),
    ]
    if differences:
        raise WeightsError(
            f"{path} does not fit {weights.card.architecture} as it is built here: {'; '.join(differences)}.",
            f"It was made with {weights.card.plugin} {weights.card.plugin_version}; use that version, or train again.",
        )
    module.load_state_dict(dict(given))


def _unlike(name: str, expected: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
    if name not in given or (expected[name].shape, expected[name].dtype) == (given[name].shape, given[name].dtype):
        return ""
    widened = (given[name].dtype, expected[name].dtype) == (torch.bfloat16, torch.float32)
    if widened and expected[name].shape == given[name].shape:
        return ""
    return f"{name} {tuple(given[name].shape)} {given[name].dtype} for {tuple(expected[name].shape)}"


def _count(what: str, names: list[str]) -> list[str]:
    names = [name for name in names if name]
    more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
    return [f"{names[0]} {what}{more}"] if names else []


def _refuse_not_finite(path: Path, tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            bad = int((~torch.isfinite(tensor)).sum())
            raise WeightsError(
                f"{path}: the tensor {name} has {bad} of {tensor.numel()} values that are not finite.",
                "Training diverged, or the file is damaged; make it again with a lower learning rate.",
            )


def _content(tensor: Tensor) -> memoryview:
    return tensor.reshape(-1).view(torch.uint8).numpy().data if tensor.numel() else memoryview(b"")
