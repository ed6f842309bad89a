"""The certificate: what was exported from what, what it was compared with and how, and the verdict."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from zoo.contract.evidence.comparison import Comparison, Override
from zoo.contract.evidence.coverage import Coverage
from zoo.contract.evidence.probe import TOLERANCE_FACTOR, Probe
from zoo.contract.evidence.workaround import MAX_WORKAROUNDS, Workaround
from zoo.contract.reading import DIGEST, MAX_NUMBER, SHA256, Field, Malformed, fields

Verdict = Literal["pass", "agrees", "overridden", "unverified", "fail", "inconclusive"]
PASS: Verdict = "pass"  # within the default tolerance on every probe
AGREES: Verdict = "agrees"  # of a single file: as `pass`, but the check covers less; never published
OVERRIDDEN: Verdict = "overridden"  # within the tolerances that the user named in place of the default one
UNVERIFIED: Verdict = "unverified"  # nothing was run or compared, because the user chose so
FAIL: Verdict = "fail"  # it does not compute what the model computes; never published
INCONCLUSIVE: Verdict = "inconclusive"  # the check covers too little; published only if the user accepts that
PUBLISHED: tuple[Verdict, ...] = (PASS, OVERRIDDEN, UNVERIFIED, INCONCLUSIVE)


MAX_PROBES, MAX_COMPARISONS = 10_000, 100_000
SMALLEST = 1e-300  # of what is greater than 0


@dataclass(frozen=True)
class ArtifactRecord:
    """What the certificate says of one artifact.

    Args:
        sha256: of each of its files, by file name.
        format: the distribution, its version and the name of the format that wrote it.
        comparisons: every comparison, those with probe weights included.
        workarounds: what was done in it to avoid known faults of libraries. Older folders lack it.
    """

    verdict: Verdict
    sha256: Mapping[str, str]
    format: Mapping[str, str]
    comparisons: tuple[Comparison, ...]
    workarounds: tuple[Workaround, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "verdict": self.verdict,
            "sha256": dict(self.sha256),
            "format": dict(self.format),
            "comparisons": [comparison.to_dict() for comparison in self.comparisons],
            "workarounds": [workaround.to_dict() for workaround in self.workarounds],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any] | Field) -> "ArtifactRecord":
        """Read what `to_dict` wrote.

        Raises:
            Malformed: a field is missing, malformed or out of range.
        """
        record = fields(data).only("verdict", "sha256", "format", "comparisons", "workarounds")
        workarounds = record.get("workarounds")
        return cls(
            record["verdict"].choice(PUBLISHED),
            {name: each.text(64, SHA256) for name, each in record["sha256"].entries(1).items()},
            _provider(record["format"]),
            tuple(Comparison.from_dict(each) for each in record["comparisons"].items(0, MAX_COMPARISONS)),
            tuple(Workaround.from_dict(each) for each in workarounds.items(0, MAX_WORKAROUNDS)) if workarounds else (),
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
    def from_dict(cls, data: Mapping[str, Any] | Field) -> "PriorCheck":
        """Read what `to_dict` wrote.

        Raises:
            Malformed: a field is missing, malformed or out of range.
        """
        check = fields(data).only("precision", "note", "rounding_errors", "comparisons")
        return cls(
            check["precision"].text(100),
            check["note"].text(),
            {name: each.number(0) for name, each in check["rounding_errors"].entries(0, MAX_PROBES).items()},
            {
                name: tuple(Comparison.from_dict(each) for each in rows.items(0, MAX_COMPARISONS))
                for name, rows in check["comparisons"].entries().items()
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
        weights: `digest` of the tensors, `file_sha256` of the weights file, and the `name` that it had, an `ARCH.TAG`,
            or that of an architecture with fresh weights; `None` for what does not exist. Older folders lack `name`.
        architecture: the distribution, its version and the architecture's name.
        environment: what decides rounding, besides the versions.
        real_images: which images of a data set are among the probes, or why there are none.
        seed: of the noise probes.
        probes: the batches that the artifacts were compared on, the stored images and truth left out.
        probe_recipe: how to make the image that each of a probe's `image_names` stands for.
        coverage: of the checks; `None` if nothing was checked.
        artifacts: by format.
        prior_check: in a finer precision, if the published one needs it.
        accepted_coverage: the coverage that the user accepted, where that of the check is not enough; else `None`.
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
    accepted_coverage: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `from_dict` reads it back. `accepted_coverage` only where there is one."""
        accepted = {} if self.accepted_coverage is None else {"accepted_coverage": self.accepted_coverage}
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
            **accepted,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any] | Field) -> "Certificate":
        """Read what `to_dict` wrote.

        Raises:
            Malformed: a field is missing, malformed or out of range, or the version is another one.
        """
        certificate = fields(data, "certificate").only(
            *("version", "verdict", "definitions", "tolerance_factor", "override", "weights", "architecture"),
            *("environment", "real_images", "seed", "probe_recipe", "probes", "coverage", "artifacts", "prior_check"),
            "accepted_coverage",
        )
        certificate["version"].choice((cls.VERSION,))
        factor = certificate["tolerance_factor"].number(SMALLEST, MAX_NUMBER)
        weights = certificate["weights"].only("digest", "file_sha256", "name")
        name = weights.get("name")
        verdict = certificate["verdict"].choice(PUBLISHED)
        override = certificate["override"].optional(Override.from_dict)
        if verdict != UNVERIFIED and (verdict == OVERRIDDEN) != (override is not None):
            raise Malformed(f"{certificate['verdict'].path} is {verdict!r}, which does not fit the override")
        probes = tuple(Probe.from_dict(probe, factor) for probe in certificate["probes"].items(1, MAX_PROBES))
        for probe in probes:
            if verdict != UNVERIFIED and math.isnan(probe.rounding_error):
                raise Malformed(f"the probe {probe.name} has no rounding_error, and the verdict is {verdict!r}")
        coverage = certificate["coverage"].optional(Coverage.from_dict)
        return cls(
            verdict=verdict,
            definitions=_definitions(certificate["definitions"]),
            tolerance_factor=factor,
            override=override,
            weights={
                "digest": weights["digest"].optional(lambda field: field.text(71, DIGEST)),
                "file_sha256": weights["file_sha256"].optional(lambda field: field.text(64, SHA256)),
                **({} if name is None else {"name": name.optional(lambda field: field.text(1_000))}),
            },
            architecture=_provider(certificate["architecture"]),
            environment={name: each.plain(0) for name, each in certificate["environment"].entries().items()},
            real_images=certificate["real_images"].text(),
            seed=certificate["seed"].integer(),
            probe_recipe=certificate["probe_recipe"].text(),
            probes=probes,
            coverage=coverage,
            artifacts={
                name: ArtifactRecord.from_dict(record) for name, record in certificate["artifacts"].entries(1).items()
            },
            prior_check=certificate["prior_check"].optional(PriorCheck.from_dict),
            accepted_coverage=_accepted(certificate.get("accepted_coverage"), verdict, coverage),
        )


def _accepted(data: Field | None, verdict: Verdict, coverage: Coverage | None) -> float | None:
    """The coverage that was accepted, if any, once it fits the verdict and the coverage."""
    if data is None:
        if verdict == INCONCLUSIVE:
            raise Malformed(f"the verdict is {verdict!r}, and accepted_coverage is missing")
        return None
    accepted = data.number(SMALLEST, 1)
    if verdict not in (INCONCLUSIVE, OVERRIDDEN):
        raise Malformed(f"{data.path} does not fit the verdict {verdict!r}")
    if coverage is None or coverage.enough or coverage.fraction < accepted:
        raise Malformed(f"{data.path} is {accepted:g}, which does not fit the coverage")
    return accepted


def _definitions(data: Field) -> dict[str, str]:
    texts = {name: each.text() for name, each in data.entries().items()}
    return {"truth": data["truth"].text(), "rounding_error": data["rounding_error"].text(), **texts}


def _provider(data: Field) -> dict[str, str]:
    """The distribution, its version and the name of a spec."""
    data.only("distribution", "version", "name")
    return {key: data[key].text(1_000) for key in ("distribution", "version", "name")}
