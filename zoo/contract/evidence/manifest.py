"""The manifest: everything that a deployer needs to know of an export folder, and what proves it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from zoo.contract.evidence.certificate import Certificate, Verdict, published
from zoo.contract.preprocess import Preprocess


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
    def from_dict(cls, data: Mapping[str, Any]) -> "TensorSpec":
        """Read what `to_dict` wrote."""
        size = data.get("min_size")
        return cls(str(data["name"]), str(data["dtype"]), tuple(data["shape"]), None if size is None else int(size))


@dataclass(frozen=True)
class Artifact:
    """An exported model in one format.

    Args:
        files: file name by role, the main file first. An artifact of one file has the role `model`.
        format: the qualified name of the format, such as `zoo-kit:NAME`.
    """

    files: Mapping[str, str]
    format: str

    @property
    def file(self) -> str:
        """The main file, which stands for the artifact."""
        return next(iter(self.files.values()))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"files": dict(self.files), "format": self.format}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Artifact":
        """Read what `to_dict` wrote.

        Raises:
            ValueError: it names no file.
        """
        if not data["files"]:
            raise ValueError("an artifact names no file")
        return cls({str(role): str(name) for role, name in data["files"].items()}, str(data["format"]))


@dataclass(frozen=True)
class FileRecord:
    """A file of the folder, as it was written."""

    sha256: str
    bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"sha256": self.sha256, "bytes": self.bytes}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "FileRecord":
        """Read what `to_dict` wrote."""
        return cls(str(data["sha256"]), int(data["bytes"]))


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What `manifest.json` says.

    Args:
        name: of the model, `ARCH.TAG` or the architecture's name.
        card: of the weights, as a weights file stores it.
        labels: the class names in the order of the logits.
        precision: of the artifacts, such as `fp32`.
        artifacts: by format.
        versions: of Python and of the packages that took part.
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
    def from_dict(cls, data: Mapping[str, Any]) -> "Manifest":
        """Read what `to_dict` wrote. Whether digest and files are right is for the reader of the folder to check.

        Raises:
            KeyError, TypeError, ValueError: a field is missing or malformed, or the format is another one.
            UsageError: the override is out of range.
        """
        if data["format"] != cls.FORMAT:
            raise ValueError(f"the manifest has format {data['format']}, not {cls.FORMAT}")
        return cls(
            name=str(data["name"]),
            verdict=published(data["verdict"]),
            card=dict(data["card"]),
            input=TensorSpec.from_dict(data["input"]),
            output=TensorSpec.from_dict(data["output"]),
            preprocess=Preprocess.from_dict(data["preprocess"]),
            labels=tuple(str(label) for label in data["labels"]),
            precision=str(data["precision"]),
            artifacts={str(name): Artifact.from_dict(artifact) for name, artifact in data["artifacts"].items()},
            versions={str(name): str(version) for name, version in data["versions"].items()},
            certificate=Certificate.from_dict(data["certificate"]),
            files={str(name): FileRecord.from_dict(record) for name, record in data["files"].items()},
            digest=str(data["digest"]),
        )
