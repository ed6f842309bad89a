"""What exporting and verifying return."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo.contract.evidence.certificate import PASS, Certificate, Verdict
from zoo.contract.evidence.comparison import Comparison
from zoo.contract.evidence.coverage import Coverage
from zoo.contract.evidence.extent import Extent, GraphComparison, TruthSource
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

    def __repr__(self) -> str:
        """Its folder, verdict and formats, without manifest and comparisons."""
        return f"Export(path={str(self.path)!r}, verdict={self.verdict!r}, formats={list(self.manifest.artifacts)})"

    @property
    def certificate(self) -> Certificate:
        """What proves it."""
        return self.manifest.certificate

    @property
    def verdict(self) -> Verdict:
        """`pass`, `overridden`, `unverified`, or `inconclusive` where the user accepted that."""
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
            "accepted_coverage": certificate.accepted_coverage,
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
        verdict: `pass` or `overridden`; `agrees` for a single file whose check covers less than 90 % of the parameter
            tensors; `inconclusive` where that was accepted when the model was exported; `unverified` for an exported
            file of which the signature alone was checked.
        comparisons: on the stored or seeded probes, by format; none for a weights file.
        strict: truth was computed again, from the weights, and the graphs were compared with zoo's own export.
        manifest: of the export folder; `None` for a file.
        coverage: of the comparisons with a model; `None` for an export folder without one, whose certificate has it,
            and for a file in another precision than `fp32`, whose graph and tensors are those of a new export.
        further: comparisons on the same and on fresh images in other batches, by format.
        extent: the images and batches of all comparisons.
        source: of the weights that truth was computed with; `None` if it was read from the folder.
        graphs: how each graph compares with zoo's own export, by format; empty where that was not done.
        warnings: what a person should know of a verification that found no difference.
        signed_by: the SHA-256 of the public key whose signature was checked; empty if none was.
        precision: whose rules the artifacts were judged by; `fp32` for a weights file.
    """

    path: Path
    model: str
    verdict: Verdict
    comparisons: Mapping[str, Sequence[Comparison]]
    strict: bool = False
    manifest: Manifest | None = None
    coverage: Coverage | None = None
    further: Mapping[str, Sequence[Comparison]] = field(default_factory=dict)
    extent: Extent | None = None
    source: TruthSource | None = None
    graphs: Mapping[str, GraphComparison] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    signed_by: str = ""
    precision: str = "fp32"

    def __repr__(self) -> str:
        """What was verified and how it ended, without manifest and comparisons."""
        return (
            f"Verification(path={str(self.path)!r}, model={self.model!r}, verdict={self.verdict!r}, "
            f"formats={list(self.comparisons)}, strict={self.strict})"
        )

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
            "precision": self.precision,
            "signed_by": self.signed_by,
            "coverage": None if self.coverage is None else self.coverage.to_dict(),
            "extent": None if self.extent is None else self.extent.to_dict(),
            "source": None if self.source is None else self.source.to_dict(),
            "artifacts": {
                name: {
                    "file": str(self.artifacts[name]),
                    "verdict": self.verdict,
                    "passed": self.verdict == PASS,
                    "comparisons": [comparison.to_dict() for comparison in rows],
                    "further_comparisons": [each.to_dict() for each in self.further.get(name, ())],
                    "graph": self.graphs[name].to_dict() if name in self.graphs else None,
                }
                for name, rows in self.comparisons.items()
            },
        }
