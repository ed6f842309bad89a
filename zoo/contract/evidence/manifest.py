"""The manifest: everything that a deployer needs to know of an export folder, and what proves it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from zoo.contract.evidence.certificate import PUBLISHED, UNVERIFIED, Certificate, Verdict
from zoo.contract.preprocess import MAX_SIDE, Preprocess
from zoo.contract.reading import DIGEST, MAX_CLASSES, MAX_LABEL, SHA256, Field, Malformed, fields, shown

GOLDEN = "golden.npz"
MAX_OPSET = 1000


@dataclass(frozen=True)
class TensorSpec:
    """The input or the output of every artifact.

    Args:
        dtype: `float32`.
        shape: a number where the size is fixed, a name where it is dynamic.
        min_size: the smallest height and width in pixels, if these are dynamic.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    min_size: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `min_size` only where there is one."""
        data: dict[str, Any] = {"name": self.name, "dtype": self.dtype, "shape": list(self.shape)}
        return data if self.min_size is None else {**data, "min_size": self.min_size}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any] | Field) -> "TensorSpec":
        """Read what `to_dict` wrote.

        Raises:
            Malformed: a field is missing, malformed or out of range.
        """
        tensor = fields(data).only("name", "dtype", "shape", "min_size")
        size = tensor.get("min_size")
        return cls(
            tensor["name"].text(1_000),
            tensor["dtype"].choice(("float32",)),
            tuple(_dimension(each) for each in tensor["shape"].items(2, 4)),
            None if size is None else size.integer(1, MAX_SIDE),
        )


@dataclass(frozen=True)
class Artifact:
    """An exported model in one format.

    Args:
        files: file name by role, the main file first. An artifact of one file has the role `model`.
        format: the qualified name of the format, such as `zoo-kit:NAME`.
        opset: the operator set, if the user chose one.
    """

    files: Mapping[str, str]
    format: str
    opset: int | None = None

    @property
    def file(self) -> str:
        """The main file, which stands for the artifact."""
        return next(iter(self.files.values()))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `opset` only where there is one."""
        data: dict[str, Any] = {"files": dict(self.files), "format": self.format}
        return data if self.opset is None else {**data, "opset": self.opset}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any] | Field) -> "Artifact":
        """Read what `to_dict` wrote.

        Raises:
            Malformed: a field is missing, malformed or out of range, or it names no file.
        """
        artifact = fields(data).only("files", "format", "opset")
        opset = artifact.get("opset")
        files = {role: name.text(255) for role, name in artifact["files"].entries(1).items()}
        return cls(files, artifact["format"].text(1_000), None if opset is None else opset.integer(1, MAX_OPSET))


