"""Export formats: what they declare. What their functions receive and return is in `zoo.contract.exporting`.

A format of one file in one precision needs four fields besides its name: `summary`, `suffix`, `export` and `runner`.
Everything else has a default. `zoo.testing.check_format` checks a format against this page.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from zoo.contract.specs import REF, Spec

if TYPE_CHECKING:
    from zoo.contract.exporting.artifact import Paths

MODEL = "model"  # the role of the file of a format that writes one
OPTIONAL_REFS = (
    "devices",
    "stages",
    "readme",
    "snippet",
    "claims",
    "structure",
    "operators",
    "replace",
    "installation",
)
SUFFIX = re.compile(r"(\.[a-z0-9_]+)+")


@dataclass(frozen=True, kw_only=True)
class ExportFormat(Spec):
    """A file format that models are exported to.

    Args:
        export: ref to `export(capture: Capture, paths: Paths)`, which writes every file of `paths` and no other. The
            same capture must give the same bytes. It may return a sequence of `Workaround`s: known faults of libraries
            that the artifact avoids, which the certificate lists.
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
        opsets: the oldest and the newest operator set that it can write, where it has such versions.
            `capture.opset` says which one; `None` leaves it to the format.
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
        claims: ref to `claims(paths: Paths) -> Claims`: what the files say of themselves: labels, preprocessing, inputs
            and outputs. `zoo verify` compares it with the model's card. It raises `ValueError` where it is malformed.
        structure: ref to `structure(paths: Paths) -> Structure`: how the graph is built. `zoo verify` refuses operators
            that draw random numbers, and compares the graph with zoo's own export. Like `claims`, it must read the
            files and run nothing of them.
        operators: ref to `operators(paths: Paths) -> Structure`: `operators`, `conditional` and `input_readers` alone,
            where they are not in the files as data, so that the artifact must be loaded to count them. For a file of
            any origin it is called in a child process; it must run nothing of the graph.
        replace: ref to `replace(paths: Paths, to: Paths, values: Sequence[tuple[Array, Array]]) -> Sequence[int]`. It
            writes to `to` the artifact at `paths` with the second array of a pair in the place of each tensor that
            equals the first one, and returns how many it replaced for each pair. `zoo verify FILE --against MODEL` puts
            probe weights into a copy so. Like `claims`, it must run nothing of the files.
        installation: ref to `installation() -> Sequence[str]`: what is wrong with the installed packages that run the
            artifact, a warning of two sentences each. Every command that runs the format shows it, so it must be
            quick and import none of these packages.
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
    opsets: tuple[int, int] | None = None
    devices: str = ""
    stages: str = ""
    readme: str = ""
    snippet: str = ""
    claims: str = ""
    structure: str = ""
    operators: str = ""
    replace: str = ""
    installation: str = ""
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
        if self.opsets is not None and not 0 < self.opsets[0] <= self.opsets[1]:
            raise ValueError(f"format {self.name}: opsets must be the oldest and the newest version")
        for attribute in OPTIONAL_REFS:
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
        from zoo.contract.exporting.artifact import Paths  # listing formats need not load it

        return Paths({role: folder / f"{stem}{suffix}" for role, suffix in self.suffixes.items()})

    def paths_of(self, main: Path) -> "Paths | None":
        """The files that go with a main file; `None` where its name does not end as this format's do."""
        suffix = next(iter(self.suffixes.values()))
        return self.paths(main.parent, main.name.removesuffix(suffix)) if main.name.endswith(suffix) else None
