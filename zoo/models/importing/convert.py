"""From the tensors of a file to those of an architecture: matched, converted, or an error that says what differs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import torch
from torch import Tensor

from zoo.contract.errors import WeightsError
from zoo.contract.printable import plain
from zoo.models.importing.names import Match, match
from zoo.models.importing.source import SourceFile

SHOWN_PAIRS = 3


class UnconfirmedMapping(WeightsError):
    """Names differ, and the tensors fit in their order: whether that is right is for the user to say.

    Args:
        match: the pairs, to be looked at.
    """

    def __init__(self, cause: str, next_step: str, match: Match) -> None:
        super().__init__(cause, next_step)
        self.match = match


@dataclass(frozen=True)
class Converted:
    """Tensors with the names, shapes and dtypes of a module's state dict.

    Args:
        match: how they were matched.
        dtypes: how many tensors were converted, by such texts as `float16 to float32`.
        dropped: names in the file that were left out.
    """

    tensors: Mapping[str, Tensor]
    match: Match
    dtypes: Mapping[str, int]
    dropped: tuple[str, ...]


def convert(
    source: SourceFile, expected: Mapping[str, Tensor], classes: int, *, by_order: bool, drop: Sequence[str] = ()
) -> Converted:
    """Give the tensors of `source` the names and dtypes of the state dict `expected`.

    Args:
        classes: K that the module was built with, for errors.
        by_order: whether tensors of other names may be matched by their order and shape.
        drop: names in the file to leave out; `*` stands for any characters.

    Raises:
        UnconfirmedMapping: names differ, the order and the shapes fit, and `by_order` is not set.
        WeightsError: a tensor has no partner, or another shape or kind of dtype.
    """
    dropped = tuple(name for name in source.tensors if any(fnmatchcase(name, pattern) for pattern in drop))
    kept = {name: tensor for name, tensor in source.tensors.items() if name not in dropped}
    matched = match(kept, expected)
    if matched.problems:
        raise _misfit(source, matched, kept, expected, classes)
    if matched.by_order and not source.ordered:
        pair = next(pair for pair in matched.pairs if pair.by_order)
        raise WeightsError(
            f"{source.path} has {plain(pair.source)} where the model has {pair.target}, and safetensors files keep no "
            "order.",
            "Rename the tensors, or import the checkpoint that the file was made from.",
        )
    if matched.by_order and not by_order:
        raise _unconfirmed(source, matched)
    tensors = {name: torch.zeros_like(expected[name]) for name in matched.counters}
    dtypes: dict[str, int] = {}
    for pair in matched.pairs:
        tensor = tensors[pair.target] = _cast(kept[pair.source], expected[pair.target].dtype, pair.source)
        if tensor.dtype != kept[pair.source].dtype:
            change = f"{_dtype(kept[pair.source].dtype)} to {_dtype(tensor.dtype)}"
            dtypes[change] = dtypes.get(change, 0) + 1
    return Converted({name: tensors[name] for name in expected}, matched, dtypes, dropped)


def _unconfirmed(source: SourceFile, matched: Match) -> UnconfirmedMapping:
    pairs = [pair for pair in matched.pairs if pair.by_order]
    shown = ", ".join(f"{plain(pair.source)} → {pair.target}" for pair in pairs[:SHOWN_PAIRS])
    more = f" and {len(pairs) - SHOWN_PAIRS:,} more" if len(pairs) > SHOWN_PAIRS else ""
    safe = replace(matched, pairs=tuple(replace(pair, source=plain(pair.source)) for pair in matched.pairs))
    return UnconfirmedMapping(
        f"{len(pairs):,} of {len(matched.pairs):,} tensors in {source.path} have other names than in the model; in "
        f"their order they fit it: {shown}{more}.",
        "Look at the mapping, and add `--map order` if it is right.",
        safe,
    )


def _misfit(
    source: SourceFile, matched: Match, tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], classes: int
) -> WeightsError:
    for name, target in matched.misfits:
        theirs, ours = tuple(tensors[name].shape), tuple(expected[target].shape)
        if theirs[1:] == ours[1:] and ours[:1] == (classes,) and theirs:
            return WeightsError(
                f"The model has {classes:,} classes, and {plain(name)} in {source.path} is of {theirs[0]:,}.",
                f"Use `--labels` with {theirs[0]:,} class names, or `--num-classes {theirs[0]}`.",
            )
    step = "Use the architecture and the parameters that the weights are of."
    if source.others:
        step += f" The file has other state dicts: {' or '.join(f'`--key {key}`' for key in source.others[:3])}."
    elif any("in the file alone" in problem for problem in matched.problems):
        step += " `--drop NAME` leaves a tensor of the file out."
    return WeightsError(f"{source.path} does not fit the model: {plain('; '.join(matched.problems))}.", step)


def _cast(tensor: Tensor, dtype: torch.dtype, name: str) -> Tensor:
    if tensor.dtype == dtype:
        return tensor
    converted = tensor.to(dtype)
    alike = tensor.is_floating_point() == dtype.is_floating_point and torch.bool not in (dtype, tensor.dtype)
    if alike and (dtype.is_floating_point or bool((converted == tensor).all())):
        return converted
    raise WeightsError(
        f"The tensor {plain(name)} is {_dtype(tensor.dtype)} in the file and {_dtype(dtype)} in the model.",
        "Use the architecture that the weights are of.",
    )


def _dtype(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
