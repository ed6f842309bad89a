"""How a model is exported and checked: what a caller may choose."""

from dataclasses import dataclass
from pathlib import Path

from zoo.contract.errors import UsageError
from zoo.contract.evidence import Override


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """How a model is exported and checked.

    Args:
        precision: name of the precision of the artifacts: `fp32`, `fp16` or another that a plugin declares.
        dynamic_size: whether height and width of the images are dynamic too.
        min_size: with `dynamic_size`, the smallest height and width in pixels; `None` takes what the architecture
            declares, or else the smallest square that the model accepts.
        opset: the operator set that formats with `opsets` write; `None` leaves it to them.
        devices: where artifacts are checked; a format that knows none of them is checked on the CPU.
        verify: whether artifacts are compared with the model at all.
        override: tolerances in place of the default tolerance.
        accept_coverage: the coverage, above 0 and at most 1, with which an export is published although its check is
            inconclusive; it is marked so.
        save_failure: the folder to write if an artifact fails its check.
        force: whether existing folders may be replaced.

    Raises:
        UsageError: options exclude each other.
    """

    precision: str = "fp32"
    dynamic_size: bool = False
    min_size: int | None = None
    opset: int | None = None
    devices: tuple[str, ...] = ("cpu",)
    verify: bool = True
    override: Override | None = None
    accept_coverage: float | None = None
    save_failure: Path | None = None
    force: bool = False

    def __post_init__(self) -> None:
        accept = self.accept_coverage
        if accept is not None and not 0 < accept <= 1:  # so for NaN
            raise UsageError(
                f"--accept-coverage {accept:g} is not a fraction.", "Use a number above 0 and at most 1, such as 0.7."
            )
        if not self.verify and (self.override or accept or self.save_failure or self.devices != ("cpu",)):
            raise UsageError(
                "--no-verify excludes --atol, --rtol, --accept-coverage, --save-failure and --provider.",
                "Leave out --no-verify, or leave out the others.",
            )


STANDARD = ExportOptions()
