"""Export formats: what they declare, what their functions receive, and what they must return.

A format of one file in one precision needs four fields besides its name: `summary`, `suffix`, `export` and `runner`.
Everything else has a default. `zoo.testing.check_format` checks a format against this page.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeAlias

from zoo.contract.preprocess import Preprocess
from zoo.contract.specs import REF, Spec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor, nn
    from torch.export import ExportedProgram

Array: TypeAlias = "npt.NDArray[np.float32]"
Run: TypeAlias = Callable[["Array"], "Array"]
MODEL = "model"  # the role of the file of a format that writes one
SUFFIX = re.compile(r"(\.[a-z0-9_]+)+")


@dataclass(frozen=True, kw_only=True)
class ExportFormat(Spec):
    """A file format that models are exported to.

    Args:
        export: ref to `export(capture: Capture, paths: Paths) -> None`, which writes every file of `paths` and no
            other. The same capture must give the same bytes.
        runner: ref to `runner(paths: Paths, backend: Backend)`, which loads the artifact afresh and returns a `Run`, a
            function from images, float32 `[N, C, H, W]`, to logits, float32 `[N, K]`, both numpy arrays; or a mapping
            of names to such functions where an artifact is run in several ways, all of which are judged. It runs on the
            device asked for or raises `DeviceError`: it never falls back to another.
        suffix: of the one file that it writes, with its dot: `.bin`.
        files: in place of `suffix`, the suffix of each file by its role, the main file first:
            `{"graph": ".json", "weights": ".npz"}`.
        optional_files: likewise, of files that are only written for some models.
        precisions: names of the `Precision` specs that it can write, as `capture.precision` asks. `fp32` is always one
            of them: an artifact of another precision is only published once the model is proven in fp32.
        devices: ref to `devices() -> Mapping[str, Callable[[], str]]`: the devices that `runner` knows, each with a
            function that returns why it does not work on this machine, as a predicate ("is not built in"), or an empty
            text where it works. Without it the format runs on `cpu` alone.
        stages: ref to `stages(capture: Capture, paths: Paths, own: bool) -> Iterable[Stage]`: the steps on the way from
            the model to the artifact's own result, which comes last. Where an artifact fails its check, the first stage
            that fails it too is to blame. Where `own` is false, `paths` was not exported from `capture`: only the
            stages that run the files are wanted.
        readme: ref to `readme(paths: Paths) -> str`: a section in Markdown, from its `## ` heading on, that says how to
            run the artifact. Use the files' names alone.
        snippet: ref to `snippet(paths: Paths, runner: str) -> Snippet | None`: how a script runs the artifact without
            zoo; `runner` is the name of the function of several that failed. `None`, or no ref: through `runner`.
        default: whether `zoo export` writes it where no format is named.
        requires: the manifest of an export records the versions of these distributions.
    """

    kind: ClassVar[str] = "format"
    plural: ClassVar[str] = "formats"
    refs: ClassVar[tuple[str, ...]] = ("export", "runner")

    export: str
    runner: str
    suffix: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    optional_files: Mapping[str, str] = field(default_factory=dict)
    precisions: tuple[str, ...] = ("fp32",)
    devices: str = ""
    stages: str = ""
    readme: str = ""
    snippet: str = ""
    default: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if bool(self.suffix) == bool(self.files):
            raise ValueError(f"format {self.name}: exactly one of suffix and files must be set")
        suffixes = list(self.suffixes.values())
        for suffix in suffixes:
            if not isinstance(suffix, str) or not SUFFIX.fullmatch(suffix):
                raise ValueError(f"format {self.name}: suffix {suffix!r} must look like '.bin'")
        if len(set(suffixes)) != len(suffixes) or set(self.files) & set(self.optional_files):
            raise ValueError(f"format {self.name}: each file needs a role and a suffix of its own")
        if not isinstance(self.precisions, tuple) or "fp32" not in self.precisions:
            raise ValueError(f"format {self.name}: precisions must be a tuple of names, fp32 among them")
        for attribute in ("devices", "stages", "readme", "snippet"):
            ref = getattr(self, attribute)
            if ref and not REF.fullmatch(ref):
                raise ValueError(f"format {self.name}: {attribute}={ref!r} is not 'package.module:attribute'")

    @property
    def suffixes(self) -> dict[str, str]:
        """Role to suffix of every file that it may write, the main one first."""
        return {**(self.files or {MODEL: self.suffix}), **self.optional_files}

    @property
    def required(self) -> tuple[str, ...]:
        """The roles of the files that every artifact has."""
        return tuple(role for role in self.suffixes if role not in self.optional_files)

    def paths(self, folder: Path, stem: str = "model") -> "Paths":
        """Where its files go in `folder`: `stem` and each suffix."""
        return Paths({role: folder / f"{stem}{suffix}" for role, suffix in self.suffixes.items()})

    def paths_of(self, main: Path) -> "Paths | None":
        """The files that go with a main file; `None` where its name does not end as this format's do."""
        suffix = next(iter(self.suffixes.values()))
        return self.paths(main.parent, main.name.removesuffix(suffix)) if main.name.endswith(suffix) else None


