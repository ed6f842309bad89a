"""`zoo.import_weights`: from a checkpoint or state dict of other software to a weights file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from zoo.api.installed import registry_of
from zoo.api.progress import reporting
from zoo.contract.callback import Callback
from zoo.contract.errors import UsageError
from zoo.contract.names import is_file_name
from zoo.contract.params import check_params
from zoo.contract.preprocess import Preprocess
from zoo.contract.pretrained import PretrainedWeights
from zoo.contract.printable import plain
from zoo.contract.specs import Architecture
from zoo.data.fitting import InputOverrides, chosen_size, default_preprocess, params_for_size
from zoo.files.atomic import refuse_existing, refuse_unwritable
from zoo.files.card import Card
from zoo.files.folders import name_of_weights, weights_name
from zoo.models.arguments import check_integer, check_path
from zoo.models.build import build_model
from zoo.models.importing.convert import Converted, convert
from zoo.models.importing.names import Pair
from zoo.models.importing.read_file import SourceFile, read_source
from zoo.models.importing.stated import PreprocessOverrides, check_labels
from zoo.models.stored.foreign import store_foreign
from zoo.registry.registry import Registry

DEFAULT_TAG = "imported"


@dataclass(frozen=True)
class ImportedWeights:
    """Weights that were imported.

    Args:
        path: of the weights file that was written.
        card: of it. Its `metrics` are empty: accuracy is not measured until `zoo evaluate --record`.
        pairs: which tensor of the source became which one of the model.
        key: of the state dict that was taken from the source; `.` for all of it.
    """

    path: Path
    card: Card
    pairs: tuple[Pair, ...]
    key: str

    @property
    def name(self) -> str:
        """`ARCH.TAG`."""
        return name_of_weights(self.path, self.card.architecture)


def import_weights(
    file: str | PathLike[str],
    architecture: str,
    *,
    tag: str = DEFAULT_TAG,
    output: str | PathLike[str] = "weights",
    key: str = "",
    map: Literal["name", "order"] = "name",
    drop: Sequence[str] = (),
    labels: Sequence[str] | None = None,
    num_classes: int | None = None,
    in_channels: int | None = None,
    img_size: int | None = None,
    preprocess: Preprocess | PreprocessOverrides | None = None,
    params: Mapping[str, Any] | None = None,
    licence: str = "",
    force: bool = False,
    progress: bool = False,
    callback: Callback | None = None,
    registry: Registry | None = None,
) -> ImportedWeights:
    """Store the weights in a checkpoint or a state dict that other software wrote as a weights file with a card.

    A file of `torch.save` is read by PyTorch's weights-only unpickler, in a process with limits on memory and time that
    may write nowhere else. It builds tensors, numbers, texts and containers of these; a file that names any other class
    or function is refused. A safetensors file is read as such.

    Args:
        file: `.pth`, `.pt`, `.th`, `.bin`, `.tar` or `.ckpt`, as `torch.save` writes them, or `.safetensors`.
        architecture: the name of the architecture that the weights are of.
        tag: the file is stored as `ARCH.TAG.safetensors`.
        output: the folder of the file.
        key: of the state dict to take from a checkpoint, such as `model_ema`; by default it is chosen, and a message
            names it.
        map: `name` matches tensors by name. `order` matches those whose names differ by their order; their shapes must
            be equal.
        drop: names of tensors of the file to leave out; `*` stands for any characters.
        labels: one name for each logit; by default their numbers.
        num_classes: the number of logits, without `labels`; by default that of the architecture.
        in_channels: of the images, 1 or 3; by default those of the architecture.
        img_size: height and width of the images in pixels; by default those of the architecture.
        preprocess: how images are prepared; by default as the architecture says.
        params: parameters of the architecture; see `zoo show ARCH`.
        licence: of the weights.
        force: replace an existing file.
        progress: show messages on standard error, or in a notebook.
        callback: receives messages.
        registry: of plugins; the installed ones by default.

    Raises:
        UnknownName: there is no such architecture or parameter.
        UsageError: arguments are out of range or do not fit the architecture.
        UnconfirmedMapping: a `WeightsError`: names differ and `map` is `name`; its `match.pairs` can be looked at.
        WeightsError: the file holds code, is damaged, or does not fit the architecture.
        OutputError: the weights file exists and `force` is not set, or it cannot be written.

    Example:
        >>> import zoo
        >>> zoo.import_weights("model_best.pth.tar", "resnet18", labels=["cat", "dog"]).path  # doctest: +SKIP
        PosixPath('weights/resnet18.imported.safetensors')
    """
    registry = registry_of(registry)
    check_path("file", file)
    check_path("output", output)
    for argument, number in (("num_classes", num_classes), ("in_channels", in_channels), ("img_size", img_size)):
        check_integer(argument, number, 1)
    if map not in ("name", "order"):
        raise UsageError(f"map={map!r} is unknown.", "Use 'name' or 'order'.")
    entry = registry.find(Architecture, architecture)
    path = Path(output) / weights_name(architecture, tag)
    if not is_file_name(tag):
        raise UsageError(f"The tag {tag!r} cannot be in the name of a file.", "Use letters, digits, '_', '.' and '-'.")
    refuse_existing(path, force)
    refuse_unwritable(path)
    classes = _classes(entry.spec, labels, num_classes)
    chosen = check_params(entry.spec, params or {})
    prepared = _preprocess(entry.spec, preprocess, chosen_size(entry.spec, img_size, chosen), in_channels)
    chosen = params_for_size(entry.spec, chosen, prepared.size[0])
    module = build_model(entry, num_classes=len(classes), in_channels=prepared.channels, params=chosen)
    with reporting(progress, callback) as report:
        source = read_source(Path(file), key)
        converted = convert(source, module.state_dict(), len(classes), by_order=map == "order", drop=drop)
        for text in _messages(source, converted):
            report.on_message(text)
        if labels is None:
            report.on_message("labels are the numbers of the logits; pass labels to name them", warning=True)
        card = store_foreign(
            PretrainedWeights(
                tensors=converted.tensors,
                classes=classes,
                preprocess=prepared,
                params=chosen,
                licence=licence,
                source=source.path.name,
                file_sha256=source.sha256,
            ),
            entry,
            path,
            command=_command(source, architecture, map, key, drop),
            force=force,
        )
        report.on_message(f"accuracy is unmeasured: run `zoo evaluate {path} --data NAME --record`")
    return ImportedWeights(path, card, converted.match.pairs, source.key)


def _classes(spec: Architecture, labels: Sequence[str] | None, num_classes: int | None) -> tuple[str, ...]:
    if labels is None:
        return tuple(str(index) for index in range(spec.num_classes if num_classes is None else num_classes))
    names = check_labels(labels, "labels")
    if num_classes not in (None, len(names)):
        raise UsageError(
            f"{len(names):,} labels do not fit `--num-classes {num_classes}`.", "Leave one of them out, or correct it."
        )
    return names


def _preprocess(
    spec: Architecture,
    chosen: Preprocess | PreprocessOverrides | None,
    img_size: int | None,
    in_channels: int | None,
) -> Preprocess:
    if isinstance(chosen, Preprocess):
        size, channels = (chosen.size[0] if chosen.size[0] == chosen.size[1] else None), chosen.channels
        if img_size not in (None, size) or in_channels not in (None, channels):
            raise UsageError("preprocess says the image size and the channels.", "Leave img_size and in_channels out.")
        default_preprocess(spec, InputOverrides(img_size=size, channels=channels))  # refuses what it does not accept
        return chosen
    own = default_preprocess(spec, InputOverrides(img_size=img_size, channels=in_channels))
    return own if chosen is None else chosen.applied(own)


def _messages(source: SourceFile, converted: Converted) -> list[str]:
    """What was chosen, left out and converted."""
    match = converted.match
    by_order = sum(pair.by_order for pair in match.pairs)
    counters = len(match.counters)
    lines = [
        f"took the state dict {source.key!r}, and not {', '.join(source.others)}; `--key` chooses"
        if source.others
        else f"took the state dict {source.key!r}"
        if source.key != "."
        else "",
        f"ignored entries that are no tensors: {', '.join(source.ignored)}" if source.ignored else "",
        f"removed the prefix {' and '.join(match.removed)}" if match.removed else "",
        f"left out {plain(', '.join(converted.dropped))}" if converted.dropped else "",
        *(f"converted {count:,} tensors from {change}" for change, count in converted.dtypes.items()),
        f"set {counters:,} counters of BatchNorm, which the file lacks, to 0, as PyTorch does" if counters else "",
        f"matched {len(match.pairs) - by_order:,} tensors by name, {by_order:,} by order and shape",
    ]
    return [line for line in lines if line]


def _command(source: SourceFile, architecture: str, map: str, key: str, drop: Sequence[str]) -> str:
    import shlex

    words = ["zoo", "weights", "import", source.path.name, "--architecture", architecture]
    words += [*(["--map", map] if map != "name" else []), *(["--key", key] if key else [])]
    return shlex.join([*words, *(word for name in drop for word in ("--drop", name))])
