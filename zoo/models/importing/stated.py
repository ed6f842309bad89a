"""What users state of weights or of a module that no plugin declares: class names and preprocessing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

from zoo.contract.errors import UsageError
from zoo.contract.names import unusable
from zoo.contract.preprocess import Interpolation, Preprocess
from zoo.contract.reading import MAX_CLASSES, MAX_JSON, MAX_LABEL, fields, parse_json
from zoo.files.regular import read_regular

LABELS_STEP = "Write one class name in each line, in the order of the logits, or a JSON list of them."


@dataclass(frozen=True, kw_only=True)
class PreprocessOverrides:
    """Fields of a preprocessing that the user chose; `None` keeps those of the architecture.

    Args:
        mean, std: per channel on 0 to 1; one number is for all channels.
        shorter_side: in pixels; 0 resizes without keeping the aspect ratio.
        interpolation: `nearest`, `bilinear` or `bicubic`.
    """

    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    shorter_side: int | None = None
    interpolation: Interpolation | None = None

    def applied(self, preprocess: Preprocess) -> Preprocess:
        """`preprocess` with these fields.

        Raises:
            UsageError: a field is out of range, or has another number of channels.
        """
        mean = self._per_channel("mean", self.mean, preprocess.mean)
        std = self._per_channel("std", self.std, preprocess.std)
        side = preprocess.shorter_side if self.shorter_side is None else self.shorter_side or None
        how = self.interpolation or preprocess.interpolation
        try:
            return replace(preprocess, mean=mean, std=std, shorter_side=side, interpolation=how)
        except ValueError as error:
            raise UsageError(f"The preprocessing cannot be used: {error}.", "Correct that option.") from None

    def _per_channel(self, name: str, chosen: tuple[float, ...] | None, own: tuple[float, ...]) -> tuple[float, ...]:
        if chosen is None:
            return own
        numbers = chosen * len(own) if len(chosen) == 1 else chosen
        if len(numbers) != len(own):
            raise UsageError(
                f"--{name} has {len(numbers)} numbers, and the images have {len(own)} channels.",
                f"Give one number, or {len(own)}.",
            )
        return numbers


def read_labels(path: str | PathLike[str]) -> tuple[str, ...]:
    """The class names in a file: one in each line, or a JSON list.

    Raises:
        UsageError: the file cannot be read, or holds no such list.
    """
    try:
        content = read_regular(Path(path), MAX_JSON)
        if content.lstrip().startswith(b"["):
            names = [each.text(MAX_LABEL) for each in fields({"labels": parse_json(content)}, "")["labels"].items(1)]
        else:
            names = content.decode("utf-8-sig").splitlines()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.", LABELS_STEP) from None
    except ValueError as error:
        raise UsageError(f"{path} holds no labels: {error}.", LABELS_STEP) from None
    return check_labels(names, str(path))


def check_labels(names: Sequence[str], source: str) -> tuple[str, ...]:
    """Class names that users state, if they can be.

    Raises:
        UsageError: they are no texts, too many, or one of them is empty or has a line break or control character.
    """
    if isinstance(names, str) or not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise UsageError(f"{source} is not a list of class names.", "Pass one label for each logit.")
    if not 1 <= len(names) <= MAX_CLASSES:
        raise UsageError(f"{source} has {len(names):,} labels.", f"Use 1 to {MAX_CLASSES:,}.")
    for index, name in enumerate(names):
        if reason := unusable(name) or ("too many characters" if len(name) > MAX_LABEL else ""):
            raise UsageError(f"Label {index} of {source} has {reason}.", LABELS_STEP)
    return tuple(names)
