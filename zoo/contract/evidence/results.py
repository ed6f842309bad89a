"""What exporting and verifying return."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.contract.evidence.certificate import PASS, Certificate, Verdict
from zoo.contract.evidence.comparison import Comparison
from zoo.contract.evidence.coverage import Coverage
from zoo.contract.evidence.manifest import Manifest


@dataclass(frozen=True)
class Export:
    """A published export.

    Args:
        path: of the folder.
        manifest: as it lies in the folder.
        comparisons: every comparison that was made, by format, those with probe weights included.
    """

    path: Path
    manifest: Manifest
    comparisons: Mapping[str, Sequence[Comparison]]

    @property
    def certificate(self) -> Certificate:
        """What proves it."""
        return self.manifest.certificate

    @property
    def verdict(self) -> Verdict:
        """`pass`, `overridden` or `unverified`."""
        return self.manifest.verdict

    @property
    def artifacts(self) -> dict[str, Path]:
        """The path of each artifact, by format: of its main file."""
        return {name: self.path / artifact.file for name, artifact in self.manifest.artifacts.items()}

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: what `zoo export --json` prints, without what only the command knows."""
        certificate = self.certificate
        return {
            "export": str(self.path),
            "digest": self.manifest.digest,
            "model": self.manifest.name,
            "verdict": self.verdict,
            "precision": self.manifest.precision,
            "override": None if certificate.override is None else certificate.override.to_dict(),
            "coverage": None if certificate.coverage is None else certificate.coverage.to_dict(),
            "artifacts": {
                name: {
                    "file": str(path),
                    "verdict": self.verdict,
                    "passed": self.verdict == PASS,
                    "comparisons": [comparison.to_dict() for comparison in self.comparisons[name]],
                }
                for name, path in self.artifacts.items()
            },
        }


@dataclass(frozen=True)
class Verification:
    """A verification that found no difference.

    Args:
        path: the export folder, or the file.
        model: the name of the model.
        verdict: `pass` or `overridden`.
        comparisons: by format.
        strict: truth was computed again, from the weights.
        manifest: of the export folder; `None` for a file.
        coverage: of the comparisons of a file; `None` for an export folder, whose certificate has it.
    """

    path: Path
    model: str
    verdict: Verdict
    comparisons: Mapping[str, Sequence[Comparison]]
    strict: bool = False
    manifest: Manifest | None = None
    coverage: Coverage | None = None

    @property
    def artifacts(self) -> dict[str, Path]:
        """The path of each artifact that was run, by format."""
        if self.manifest is None:
            return dict.fromkeys(self.comparisons, self.path)
        return {name: self.path / self.manifest.artifacts[name].file for name in self.comparisons}

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: what `zoo verify --json` prints."""
        return {
            "path": str(self.path),
            "digest": "" if self.manifest is None else self.manifest.digest,
            "model": self.model,
            "verdict": self.verdict,
            "passed": self.verdict == PASS,
            "strict": self.strict,
            "coverage": None if self.coverage is None else self.coverage.to_dict(),
            "artifacts": {
                name: {
                    "file": str(self.artifacts[name]),
                    "verdict": self.verdict,
                    "passed": self.verdict == PASS,
                    "comparisons": [comparison.to_dict() for comparison in rows],
                }
                for name, rows in self.comparisons.items()
            },
        }
