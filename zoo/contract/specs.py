"""Specs: what a plugin declares, as frozen dataclasses. Imports the standard library only.

A spec refers to code by a ref, `"package.module:attribute"`, which is imported when the object is first used. So
listing specs does not import torch.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from zoo.contract.names import COLLECTED, NAME
from zoo.contract.preprocess import Preprocess

TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
REF = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


@dataclass(frozen=True, kw_only=True)
class Param:
    """A keyword argument of `build` that users can set with `-p NAME=VALUE`.

    Args:
        default: the default value. Its type is the type of the parameter: bool, int, float, str, or a tuple of floats.
        choices: the values allowed; empty for any value.
        summary: a short description.
    """

    default: bool | int | float | str | tuple[float, ...]
    choices: tuple[bool | int | float | str, ...] = ()
    summary: str = ""


@dataclass(frozen=True, kw_only=True)
class Spec:
    """The base class of all specs.

    Args:
        name: the name that users type: lower-case letters, digits and `_`. That of an architecture may have one
            `COLLECTION/` in front, as in `timm/resnet18`.
        summary: one line, shown in listings.
        requires: distributions that it needs, by the names that pip uses.

    Raises:
        ValueError: a field is invalid. The plugin that declares the spec is then ignored, with a warning.
    """

    kind: ClassVar[str]
    plural: ClassVar[str]
    refs: ClassVar[tuple[str, ...]]
    grammar: ClassVar[re.Pattern[str]] = NAME

    name: str
    summary: str
    requires: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.grammar.fullmatch(self.name):
            raise ValueError(f"{self.kind} name {self.name!r} must be lower-case letters, digits and underscores")
        if not isinstance(self.summary, str) or not self.summary or "\n" in self.summary:
            raise ValueError(f"{self.kind} {self.name}: summary must be one line of text")
        for attribute in self.refs:
            ref = getattr(self, attribute)
            if not isinstance(ref, str) or not REF.fullmatch(ref):
                raise ValueError(f"{self.kind} {self.name}: {attribute}={ref!r} is not 'package.module:attribute'")
        if not isinstance(self.requires, tuple) or not all(isinstance(name, str) and name for name in self.requires):
            raise ValueError(
                f"{self.kind} {self.name}: requires={self.requires!r} is not a tuple of distribution names"
            )


@dataclass(frozen=True, kw_only=True)
class Architecture(Spec):
    """A model architecture: float32 images `[N, C, H, W]` to logits `[N, K]`.

    Args:
        build: ref to `build(*, num_classes, in_channels, **build_args, **params) -> nn.Module`. Of `params`, those that
            the user sets are passed: give the others the declared defaults.
        input_shape: the `(C, H, W)` that it was designed for.
        num_classes: the default of K.
        channels: the channel counts it accepts; empty for any.
        sizes: the image heights and widths it accepts, square; empty for any from `min_size` up.
        min_size: the smallest height and width it accepts, in pixels.
        build_args: keyword arguments that are always passed to `build`.
        params: keyword arguments that users may set. One called `img_size` is for architectures that are built for one
            image size: `--img-size` sets it, and its default is the size of `input_shape`. One called `drop_path_rate`
            or `stochastic_depth_prob` is the rate of stochastic depth: `--drop-path` sets it.
        preprocess: how images are prepared for it where no data set says. `None`: stretched to `input_shape`.
        parameters: the number of parameters at the defaults, as published; `None` where it is not known.
        paper: where it was published.
        pretrained: the tags of the weights that `fetch` can provide: `("imagenet1k_v1",)` makes `NAME.imagenet1k_v1` a
            model. A tag is letters, digits, `_`, `-` and `.`.
        fetch: ref to `fetch(name, tag, *, download) -> zoo.contract.pretrained.PretrainedWeights`, where `name` is the
            name of this spec. It must not download anything unless `download` is true: then it raises
            `zoo.contract.pretrained.download_needed`. It must check what it downloads, and unpickle nothing.
    """

    kind: ClassVar[str] = "architecture"
    plural: ClassVar[str] = "architectures"
    refs: ClassVar[tuple[str, ...]] = ("build",)
    grammar: ClassVar[re.Pattern[str]] = COLLECTED

    build: str
    input_shape: tuple[int, int, int]
    num_classes: int = 1000
    channels: tuple[int, ...] = ()
    sizes: tuple[int, ...] = ()
    min_size: int = 1
    build_args: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Param] = field(default_factory=dict)
    preprocess: Preprocess | None = None
    parameters: int | None = None
    paper: str = ""
    pretrained: tuple[str, ...] = ()
    fetch: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_shape(self, self.input_shape)
        if type(self.num_classes) is not int or self.num_classes < 1:
            raise ValueError(f"architecture {self.name}: num_classes must be an integer of at least 1")
        for field_name, counts in (("channels", self.channels), ("sizes", self.sizes), ("min_size", (self.min_size,))):
            if not isinstance(counts, tuple) or any(type(n) is not int or n < 1 for n in counts):
                raise ValueError(f"architecture {self.name}: {field_name} must be integers of at least 1")
        _check_params(self)
        if not isinstance(self.pretrained, tuple) or not all(
            isinstance(tag, str) and TAG.fullmatch(tag) for tag in self.pretrained
        ):
            raise ValueError(f"architecture {self.name}: pretrained must be a tuple of tags, not {self.pretrained!r}")
        if bool(self.pretrained) != bool(self.fetch):
            raise ValueError(f"architecture {self.name}: pretrained and fetch require each other")
        if self.fetch and not (isinstance(self.fetch, str) and REF.fullmatch(self.fetch)):
            raise ValueError(f"architecture {self.name}: fetch={self.fetch!r} is not 'package.module:attribute'")


@dataclass(frozen=True, kw_only=True)
class Collection(Spec):
    """Many architectures, `COLLECTION/NAME`, whose specs are made when they are looked up.

    A plugin with hundreds of architectures declares a collection instead of each of them: commands that need none of
    them, such as `zoo --help`, then spend no time on their specs. Elsewhere they are like any other architecture.

    Args:
        names: ref to `names() -> Iterable[str]`: the names of the architectures, without `COLLECTION/`. It must return
            the same names in every call.
        architecture: ref to `architecture(name) -> Architecture`, for one of these names: the spec named
            `COLLECTION/NAME`. Its `requires` should include that of the collection.
    """

    kind: ClassVar[str] = "collection"
    plural: ClassVar[str] = "collections"
    refs: ClassVar[tuple[str, ...]] = ("names", "architecture")

    names: str
    architecture: str

    def full_name(self, name: str) -> str:
        """`COLLECTION/NAME` of NAME."""
        return f"{self.name}/{name}"


@dataclass(frozen=True, kw_only=True)
class Loss(Spec):
    """A loss function.

    Args:
        build: ref to `build(**params) -> f`, where `f(logits [N, K], target)` returns a scalar tensor. Of `params`,
            those that the user sets are passed: give the others the declared defaults.
        target: the form of target that `f` takes: `index`, class indices int64 `[N]`; `scores`, per-class scores
            float32 `[N, K]`; or `either`. The trainer converts targets to this form.
        params: keyword arguments that users can set. A parameter named `class_weights`, `weight` or `pos_weight` whose
            default is a tuple has one number per class; `--balance weights` sets it. Divide the weighted sum by the
            number of images, not by the sum of weights: then gradient accumulation and distributed training compute
            the same gradients as one large batch.
    """

    kind: ClassVar[str] = "loss"
    plural: ClassVar[str] = "losses"
    refs: ClassVar[tuple[str, ...]] = ("build",)

    build: str
    target: Literal["index", "scores", "either"] = "index"
    params: Mapping[str, Param] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.target not in ("index", "scores", "either"):
            raise ValueError(f"loss {self.name}: target must be 'index', 'scores' or 'either', not {self.target!r}")
        _check_params(self)


@dataclass(frozen=True, kw_only=True)
class Dataset(Spec):
    """A data set of labelled images.

    Args:
        load: ref to `load(root, split, download)`, which returns a map-style data set of (image, class index) for
            `split` "train" or "test". An image is a PIL image or a uint8 array `[H, W]` or `[H, W, C]`. `root` is a
            `pathlib.Path`. `load` must not download anything unless `download` is true. The returned object can have
            these attributes:

            - `labels` or `targets`: the class index of each image.
            - `files`: the path of the file of each image. With `labels` or `targets`, decoded images are cached. The
              pixels must depend on the file and the plugin's code only.
            - `images`: all images, as one uint8 array equal to the items. With `labels` as an array, the arrays are
              used directly.
            - `classes`: the class names, if the spec does not declare them.
            - `notes`: a tuple of remarks that are shown before training.
        classes: the class names in the order of their indices; empty to use the attribute `classes`.
        input_shape: `(C, H, W)` of the images; `None` if they differ.
        mean, std: of the training images, per channel on 0 to 1; empty to measure them.
        hflip: whether horizontal flips keep the class, so that they can be used for augmentation.
        exif_orientation: whether its images are photographs that may have to be turned as their EXIF data says.
        splits: the number of images in each split, if it is fixed.
        licence, source: of the images.
    """

    kind: ClassVar[str] = "dataset"
    plural: ClassVar[str] = "datasets"
    refs: ClassVar[tuple[str, ...]] = ("load",)

    load: str
    classes: tuple[str, ...] = ()
    input_shape: tuple[int, int, int] | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    hflip: bool = False
    exif_orientation: bool = False
    splits: Mapping[str, int] = field(default_factory=dict)
    licence: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.mean) != len(self.std):
            raise ValueError(f"dataset {self.name}: mean and std must have the same length")
        if not isinstance(self.classes, tuple) or not all(isinstance(name, str) for name in self.classes):
            raise ValueError(f"dataset {self.name}: classes must be a tuple of names")
        if self.input_shape is not None:
            _check_shape(self, self.input_shape)


@dataclass(frozen=True, kw_only=True)
class Command(Spec):
    """A subcommand of `zoo`.

    Args:
        run: ref to a `click.Command`. It is imported when the command is run or its help is shown.
        call: ref to the Python function that the command is the command line of, for a command with a counterpart in
            the Python API: `zoo.export` and `zoo.verify` call those of the commands `export` and `verify`.
    """

    kind: ClassVar[str] = "command"
    plural: ClassVar[str] = "commands"
    refs: ClassVar[tuple[str, ...]] = ("run",)

    run: str
    call: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.call and not REF.fullmatch(self.call):
            raise ValueError(f"command {self.name}: call={self.call!r} is not 'package.module:attribute'")


def _check_shape(spec: Architecture | Dataset, shape: tuple[int, int, int]) -> None:
    if not isinstance(shape, tuple) or len(shape) != 3 or any(type(n) is not int or n < 1 for n in shape):
        raise ValueError(f"{spec.kind} {spec.name}: input_shape must be (channels, height, width)")


def _check_params(spec: Architecture | Loss) -> None:
    for name, param in spec.params.items():
        if not isinstance(param, Param) or not name.isidentifier():
            raise ValueError(f"{spec.kind} {spec.name}: params must map identifiers to Param")
        if not isinstance(param.default, bool | int | float | str | tuple):
            raise ValueError(f"{spec.kind} {spec.name}: the default of {name} must be a bool, int, float, str or tuple")
        if param.choices and param.default not in param.choices:
            raise ValueError(f"{spec.kind} {spec.name}: the default of {name} is not among its choices")
