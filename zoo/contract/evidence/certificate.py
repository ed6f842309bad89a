"""The certificate: what was exported from what, what it was compared with and how, and the verdict."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from zoo.contract.evidence.comparison import Comparison, Override
from zoo.contract.evidence.coverage import Coverage
from zoo.contract.evidence.probe import TOLERANCE_FACTOR, Probe

Verdict = Literal["pass", "overridden", "unverified", "fail", "inconclusive"]
PASS: Verdict = "pass"  # within the default tolerance on every probe
OVERRIDDEN: Verdict = "overridden"  # within the tolerances that the user named in place of the default one
UNVERIFIED: Verdict = "unverified"  # nothing was run or compared, because the user chose so
FAIL: Verdict = "fail"  # it does not compute what the model computes; never published
INCONCLUSIVE: Verdict = "inconclusive"  # the check covers too little of the model; never published
PUBLISHED: tuple[Verdict, ...] = (PASS, OVERRIDDEN, UNVERIFIED)


def published(verdict: object) -> Verdict:
    """The verdict of an export folder.

    Raises:
        ValueError: it is none that an export folder can have.
    """
    for known in PUBLISHED:
        if verdict == known:
            return known
    raise ValueError(f"the verdict {verdict!r} is not one of {', '.join(PUBLISHED)}")


@dataclass(frozen=True)
class ArtifactRecord:
    """What the certificate says of one artifact.

    Args:
        sha256: of each of its files, by file name.
        format: the distribution, its version and the name of the format that wrote it.
        comparisons: every comparison, those with probe weights included.
    """

    verdict: Verdict
    sha256: Mapping[str, str]
    format: Mapping[str, str]
    comparisons: tuple[Comparison, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "verdict": self.verdict,
            "sha256": dict(self.sha256),
            "format": dict(self.format),
            "comparisons": [comparison.to_dict() for comparison in self.comparisons],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "ArtifactRecord":
        """Read what `to_dict` wrote."""
        return cls(
            published(data["verdict"]),
            dict(data["sha256"]),
            dict(data["format"]),
            tuple(Comparison.from_dict(each) for each in data["comparisons"]),
        )


@dataclass(frozen=True)
class PriorCheck:
    """A check in a finer precision that the published precision builds on, such as float32 for float16.

    Args:
        precision: such as `fp32`.
        note: what was checked so, and why.
        rounding_errors: in that precision, by probe.
        comparisons: by format.
    """

    precision: str
    note: str
    rounding_errors: Mapping[str, float]
    comparisons: Mapping[str, tuple[Comparison, ...]]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "precision": self.precision,
            "note": self.note,
            "rounding_errors": dict(self.rounding_errors),
            "comparisons": {name: [each.to_dict() for each in rows] for name, rows in self.comparisons.items()},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "PriorCheck":
        """Read what `to_dict` wrote."""
        return cls(
            str(data["precision"]),
            str(data["note"]),
            {str(name): float(value) for name, value in data["rounding_errors"].items()},
            {
                str(name): tuple(Comparison.from_dict(each) for each in rows)
                for name, rows in data["comparisons"].items()
            },
        )


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """The evidence that the artifacts of an export folder compute what the model computes.

    Args:
        verdict: of the whole folder.
        definitions: what truth, rounding error, tolerance and coverage mean here, in one sentence each.
        tolerance_factor: how many rounding errors the default tolerance is.
        override: the tolerances that replaced it, if any.
        weights: `digest` of the tensors and `file_sha256` of the weights file; `None` for what does not exist.
        architecture: the distribution, its version and the architecture's name.
        environment: what decides rounding, besides the versions.
        real_images: which images of a data set are among the probes, or why there are none.
        seed: of the noise probes.
        probes: the batches that the artifacts were compared on, the stored images and truth left out.
        probe_recipe: how to make the image that each of a probe's `image_names` stands for.
        coverage: of the checks; `None` if nothing was checked.
        artifacts: by format.
        prior_check: in a finer precision, if the published one needs it.
    """

    VERSION: ClassVar[int] = 2

    verdict: Verdict
    definitions: Mapping[str, str]
    override: Override | None
    weights: Mapping[str, str | None]
    architecture: Mapping[str, str]
    environment: Mapping[str, Any]
    real_images: str
    seed: int
    probe_recipe: str
    probes: tuple[Probe, ...]
    coverage: Coverage | None
    artifacts: Mapping[str, ArtifactRecord]
    tolerance_factor: float = TOLERANCE_FACTOR
    prior_check: PriorCheck | None = field(default=None)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `from_dict` reads it back."""
        return {
            "version": self.VERSION,
            "verdict": self.verdict,
            "definitions": dict(self.definitions),
            "tolerance_factor": self.tolerance_factor,
            "override": None if self.override is None else self.override.to_dict(),
            "weights": dict(self.weights),
            "architecture": dict(self.architecture),
            "environment": dict(self.environment),
            "real_images": self.real_images,
            "seed": self.seed,
            "probe_recipe": self.probe_recipe,
            "probes": [probe.to_dict() for probe in self.probes],
            "coverage": None if self.coverage is None else self.coverage.to_dict(),
            "artifacts": {name: record.to_dict() for name, record in self.artifacts.items()},
            "prior_check": None if self.prior_check is None else self.prior_check.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Certificate":
        """Read what `to_dict` wrote.

        Raises:
            KeyError, TypeError, ValueError: a field is missing or malformed, or the version is another one.
            UsageError: the override is out of range.
        """
        if data["version"] != cls.VERSION:
            raise ValueError(f"the certificate has version {data['version']}, not {cls.VERSION}")
        override, coverage, prior = data["override"], data["coverage"], data["prior_check"]
        return cls(
            verdict=published(data["verdict"]),
            definitions=dict(data["definitions"]),
            tolerance_factor=float(data["tolerance_factor"]),
            override=None if override is None else Override.from_dict(override),
            weights=dict(data["weights"]),
            architecture=dict(data["architecture"]),
            environment=dict(data["environment"]),
            real_images=str(data["real_images"]),
            seed=int(data["seed"]),
            probe_recipe=str(data["probe_recipe"]),
            probes=tuple(Probe.from_dict(probe, float(data["tolerance_factor"])) for probe in data["probes"]),
            coverage=None if coverage is None else Coverage.from_dict(coverage),
            artifacts={str(name): ArtifactRecord.from_dict(record) for name, record in data["artifacts"].items()},
            prior_check=None if prior is None else PriorCheck.from_dict(prior),
        )