@dataclass(frozen=True)
class Paths:
    """Where the files of one artifact lie, by role: `paths["weights"]`. Of a format of one file: `paths.main`."""

    files: Mapping[str, Path]

    def __getitem__(self, role: str) -> Path:
        return self.files[role]

    @property
    def main(self) -> Path:
        """The file that stands for the artifact: the first one declared."""
        return next(iter(self.files.values()))

    @property
    def existing(self) -> list[Path]:
        """Those that are there; a file that is optional may not be."""
        return [path for path in self.files.values() if path.is_file()]


class Capture(Protocol):
    """A model as a format receives it. A format must change nothing of it but `memo`."""

    @property
    def name(self) -> str:
        """Of the model: `ARCH.TAG`, or the architecture's."""

    @property
    def module(self) -> "nn.Module":
        """On the CPU, in eval mode, float32 `[N, C, H, W]` to float32 `[N, K]`; in fp16 its weights are float16."""

    @property
    def program(self) -> "ExportedProgram":
        """`module` as `torch.export` captures it, its batch dynamic. The formats of one export share one capture."""

    @property
    def example(self) -> "Tensor":
        """float32 `[4, C, H, W]` to trace with."""

    @property
    def input_shape(self) -> "list[int | str]":
        """`[N, C, H, W]` of the artifact's input: a name such as `batch` where it is dynamic, a number elsewhere."""

    @property
    def labels(self) -> Sequence[str]:
        """The class names, in the order of the logits."""

    @property
    def preprocess(self) -> Preprocess:
        """How an image becomes a row of the input."""

    @property
    def card(self) -> Any:
        """Everything recorded with the weights: a `zoo.files.card.Card`."""

    @property
    def precision(self) -> str:
        """Name of the precision to write: one that the format declares."""

    @property
    def dynamic_size(self) -> bool:
        """Whether height and width are dynamic too."""

    @property
    def memo(self) -> dict[str, Any]:
        """Keeps what is costly to make and does not depend on the values of the weights.

        Each format is exported several times in one check, with other weights in the same network: these captures share
        one `memo`. Use the format's name as the key.
        """

    def with_weights(self, module: "nn.Module") -> "Capture":
        """The same capture, and the same `memo`, with the weights of `module`, which is built alike."""


@dataclass(frozen=True)
class Backend:
    """Where, and in which arithmetic, an artifact is run.

    Args:
        device: a name from the format's `devices`.
        precision: of the artifact, as it was exported.
        tf32: whether float32 factors may be rounded to TF32 on a GPU. On `cuda`, fp32 artifacts are judged both ways.
    """

    device: str = "cpu"
    precision: str = "fp32"
    tf32: bool = False

    @property
    def label(self) -> str:
        """What reports call it, such as `cuda-tf32`."""
        return f"{self.device}-tf32" if self.tf32 else self.device


CPU = Backend()


@dataclass(frozen=True)
class Place:
    """Where a value is made.

    Args:
        value: its name in the graph.
        module: the path of the module that makes it, such as `layer2.0.bn1`; empty for the model itself.
        source: the line of the user's model, such as `torchvision/models/resnet.py:95`; empty where unknown.
    """

    value: str
    module: str
    source: str = ""


@dataclass(frozen=True)
class Stage:
    """A step on the way from a model to its artifact.

    Args:
        name: completes "The fault is in ...": "the captured graph".
        run: from images to the logits that the model has at this step.
        locate: from images to the first value that this step makes wrong, or `None` where it cannot be told.
    """

    name: str
    run: "Run"
    locate: "Callable[[Array], Place | None]" = lambda images: None


@dataclass(frozen=True)
class Snippet:
    """How a Python script runs an artifact. The script has `np`, `here` (the folder, a path) and `images` (float32).

    Args:
        imports: a text, the lines that import what it needs, such as `import torch`.
        run: an expression for the logits, such as `f(images)`.
        needs: packages to install, in words, besides numpy.
        setup: lines that come before `run`, such as `f = load(here / "model.bin")`.
    """

    imports: str
    run: str
    needs: str
    setup: str = ""