@dataclass(frozen=True)
class FileRecord:
    """A file of the folder, as it was written."""

    sha256: str
    bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"sha256": self.sha256, "bytes": self.bytes}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any] | Field) -> "FileRecord":
        """Read what `to_dict` wrote.

        Raises:
            Malformed: a field is missing, malformed or out of range.
        """
        record = fields(data).only("sha256", "bytes")
        return cls(record["sha256"].text(64, SHA256), record["bytes"].integer())


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What `manifest.json` says.

    Args:
        name: of the model, `ARCH.TAG` or the architecture's name.
        verdict: of the check: `pass`, `overridden`, `unverified`, or `inconclusive` where the user accepted that.
        card: of the weights, as a weights file stores it.
        input: of every artifact: float32 images `[N, C, H, W]`.
        output: of every artifact: float32 logits `[N, K]`.
        preprocess: how an image becomes that input.
        labels: the class names in the order of the logits.
        precision: of the artifacts, such as `fp32`.
        artifacts: by format.
        versions: of Python and of the packages that took part.
        certificate: what proves the verdict.
        files: every file of the folder but `manifest.json`, by name.
        digest: over everything else; `""` until the manifest is written.
    """

    FORMAT: ClassVar[int] = 2

    name: str
    verdict: Verdict
    card: Mapping[str, Any]
    input: TensorSpec
    output: TensorSpec
    preprocess: Preprocess
    labels: tuple[str, ...]
    precision: str
    artifacts: Mapping[str, Artifact]
    versions: Mapping[str, str]
    certificate: Certificate
    files: Mapping[str, FileRecord] = field(default_factory=dict)
    digest: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `from_dict` reads it back."""
        return {
            "format": self.FORMAT,
            "name": self.name,
            "verdict": self.verdict,
            "card": dict(self.card),
            "input": self.input.to_dict(),
            "output": self.output.to_dict(),
            "preprocess": self.preprocess.to_dict(),
            "labels": list(self.labels),
            "precision": self.precision,
            "artifacts": {name: artifact.to_dict() for name, artifact in self.artifacts.items()},
            "versions": dict(self.versions),
            "certificate": self.certificate.to_dict(),
            "files": {name: record.to_dict() for name, record in self.files.items()},
            "digest": self.digest,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any] | Field) -> "Manifest":
        """Read what `to_dict` wrote. Whether digest and files are right is for the reader of the folder to check.

        Raises:
            Malformed: a field is missing, malformed or out of range, two of them contradict each other, or the format
                is another one.
        """
        whole = fields(data).only(
            *("format", "name", "verdict", "card", "input", "output", "preprocess", "labels", "precision"),
            *("artifacts", "versions", "certificate", "files", "digest"),
        )
        whole["format"].choice((cls.FORMAT,))
        manifest = cls(
            name=whole["name"].text(1_000),
            verdict=whole["verdict"].choice(PUBLISHED),
            card={key: each.plain() for key, each in whole["card"].entries().items()},
            input=TensorSpec.from_dict(whole["input"]),
            output=TensorSpec.from_dict(whole["output"]),
            preprocess=Preprocess.from_dict(whole["preprocess"]),
            labels=tuple(label.text(MAX_LABEL) for label in whole["labels"].items(1, MAX_CLASSES)),
            precision=whole["precision"].text(100),
            artifacts={name: Artifact.from_dict(each) for name, each in whole["artifacts"].entries(1).items()},
            versions={name: version.text(1_000) for name, version in whole["versions"].entries().items()},
            certificate=Certificate.from_dict(whole["certificate"]),
            files={_file_name(name): FileRecord.from_dict(each) for name, each in whole["files"].entries().items()},
            digest=whole["digest"].text(71, DIGEST),
        )
        manifest._refuse_contradictions()
        return manifest

    def _refuse_contradictions(self) -> None:
        certificate = self.certificate
        if self.verdict != certificate.verdict:
            raise Malformed(f"verdict is {self.verdict!r}, and that of the certificate {certificate.verdict!r}")
        channels, *size = self.preprocess.input_shape
        shape = self.input.shape
        dynamic = [isinstance(each, str) for each in shape[2:]]
        if len(shape) != 4 or shape[1] != channels or (shape[2:] != tuple(size) and not all(dynamic)):
            raise Malformed(f"input.shape is {list(shape)}, and the preprocessing gives {[channels, *size]}")
        if self.output.shape[1:] != (len(self.labels),):
            raise Malformed(f"output.shape is {list(self.output.shape)}, and there are {len(self.labels)} labels")
        if list(self.artifacts) != list(certificate.artifacts):
            raise Malformed("artifacts are not those of the certificate")
        for name, artifact in self.artifacts.items():
            hashes = {file: self.files[file].sha256 for file in artifact.files.values() if file in self.files}
            if hashes != certificate.artifacts[name].sha256:
                raise Malformed(f"the files of artifacts[{name!r}] are not those of the certificate")
        if self.verdict != UNVERIFIED and GOLDEN not in self.files:
            raise Malformed(f"{GOLDEN} is not among the files")


def _dimension(data: Field) -> int | str:
    return data.text(100) if isinstance(data.value, str) else data.integer(1)


def _file_name(name: str) -> str:
    """A name of a file in the folder itself, on every system."""
    if not 0 < len(name) <= 255 or name in (".", "..") or not name.isprintable() or set(name) & set("/\\:"):
        raise Malformed(f"{shown(name)} in files is not a plain file name")
    return name
