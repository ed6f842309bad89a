"""Artifacts: what the functions of an export format receive, and what they must return.

`zoo.contract.formats` says which functions there are. `zoo.testing.check_format` checks a format against both pages.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from zoo.contract.preprocess import Preprocess

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor, nn
    from torch.export import ExportedProgram

Array: TypeAlias = "npt.NDArray[np.float32]"
Run: TypeAlias = Callable[["Array"], "Array"]


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
    def opset(self) -> int | None:
        """The operator set to write, within the format's `opsets`; `None` leaves it to the format."""

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
