"""A probe: a batch of images that artifacts are judged on, with what is known of the model's logits for it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from zoo.contract.reading import SHA256, Field, Malformed, fields

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Images: TypeAlias = npt.NDArray[np.float32]
    Truth: TypeAlias = npt.NDArray[np.float64]
else:
    Images = Truth = Any

MAX_IMAGES = 65_536  # in a probe
TOLERANCE_FACTOR = 20.0  # rounding errors that an artifact may be off by


@dataclass(frozen=True, eq=False)
class Probe:
    """A named batch of images, and what is known of the logits that the model computes for it.

    It is first made with its images alone; `with_truth` adds truth and rounding error. The certificate stores all
    but the arrays, which are in `golden.npz`: a probe that is read from a certificate has them after `with_arrays`.

    Args:
        name: what the images are and how many, such as `noise-2`.
        _images: float32 `[N, C, H, W]`, normalised; read it as `images`.
        _truth: float64 `[N, K]`, the logits of the unmodified model evaluated in float64; read it as `truth`.
        rounding_error: the largest deviation from truth among evaluations that differ in rounding alone, on the
            backend that the probe is judged on; NaN if it was not measured.
        rounding_errors: likewise on other backends that the export was judged on, by provider, such as `cuda`.
        image_names: what each image is, such as `noise 0` or `digits test 51`; the certificate's `probe_recipe` says
            how to make it.
        sha256: of the images' bytes, in hex.
        n: the number of images.
        peak: the largest absolute value of truth; NaN if truth was never computed.
        tolerance_factor: how many rounding errors the default tolerance is.
    """

    name: str
    _images: "Images | None" = field(default=None, repr=False)
    _truth: "Truth | None" = field(default=None, repr=False)
    rounding_error: float = math.nan
    rounding_errors: Mapping[str, float] = field(default_factory=dict)
    image_names: tuple[str, ...] = ()
    sha256: str = ""
    n: int = 0
    peak: float = math.nan
    tolerance_factor: float = TOLERANCE_FACTOR

    def __post_init__(self) -> None:
        if self._images is not None:
            object.__setattr__(self, "n", len(self._images))
        if self._truth is not None:
            object.__setattr__(self, "peak", float(abs(self._truth).max()))

    @property
    def images(self) -> Images:
        """float32 `[N, C, H, W]`, normalised.

        Raises:
            LookupError: the probe was read from a certificate, without its arrays.
        """
        if self._images is None:
            raise LookupError(f"the images of the probe {self.name} are in golden.npz, which was not read")
        return self._images

    @property
    def truth(self) -> Truth:
        """float64 `[N, K]`.

        Raises:
            LookupError: it was not computed, or the probe was read from a certificate, without its arrays.
        """
        if self._truth is None:
            raise LookupError(f"the truth of the probe {self.name} is not known")
        return self._truth

    @property
    def tolerance(self) -> float:
        """The default tolerance: the largest error that passes."""
        return self.tolerance_factor * self.rounding_error

    def with_truth(self, truth: Truth, rounding_error: float) -> "Probe":
        """The same images with their truth and the rounding error on one backend."""
        return replace(self, _truth=truth, rounding_error=rounding_error)

    def with_arrays(self, images: Images, truth: Truth) -> "Probe":
        """The same probe with the arrays that `golden.npz` stores for it."""
        return replace(self, _images=images, _truth=truth)

    def at(self, rounding_error: float) -> "Probe":
        """The same probe, judged by the rounding error of another backend."""
        return replace(self, rounding_error=rounding_error)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the certificate: everything but the arrays. What was not measured is left out."""
        data: dict[str, Any] = {
            "name": self.name,
            "n": self.n,
            "image_names": list(self.image_names),
            "sha256": self.sha256,
        }
        if not math.isnan(self.rounding_error):
            data |= {"peak": self.peak, "rounding_error": self.rounding_error, "tolerance": self.tolerance}
        return {**data, "rounding_errors": dict(self.rounding_errors)} if self.rounding_errors else data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any] | Field, tolerance_factor: float = TOLERANCE_FACTOR) -> "Probe":
        """Read what `to_dict` wrote.

        Raises:
            Malformed: a field is missing, malformed or out of range, or the tolerance is not `tolerance_factor`
                rounding errors.
        """
        probe = fields(data).only(
            *("name", "n", "image_names", "sha256", "peak", "rounding_error", "tolerance", "rounding_errors")
        )
        measured = math.nan, math.nan
        if any(probe.get(key) for key in ("peak", "rounding_error", "tolerance")):
            measured = probe["rounding_error"].number(0), probe["peak"].number(0)
            tolerance, default = probe["tolerance"].number(0), tolerance_factor * measured[0]
            if not math.isclose(tolerance, default, rel_tol=1e-6):
                raise Malformed(f"{probe['tolerance'].path} is {tolerance:g}, not {default:g}")
        elsewhere = probe.get("rounding_errors")
        n = probe["n"].integer(1, MAX_IMAGES)
        return cls(
            name=probe["name"].text(1_000),
            rounding_error=measured[0],
            rounding_errors={name: each.number(0) for name, each in elsewhere.entries().items()} if elsewhere else {},
            image_names=tuple(name.text(1_000) for name in probe["image_names"].items(0, n)),
            sha256=probe["sha256"].text(64, SHA256),
            n=n,
            peak=measured[1],
            tolerance_factor=tolerance_factor,
        )
